"""The lab's faults on daemons: killed, stopped, frozen, blocked, and hosts switched off and on."""

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from lab_support import MakeLab

from shoal.lab import Lab, LabError

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(make_lab: MakeLab) -> Lab:
    return make_lab(hosts=2)


def eventually(what: str, true: Callable[[], bool], *, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def states(lab: Lab) -> list[str]:
    return [lab.host(name).state() for name in ("a", "b")]


def all_up(lab: Lab) -> bool:
    return states(lab) == ["up", "up"]


def test_every_daemon_serves_after_up(lab: Lab) -> None:
    assert states(lab) == ["up", "up"]
    for host in lab.hosts:
        assert lab.docker(host.name, "version", "--format", "{{.Server.APIVersion}}").stdout


def test_a_killed_daemon_stays_away_until_it_is_started(lab: Lab) -> None:
    host = lab.host("b")
    host.kill_daemon()
    assert host.state() == "daemon-down"
    assert host.daemon_processes() == []
    with pytest.raises(LabError, match="runs no daemon"):
        host.pause_daemon()
    host.start_daemon()
    eventually("b is up", lambda: all_up(lab))


def test_a_stopped_daemon_ends_by_itself(lab: Lab) -> None:
    host = lab.host("b")
    host.stop_daemon()
    assert host.daemon_processes() == []
    lab.start_daemons(["b"])
    eventually("b is up", lambda: all_up(lab))


def test_a_paused_daemon_is_frozen_until_it_is_resumed(lab: Lab) -> None:
    host = lab.host("b")
    host.pause_daemon()
    assert host.state() == "paused"
    assert not host.daemon_is_ready()
    host.resume_daemon()
    eventually("b is up", lambda: all_up(lab))


def test_a_blocked_loop_is_noticed_by_the_daemon_itself(lab: Lab) -> None:
    host = lab.host("b")
    before = {process.pid for process in host.daemon_processes()}
    blocking = subprocess.Popen(
        [sys.executable, "-m", "shoal", "lab", "block", "--name", lab.name, "b", "12"]
    )
    eventually("b is blocked", lambda: host.state() == "blocked")
    assert blocking.wait(timeout=60) == 0
    eventually("b is up", lambda: all_up(lab))
    after = {process.pid for process in host.daemon_processes()}
    assert len(before & after) == 1  # the parent stayed, its worker is another one


def test_all_hosts_come_back_from_a_power_cut_together(lab: Lab) -> None:
    lab.power_off("a", "b")
    assert states(lab) == ["off", "off"]
    lab.start()
    eventually("both are up", lambda: all_up(lab))
