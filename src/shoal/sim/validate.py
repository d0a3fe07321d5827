"""What must hold inside a node's cores after every step, whatever happened to it."""

from shoal.core.keeper.records import BUCKETS, Records, bucket_of
from shoal.core.keeper.vcluster import Vcluster
from shoal.core.node import NodeCore


def validate(core: NodeCore) -> None:
    """Raise AssertionError unless the parts of a node agree with each other."""
    host = core.host
    host.ledger.validate()
    for reservation in host.ledger.reservations():
        entry = host.entries.get(reservation.container)
        assert entry is not None, "room is kept for what no entry stands for"
        assert reservation.generation <= entry.generation, "room of a newer generation"
    for entry in host.entries.values():
        assert not entry.created or entry.engine_name, "created under no name"
    core.members.ring.chord.validate()
    for vcluster in core.vclusters.values():
        _validate_vcluster(vcluster)


def _validate_vcluster(vcluster: Vcluster) -> None:
    _validate_records(vcluster.copy.records)
    keeper = vcluster.keeper
    if keeper is None:
        return
    assert vcluster.takeover.role == "serving", "a keeper that does not serve"
    for container in keeper.board.containers.values():
        living = container.living and container.claim is not None
        claimants = keeper.board.claimants(container.name) if living else []
        assert not living or container in claimants, "a claim that the index lacks"


def _validate_records(records: Records) -> None:
    for object_id, found in records.objects.items():
        kinds = {concern for concern, _ in found}
        assert "tombstone" not in kinds or len(kinds) == 1, "records beside a tombstone"
        assert 0 <= bucket_of(object_id) < BUCKETS
    assert records.latest >= max((record.stamp for record in records), default=0)
