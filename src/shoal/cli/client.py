"""HTTP over a node's unix socket, with the standard library only: it starts fast."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from shoal.model.errors import ShoalError, Unavailable, revive

#: The node itself answers or gives up within 15 s; what needs longer says so by its own timeout.
TIMEOUT_SECONDS = 30.0
CONNECT_SECONDS = 5.0
#: sockaddr_un holds 107 bytes of path.
_LONGEST_PATH = 107

Query = Mapping[str, str | int | bool | list[str] | None]


def segment(text: str) -> str:
    """A user's word as one segment of a URL's path."""
    return quote(text, safe="")


def connect(path: str, timeout: float | None) -> socket.socket:
    """A connection to a unix socket, whatever the length of its path. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_SECONDS)
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            connection.connect(path)
        else:
            _connect_by_directory(connection, path)
        connection.settimeout(timeout)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_by_directory(connection: socket.socket, path: str) -> None:
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)


def is_listening(path: str) -> bool:
    """Whether a process listens behind the socket; it may still be too busy to answer."""
    try:
        connect(path, None).close()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(self._path, self.timeout)


class Client:
    """One API of one node. Its calls raise the ShoalError that the node answered, or
    Unavailable when nobody answers behind the socket."""

    def __init__(self, path: str) -> None:
        self.path = path

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        timeout: float | None = TIMEOUT_SECONDS,
    ) -> Any:
        """The decoded JSON of the answer, None where it has none."""
        with self.open(method, path, query=query, body=body, timeout=timeout) as response:
            data = response.read()
        return json.loads(data) if data else None

    def lines(self, method: str, path: str, *, query: Query | None = None) -> Iterator[Any]:
        """The JSON values of a stream with one on each line, for as long as it lasts."""
        with self.open(method, path, query=query, endless=True) as response:
            for line in response:
                if line.strip():
                    yield json.loads(line)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        timeout: float | None = TIMEOUT_SECONDS,
        endless: bool = False,
    ) -> Iterator[http.client.HTTPResponse]:
        """A successful response whose body is still to be read. `timeout` (seconds) bounds every
        wait for bytes; with `endless` only that for the header."""
        connection = _Connection(self.path, timeout)
        try:
            self._connect(connection)
            raw = connection.sock  # the connection gives it up to a response that ends with it
            response = _exchange(connection, method, path, query, body)
            if endless:
                raw.settimeout(None)
            yield response
        except TimeoutError:
            text = f"no answer from unix://{self.path} within {timeout or CONNECT_SECONDS:.0f} s"
            raise Unavailable(f"{text}: try again, or name another node with -H") from None
        except (ConnectionError, http.client.HTTPException) as error:
            raise Unavailable(f"unix://{self.path} broke off: {error or 'no answer'}") from None
        finally:
            connection.close()

    def _connect(self, connection: _Connection) -> None:
        try:
            connection.connect()
        except PermissionError:
            raise Unavailable(
                f"may not open unix://{self.path}: be root or in the group that owns it"
            ) from None
        except OSError:
            raise nobody(self.path) from None

    def hijack(self, path: str, *, query: Query | None = None) -> "Stream":
        """POST with an upgrade to a raw duplex stream."""
        connection = _Connection(self.path, TIMEOUT_SECONDS)
        try:
            self._connect(connection)
            headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
            response = _exchange(connection, "POST", path, query, None, headers)
            if response.status != 101:
                raise Unavailable(f"unix://{self.path} answered {response.status} to an upgrade")
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(None)
        return Stream(connection.sock, response)


class Stream:
    """A connection after `101 Switching Protocols`."""

    def __init__(self, connection: socket.socket, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        # The reader that parsed the header may hold the stream's first bytes already; it lives
        # as long as the response.
        self._response = response
        self.content_type = response.headers.get_content_type()

    def read(self) -> bytes:
        """What has come, b"" at the end."""
        return self._response.fp.read1(65536)

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def write_eof(self) -> None:
        self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def _exchange(
    connection: _Connection,
    method: str,
    path: str,
    query: Query | None,
    body: Any,
    headers: Mapping[str, str] | None = None,
) -> http.client.HTTPResponse:
    """Raises the ShoalError that was answered."""
    data = None if body is None else json.dumps(body)
    kind = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path + _query_text(query), data, {**kind, **(headers or {})})
    response = connection.getresponse()
    if response.status >= 400:
        raise _refusal(response)
    return response


def nobody(path: str) -> Unavailable:
    return Unavailable(
        f"no node answers at unix://{path}: start one with `shoal create` or name one with -H"
    )


def _query_text(query: Query | None) -> str:
    if not query:
        return ""
    pairs = [
        (name, "true" if each is True else str(each))
        for name, value in query.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None and each is not False
    ]
    return "?" + urlencode(pairs) if pairs else ""


def _refusal(response: http.client.HTTPResponse) -> ShoalError:
    """The error in a refusing answer; Docker's APIs and ours word it alike."""
    data = response.read()
    try:
        text = json.loads(data)["message"]
    except (ValueError, KeyError, TypeError):
        text = data.decode(errors="replace").strip() or response.reason
    return revive(response.status, str(text))
