"""`shoal create`, `join` and `daemon`: prepare the state directory, then become the supervisor
of the worker that is the node."""

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from shoal import PROTOCOL, __version__
from shoal.core.effects import Put, Write
from shoal.core.founding import found
from shoal.core.members import SPACE as MEMBERS
from shoal.model.errors import Conflict, Unavailable
from shoal.model.node import NodeInfo
from shoal.model.options import Discovery, NodeOptions
from shoal.node import supervisor
from shoal.node.certificates import create_authority, issue, new_cloud_id, signing_request
from shoal.node.clock import now
from shoal.node.files import write_durably
from shoal.node.identity import (
    Credentials,
    Identity,
    load_credentials,
    load_or_create_identity,
    save_credentials,
)
from shoal.node.joining import AUTHORITY, ask_to_join, credentials_of, founding_record
from shoal.node.membership import new_gossip_key
from shoal.node.store import DATABASE, SqliteStore
from shoal.node.stored_options import store
from shoal.node.tokens import parse_token

GOSSIP_KEY = "gossip.key"
#: RFC 5737: no packet is sent to find out which address the default route gives this machine.
_ANYWHERE = ("192.0.2.1", 9)


def create(options: NodeOptions, discovery: Discovery) -> NoReturn:
    """Start a new cloud with this node, `discovery` being that of the whole cloud. Raises Conflict
    if the node belongs to one already."""
    _refuse_second_life(options)
    state = Path(options.state_dir)
    identity = load_or_create_identity(state)
    cloud = new_cloud_id()
    authority = create_authority(cloud)
    _, certificate = issue(authority, cloud, signing_request(identity))
    record = founding_record(identity, authority)
    assert record.value is not None
    writes = found(now(), cloud, identity.node_id, {(record.object, AUTHORITY): record.value})
    credentials = Credentials(
        cloud, identity.node_id, certificate, (authority.certificate,), discovery
    )
    _settle_in(options, identity, credentials, new_gossip_key(), writes)
    supervise(options)


def join(options: NodeOptions, token: str) -> NoReturn:
    """Make this node a member of the cloud that a token invites to. Raises ShoalError."""
    _refuse_second_life(options)
    parsed = parse_token(token)
    identity = load_or_create_identity(Path(options.state_dir))
    info = NodeInfo(
        id=identity.node_id,
        name=options.name,
        address=address_of(options),
        port=options.port,
        site=options.site,
        labels=options.labels,
        cpu_class=options.cpu_class,
        protocol=PROTOCOL,
        version=__version__,
    )
    joined = asyncio.run(ask_to_join(parsed, identity, info))
    encode = msgspec.msgpack.encode
    writes = [Put(MEMBERS, member.id, encode(member)) for member in joined.members]
    credentials = credentials_of(joined, identity)
    _settle_in(options, identity, credentials, joined.gossip_key, writes)
    supervise(options)


def daemon(options: NodeOptions) -> NoReturn:
    """Run the node that is in the state directory. Raises Conflict if there is none."""
    if load_credentials(Path(options.state_dir)) is None:
        raise Conflict(
            f"{options.state_dir} holds no node: make one with `shoal create` or `shoal join`"
        )
    store(options)
    supervise(options)


def _refuse_second_life(options: NodeOptions) -> None:
    if load_credentials(Path(options.state_dir)) is not None:
        raise Conflict(
            f"{options.state_dir} holds a node of a cloud already: run it with `shoal daemon`, or "
            "choose another --state-dir"
        )


def _settle_in(
    options: NodeOptions,
    identity: Identity,
    credentials: Credentials,
    gossip_key: bytes,
    writes: list[Put],
) -> None:
    """Everything but the credentials first: only with them the directory is a node."""
    state = Path(options.state_dir)
    asyncio.run(_write(state, list(writes)))
    write_durably(state / GOSSIP_KEY, gossip_key)
    store(options)
    save_credentials(state, credentials)


async def _write(state: Path, writes: list[Write]) -> None:
    database = SqliteStore(state / DATABASE)
    try:
        await database.commit(writes)
    finally:
        await database.close()


def address_of(options: NodeOptions) -> str:
    """The address that peers dial. Raises Unavailable when none was given and none is found."""
    if options.address:
        return options.address
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_ANYWHERE)
            return str(probe.getsockname()[0])
    except OSError:
        raise Unavailable(
            "this machine has no default route: name the address that other nodes dial by --address"
        ) from None


def supervise(options: NodeOptions) -> NoReturn:
    """Become the small parent process; the node runs in a child."""
    # As a file and without site-packages it takes a megabyte less, for as long as the node runs.
    words = [sys.executable, "-I", "-S", supervisor.__file__, options.name, "--"]
    worker = [sys.executable, "-m", "shoal.node.worker", options.state_dir]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, words + worker)  # noqa: S606 - no shell is wanted
