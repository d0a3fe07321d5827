import msgspec

from shoal.core.events import Now, Operator
from shoal.core.orders import Orders
from shoal.core.recording import Stepped, read_frames, write_frame
from shoal.model.node import NodeChange, NodeInfo


def test_a_drain_cordons_and_ends_with_the_cordon() -> None:
    drained = Orders().changed(NodeChange(draining=True))
    assert (drained.cordoned, drained.draining) == (True, True)
    assert drained.changed(NodeChange(cordoned=True)).draining
    assert drained.changed(NodeChange(cordoned=False)) == Orders()


def test_labels_lie_over_those_that_the_node_was_started_with() -> None:
    orders = Orders().changed(NodeChange(labels={"disk": "ssd", "old": None}))
    orders = orders.changed(NodeChange(labels={"rack": "3"}))
    configured = {"disk": "hdd", "old": "1", "zone": "x"}
    assert orders.fields(configured)["labels"] == {"disk": "ssd", "rack": "3", "zone": "x"}
    back = orders.changed(NodeChange(labels={"rack": None}))
    assert back.fields(configured)["labels"] == {"disk": "ssd", "zone": "x"}


def test_orders_are_read_as_they_were_kept() -> None:
    orders = Orders().changed(NodeChange(cordoned=True, labels={"disk": None}))
    assert Orders.load(dict([orders.row()])) == orders
    assert Orders.load({}) == Orders()


def test_members_of_other_versions_understand_each_other() -> None:
    fields = {"id": "a" * 64, "name": "a", "address": "10.0.0.1"}
    older = msgspec.msgpack.encode(fields)
    assert not msgspec.msgpack.decode(older, type=NodeInfo).cordoned
    newer = msgspec.msgpack.encode({**fields, "draining": True, "mood": "good"})
    assert msgspec.msgpack.decode(newer, type=NodeInfo).draining


def test_what_an_operator_asks_is_in_a_recording() -> None:
    asked = Operator(7, NodeChange(draining=True, labels={"disk": None}))
    frame = Stepped(Now(1, 2), asked, (), b"")
    assert list(read_frames(write_frame(frame))) == [frame]
