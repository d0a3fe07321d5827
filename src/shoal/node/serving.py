"""The life of a node's process, from its stored options to its end."""

import asyncio
import contextlib
import gc
import grp
import logging
import os
import signal
import sys
from pathlib import Path

import msgspec
import structlog
import uvloop
from aiohttp import web

from shoal.model.errors import ShoalError
from shoal.model.ids import DEFAULT, vcluster_id
from shoal.model.options import NodeOptions
from shoal.node.admin import Admin
from shoal.node.daemon import Daemon
from shoal.node.heartbeat import beat, heartbeat_descriptor
from shoal.node.identity import load_credentials, load_or_create_identity
from shoal.node.main import GOSSIP_KEY, address_of
from shoal.node.store import StoreFailed
from shoal.node.stored_options import stored
from shoal.node.supervisor import FATAL

GROUP = "shoal"
#: How long a start waits for the engine and for a peer before the APIs answer all the same.
_SETTLE_WITHIN = 10.0
_CLOSE_WITHIN = 2.0

_log = structlog.get_logger()


def configure_logging() -> None:
    """Structured lines on standard error; time first, so that files of several nodes merge."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


async def serve(options: NodeOptions) -> None:
    """Run the node until a signal or the supervisor's end. Raises ShoalError or OSError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    state = Path(options.state_dir)
    credentials = load_credentials(state)
    assert credentials is not None
    daemon = Daemon(
        options,
        address_of(options),
        load_or_create_identity(state),
        credentials,
        (state / GOSSIP_KEY).read_bytes(),
    )
    admin = Admin(daemon, credentials, options)
    heart = asyncio.create_task(_beat(daemon, stop))
    runners: list[web.AppRunner] = []
    try:
        await daemon.start()
        await daemon.settled(_SETTLE_WITHIN)
        runners = await _serve_apis(options, daemon, admin)
        admin.ready = True
        _log.info("ready", node=options.name, address=address_of(options))
        gc.collect()
        gc.freeze()
        await stop.wait()
    finally:
        heart.cancel()
        for runner in runners:
            await runner.cleanup()
        await daemon.stop()


async def _beat(daemon: Daemon, stop: asyncio.Event) -> None:
    descriptor = heartbeat_descriptor()
    if descriptor is not None:
        await beat(descriptor, daemon.store.stalled)
        stop.set()


async def _serve_apis(options: NodeOptions, daemon: Daemon, admin: Admin) -> list[web.AppRunner]:
    from shoal.api.docker.app import make_app as docker_app
    from shoal.api.native.app import make_app as native_app

    vcluster = vcluster_id(daemon.cloud, DEFAULT)
    os.makedirs(options.run_dir, mode=0o755, exist_ok=True)
    docker = docker_app(daemon, vcluster=vcluster, node_name=options.name)
    return [
        await _listen(docker, options.docker_socket),
        await _listen(native_app(daemon, admin), options.native_socket),
    ]


async def _listen(app: web.Application, path: str) -> web.AppRunner:
    """Serve on a unix socket that root and the group may open. Raises OSError."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_WITHIN)
    await runner.setup()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    old = os.umask(0o117)
    try:
        await web.UnixSite(runner, path).start()
    finally:
        os.umask(old)
    with contextlib.suppress(KeyError, PermissionError):
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    return runner


def main(state_dir: str) -> int:
    """Run the node in `state_dir`. Returns FATAL when another start would end the same way."""
    configure_logging()
    try:
        options = msgspec.convert(stored(state_dir), NodeOptions)
        uvloop.run(serve(options))
    except StoreFailed as error:
        _log.error("ended", error=error.text)
        return 1
    except ShoalError as error:
        sys.stderr.write(f"shoal: {error.text}\n")
        return FATAL
    except OSError as error:
        sys.stderr.write(f"shoal: {error}\n")
        return 1
    return 0
