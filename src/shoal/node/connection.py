"""What both ends of an RPC connection share: messages over an asyncio transport."""

import asyncio
import ssl
from typing import Any, cast

from shoal.node.certificates import node_of
from shoal.node.frames import FrameDecoder, FrameError
from shoal.node.rpc import Message, decode, encode

#: A stranger's first frame (Hello) is small; larger ones are for those who have said it.
GREETING_LIMIT = 64 << 10


class MessageProtocol(asyncio.Protocol):
    """Frames and messages; subclasses say what a message means."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._decoder = FrameDecoder(GREETING_LIMIT)
        self._writable = asyncio.Event()
        self._writable.set()
        self.received_at = self._loop.time()
        self.lost = False

    # -- for subclasses -------------------------------------------------------------------------

    def message_received(self, message: Message) -> None:
        raise NotImplementedError

    # -- for users ------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        return not self.lost and not self.transport.is_closing()

    @property
    def can_write(self) -> bool:
        """False while the peer reads slower than we write."""
        return self._writable.is_set()

    async def writable(self) -> None:
        """Wait until the peer keeps up, or the connection is lost."""
        await self._writable.wait()

    def send(self, message: Message) -> None:
        """Send, or drop the message when the connection is gone. Raises FrameTooLarge."""
        data = encode(message)
        if self.open:
            self.transport.write(data)

    def close(self) -> None:
        if not self.lost:
            self.transport.close()

    def abort(self) -> None:
        if not self.lost:
            self.transport.abort()

    # -- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received_at = self._loop.time()
        try:
            for body in self._decoder.feed(data):
                if not self.open:
                    return
                self.message_received(decode(body))
        except FrameError as error:
            peer = self.transport.get_extra_info("peername")
            import structlog  # late: whoever just joins a cloud starts faster without it

            log = structlog.get_logger("shoal.rpc")
            log.warning("peer does not speak our protocol", peer=peer, error=str(error))
            self.abort()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._writable.set()


def certified_node(transport: asyncio.BaseTransport) -> str:
    """Id of the node that the peer's certificate names; "" without a certificate."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate: dict[str, Any] | None = tls.getpeercert() if tls is not None else None
    return node_of(certificate)
