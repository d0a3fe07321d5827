"""What readers are told of containers: a pure reading of records and membership."""

from collections.abc import Iterable

from shoal.core.keeper.objects import Container
from shoal.core.members import Members
from shoal.model.container import ContainerView


def view_of(container: Container, members: Members, *, note: str = "") -> ContainerView:
    """A container for users; `note` is what the keeper has to say about it."""
    assert container.spec is not None
    placement = container.placement
    peer = members.peers.get(placement.node) if placement is not None else None
    gone = placement is not None and (peer is None or not peer.present)
    if gone and not note and not container.spec.movable:
        note = f"not moved: {container.spec.stays_because or 'no restart policy asks for it'}"
    return ContainerView(
        id=container.id,
        name=container.name,
        spec=container.spec,
        desired=container.wish.state,
        status=container.status,
        generation=placement.generation if placement is not None else None,
        node=placement.node if placement is not None else "",
        node_name=members.name(placement.node) if placement is not None else "",
        node_address=peer.info.address if peer is not None else "",
        unreachable_since=(peer.since_wall if peer is not None else 1) if gone else 0,
        note=note or container.status.error,
        pending=container.reported is None or container.reported.done < container.wished,
    )


def visible(containers: Iterable[Container]) -> list[Container]:
    """The containers that users see, newest first as Docker lists them."""
    found = [container for container in containers if container.visible]
    return sorted(found, key=lambda c: (-(c.spec.created if c.spec else 0), c.id))
