"""Experiments are read from TOML; errors name the key and what it may be."""

from pathlib import Path

import pytest

from shoal.model.errors import BadRequest
from shoal.sim.experiments.experiment import HOUR, MINUTE, MS, SECOND, Stream, runs
from shoal.sim.experiments.loads import workload_of
from shoal.sim.experiments.toml import builtins, duration, parse, read

_BASE = 'name = "x"\nnodes = 3\nduration = "2h"\n'
_EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize(
    ("text", "ns"), [("5ms", 5 * MS), ("1.5s", 1500 * MS), ("15m", 15 * MINUTE), ("2h", 2 * HOUR)]
)
def test_durations_have_units(text: str, ns: int) -> None:
    assert duration(text) == ns


@pytest.mark.parametrize("text", ["", "3", "2 parsecs", "-1s", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)


def test_defaults_are_the_comparison_with_the_original() -> None:
    experiment = parse(_BASE, "f")
    assert experiment.workload == Stream(stream="regular")
    assert experiment.discovery.scale == 7
    assert not experiment.maintains


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nodes = 0", "nodes: expected `int` >= 1; allowed: a whole number >= 1"),
        ("[ring]\nbase = 3", "ring.base: invalid enum value 3; allowed: 2, 4, 16, 256"),
        ("[ring]\nfoo = 3", "ring: has the unknown key `foo`; allowed: the keys base, mode"),
        ('[workload]\nkind = "z"', "workload.kind: invalid value 'z'; allowed: stream or steady"),
        ("[network]\nlatency = 3", "network.latency: 3 is no duration; allowed: a duration such"),
        ("[churn]\ncrashes = -1", "churn.crashes: expected `float` >= 0.0; allowed: a number >= 0"),
        ("[[network.sites]]\nname = 3", "network.sites[0].name: expected `str`, got `int`"),
        ("[network]\nlinks = { a-b = 3 }", "network.links[...]: 3 is no duration; allowed"),
        ("[", "not TOML"),
    ],
)
def test_errors_name_the_key_and_what_is_allowed(text: str, says: str) -> None:
    base = _BASE.replace("nodes = 3\n", "") if text.startswith("nodes") else _BASE
    with pytest.raises(BadRequest) as caught:
        parse(base + text, "some.toml")
    assert caught.value.text.startswith("some.toml: ")
    assert says in caught.value.text


def test_a_missing_key_is_named() -> None:
    with pytest.raises(BadRequest, match="lacks the required field `nodes`"):
        parse('name = "x"\nduration = "1h"', "f")


def test_what_is_written_can_be_read_again() -> None:
    experiment = parse(
        _BASE + '[network]\nlatency = "1500ms"\n[workload]\nkind = "random"\nservices = [{}]', "f"
    )
    plain = builtins(experiment)
    assert plain["network"]["latency"] == "1500ms"
    assert plain["duration"] == "2h"
    assert plain["swim"]["period"] == "400ms"
    assert duration(plain["window"]) == 180 * SECOND


def test_a_sweep_is_every_combination() -> None:
    experiment = parse(
        _BASE + '[sweep]\nseeds = [1, 2]\nnodes = [8, 16]\nstrategies = ["random", "single"]', "f"
    )
    made = runs(experiment)
    assert len(made) == 8
    assert len({one.label for one in made}) == 8
    assert {(one.seed, one.nodes, one.strategy) for one in made} >= {(2, 16, "single")}
    assert all(not one.sweep.seeds for one in made)


@pytest.mark.parametrize("path", sorted(_EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_experiments_of_the_repository_can_be_run(path: Path) -> None:
    for experiment in runs(read(path)):
        workload_of(experiment, path.parent)


def test_jobs_that_make_no_sense_are_refused() -> None:
    def build(text: str) -> None:
        workload_of(parse(_BASE + text, "f"), Path())

    with pytest.raises(BadRequest, match=r"workload\.high"):
        build('[workload]\nkind = "random"\nlow = 3\nhigh = 1\nservices = [{}]')
    with pytest.raises(BadRequest, match=r"workload\.services: 300 .* allowed: 1 to 255"):
        build('[workload]\nkind = "steady"\nservices = [{ containers = 300 }]')
