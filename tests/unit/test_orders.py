from shoal.core.orders import Orders
from shoal.model.node import NodeChange


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
