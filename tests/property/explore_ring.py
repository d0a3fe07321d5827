"""Explores a small ring by hand, deeper than the tests do:

    python tests/property/explore_ring.py NODES LENGTH START JOINS LOSSES [DEPTH] [--fine] [--small]

NODES positions on the circle, successor lists of LENGTH, the positions that START as members
(0,2,4), how many JOINS and LOSSES (failures or leaves) may happen, within DEPTH steps. --fine
delivers queries and answers one by one; --small does without the paper's L + 1 principals.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ring_explorer import Explorer


def main(arguments: list[str]) -> None:
    flags = {argument for argument in arguments if argument.startswith("--")}
    count, length, start, joins, losses, *depth = [a for a in arguments if a not in flags]
    nodes = [(i + 1) << 8 for i in range(int(count))]
    explorer = Explorer(
        nodes,
        successors=int(length),
        atomic="--fine" not in flags,
        principals=0 if "--small" in flags else None,
    )
    alive = [nodes[int(i)] for i in start.split(",")]
    begin = time.process_time()
    world = explorer.ideal(alive, joins=int(joins), losses=int(losses))
    states, complete = explorer.explore(world, int(depth[0]) if depth else 1000)
    seconds = time.process_time() - begin
    extent = "all" if complete else f"those within {depth[0]} steps"
    print(f"{states} states ({extent}), {explorer.transitions} steps, {seconds:.1f} CPU s")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
