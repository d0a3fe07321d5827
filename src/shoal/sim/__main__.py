"""`python -m shoal.sim run [FIRST [COUNT]]` and `python -m shoal.sim replay SEED`."""

# ruff: noqa: T201

import sys
import time
from collections import Counter

from shoal.sim.faults import plan_of
from shoal.sim.probes import PROBES
from shoal.sim.run import run

_USAGE = "usage: python -m shoal.sim run [FIRST [COUNT]] | replay SEED"


def main(arguments: list[str]) -> int:
    """Exit code 0 if every promise was kept, 1 if not, 2 for wrong arguments."""
    try:
        command, *numbers = arguments
        values = [int(number) for number in numbers]
    except ValueError:
        command, values = "", []
    if command == "replay" and len(values) == 1:
        return _replay(values[0])
    if command == "run" and len(values) <= 2:
        return _run(*values)
    print(_USAGE, file=sys.stderr)
    return 2


def _replay(seed: int) -> int:
    outcome = run(plan_of(seed), trace=True)
    print("\n".join(outcome.trace))
    print(outcome.plan)
    for line in outcome.wrong:
        print("WRONG", line)
    return 1 if outcome.wrong else 0


def _run(first: int = 0, count: int = 50) -> int:
    began = time.process_time()
    probes: Counter[str] = Counter()
    failed = steps = 0
    for seed in range(first, first + count):
        outcome = run(plan_of(seed))
        probes.update(outcome.probes)
        steps += outcome.steps
        if outcome.wrong:
            failed += 1
            plan = outcome.plan
            print(f"seed {seed} ({plan.nodes} nodes; {', '.join(plan.families)}):")
            for line in outcome.wrong[:6]:
                print(f"    {line}")
    for probe in PROBES:
        print(f"{probes[probe]:8} {probe}")
    spent = time.process_time() - began
    print(f"{failed} of {count} failed; {spent / count:.2f} CPU s, {steps // count} steps a seed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
