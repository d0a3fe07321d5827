"""Many seeds: whatever goes wrong, every promise is kept, and every rare situation was met."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from shoal.sim.faults import plan_of
from shoal.sim.probes import PROBES
from shoal.sim.run import run

#: `SHOAL_SIM_SEEDS` asks for more, as `make soak` does.
SEEDS = int(os.environ.get("SHOAL_SIM_SEEDS", "1000"))
CHUNK = 50
CHUNKS = range(0, SEEDS, CHUNK)


@pytest.mark.parametrize("first", CHUNKS)
def test_every_promise_is_kept(first: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    probes: Counter[str] = Counter()
    failures = []
    for seed in range(first, min(first + CHUNK, SEEDS)):
        outcome = run(plan_of(seed))
        probes.update(outcome.probes)
        if outcome.wrong:
            wrong = "\n    ".join(outcome.wrong[:5])
            failures.append(f"python -m shoal.sim replay {seed}\n    {wrong}")
    assert not failures, "promises broken, replay with:\n" + "\n".join(failures)
    _leave_no_probe_out(_shared(tmp_path_factory), first, probes)


def _shared(factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of this test run share."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "probes"
    shared.mkdir(exist_ok=True)
    return shared


def _leave_no_probe_out(shared: Path, first: int, probes: Counter[str]) -> None:
    """Whichever chunk ends last looks at the counts of all of them."""
    partial = shared / f"{first}.partial"
    partial.write_text(json.dumps(probes))
    partial.rename(shared / f"{first}.json")
    counts = list(shared.glob("*.json"))
    if len(counts) < len(CHUNKS) or SEEDS < 1000:
        return
    total: Counter[str] = Counter()
    for path in counts:
        total.update(json.loads(path.read_text()))
    never = [probe for probe in PROBES if not total[probe]]
    assert not never, f"no seed of {SEEDS} came through: {', '.join(never)}"
