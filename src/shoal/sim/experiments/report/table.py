"""The table of figures, as HTML and as text."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from shoal.sim.experiments.report.svg import number

#: (title, dotted name of the figure; several are shown as a / b / c)
ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("nodes", ("nodes_at_end",)),
    ("requests", ("requests",)),
    ("success / allocation efficiency", ("success", "allocation_efficiency")),
    ("resources in use at the end", ("system_use",)),
    (
        "messages a request: mean / p95 / max",
        ("messages_per_request.mean", "messages_per_request.p95", "messages_per_request.max"),
    ),
    (
        "… as the original counts (with visits of owners)",
        tuple(f"messages_per_request_with_visits.{part}" for part in ("mean", "p95", "max")),
    ),
    ("ms to placement: mean / p95", ("placement_ms.mean", "placement_ms.p95")),
    (
        "messages a node: mean / p99 / max",
        ("messages_per_node.mean", "messages_per_node.p99", "messages_per_node.max"),
    ),
    (
        "… as the original counts (with visits of owners)",
        tuple(f"messages_per_node_with_visits.{part}" for part in ("mean", "p99", "max")),
    ),
    ("bytes a node: mean / max", ("bytes_per_node.mean", "bytes_per_node.max")),
    (
        "upkeep of the ring a node: messages / bytes",
        ("upkeep_messages_per_node.mean", "upkeep_bytes_per_node.mean"),
    ),
    ("SWIM a node: messages / bytes", ("swim_messages_per_node", "swim_bytes_per_node")),
    ("offers kept by a node: mean / max", ("offers_per_node.mean", "offers_per_node.max")),
    ("bytes of state of a node: mean / max", ("state_per_node.mean", "state_per_node.max")),
    ("hops a look-up", ("hops_per_lookup",)),
    ("crashes / joins", ("crashes", "joins")),
)

_COSTS = (
    ("CPU s", "cpu_seconds", 1.0),
    ("wall s", "wall_seconds", 1.0),
    ("peak memory, MB", "peak_rss_bytes", 1e6),
)


def rows(
    summaries: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]
) -> list[list[str]]:
    """Title and one text for each run."""
    made = [
        [title, *(" / ".join(_text(summary, name) for name in names) for summary in summaries)]
        for title, names in ROWS
    ]
    for title, key, unit in _COSTS:
        made.append([title, *(f"{run[key] / unit:,.1f}" if key in run else "" for run in runs)])
    return made


def _text(summary: Mapping[str, Any], name: str) -> str:
    value: Any = summary["figures"]
    for part in name.split("."):
        value = value[part]
    if isinstance(value, float) and 0 < abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) and value < 100_000 else number(value)


def table(
    summaries: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> str:
    """As HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ["", *names])
    body = "".join(
        f"<tr><th>{escape(title)}</th>{_cells(values)}</tr>"
        for title, *values in rows(summaries, runs)
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(values: Sequence[str]) -> str:
    return "".join(f"<td>{escape(value)}</td>" for value in values)


def plain(
    summaries: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> str:
    """As text, in columns."""
    cells = [["", *names], *rows(summaries, runs)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
