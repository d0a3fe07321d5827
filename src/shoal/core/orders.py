"""What operators have asked of this node. It is the node's own and on its own disk: it needs no
keeper, and outlives restarts."""

from typing import Any

import msgspec

from shoal.model.node import NodeChange

SPACE = "orders"
_KEY = "own"

_encode = msgspec.msgpack.Encoder().encode


class Orders(msgspec.Struct, frozen=True):
    """`labels` lie over those that the node was started with; None takes one of them away."""

    cordoned: bool = False
    draining: bool = False
    labels: dict[str, str | None] = {}

    @classmethod
    def load(cls, stored: dict[str, bytes]) -> "Orders":
        """From the rows of `SPACE`."""
        blob = stored.get(_KEY)
        return cls() if blob is None else msgspec.msgpack.decode(blob, type=cls)

    def row(self) -> tuple[str, bytes]:
        """Key and value in `SPACE`."""
        return _KEY, _encode(self)

    def changed(self, change: NodeChange) -> "Orders":
        """A drain cordons too, and ends with the cordon."""
        draining = self.draining if change.draining is None else change.draining
        cordoned = self.cordoned if change.cordoned is None else change.cordoned
        if change.draining:
            cordoned = True
        return Orders(cordoned, draining and cordoned, {**self.labels, **change.labels})

    def fields(self, configured: dict[str, str]) -> dict[str, Any]:
        """What they make of the node's NodeInfo; `configured` are the labels it started with."""
        labels = {**configured, **self.labels}
        return {
            "cordoned": self.cordoned,
            "draining": self.draining,
            "labels": {key: value for key, value in labels.items() if value is not None},
        }
