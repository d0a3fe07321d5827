"""What the preflight concludes from what it finds, for machines that we do not have."""

import ast
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "preflight.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("preflight", _SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["preflight"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


preflight = _load()
READY = preflight.Facts(
    distribution="Debian GNU/Linux 12 (bookworm)",
    debian=True,
    root=True,
    python="/usr/bin/python3",
    python_version="3.11.2",
    python_has_venv=True,
    tools=frozenset(preflight.LAB_TOOLS),
    engine="20.10.24",
    cgroup="v2",
    systemd=True,
    subnet="10.9.0.0/24",
)


@pytest.fixture
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_a_ready_machine_needs_nothing(no_ci: None) -> None:
    plan = preflight.plan(READY, "demo")
    assert (plan.packages, plan.obstacles) == ([], [])
    assert preflight.verdict(READY, "demo", plan) == 0


def test_root_on_debian_is_told_each_missing_package_once() -> None:
    facts = replace(READY, tools=frozenset({"ip", "mount"}), python_has_venv=False)
    plan = preflight.plan(facts, "demo")
    assert plan.packages.count("docker.io") == 1
    assert {"busybox-static", "nftables", "python3-venv"} <= set(plan.packages)
    assert plan.obstacles == []


def test_without_root_the_lines_to_type_use_sudo(
    no_ci: None, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = replace(READY, root=False, tools=frozenset())
    plan = preflight.plan(facts, "demo")
    assert preflight.verdict(facts, "demo", plan) == 2
    printed = capsys.readouterr().out
    assert "the lab needs root" in printed
    assert "  sudo apt-get install --no-install-recommends" in printed
    assert printed.rstrip().endswith("sudo make demo")


def test_a_rootless_engine_does_not_replace_root() -> None:
    plan = preflight.plan(replace(READY, root=False, rootless=True), "demo")
    assert plan.obstacles == ["the lab needs root; a rootless engine does not change that"]


def test_on_macos_the_lab_needs_a_linux_machine() -> None:
    facts = preflight.Facts(system="Darwin", python="", root=False)
    plan = preflight.plan(facts, "demo")
    assert "the lab needs Linux, this is Darwin" in plan.obstacles
    assert plan.lines[0].startswith("brew install python@")
    assert plan.lines[-1] == "sudo make demo"


def test_on_macos_the_fast_tests_need_only_python() -> None:
    facts = preflight.Facts(system="Darwin", python="/usr/local/bin/python3", python_has_venv=True)
    plan = preflight.plan(facts, "unit")
    assert (plan.packages, plan.obstacles) == ([], [])


def test_another_linux_is_told_what_to_install_itself(no_ci: None) -> None:
    facts = replace(READY, debian=False, tools=frozenset({"dockerd", "docker"}))
    plan = preflight.plan(facts, "demo")
    assert preflight.verdict(facts, "demo", plan) == 2
    assert any("busybox-static" in line for line in plan.lines)
    assert not any("apt-get" in line for line in plan.lines)


def test_tests_go_on_without_the_lab_but_not_in_ci(
    no_ci: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = replace(READY, root=False)
    plan = preflight.plan(facts, "test")
    assert preflight.verdict(facts, "test", plan) == 0
    assert "will be skipped: the lab needs root" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert preflight.verdict(facts, "test", plan) == 2


def test_a_machine_without_cgroups_cannot_run_the_lab() -> None:
    plan = preflight.plan(replace(READY, cgroup=""), "demo")
    assert plan.obstacles == ["no cgroup file system is mounted below /sys/fs/cgroup"]


def test_nothing_is_installed_without_a_terminal_unless_ci_says_so(
    no_ci: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoTerminal:
        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", NoTerminal())
    assert not preflight.may_install(["docker.io"], yes=False)
    assert preflight.may_install(["docker.io"], yes=True)
    monkeypatch.setenv("CI", "true")
    assert preflight.may_install(["docker.io"], yes=False)


def test_findings_name_engine_cgroups_and_ports() -> None:
    facts = replace(READY, running="28.2.2, API 1.50", busy_ports=("7440/tcp",))
    text = "\n".join(preflight.describe(facts, "demo"))
    for word in ("28.2.2, API 1.50, left alone", "v2", "10.9.0.0/24", "in use: 7440/tcp"):
        assert word in text


def test_looking_changes_nothing_and_works_here() -> None:
    facts = preflight.look()
    assert facts.system
    assert facts.python_version >= "3.11"


def test_the_script_runs_on_a_python_older_than_the_project_needs() -> None:
    ast.parse(_SCRIPT.read_text(), feature_version=(3, 9))
