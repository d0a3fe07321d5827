"""What nodes say to each other. Every message may be lost, doubled, late or out of order."""

import msgspec

from shoal.core.discovery.messages import DiscoveryMessage
from shoal.core.keeper.records import Record, RecordKey, Version
from shoal.core.ring.messages import RingMessage
from shoal.model.ids import Generation
from shoal.model.node import NodeInfo
from shoal.model.ops import Answer, Operation
from shoal.model.resources import Load


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """This is me. `reply` asks for the receiver's own; `heard` is the revision of the receiver's
    own that the sender has."""

    info: NodeInfo
    reply: bool = False
    heard: int = 0


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """An operation for a vcluster's keeper (`stale`: for any copy)."""

    request: str
    vcluster: str
    operation: Operation
    stale: bool = False


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The answer to an Ask. `as_of` is the highest stamp in the copy that answered."""

    request: str
    answer: Answer
    stale: bool = False
    as_of: int = 0


class Redirect(msgspec.Struct, frozen=True, tag="redirect"):
    """I am not the keeper; `to` is, as far as I know."""

    request: str
    to: str


class Replicate(msgspec.Struct, frozen=True, tag="replicate"):
    """Keep these records and say so."""

    vcluster: str
    batch: int  # a stamp, so that no acknowledgement of an earlier life can be mistaken
    records: tuple[Record, ...]


class Replicated(msgspec.Struct, frozen=True, tag="replicated"):
    vcluster: str
    batch: int


class Pull(msgspec.Struct, frozen=True, tag="pull"):
    """I am about to keep this vcluster: send me what you have of it."""

    vcluster: str
    round: int


class Pulled(msgspec.Struct, frozen=True, tag="pulled"):
    """What a copy has, and what a host has in its ledger. `complete`: the sender holds all that
    was acknowledged as far as it knows. Sent in parts, the last one marked."""

    vcluster: str
    round: int
    records: tuple[Record, ...]
    complete: bool
    last: bool


class Keeping(msgspec.Struct, frozen=True, tag="keeping"):
    """I serve this vcluster from now on."""

    vcluster: str


class SyncDigest(msgspec.Struct, frozen=True, tag="digest"):
    """Hashes of the sender's records by bucket. `complete` as in Pulled."""

    vcluster: str
    buckets: tuple[int, ...]
    complete: bool


class SyncEqual(msgspec.Struct, frozen=True, tag="equal"):
    """Our records are the same. `settled`: so are those of all current copies."""

    vcluster: str
    total: int  # hash over all buckets
    complete: bool
    settled: bool


class SyncKeys(msgspec.Struct, frozen=True, tag="keys"):
    """The sender's versions in buckets that differ. `settled` as in SyncEqual."""

    vcluster: str
    buckets: tuple[int, ...]
    versions: tuple[tuple[RecordKey, Version], ...]
    settled: bool


class SyncRecords(msgspec.Struct, frozen=True, tag="records"):
    """Records the receiver lacks, and keys of those the sender lacks. `complete`: with these the
    receiver has all that was acknowledged as far as the sender knows."""

    vcluster: str
    records: tuple[Record, ...]
    wanted: tuple[RecordKey, ...] = ()
    complete: bool = False


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """What a host has to know of a container placed on it. `replacing`: unsized requests count
    as their defaults, since it follows a failure."""

    vcluster: str
    records: tuple[Record, ...]
    replacing: bool = False


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The host does not admit it."""

    vcluster: str
    id: str
    generation: Generation
    filter: str
    reason: str
    load: Load


class HostStatus(msgspec.Struct, frozen=True, tag="status"):
    """A status record of a container on the sending host; `remove` asks the keeper to remove
    it (`--rm`)."""

    vcluster: str
    record: Record
    generation: Generation
    load: Load
    remove: bool = False


class StatusKept(msgspec.Struct, frozen=True, tag="status-kept"):
    vcluster: str
    id: str
    stamp: int


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Give up every instance of the container up to `generation` (all, with a tombstone).
    `cancel`: only if the engine does not have it yet, `idle`: only if it does not run, `wished`:
    only if the host knows no wish later than this stamp; the host arbitrates."""

    vcluster: str
    id: str
    generation: Generation
    tombstone: Record | None = None
    cancel: bool = False
    idle: bool = False
    wished: int | None = None


class Released(msgspec.Struct, frozen=True, tag="released"):
    """The host holds nothing of it and never will up to that generation. `tombstone` tells a
    keeper that did not know of the removal; `load` is what the host has promised without it."""

    vcluster: str
    id: str
    generation: Generation
    tombstone: Record | None = None
    load: Load | None = None


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A container in a host's ledger. `stamp` is the highest of its records there, statuses
    apart; `wished` that of the last wish."""

    id: str
    generation: Generation
    stamp: int
    running: bool
    started: int  # wall clock, ns
    created: bool  # the engine has it
    wished: int


class FetchImage(msgspec.Struct, frozen=True, tag="fetch-image"):
    """Get an image from one of its holders, so that a container can move once they are gone."""

    image_id: str
    image: str  # reference to tag it with


class Report(msgspec.Struct, frozen=True, tag="report"):
    """All that a host holds of a vcluster. `booting`: it waits for the answer before it starts
    anything."""

    vcluster: str
    held: tuple[Held, ...]
    load: Load
    booting: bool = False


class Reported(msgspec.Struct, frozen=True, tag="reported"):
    """The report was read; `superseded` run, or are to run, elsewhere."""

    vcluster: str
    superseded: tuple[str, ...] = ()


class Want(msgspec.Struct, frozen=True, tag="want"):
    """Send me your records of these containers."""

    vcluster: str
    ids: tuple[str, ...]


class Bundle(msgspec.Struct, frozen=True, tag="bundle"):
    """A host's records of containers that the keeper did not know."""

    vcluster: str
    records: tuple[Record, ...]


class OnRing(msgspec.Struct, frozen=True, tag="ring"):
    """What the two nodes' Chords say to each other."""

    body: RingMessage


class OnMarket(msgspec.Struct, frozen=True, tag="market"):
    """What the two nodes' discoveries say to each other."""

    body: DiscoveryMessage


Message = (
    Hello
    | Ask
    | Told
    | Redirect
    | Replicate
    | Replicated
    | Pull
    | Pulled
    | Keeping
    | SyncDigest
    | SyncEqual
    | SyncKeys
    | SyncRecords
    | Assign
    | Refused
    | HostStatus
    | StatusKept
    | Release
    | Released
    | FetchImage
    | Report
    | Reported
    | Want
    | Bundle
    | OnRing
    | OnMarket
)


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """A message with its sender's clock: a stamp and the wall clock (ns)."""

    stamp: int
    wall: int
    body: Message
