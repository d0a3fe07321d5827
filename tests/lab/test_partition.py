"""Halves of a cloud that cannot reach each other: both go on, and become one again."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from cloud import Cloud, eventually, new_name
from lab_support import MakeLab

pytestmark = pytest.mark.lab

#: Seconds within which a half has begun to serve; replacing waits up to 30 s more when over half
#: of the hosts vanish at once.
SERVED = 40
HEALED = 90


def serves_alone(cloud: Cloud, half: Sequence[str]) -> bool:
    """Whether every host of a half sees just this half, and lists."""
    away = cloud.others(*half)
    return all(cloud.knows_gone(via, *away) and cloud.ps(via) is not None for via in half)


def runs_within(cloud: Cloud, names: Sequence[str], half: Sequence[str]) -> bool:
    shown = cloud.ps(half[0])
    return all(
        name in shown and shown[name]["state"] == "running" and shown[name]["node"] in half
        for name in names
    )


def agree(cloud: Cloud) -> list[dict[str, Any]] | None:
    """What all hosts list alike, once no host is missing and engines have just that."""
    lists = [cloud.ps(via) for via in cloud.names]
    first = {name: (one["id"], one["node"]) for name, one in lists[0].items()}
    same = all(
        {name: (one["id"], one["node"]) for name, one in other.items()} == first for other in lists
    )
    held = sorted(
        (one["Labels"]["shoal.id"], host) for host in cloud.names for one in cloud.engine(host)
    )
    return list(lists[0].values()) if same and held == sorted(first.values()) else None


def origins(cloud: Cloud, via: str, names: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Id, host and start of containers."""
    found = {}
    for name in names:
        document = cloud.inspect(via, name)
        state = document["State"]
        found[name] = (document["Id"], cloud.node_of(name, via), state["StartedAt"])
    return found


def one_on_each(cloud: Cloud) -> list[str]:
    """A movable container on every host: equal ones are spread."""
    names = [cloud.sleeper("a", "--restart", "always", "--cpus", "0.2") for _ in cloud.names]
    assert {cloud.node_of(name) for name in names} == set(cloud.names)
    return names


def test_a_half_without_any_copy_works_from_its_own_ledgers(cloud5: Cloud) -> None:
    cloud = cloud5
    keeping = cloud.vcluster("a")
    big = [keeping["keeper"], *keeping["copies"]]
    small = cloud.others(*big)
    assert len(small) == 2
    names = one_on_each(cloud)
    before = origins(cloud, "a", names)
    own = [name for name in names if before[name][1] in small]
    plain = cloud.sleeper("a", on=small[0])

    cloud.lab.partition([big, small])
    for half in (big, small):
        eventually(f"{half} serves", partial(serves_alone, cloud, half), timeout=SERVED)
    assert runs_within(cloud, own, small)
    twins = {half[0]: cloud.sleeper(half[0], name="twin") for half in (big, small)}
    assert set(twins.values()) == {"twin"}
    new = {half[1]: cloud.sleeper(half[1]) for half in (big, small)}
    cloud.docker(small[1], "stop", "--time", "0", plain)
    eventually("the big half has them all", partial(runs_within, cloud, names, big))
    assert runs_within(cloud, own, small)

    cloud.lab.heal()
    eventually("all see all", cloud.whole, timeout=60)
    listed = eventually("all hosts agree", partial(agree, cloud), timeout=HEALED)
    shown = sorted(one["name"] for one in listed)
    twin = [name for name in shown if name.startswith("twin")]
    assert len(twin) == 2
    assert "twin" in twin
    assert sorted([*names, *new.values(), *twin, plain]) == shown
    assert origins(cloud, "b", names) == before
    assert cloud.container("c", plain)["state"] == "exited"
    renamed = next(one for one in listed if one["name"].startswith("twin-"))
    assert renamed["name"] == f"twin-{renamed['id'][:6]}"
    assert renamed["state"] == "running"


def test_both_halves_hold_copies_and_the_oldest_instances_stay(cloud5: Cloud) -> None:
    cloud = cloud5
    keeping = cloud.vcluster("a")
    small = [keeping["keeper"], keeping["copies"][0]]
    big = cloud.others(*small)
    names = one_on_each(cloud)
    before = origins(cloud, "a", names)
    cloud.lab.partition([small, big])
    for half in (big, small):
        eventually(f"{half} serves", partial(serves_alone, cloud, half), timeout=SERVED)
        assert set(cloud.ps(half[0])) == set(names)
    removed, kept = names[0], names[1:]
    cloud.docker(big[0], "rm", "--force", removed)
    for half in (big, small):
        eventually(f"{half} runs them all", partial(runs_within, cloud, kept, half), timeout=90)
    cloud.lab.heal()
    eventually("all see all", cloud.whole, timeout=60)
    listed = eventually("all hosts agree", partial(agree, cloud), timeout=HEALED)
    assert sorted(one["name"] for one in listed) == sorted(kept)
    assert origins(cloud, "b", kept) == {name: before[name] for name in kept}


def test_what_both_sides_acknowledged_is_there_afterwards(cloud: Cloud) -> None:
    """The keeper alone on one side, its copies on the other."""
    keeper = cloud.keeper()
    rest = cloud.others(keeper)
    old = cloud.sleeper("a", on=rest[0])
    cloud.lab.partition([[keeper], rest])
    for half in ([keeper], rest):
        eventually(f"{half} serves", partial(serves_alone, cloud, half), timeout=SERVED)
    assert cloud.status(keeper)["risk"]
    made = [cloud.sleeper(via, name=new_name("p")) for via in (keeper, *rest)]
    assert f"Unknown (host {rest[0]} unreachable" in cloud.docker(keeper, "ps").stdout
    cloud.docker(rest[1], "stop", "--time", "0", old)
    cloud.lab.heal()
    eventually("all see all", cloud.whole, timeout=60)
    listed = eventually("all hosts agree", partial(agree, cloud), timeout=HEALED)
    assert sorted(one["name"] for one in listed) == sorted([*made, old])
    states = {one["name"]: one["state"] for one in listed}
    assert states == {old: "exited"} | dict.fromkeys(made, "running")


def test_all_copies_of_system_and_of_the_keeper_in_one_half(make_lab: MakeLab) -> None:
    """Of nine hosts at most eight hold a copy of either; the others are cut off with none."""
    cloud = Cloud(make_lab(hosts=9, images_on="all"))
    try:
        kept = [cloud.vcluster("a", name) for name in ("system", "default")]
        with_copies = sorted({each for one in kept for each in (one["keeper"], *one["copies"])})
        without = cloud.others(*with_copies)
        assert without
        home = cloud.sleeper("a", "--restart", "always", "-v", "/srv:/data", on=without[0])
        cloud.lab.partition([with_copies, without])
        for half in (with_copies, without):
            eventually(f"{half} serves", partial(serves_alone, cloud, half), timeout=SERVED)
        assert runs_within(cloud, [home], without)
        made = [cloud.sleeper(half[0]) for half in (with_copies, without)]
        token = cloud.shoal(without[0], "token", "create")
        assert "Traceback" not in token.stderr
        cloud.lab.heal()
        eventually("all see all", cloud.whole, timeout=60)
        listed = eventually("all hosts agree", partial(agree, cloud), timeout=HEALED)
        assert sorted(one["name"] for one in listed) == sorted([home, *made])
    finally:
        cloud.lab.down()
