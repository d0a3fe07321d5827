"""A core that writes down all that goes into it, for `shoal sim replay`."""

import os
from pathlib import Path
from typing import BinaryIO

from shoal.core.discovery.contract import StrategyName
from shoal.core.effects import Effect
from shoal.core.events import Event, Now
from shoal.core.node import NodeCore, Stored
from shoal.core.recording import Began, Met, Stepped, decisions_of, fingerprint, write_frame
from shoal.model.errors import Unavailable
from shoal.model.node import NodeInfo


def open_recording(path: Path) -> BinaryIO:
    """The file, appended to; only its owner may read it, as it holds what containers are told.

    Raises Unavailable if it cannot be written.
    """
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
    except OSError as error:
        raise Unavailable(f"cannot record to {path}: {error.strerror}") from None


class RecordedCore(NodeCore):
    """`file` gets every input and what was decided; a frame is handed to the system at once."""

    def __init__(
        self,
        file: BinaryIO,
        now: Now,
        cloud: str,
        own: NodeInfo,
        stored: Stored,
        *,
        founder: bool = False,
        discovery: StrategyName = "view",
    ) -> None:
        stored = list(stored)
        self._file = file
        self._write(write_frame(Began(now, cloud, own, stored, founder, discovery)))
        super().__init__(now, cloud, own, stored, founder=founder, discovery=discovery)

    def _write(self, frame: bytes) -> None:
        self._file.write(frame)
        self._file.flush()

    def learn(self, info: NodeInfo) -> None:
        self._write(write_frame(Met(info)))
        super().learn(info)

    def handle(self, now: Now, event: Event) -> list[Effect]:
        effects = super().handle(now, event)
        decided = decisions_of(self.context.node_id, effects)
        self._write(write_frame(Stepped(now, event, decided, fingerprint(effects))))
        return effects
