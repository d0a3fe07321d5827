"""Images of containers that may have to move: never on one host only.

No registry need be there when a host dies, so the keeper of a movable container sees to it that
a second host holds its image beforehand.
"""

from collections.abc import Iterable

from shoal.core.context import SECOND, Context
from shoal.core.keeper.objects import Container
from shoal.core.members import Members
from shoal.core.messages import FetchImage

#: Hosts that should hold the image of a movable container.
HOLDERS = 2
_ASK_AGAIN = 20 * SECOND


class Images:
    """`spread` is called every half second and asks for each image at most every 20 s."""

    def __init__(self, context: Context, members: Members) -> None:
        self._context = context
        self._members = members
        self._asked: dict[str, int] = {}

    def holders(self, image_id: str) -> list[str]:
        """The hosts present that hold an image."""
        peers = self._members.peers
        return [node for node in self._members.present() if peers[node].info.has_image(image_id)]

    def spread(self, containers: Iterable[Container]) -> None:
        """Have a second host fetch each image that only one has."""
        now = self._context.now.mono
        due = {
            container.spec.image_id: container.spec.image
            for container in containers
            if container.spec is not None and now >= self._asked.get(container.spec.image_id, 0)
        }
        for image_id, image in due.items():
            self._asked[image_id] = now + _ASK_AGAIN
            holders = self.holders(image_id)
            if 0 < len(holders) < HOLDERS:
                self._ask(image_id, image, holders)

    def _ask(self, image_id: str, image: str, holders: list[str]) -> None:
        architecture = self._members.peers[holders[0]].info.architecture
        for node in self._members.ring.successors(image_id, len(self._members.peers)):
            info = self._members.peers[node].info
            if node not in holders and info.engine.up and info.architecture == architecture:
                self._context.send(node, FetchImage(image_id, image))
                return
