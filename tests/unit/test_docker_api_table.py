"""The page about Docker's API says what the router does."""

import importlib.util
from pathlib import Path
from types import ModuleType

from shoal.api.docker.later import missing

_SCRIPT = Path(__file__).parents[2] / "scripts" / "docker_api_table.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docker_api_table", _SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


table = _load()


def test_the_page_is_what_the_router_says() -> None:
    assert table.PAGE.read_text() == table.page(), f"run {_SCRIPT.name} again"


def test_every_endpoint_is_served_passed_or_refused_by_name() -> None:
    known = table.answers()
    for one in table.endpoints():
        assert (table._key(one) in known) != bool(missing(one.method, one.path)), one


def test_every_route_is_an_endpoint_of_dockers_api() -> None:
    assert table.answers().keys() <= {table._key(one) for one in table.endpoints()}
