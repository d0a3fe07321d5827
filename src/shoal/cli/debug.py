"""`shoal debug`: what to hand to whoever shall help."""

import io
import json
import os
import platform
import tarfile
import time
from collections.abc import Callable
from typing import Any

import click

import shoal
from shoal.cli import redaction
from shoal.cli.client import Client, segment
from shoal.cli.containers import pass_target
from shoal.cli.tables import size_words
from shoal.cli.target import Target, asks_node
from shoal.model.errors import BadRequest, ShoalError

_DOCTOR_SECONDS = 60.0
_LOG_LINES = 1000
#: Stories of so many containers, those first that are not as they should be.
_STORIES = 50


@click.group()
def debug() -> None:
    """Collect what helps to find out what is wrong."""


@debug.command()
@click.argument("file", type=click.Path())
@asks_node
@pass_target
def bundle(target: Target, file: str) -> None:
    """Write FILE, a .tar.gz with what the asked node knows: its status, the doctor's findings,
    nodes, containers and their stories, the last events, its figures, and the end of its log.

    There are no keys, tokens, environments, commands or values of labels in it. Look through it
    all the same before you hand it on: names of nodes, containers and images, and addresses, are.
    """
    parts = collect(target.native(), target.vcluster)
    _write(file, parts)
    size = size_words(os.path.getsize(file))
    click.echo(f"{file}: {size}, {', '.join(sorted(parts))}")


def collect(client: Client, vcluster: str) -> dict[str, str]:
    """Texts by the names of their files. Raises Unavailable when the node does not answer at all;
    what else cannot be had is a line in errors.txt."""
    client.call("GET", "/v1/status")
    cloud = f"/v1/vclusters/{segment(vcluster)}"
    errors: list[str] = []
    parts = {"versions.json": _versions()}

    def part(name: str, make: Callable[[], str]) -> None:
        try:
            parts[name] = make()
        except ShoalError as error:
            errors.append(redaction.text(f"{name}: {error.text}"))

    part("status.json", lambda: _cleaned(client.call("GET", "/v1/status")))
    part(
        "doctor.json",
        lambda: _cleaned(client.call("GET", "/v1/doctor", timeout=_DOCTOR_SECONDS)),
    )
    part("nodes.json", lambda: _json(_nodes(client)))
    part("containers.json", lambda: _json(_containers(client, cloud)))
    part("stories.json", lambda: _json(_stories(client, cloud)))
    part("events.json", lambda: _json(_events(client, cloud)))
    part("metrics.txt", lambda: _text(client, "/metrics"))
    part("log.txt", lambda: _log(client))
    if errors:
        parts["errors.txt"] = "".join(line + "\n" for line in errors)
    return parts


def _versions() -> str:
    system = {"system": platform.platform(), "python": platform.python_version()}
    return _json({"shoal": shoal.__version__, "collected": time.time_ns(), **system})


def _nodes(client: Client) -> list[dict[str, Any]]:
    nodes = client.call("GET", "/v1/nodes")
    return [each | {"labels": redaction.labels(each["labels"])} for each in nodes]


def _containers(client: Client, cloud: str) -> list[dict[str, Any]]:
    listing = client.call("GET", f"{cloud}/containers", query={"all": True})
    return [redaction.container(each) for each in listing["containers"]]


def _stories(client: Client, cloud: str) -> dict[str, Any]:
    """Those of containers that are not what was asked for come first."""
    listing = client.call("GET", f"{cloud}/containers", query={"all": True})["containers"]
    listing.sort(key=lambda each: (not each["note"], each["state"] == each["desired"]))
    found: dict[str, Any] = {}
    for each in listing[:_STORIES]:
        try:
            why = client.call("GET", f"{cloud}/containers/{segment(each['id'])}/why")
        except ShoalError as error:
            found[each["name"]] = redaction.text(error.text)
        else:
            found[each["name"]] = redaction.story(why)
    return found


def _events(client: Client, cloud: str) -> list[dict[str, Any]]:
    return [redaction.event(each) for each in client.lines("GET", f"{cloud}/events")]


def _text(client: Client, path: str) -> str:
    with client.open("GET", path) as response:
        return str(response.read().decode())


def _log(client: Client) -> str:
    lines = client.call("GET", "/v1/log", query={"lines": _LOG_LINES})
    return redaction.text("".join(line + "\n" for line in lines))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _cleaned(value: Any) -> str:
    return _json(redaction.value(value))


def _write(file: str, parts: dict[str, str]) -> None:
    """Readable by its owner only. Raises BadRequest."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for name, text in sorted(parts.items()):
                data = text.encode()
                member = tarfile.TarInfo(f"shoal-debug/{name}")
                member.size, member.mtime, member.mode = len(data), int(time.time()), 0o600
                archive.addfile(member, io.BytesIO(data))
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from None
