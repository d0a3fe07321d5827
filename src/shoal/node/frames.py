"""The frame codec, pure: a frame is a 4-byte big-endian length and that many bytes."""

MAX_FRAME = 16 << 20  # bytes in one frame, after the length
HEADER = 4


class FrameError(Exception):
    """The peer does not speak our protocol; nothing after this can be trusted."""


class FrameTooLarge(FrameError):
    """A frame over the limit, ours or theirs."""


class FrameGarbage(FrameError):
    """The bytes of a frame make no message."""


def frame(body: bytes) -> bytes:
    """`body` as a frame. Raises FrameTooLarge."""
    check_size(len(body), MAX_FRAME)
    return len(body).to_bytes(HEADER) + body


def check_size(size: int, limit: int) -> None:
    if size > limit:
        raise FrameTooLarge(f"a frame of {size} bytes is over the limit of {limit}")


class FrameDecoder:
    """Cuts a byte stream into frames. `limit` may be raised when the peer has proved itself."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.limit = limit
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Bodies of the frames that `data` completes. Raises FrameTooLarge."""
        buffer = self._buffer
        buffer += data
        bodies: list[bytes] = []
        start = 0
        with memoryview(buffer) as view:
            while len(buffer) - start >= HEADER:
                size = int.from_bytes(view[start : start + HEADER])
                check_size(size, self.limit)
                end = start + HEADER + size
                if end > len(buffer):
                    break
                bodies.append(bytes(view[start + HEADER : end]))
                start = end
        del buffer[:start]
        return bodies
