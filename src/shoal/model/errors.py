"""Errors that reach users: one line each, with the status of Docker's API and an exit code.

ShoalError
├── BadRequest       400  the request itself is wrong
├── Unauthorized     401  no or wrong credentials
├── Forbidden        403  not allowed here
├── NotFound         404  no such container, image, node, token
├── Conflict         409  the name is taken, the container runs, no reservation
├── TooLarge         413  over a stated limit
├── NotSupported  501  a feature that this version leaves out, by name
├── EngineError      any  what a container engine answered
├── Unplaceable      409  no node can run it; says which filters dropped which nodes
└── Unavailable      503  nobody could serve it in time
"""


class ShoalError(Exception):
    """Base of all errors for users. `status` is the HTTP status, `text` the line they read."""

    status: int = 500

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class BadRequest(ShoalError):
    status = 400


class Unauthorized(ShoalError):
    status = 401


class Forbidden(ShoalError):
    status = 403


class NotFound(ShoalError):
    status = 404


class Conflict(ShoalError):
    status = 409


class TooLarge(ShoalError):
    status = 413


class NotSupported(ShoalError):
    status = 501


class Unplaceable(ShoalError):
    status = 409


class Unavailable(ShoalError):
    status = 503


class EngineError(ShoalError):
    """What an engine answered, its status kept."""

    def __init__(self, text: str, status: int = 500) -> None:
        super().__init__(text)
        self.status = status


_BY_STATUS = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        TooLarge,
        NotSupported,
        Unavailable,
    )
}


def revive(status: int, text: str) -> ShoalError:
    """The error that travelled as a status and a line; its class follows from the status."""
    kind = _BY_STATUS.get(status)
    return kind(text) if kind is not None else EngineError(text, status)
