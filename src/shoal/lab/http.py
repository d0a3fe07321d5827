"""A few HTTP calls over unix sockets, for engines and daemons of lab hosts."""

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from shoal.lab.errors import LabError


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(
    path: Path,
    method: str,
    url: str,
    *,
    body: BinaryIO | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 2.0,
) -> tuple[int, bytes]:
    """Status and body of one request; raises OSError when the socket does not answer."""
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, url, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"{path}: {error}") from error
    finally:
        connection.close()


def answers(path: Path, url: str, *, timeout: float = 2.0) -> bool:
    """Whether a GET on the socket is answered with 200 within `timeout` seconds."""
    try:
        return call(path, "GET", url, timeout=timeout)[0] == 200
    except OSError:
        return False


def get_json(path: Path, url: str, *, timeout: float = 2.0) -> Any:
    """The decoded body of a GET; raises OSError or LabError (not 200)."""
    status, body = call(path, "GET", url, timeout=timeout)
    if status != 200:
        raise LabError(f"{path} answered {status} to {url}: {body[:200].decode(errors='replace')}")
    return json.loads(body)
