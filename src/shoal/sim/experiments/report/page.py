"""A report on one or several runs: the pictures of the original's simulator and a table."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from shoal.sim.experiments.quantiles import box
from shoal.sim.experiments.report.charts import Boxes, Series, bands, bars, boxes, heat, lines
from shoal.sim.experiments.report.style import STYLE
from shoal.sim.experiments.report.svg import COLOURS
from shoal.sim.experiments.report.table import table

_HOUR = 3_600_000_000_000
_MOST_NAMES = 8

Summary = Mapping[str, Any]
Value = Callable[[Mapping[str, Any]], float]


def page(summaries: Sequence[Summary], runs: Sequence[Mapping[str, Any]]) -> str:
    """One HTML document. `runs`: what each took on its machine, in the same order."""
    names = short_names(summaries)
    body = [
        f"<h1>{escape(' · '.join(dict.fromkeys(s['experiment']['name'] for s in summaries)))}</h1>",
        _about(summaries),
        _legend(names),
        "<h2>Figures</h2>",
        table(summaries, runs, names),
        "<h2>Growth</h2>" + _growth(summaries) if _sizes(summaries) > 1 else "",
        "<h2>Requests</h2>",
        _requests(summaries, names),
        "<h2>Traffic and state</h2>",
        _traffic(summaries, names),
        "<h2>Each run over time</h2>",
        *(_single(i, summary, name) for i, (summary, name) in enumerate(_paired(summaries, names))),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Shoal simulation</title><style>{STYLE}</style>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def short_names(summaries: Sequence[Summary]) -> list[str]:
    """Names of runs by what they differ in; by their labels if that does not tell them apart."""
    facts = [_facts(summary["experiment"]) for summary in summaries]
    differing = [place for place in range(len(facts[0])) if len({f[place] for f in facts}) > 1]
    names = [" ".join(fact[place] for place in differing) for fact in facts]
    if len(set(names)) < len(names) or not differing:
        return [str(summary["label"]) for summary in summaries]
    return names


def _facts(experiment: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(experiment["name"]),
        str(experiment["strategy"]),
        f"{experiment['nodes']:,}",
        f"base {experiment['ring']['base']}",
        f"seed {experiment['seed']}",
    )


def _paired(summaries: Sequence[Summary], names: Sequence[str]) -> list[tuple[Summary, str]]:
    return list(zip(summaries, names, strict=True))


def _about(summaries: Sequence[Summary]) -> str:
    notes = dict.fromkeys(note for summary in summaries for note in summary["notes"])
    about = dict.fromkeys(summary["experiment"]["about"] for summary in summaries)
    return "".join(f"<p>{escape(text)}</p>" for text in [*about, *notes] if text)


def _legend(names: Sequence[str]) -> str:
    items = (
        f'<li><i class="{COLOURS[i % len(COLOURS)]}"></i>{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _figure(title: str, chart: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>"


def _over_time(summaries: Sequence[Summary], names: Sequence[str], value: Value) -> list[Series]:
    return [
        Series(name, i, [(w["end"] / _HOUR, value(w)) for w in summary["windows"]])
        for i, (summary, name) in enumerate(_paired(summaries, names))
    ]


def _requests(summaries: Sequence[Summary], names: Sequence[str]) -> str:
    charts = [
        ("Requests for deployment in each window", lambda w: w["requests"]),
        ("Ends of containers in each window", lambda w: w["stops"]),
        ("Mean messages of a request", lambda w: w["request_messages"][-1]),
        ("Allocated of requested resources", lambda w: w["efficiency"]),
        ("Resources in use, mean of nodes", lambda w: w["use"]),
    ]
    made = [
        _figure(title, lines(title, "hours", _over_time(summaries, names, value)))
        for title, value in charts
    ]
    pairs = _paired(summaries, names)
    title = "Requests that succeeded, in all"
    made.append(_figure(title, lines(title, "hours", _summed(pairs, "succeeded"))))
    title = "Success of requests against use of resources"
    by_use = [
        Series(
            name,
            i,
            sorted((w["use"], w["succeeded"] / max(w["requests"], 1)) for w in s["windows"]),
        )
        for i, (s, name) in enumerate(pairs)
    ]
    made.append(_figure(title, lines(title, "share in use", by_use)))
    title = "Messages of a request: minimum, quartiles, 99 percent"
    spreads = [(name, i, _from_histogram(s)) for i, (s, name) in enumerate(pairs)]
    made.append(_figure(title, boxes(title, spreads[:_MOST_NAMES], top=5)))
    title = "Success of requests"
    made.append(_figure(title, bars(title, _bars(pairs, lambda s: s["figures"]["success"]))))
    return "".join(made)


def _traffic(summaries: Sequence[Summary], names: Sequence[str]) -> str:
    pairs = _paired(summaries, names)
    made = []
    for title, value in (
        ("Messages in all", lambda s: sum(kind["count"] for kind in s["kinds"].values())),
        ("Bytes in all", lambda s: sum(kind["bytes"] for kind in s["kinds"].values())),
        ("Messages of the busiest node", lambda s: s["figures"]["messages_per_node"]["max"]),
    ):
        made.append(_figure(title, bars(title, _bars(pairs, value))))
    for title, key in (
        ("Messages received by a node in the run's last window", "node_messages"),
        ("Bytes received by a node in the run's last window", "node_bytes"),
        ("Bytes of state of a node at the end", "state"),
        ("Offers kept by a node at the end", "offers"),
    ):
        named = [(name, i, s["windows"][-1][key]) for i, (s, name) in enumerate(pairs)]
        made.append(_figure(f"{title}, to 99 percent", boxes(title, named[:_MOST_NAMES], top=5)))
    title = "Messages received by the busiest node, in all"
    busiest = _over_time(summaries, names, lambda w: w["busiest"])
    made.append(_figure(title, lines(title, "hours", busiest)))
    title = "Messages received by all nodes in each window"
    made.append(
        _figure(title, lines(title, "hours", _over_time(summaries, names, lambda w: w["messages"])))
    )
    return "".join(made)


def _single(index: int, summary: Summary, name: str) -> str:
    windows = summary["windows"]
    at = [window["end"] / _HOUR for window in windows]
    made = [f"<h3>{escape(name)}</h3>"]
    for title, key in (
        ("Messages of a request", "request_messages"),
        ("Messages received by a node in each window", "node_messages"),
        ("Bytes received by a node in each window", "node_bytes"),
        ("Bytes of state of a node", "state"),
        ("Offers kept by a node", "offers"),
    ):
        chart = bands(title, "hours", Boxes(name, index, at, [window[key] for window in windows]))
        made.append(_figure(f"{title}: median, quartiles, 99 percent, maximum", chart))
    title = "Use of nodes, percent from the smallest machines (below) to the largest"
    made.append(_figure(title, heat(title, "hours", at, [window["heat"] for window in windows])))
    return "".join(made)


def _growth(summaries: Sequence[Summary]) -> str:
    """Figures against the number of nodes, one line for each strategy."""
    made = []
    strategies = list(dict.fromkeys(_kind(summary) for summary in summaries))
    for title, path in (
        ("Mean messages of a request", ("messages_per_request", "mean")),
        ("Success of requests", ("success",)),
        ("Mean messages received by a node", ("messages_per_node", "mean")),
        ("Messages received by the busiest node", ("messages_per_node", "max")),
        ("Mean hops of a look-up", ("hops_per_lookup",)),
        ("Mean bytes of state of a node", ("state_per_node", "mean")),
    ):
        series = []
        for i, kind in enumerate(strategies):
            points = sorted(
                (s["experiment"]["nodes"], _value(s["figures"], path))
                for s in summaries
                if _kind(s) == kind
            )
            series.append(Series(kind, i, points))
        made.append(_figure(title, lines(title, "nodes", series, log=True)))
    return _legend(strategies) + "".join(made)


def _kind(summary: Summary) -> str:
    experiment = summary["experiment"]
    return f"{experiment['strategy']}, base {experiment['ring']['base']}"


def _sizes(summaries: Sequence[Summary]) -> int:
    return len({summary["experiment"]["nodes"] for summary in summaries})


def _value(figures: Any, path: Sequence[str]) -> float:
    for part in path:
        figures = figures[part]
    return float(figures)


def _summed(pairs: Sequence[tuple[Summary, str]], key: str) -> list[Series]:
    made = []
    for i, (summary, name) in enumerate(pairs):
        total, points = 0, []
        for window in summary["windows"]:
            total += window[key]
            points.append((window["end"] / _HOUR, float(total)))
        made.append(Series(name, i, points))
    return made


def _success(window: Mapping[str, Any]) -> float:
    return window["succeeded"] / window["requests"] if window["requests"] else 0.0


def _bars(
    pairs: Sequence[tuple[Summary, str]], value: Callable[[Summary], float]
) -> list[tuple[str, int, float]]:
    return [(escape(name), i, value(s)) for i, (s, name) in enumerate(pairs)][:_MOST_NAMES]


def _from_histogram(summary: Summary) -> list[float]:
    """The box of all requests' messages."""
    found = summary["histograms"]["messages_per_request"]
    return box([int(value) for value, count in found.items() for _ in range(count)])
