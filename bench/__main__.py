"""`python -m bench [--soak] [--only ROW]...`: a JSON line for each figure as it is measured, then
the table. Ends with 1 when a gate is not met or a row failed."""

import argparse
import importlib
import sys
import time
import traceback
from collections.abc import Sequence

import msgspec

from bench.figure import Figure, table
from bench.labs import progress

#: Modules of this package with a function `measure`; those that need a quiet machine first.
ROWS = (
    "placement",
    "detection",
    "footprint",
    "overhead",
    "joining",
    "replacement",
    "coldstart",
    "replicas",
)
#: Modules with a function `soak`, for `--soak`.
SOAK = ("detection", "members")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument(
        "--soak", action="store_true", help="the longer rows instead: " + ", ".join(SOAK)
    )
    options = parser.parse_args(arguments)
    there = SOAK if options.soak else ROWS
    for row in options.only or ():
        if row not in there:
            parser.error(f"no such row here: {row} (there are {', '.join(there)})")
    rows = [row for row in there if row in (options.only or there)]
    figures: list[Figure] = []
    failed = []
    for row in rows:
        found = _measure(row, "soak" if options.soak else "measure")
        failed += [] if found else [row]
        figures += found
    sys.stdout.write("\n" + table(figures) + "\n")
    if failed:
        sys.stdout.write(f"not measured: {', '.join(failed)}\n")
    return 1 if failed or any(one.met is False for one in figures) else 0


def _measure(row: str, function: str) -> list[Figure]:
    """The row's figures, already told; none if it failed, so that the others go on."""
    progress(f"-- {row}")
    began = time.monotonic()
    try:
        figures: list[Figure] = getattr(importlib.import_module(f"bench.{row}"), function)()
    except Exception:
        traceback.print_exc()
        return []
    progress(f"-- {row} took {time.monotonic() - began:.0f} s")
    for one in figures:
        sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
    sys.stdout.flush()
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
