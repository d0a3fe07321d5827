"""Figures, tables and reports."""

import re
from array import array
from html.parser import HTMLParser
from pathlib import Path

import pytest

from shoal.core.discovery.contract import Demand
from shoal.model.errors import BadRequest, NotSupported
from shoal.sim.experiments import tables
from shoal.sim.experiments.experiment import Network, Site
from shoal.sim.experiments.metrics import Requests
from shoal.sim.experiments.network import Sites, even
from shoal.sim.experiments.quantiles import box, quantile, spread
from shoal.sim.experiments.report.charts import Boxes, Series, bands, bars, boxes, heat, lines
from shoal.sim.experiments.report.page import short_names
from shoal.sim.experiments.report.svg import number, rounds
from shoal.sim.experiments.results import figure, outside
from shoal.sim.experiments.workloads import draw_for


def test_quantiles_are_values_that_occur() -> None:
    values = list(range(1, 101))
    assert [quantile(values, share) for share in (0.0, 0.25, 0.5, 0.95, 1.0)] == [
        1,
        25,
        50,
        95,
        100,
    ]
    assert box([5]) == [5] * 8
    assert box([]) == [0] * 8
    assert spread([3, 1, 2]) == {"mean": 2, "min": 1, "median": 2, "p95": 3, "p99": 3, "max": 3}


def test_requests_count_what_was_asked_and_what_was_given() -> None:
    requests = Requests()
    first = requests.add(now=0, entry=3, group=0, demands=(Demand(0, 1000, 100),))
    second = requests.add(now=5, entry=4, group=1, demands=(Demand(0, 1000, 300),) * 2)
    requests.end(first, now=20, ok=True, running=25)
    requests.end(second, now=30, ok=False, running=-1)
    assert requests.efficiency() == pytest.approx((1 / 3 + 1 / 7) / 2)
    assert list(requests.ended) == [20, 30]
    assert list(requests.containers) == [1, 2]
    assert list(requests.messages) == [1, 1]


def test_figures_have_dotted_names_and_bands() -> None:
    summary = {"label": "x", "figures": {"success": 0.8, "messages": {"mean": 12.5}}}
    assert figure(summary["figures"], "messages.mean") == 12.5  # type: ignore[arg-type]
    assert outside(summary, {"success": (0.7, 0.9), "messages.mean": (12.0, 13.0)}) == []
    assert outside(summary, {"success": (0.9, 1)}) == ["x: success is 0.8, not in 0.9 to 1"]
    assert "no such figure; allowed: success, messages" in outside(summary, {"succes": (0, 1)})[0]


def test_sites_have_their_shares_and_latencies() -> None:
    network = Network(
        sites=[Site(name="a", share=3.0), Site(name="b", share=1.0)],
        links={"a-b": 25_000_000},  # type: ignore[dict-item]
    )
    sites = Sites(network)
    assert not even(network)
    assert sites.latency == [[10, 25], [25, 10]]
    draw = draw_for(1)
    chosen = [sites.choose(draw) for _ in range(4000)]
    assert sum(chosen) / 4000 == pytest.approx(0.25, abs=0.03)


def test_a_link_between_unknown_sites_is_refused() -> None:
    network = Network(sites=[Site(name="a"), Site(name="b")], links={"a-c": 1})  # type: ignore[dict-item]
    with pytest.raises(BadRequest, match=r"network\.links\.a-c: not a pair of sites"):
        Sites(network)


_TABLE = {"small": array("b", [1, -1]), "large": array("Q", [0, 2**64 - 1])}


def test_tables_as_csv(tmp_path: Path) -> None:
    tables.write(tmp_path / "table", _TABLE, "csv")
    assert (tmp_path / "table.csv").read_text() == f"small,large\n1,0\n-1,{2**64 - 1}\n"


def test_tables_as_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    tables.write(tmp_path / "table", _TABLE, "parquet")
    read = parquet.read_table(tmp_path / "table.parquet")
    assert read.to_pydict() == {"small": [1, -1], "large": [0, 2**64 - 1]}


def test_without_pyarrow_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(NotSupported, match=r"pip install pyarrow.*--format csv"):
        tables.check("parquet")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0), (3, 17), (0.2, 0.31), (0, 2.5e9)])
def test_axes_cover_their_values_with_round_numbers(low: float, high: float) -> None:
    ticks = rounds(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0.5, 12, 1234, 5e6, 2e9)] == [
        "0.5",
        "12",
        "1.23k",
        "5M",
        "2G",
    ]


def _summary(strategy: str, nodes: int = 9, name: str = "x") -> dict[str, object]:
    experiment = {
        "name": name,
        "strategy": strategy,
        "nodes": nodes,
        "ring": {"base": 2},
        "seed": 1,
    }
    return {"label": f"{name}-{strategy}-{nodes}", "experiment": experiment}


def test_runs_are_named_by_what_they_differ_in() -> None:
    both = [_summary("multiple"), _summary("single")]
    assert short_names(both) == ["multiple", "single"]
    assert short_names([*both, _summary("single", 1023)])[-1] == "single 1,023"
    assert short_names([_summary("single")]) == ["x-single-9"]
    assert short_names([_summary("single"), _summary("single")]) == ["x-single-9"] * 2


class _Strict(HTMLParser):
    """Counts tags that are opened and closed, and looks for addresses of elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.marks = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.marks += tag in ("path", "rect", "circle")
        assert not any(name in ("src", "href") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()


_BOX = [0, 1, 2, 3, 4, 5, 9, 2.5]


@pytest.mark.parametrize(
    "chart",
    [
        lines("t", "x", [Series("a<b", 0, [(0, 1), (1, 3)]), Series("b", 1, [])]),
        lines("t", "x", [Series("a", 0, [(1024, 1), (1_048_576, 3)])], log=True),
        bands("t", "x", Boxes("a", 2, [1, 2], [_BOX, _BOX])),
        bars("t", [("a", 0, 3.0), ("b", 1, 0.0)]),
        boxes("t", [("a", 0, _BOX)], top=5),
        heat("t", "x", [1, 2], [[0.0, 1.0], [0.5, 0.25]]),
    ],
)
def test_charts_are_well_formed_and_have_marks(chart: str) -> None:
    parser = _Strict()
    parser.feed(chart)
    assert parser.open == []
    assert parser.marks > 2
    assert not re.search(r"nan|inf", chart)


def test_charts_of_nothing_say_so() -> None:
    assert "no data" in lines("t", "x", [])
    assert "no data" in heat("t", "x", [], [])
