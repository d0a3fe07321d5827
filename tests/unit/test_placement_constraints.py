import pytest

from shoal.core.placement.constraints import parse
from shoal.model.errors import BadRequest
from shoal.model.node import NodeInfo

NODE = NodeInfo(
    id="ab" * 32,
    name="Box-1",
    address="10.0.0.1",
    site="paris",
    labels={"disk": "SSD", "example.org/rack": "7"},
    architecture="amd64",
)


@pytest.mark.parametrize(
    "expression",
    [
        "node.labels.disk==ssd",
        " node.labels.disk == SSD ",
        "node.labels.disk!=hdd",
        "node.labels.absent!=anything",
        "node.labels.absent==",
        "node.labels.example.org/rack==7",
        "node.name==box-1",
        "node.hostname==Box-1",
        "node.id==" + "ab" * 32,
        "node.id==ababab",
        "node.id!=abc",
        "node.site==paris",
        "node.architecture==x86_64",
        "node.platform.arch==amd64",
        "node.platform.os==linux",
    ],
)
def test_a_constraint_holds(expression: str) -> None:
    assert parse(expression).matches(NODE)


@pytest.mark.parametrize(
    "expression",
    [
        "node.labels.disk==hdd",
        "node.labels.disk!=ssd",
        "node.labels.absent==ssd",
        "node.name!=box-1",
        "node.id!=ababab",
        "node.site==rome",
        "node.architecture==aarch64",
    ],
)
def test_a_constraint_does_not_hold(expression: str) -> None:
    assert not parse(expression).matches(NODE)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "not of the form"),
        ("node.name", "not of the form"),
        ("==b", "not of the form"),
        ("node.name=b", "did you mean node.name==b?"),
        ("node.name==", "has no value"),
        ("node.labels.==ssd", "does not name a label"),
        ("node.role==worker", "no roles"),
        ("node.colour==red", 'no field "node.colour"; there are node.id'),
    ],
)
def test_a_malformed_constraint_says_what_is_wrong(expression: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(expression)
    assert words in caught.value.text
    assert "\n" not in caught.value.text
