"""Pruning: which containers go, and what is said of them."""

from typing import Any

import pytest
from aiohttp import web
from scripted_engine import WEB, Place, over
from test_docker_api_pure import NOW, view

from shoal.api.docker.prune import stopped
from shoal.engine.times import NANOS
from shoal.model.container import RestartPolicy
from shoal.model.errors import BadRequest, Conflict
from shoal.model.ops import Answer, Operation, RemoveContainer

EXITED = {"phase": "exited"}


def test_only_what_does_not_run_and_can_be_reached_goes() -> None:
    views = [
        view(1),
        view(2, status=EXITED, desired="stopped"),
        view(3, status={"phase": "created"}, desired="created"),
        view(4, status={"phase": "dead"}, desired="stopped"),
        view(5, status={"phase": "creating"}, desired="created"),
        view(6, status=EXITED, desired="stopped", unreachable_since=1),
        view(7, status=EXITED, spec={"restart": RestartPolicy("always")}),  # in its back-off
    ]
    assert [one.name for one in stopped(views, {}, NOW)] == ["web2", "web3", "web4"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"label": ["tier"]}, ["web1", "web2"]),
        ({"label": ["tier=back"]}, []),
        ({"label!": ["tier=back"]}, ["web1", "web2"]),
        ({"label!": ["tier=front"]}, []),
        ({"label!": ["tier=front", "more"]}, ["web1", "web2"]),
        ({"until": ["8500ms"]}, ["web1"]),
        ({"until": ["0h0.1m"]}, ["web1", "web2"]),
        ({"until": [str(NOW // NANOS - 9)]}, ["web1"]),
        ({"until": ["2020-01-01"]}, []),
        ({"until": ["2100-01-01"]}, ["web1", "web2"]),
        ({"until": ["2020-01-01T00:00:00"]}, []),
        ({"until": ["1h", "2h"]}, None),
        ({"until": ["soon"]}, None),
        ({"name": ["web"]}, None),
    ],
)
def test_filters_choose_as_with_docker(filters: Any, names: list[str] | None) -> None:
    """web1 was made 9 s ago, web2 8 s ago."""
    views = [view(number, status=EXITED, desired="stopped") for number in (1, 2)]
    if names is None:
        with pytest.raises(BadRequest):
            stopped(views, filters, NOW)
    else:
        assert [one.name for one in stopped(views, filters, NOW)] == names


def test_the_answer_says_what_went_and_how_much_it_held() -> None:
    async def inspected(request: web.Request) -> web.Response:
        assert dict(request.query) == {"size": "1"}
        return web.json_response({"SizeRw": 12})

    async def test(place: Place) -> None:
        answer = await place.api.post("/v1.41/containers/prune")
        expected = {"ContainersDeleted": [WEB], "SpaceReclaimed": 12}
        assert (answer.status, await answer.json()) == (200, expected)
        assert RemoveContainer(WEB) in place.service.operations
        answer = await place.api.post("/containers/prune")
        assert await answer.json() == {"ContainersDeleted": None, "SpaceReclaimed": 0}

    over(test, ("GET", "/containers/NAME/json", inspected))


def test_a_container_that_was_started_meanwhile_stays_and_is_no_error() -> None:
    async def test(place: Place) -> None:
        execute = place.service.execute

        async def racing(vcluster: str, operation: Operation, **options: Any) -> Answer:
            if isinstance(operation, RemoveContainer):
                raise Conflict("You cannot remove a running container")
            return await execute(vcluster, operation, **options)

        place.service.execute = racing  # type: ignore[method-assign]
        answer = await place.api.post("/containers/prune")
        assert await answer.json() == {"ContainersDeleted": None, "SpaceReclaimed": 0}

    over(test)
