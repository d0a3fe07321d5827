"""TLS between nodes: contexts that demand TLS 1.3 and certificates of this cloud."""

import ssl
from pathlib import Path

from shoal.node.files import write_durably
from shoal.node.identity import Credentials, Identity
from shoal.node.rpc import ALPN_ENGINE, ALPN_RPC

_CERTIFICATE = "node.crt"


class Contexts:
    """The contexts of a member. Authorities may be added while they are in use."""

    def __init__(self, identity: Identity, credentials: Credentials) -> None:
        certificate = identity.state / _CERTIFICATE
        # A derived file: ssl loads certificates from paths only.
        write_durably(certificate, credentials.certificate.encode())
        self.authorities = list(credentials.authorities)
        self.server = _context(ssl.PROTOCOL_TLS_SERVER, certificate, identity.key_path)
        # A joining node has no certificate yet; it may call public methods only.
        self.server.verify_mode = ssl.CERT_OPTIONAL
        self.server.num_tickets = 0  # connections live long: tickets would only cost
        self.server.set_alpn_protocols([ALPN_RPC, ALPN_ENGINE])
        self.rpc = _client(certificate, identity.key_path, ALPN_RPC)
        self.engine = _client(certificate, identity.key_path, ALPN_ENGINE)
        self.any_node = _client(certificate, identity.key_path, ALPN_RPC)
        self.any_node.check_hostname = False
        self._trust(self.authorities)

    def add_authority(self, certificate: str) -> None:
        """Trust one more CA certificate (PEM), in connections opened from now on."""
        if certificate not in self.authorities:
            self.authorities.append(certificate)
            self._trust([certificate])

    def _trust(self, certificates: list[str]) -> None:
        for context in (self.server, self.rpc, self.engine, self.any_node):
            context.load_verify_locations(cadata="\n".join(certificates))


def joining_context(authorities: list[str]) -> ssl.SSLContext:
    """For a node that joins: it has no certificate and knows the cloud by its CA. With no
    authorities nothing is verified: good only for asking for them."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if authorities:
        context.load_verify_locations(cadata="\n".join(authorities))
    else:
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN_RPC])
    return context


def _client(certificate: Path, key: Path, alpn: str) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key)
    context.set_alpn_protocols([alpn])
    return context


def _context(
    protocol: int, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
