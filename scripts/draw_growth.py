"""Draw the tables of docs/experiments/growth.md as pictures beside it.

Usage: python scripts/draw_growth.py. Runs of these sizes take hours and their results gigabytes, so
the tables are what is kept of them.
"""

import re
from html import escape
from pathlib import Path

from shoal.sim.experiments.report.charts import Series, lines
from shoal.sim.experiments.report.style import STYLE
from shoal.sim.experiments.report.svg import HEIGHT, WIDTH

PAGE = Path(__file__).parent.parent / "docs" / "experiments" / "growth.md"
PICTURES = {"messages a request, mean": "growth-messages", "success of requests": "growth-success"}
_LEGEND = 24  # pixels


def read_tables(text: str) -> dict[str, list[Series]]:
    """The series of every table, by the name in its first cell."""
    found = {}
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()]
        (title, *names), _, *values = rows
        found[title] = [
            Series(
                name,
                place,
                [
                    (int(row[0].replace(",", "")), float(row[place + 1]))
                    for row in values
                    if re.fullmatch(r"[\d.]+", row[place + 1])
                ],
            )
            for place, name in enumerate(names)
        ]
    return found


def draw(title: str, series: list[Series]) -> str:
    """A picture that needs no other file, with its legend."""
    chart = lines(title, "nodes", series, log=True)
    body = chart[chart.index(">") + 1 : chart.rindex("</svg>")]
    legend, at = "", 10
    for one in series:
        legend += (
            f'<g class="c{one.colour + 1}"><circle class="dot" cx="{at}" cy="-10" r="5"/>'
            f'<text x="{at + 9}" y="-6">{escape(one.name)}</text></g>'
        )
        at += 28 + 6 * len(one.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -{_LEGEND} {WIDTH} {HEIGHT + _LEGEND}"'
        f' role="img" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect y="-{_LEGEND}" width="{WIDTH}" height="{HEIGHT + _LEGEND}" fill="var(--back)"/>'
        f"{legend}{body}</svg>\n"
    )


def main() -> None:
    tables = read_tables(PAGE.read_text())
    for title, name in PICTURES.items():
        PAGE.with_name(f"{name}.svg").write_text(draw(title, tables[title]))


if __name__ == "__main__":
    main()
