"""One run from experiment to result, with interruptions."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from threading import current_thread, main_thread

from shoal.sim.experiments import checkpoint
from shoal.sim.experiments.experiment import Experiment
from shoal.sim.experiments.loads import workload_of
from shoal.sim.experiments.progress import Progress
from shoal.sim.experiments.results import Result, result_of
from shoal.sim.experiments.wheel import TICK
from shoal.sim.experiments.world import World


@dataclass(frozen=True)
class Order:
    """A run that is asked for.

    base: where files named in the experiment are. directory: where a checkpoint goes, None if the
    run cannot be interrupted. stop_after: virtual time, ns, at which it is. command: for the
    record.
    """

    experiment: Experiment
    base: Path
    command: str = ""
    directory: Path | None = None
    resume: bool = False
    stop_after: int | None = None
    quiet: bool = False


class _Interrupts:
    """SIGINT and SIGTERM as a flag; the second SIGINT kills as usual. The end of the process that
    a run was handed to this one by counts too."""

    def __init__(self) -> None:
        self._stopped = False
        self._parent = parent_process()

    @property
    def stopped(self) -> bool:
        return self._stopped or (self._parent is not None and not self._parent.is_alive())

    @contextmanager
    def watched(self) -> Iterator[None]:
        if current_thread() is not main_thread():  # signals are the main thread's
            yield
            return
        before = {
            number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: object) -> None:
        self._stopped = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def carry_out(order: Order) -> Result | None:
    """The result; None if the run was interrupted and stands in a checkpoint.

    Raises ShoalError: a wrong file, or a checkpoint that does not fit. Raises KeyboardInterrupt
    if it is interrupted and has no directory for a checkpoint.
    """
    experiment = order.experiment
    wall, cpu = time.monotonic(), time.process_time()
    interrupts = _Interrupts()
    progress = Progress(experiment.label, quiet=order.quiet)
    spent = (0.0, 0.0)
    with interrupts.watched():
        saved = None
        if order.resume and order.directory is not None:
            saved = checkpoint.load(experiment, order.directory)
        if saved is not None:
            world, spent = saved
        else:
            world = World(experiment, workload_of(experiment, order.base))

        def look() -> bool:
            progress.show(world)
            return not interrupts.stopped

        until = world.end
        if order.stop_after is not None:
            until = min(until, order.stop_after // TICK)
        world.run(until, look)
        progress.end()
        spent = (spent[0] + time.process_time() - cpu, spent[1] + time.monotonic() - wall)
        if world.wheel.tick < world.end:
            if order.directory is None:
                raise KeyboardInterrupt
            checkpoint.save(world, spent, order.directory)
            return None
    return result_of(world, command=order.command, cpu=spent[0], wall=spent[1])
