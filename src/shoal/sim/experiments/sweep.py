"""Several runs: one after the other, in processes of this machine, or on a Dask cluster."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import active_children, get_context
from typing import Any

from shoal.model.errors import BadRequest, NotSupported
from shoal.sim.experiments.results import Result
from shoal.sim.experiments.runner import Order, carry_out

_DASK = "dask://"


def carry_out_all(
    orders: Sequence[Order], *, jobs: int, executor: str | None
) -> Iterator[tuple[Order, Result | None]]:
    """Every order with its result, as they come.

    executor: `dask://HOST:PORT` of a scheduler, else `jobs` processes are used, a fresh one for
    each run, so that its memory is its own. Raises ShoalError; KeyboardInterrupt once the runs
    that were under way have left their checkpoints.
    """
    if executor is None and len(orders) == 1:
        yield orders[0], carry_out(orders[0])
        return
    if executor is not None:
        # A cluster's workers have disks of their own: no checkpoints there.
        orders = [replace(order, directory=None, quiet=True) for order in orders]
    with _executor(executor, min(jobs, len(orders))) as pool:
        running = {pool.submit(carry_out, order): order for order in orders}
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except KeyboardInterrupt:
            _stop(list(running))
            raise
        finally:
            signal.signal(signal.SIGTERM, before)


def _stop(running: list[Future[Result | None]]) -> None:
    """What has not begun does not begin; the rest leaves checkpoints."""
    for future in running:
        future.cancel()
    # A pool hands out one run more than it has processes: that one begins when another stops.
    while not all(future.done() for future in running):
        for process in active_children():
            process.terminate()
        wait(running, timeout=1)


@contextmanager
def _executor(address: str | None, jobs: int) -> Iterator[Executor]:
    if address is None:
        with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
            yield pool
        return
    if not address.startswith(_DASK):
        raise BadRequest(f"--executor: {address!r} is not dask://HOST:PORT")
    try:
        import distributed
    except ImportError as error:
        raise NotSupported(
            "--executor dask://… needs Dask: install it (`pip install distributed`)"
        ) from error
    scheduler = f"tcp://{address.removeprefix(_DASK)}"
    connect: Any = distributed.Client  # it has no types
    with connect(scheduler, set_as_default=False) as client, client.get_executor() as cluster:
        yield cluster
