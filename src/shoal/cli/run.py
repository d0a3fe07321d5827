"""`shoal run`: create, attach, wait, start, in the order of Docker's own client."""

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import click

from shoal.cli.attach import STDIN, Attached, console_size
from shoal.cli.client import Client, Query, segment
from shoal.cli.containers import pass_target
from shoal.cli.run_flags import Around, Body, RunFlags, create_body
from shoal.cli.run_options import takes_run_options
from shoal.cli.tables import warn
from shoal.cli.target import Target, asks_node
from shoal.model.errors import BadRequest, NotFound, ShoalError, Unavailable

#: Exit codes of `docker run` when the container did not run.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
#: Both may bring the image from a peer first.
_START_SECONDS = 690.0
_PULL_SECONDS = 600.0


@click.command(context_settings={"allow_interspersed_args": False})
@takes_run_options
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@asks_node
@pass_target
def run(target: Target, /, **given: Any) -> None:
    """Create a container on a node that fits and start it."""
    flags = RunFlags(**given)
    try:
        code = _run(target, flags)
    except ShoalError as error:
        warn(error.text)
        code = FAILED
    raise click.exceptions.Exit(code)


def _run(target: Target, flags: RunFlags) -> int:
    interactive = flags.tty and flags.interactive and not flags.detach
    if interactive and not os.isatty(STDIN):
        raise BadRequest("the input device is not a TTY")
    console = console_size() if flags.tty and sys.stdout.isatty() else (0, 0)
    around = Around(here=os.getcwd(), environment=os.environ, console=console)
    body = create_body(flags, around)
    client = target.docker()
    container = _create(client, flags, body)
    if flags.detach:
        code = _start(client, container)
        if not code:
            click.echo(container)
        return code
    return _run_attached(client, container, flags)


def _create(client: Client, flags: RunFlags, body: Body) -> str:
    """Id of the new container. Raises ShoalError."""
    if flags.pull == "always":
        _pull(client, flags)
    query: Query = {"name": flags.name or None, "platform": flags.platform or None}

    def create() -> Any:
        return client.call(
            "POST", "/containers/create", query=query, body=body, timeout=_START_SECONDS
        )

    try:
        answer = create()
    except NotFound as error:
        if flags.pull != "missing" or "no such image" not in error.text.lower():
            raise
        warn(f"no node has {flags.image}: pulling it")
        _pull(client, flags)
        answer = create()
    for text in answer.get("Warnings") or ():
        warn(text)
    return str(answer["Id"])


def _pull(client: Client, flags: RunFlags) -> None:
    name, tag = _split_reference(flags.image)
    query: Query = {"fromImage": name, "tag": tag, "platform": flags.platform or None}
    with client.open("POST", "/images/create", query=query, timeout=_PULL_SECONDS) as response:
        for line in response:
            progress = json.loads(line)
            if "error" in progress:
                raise Unavailable(str(progress["error"]))
            if not flags.quiet and not progress.get("progressDetail"):
                subject = f"{progress['id']}: " if progress.get("id") else ""
                click.echo(subject + progress.get("status", ""), err=True)


def _split_reference(reference: str) -> tuple[str, str]:
    """Name and tag or digest; the colon of a registry's port is no tag's."""
    name, at, digest = reference.partition("@")
    if at:
        return name, digest
    head, slash, last = reference.rpartition("/")
    name, colon, tag = last.partition(":")
    return head + slash + name, tag if colon else "latest"


def _start(client: Client, container: str) -> int:
    """0, or Docker's exit code for a container that would not start."""
    path = f"/containers/{segment(container)}/start"
    try:
        client.call("POST", path, timeout=_START_SECONDS)
    except ShoalError as error:
        warn(error.text)
        return start_failure(error.text)
    return 0


def start_failure(text: str) -> int:
    """Exit code by what the engine said, as Docker's client tells the cases apart."""
    lower = text.lower()
    if "executable file not found" in lower or "no such file or directory" in lower:
        return NOT_FOUND
    if "permission denied" in lower or "is a directory" in lower:
        return NOT_EXECUTABLE
    return FAILED


def _run_attached(client: Client, container: str, flags: RunFlags) -> int:
    path = f"/containers/{segment(container)}"
    query: Query = {
        "stream": True,
        "stdout": True,
        "stderr": True,
        "stdin": flags.interactive,
    }
    stream = client.hijack(f"{path}/attach", query=query)
    attached = Attached(client, container, stream, terminal=flags.tty, stdin=flags.interactive)
    with ExitStack() as stack:
        stack.callback(stream.close)
        exit_code = _begin_wait(client, path, "removed" if flags.rm else "next-exit")
        stack.enter_context(attached.signals(proxied=flags.sig_proxy and not flags.tty))
        if code := _start(client, container):
            _forget(client, path, flags)
            return code
        if flags.tty and sys.stdout.isatty():
            attached.resize()
        with attached.raw_terminal():
            attached.pump()
            if attached.detached:
                return 0
        return exit_code()


def _forget(client: Client, path: str, flags: RunFlags) -> None:
    """What should be gone when it ends should be gone too when it did not begin."""
    if flags.rm:
        with suppress(ShoalError):
            client.call("DELETE", path, query={"force": True})


def _begin_wait(client: Client, path: str, condition: str) -> Callable[[], int]:
    """Wait from before the start, so that no exit is missed; the result gives the exit code,
    or raises Unavailable if the node went away first."""
    registered = threading.Event()
    outcome: list[int | ShoalError] = []

    def wait() -> None:
        try:
            query = {"condition": condition}
            with client.open("POST", f"{path}/wait", query=query, endless=True) as response:
                registered.set()
                outcome.append(_exit_code(json.loads(response.read())))
        except ShoalError as error:
            outcome.append(error)
        except (OSError, ValueError):
            outcome.append(Unavailable(f"unix://{client.path} broke off: the exit code is unknown"))
        finally:
            registered.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    registered.wait()
    if outcome and isinstance(outcome[0], ShoalError):
        raise outcome[0]

    def exit_code() -> int:
        thread.join()
        result = outcome[0]
        if isinstance(result, ShoalError):
            raise result
        return result

    return exit_code


def _exit_code(answer: dict[str, Any]) -> int:
    if problem := (answer.get("Error") or {}).get("Message"):
        warn(problem)
        return FAILED
    return int(answer["StatusCode"])
