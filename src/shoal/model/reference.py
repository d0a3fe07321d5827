"""Image references as Docker reads them: `[host/]path[:tag][@digest]`, or an id."""

import re

import msgspec

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}\Z")
_PATH = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*\Z"
)
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z")
_TAG = re.compile(r"[\w][\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")

_HUB = ("docker.io/", "index.docker.io/")


class Reference(msgspec.Struct, frozen=True):
    """A name of an image. `repository` is in its short form: `busybox`, not
    `docker.io/library/busybox`."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def familiar(self) -> str:
        """As Docker prints it: `repository:tag`, or `repository@digest`."""
        if self.digest:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}"


def is_image_id(text: str) -> bool:
    """Whether the text is a whole image id, with or without `sha256:`."""
    return _ID.match(text) is not None


def parse_reference(text: str) -> Reference | None:
    """The name that the text is, `latest` where it has neither tag nor digest; None for an id
    and for what Docker calls an invalid reference format."""
    if is_image_id(text):
        return None
    rest, _, digest = text.partition("@")
    if digest and not _DIGEST.match(digest):
        return None
    repository, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # the colon is that of a port
        repository, colon, tag = rest, "", ""
    if colon and not _TAG.match(tag):
        return None
    repository = _familiar_repository(repository)
    if not _valid_repository(repository):
        return None
    return Reference(repository, tag or ("" if digest else "latest"), digest)


def _familiar_repository(repository: str) -> str:
    for host in _HUB:
        if repository.startswith(host):
            repository = repository.removeprefix(host)
            return repository.removeprefix("library/")
    return repository


def _valid_repository(repository: str) -> bool:
    first, slash, path = repository.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    if is_host:
        return bool(_HOST.match(first)) and bool(_PATH.match(path))
    return bool(_PATH.match(repository)) and len(repository) < 256
