"""An interrupted run on disk: the pickled world.

A checkpoint is code as much as data, as every pickle is: resume only what you have written
yourself. It fits the version of Shoal that wrote it and no other.
"""

import os
import pickle
from pathlib import Path

import shoal
from shoal.model.errors import BadRequest
from shoal.sim.experiments.experiment import Experiment
from shoal.sim.experiments.world import World

NAME = "checkpoint.pickle"


def save(world: World, spent: tuple[float, float], directory: Path) -> Path:
    """Write it whole or not at all. `spent`: CPU and wall seconds so far."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NAME
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        pickle.dump((shoal.__version__, world, spent), file, protocol=pickle.HIGHEST_PROTOCOL)
    os.replace(partial, path)
    return path


def load(experiment: Experiment, directory: Path) -> tuple[World, tuple[float, float]] | None:
    """The world and the seconds spent on it, None if there is no checkpoint. Raises BadRequest if
    it belongs to another experiment or version."""
    path = directory / NAME
    try:
        with path.open("rb") as file:
            version, world, spent = pickle.load(file)  # noqa: S301 - the user's own, see above
    except FileNotFoundError:
        return None
    except (OSError, EOFError, AttributeError, ImportError, pickle.UnpicklingError) as error:
        raise BadRequest(f"cannot resume from {path}: {error}; remove it to start anew") from error
    if version != shoal.__version__ or world.experiment != experiment:
        raise BadRequest(
            f"{path} is of another experiment or version; remove it, or resume with what wrote it"
        )
    return world, spent


def remove(directory: Path) -> None:
    """The run is complete."""
    (directory / NAME).unlink(missing_ok=True)
