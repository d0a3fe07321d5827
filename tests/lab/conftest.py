"""Labs for tests. A test asks `make_lab` for one; all are taken down when the session ends."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from lab_support import MakeLab

from shoal.lab import Lab, LabError
from shoal.lab.system import require_tools

_ROOT = Path(__file__).parents[2]
_LOG_LINES = 60
_open_labs: list[Lab] = []


@pytest.fixture(scope="session", autouse=True)
def lab_is_possible() -> None:
    """Skip where the lab cannot be made, saying why; in CI that is a failure."""
    try:
        require_tools()
    except LabError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the lab, but {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def demo_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with busybox and demo/web."""
    archive = tmp_path_factory.mktemp("images") / "demo.tar"
    subprocess.run([sys.executable, _ROOT / "images" / "build.py", archive], check=True)
    return archive


@pytest.fixture(scope="session")
def lab_names() -> Iterator[Callable[[], str]]:
    """Names for labs that no other test run on this machine uses; what was made under them is
    removed at the end, whatever happened."""
    given: list[str] = []
    counter = itertools.count()

    def new_name() -> str:
        given.append(f"t{os.getpid() % 1_000_000}x{next(counter)}")
        return given[-1]

    yield new_name
    for name in given:
        Lab(name).down()


@pytest.fixture(scope="session")
def make_lab(demo_images: Path, lab_names: Callable[[], str]) -> Iterator[MakeLab]:
    """Session-wide factory of labs. A test that is done with a lab may take it down itself."""

    def make(
        *,
        hosts: int = 3,
        daemons: bool = True,
        sites: dict[str, list[str]] | None = None,
        images_on: str = "first",
    ) -> Lab:
        lab = Lab(lab_names())
        _open_labs.append(lab)
        return lab.up(
            hosts=hosts,
            daemons=daemons,
            sites=sites,
            images=[demo_images],
            images_on=images_on,
            keep=True,  # for the logs; lab_names takes it away
        )

    yield make
    _open_labs.clear()


@pytest.fixture(scope="session")
def three_hosts(make_lab: MakeLab) -> Cloud:
    return Cloud(make_lab(hosts=3, images_on="all"))


@pytest.fixture(scope="session")
def five_hosts(make_lab: MakeLab) -> Cloud:
    return Cloud(make_lab(hosts=5, images_on="all"))


@pytest.fixture
def cloud(three_hosts: Cloud) -> Iterator[Cloud]:
    """A whole and empty cloud of three hosts; after the test nothing may be left in it."""
    yield three_hosts
    three_hosts.restore()


@pytest.fixture
def cloud5(five_hosts: Cloud) -> Iterator[Cloud]:
    """The same of five hosts."""
    yield five_hosts
    five_hosts.restore()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the ends of the daemons' and engines' logs with a failed test."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed:
        for lab in _open_labs:
            for log in sorted(lab.logs()):
                report.sections.append((f"{lab.name}: {log.parent.name} {log.name}", _tail(log)))


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
