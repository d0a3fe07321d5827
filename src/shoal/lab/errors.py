"""What can go wrong in the lab, said in one line."""

from shoal.model.errors import ShoalError


class LabError(ShoalError):
    """The lab could not do what was asked; the text says what, where and what to do."""
