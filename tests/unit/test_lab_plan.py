"""What a lab will be, decided without touching the machine."""

import pytest

from shoal.lab import LabError, Quality
from shoal.lab.network import free_subnet
from shoal.lab.spec import Places, host_name, plan


def test_hosts_are_named_like_columns_and_addressed_from_2() -> None:
    spec = plan("lab", hosts=3, subnet="10.9.0", sites={})
    assert [(h.name, h.address, h.site) for h in spec.hosts] == [
        ("a", "10.9.0.2", "default"),
        ("b", "10.9.0.3", "default"),
        ("c", "10.9.0.4", "default"),
    ]
    assert len({h.mac for h in spec.hosts} | {h.address6 for h in spec.hosts}) == 6
    assert [host_name(i) for i in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        "a", "z", "aa", "ab", "az", "ba", "zz", "aaa",
    ]  # fmt: skip


def test_sites_group_hosts_and_name_only_hosts_that_exist() -> None:
    spec = plan("lab", hosts=3, subnet="10.9.0", sites={"north": ["a", "c"]})
    assert [h.site for h in spec.hosts] == ["north", "default", "north"]
    with pytest.raises(LabError, match="names d"):
        plan("lab", hosts=3, subnet="10.9.0", sites={"north": ["d"]})
    with pytest.raises(LabError, match="two sites"):
        plan("lab", hosts=3, subnet="10.9.0", sites={"north": ["a"], "south": ["a"]})


@pytest.mark.parametrize("hosts", [0, -1, 201])
def test_a_lab_of_an_impossible_size_is_refused(hosts: int) -> None:
    with pytest.raises(LabError, match="1 to 200 hosts"):
        plan("lab", hosts=hosts, subnet="10.9.0", sites={})


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "a/b", "../x", "much-too-long", "a.b"])
def test_names_that_would_not_fit_paths_and_interfaces_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="does not fit"):
        Places(name)


def test_the_first_free_subnet_is_taken() -> None:
    assert free_subnet([]) == "10.9.0"
    assert free_subnet(["10.9.0.0/24", "192.0.2.0/24"]) == "10.9.1"
    assert free_subnet(["10.9.0.0/16", "10.9.3.7/32"][1:]) == "10.9.0"
    assert free_subnet(["10.9.0.128/25", "10.9.1.5/32"]) == "10.9.2"
    with pytest.raises(LabError, match="no free /24"):
        free_subnet(["10.0.0.0/8"])


def test_impossible_link_qualities_are_refused() -> None:
    with pytest.raises(LabError, match="share"):
        Quality(loss=5)
    with pytest.raises(LabError, match="negative"):
        Quality(delay=-1)
