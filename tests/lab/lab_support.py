"""What tests of the lab share besides fixtures."""

from typing import Protocol

from shoal.lab import Lab


class MakeLab(Protocol):
    """Brings up a new lab with the demo images; see Lab.up. Its name is one of ours alone."""

    def __call__(
        self,
        *,
        hosts: int = 3,
        daemons: bool = True,
        sites: dict[str, list[str]] | None = None,
        images_on: str = "first",
    ) -> Lab: ...
