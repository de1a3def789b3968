"""Everything that decides how the endpoint listens, whom it believes and how much it takes on at a time."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from dataclasses import dataclass, field

from s3ec.errors import ConfigurationError

__all__ = ["ROOMY_SEATS", "LocalCredentials", "ServeSettings"]

MiB = 1024 * 1024
ROOMY_SEATS = 2
"""How many requests at a time may keep a large object in memory; the others spool what exceeds their share."""
_SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class LocalCredentials:
    """What clients of the endpoint sign with; it opens this endpoint and nothing at AWS.

    Attributes:
        access_key: up to 128 letters and digits.
        secret_key: never shown in a repr, a log or an answer.
    """

    access_key: str
    secret_key: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what could be guessed, or what no header can carry."""
        if not self.access_key.isascii() or not self.access_key.isalnum() or len(self.access_key) > 128:
            raise ConfigurationError("the access key of the endpoint must be 1 to 128 ASCII letters and digits")
        if len(self.secret_key) < _SHORTEST_SECRET:
            raise ConfigurationError(f"the secret key of the endpoint must have at least {_SHORTEST_SECRET} characters")

    @classmethod
    def generate(cls) -> LocalCredentials:
        """Make a pair for one run; the access key says where it comes from, so that nobody takes it for AWS's."""
        return cls("S3EC" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Settings of one endpoint.

    Attributes:
        credentials: what clients sign with.
        host: address to listen on; another one than loopback takes ``tls`` and ``beyond_loopback``.
        port: TCP port; 0 lets the system choose.
        tls: context with the endpoint's certificate, or None for plain http.
        beyond_loopback: the explicit word for an address that other machines reach.
        host_names: names that a ``Host`` header may have beside those of loopback and ``host``.
        max_connections: connections at a time; one more is closed at once.
        max_requests: requests with content at a time; others wait, and get 503 SlowDown in the end.
        memory_limit: bytes of content in memory over all requests; what does not fit is spooled, as ciphertext.
        head_timeout: seconds in which a request's head must have arrived.
        idle_timeout: seconds that a connection may rest between requests.
        transfer_timeout: seconds without a byte after which a transfer is given up.
        queue_timeout: seconds that a request waits for one of ``max_requests``.
        grace: seconds that requests in flight have to finish on shutdown.

    Raises:
        ConfigurationError: an address beyond loopback without TLS or without the word, or a number that cannot be.
    """

    credentials: LocalCredentials
    host: str = "127.0.0.1"
    port: int = 9911
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    beyond_loopback: bool = False
    host_names: frozenset[str] = frozenset()
    max_connections: int = 256
    max_requests: int = 16
    memory_limit: int = 512 * MiB
    head_timeout: float = 20.0
    idle_timeout: float = 75.0
    transfer_timeout: float = 60.0
    queue_timeout: float = 60.0
    grace: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what would be unsafe, or never work."""
        if not is_loopback(self.host) and (self.tls is None or not self.beyond_loopback):
            raise ConfigurationError(
                f"{self.host} can be reached from other machines: content would cross the network in plaintext. Give "
                "a certificate (--tls-cert, --tls-key) and --beyond-loopback, or listen on 127.0.0.1"
            )
        for name in ("max_connections", "max_requests"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be 1 at least")
        if self.memory_limit < MiB * self.max_requests:
            raise ConfigurationError(
                f"memory_limit must be 1 MiB at least for each of {self.max_requests} requests at a time"
            )

    # The rest is left for what is in motion: a chunk read, its ciphertext, the sockets' buffers, the table of ranges.

    @property
    def buffer_size(self) -> int:
        """Bytes that every request may keep in memory; the client's ``buffer_size``."""
        return self.memory_limit // (4 * self.max_requests)

    @property
    def roomy_buffer_size(self) -> int:
        """Bytes that the requests on one of `ROOMY_SEATS` may keep in memory instead."""
        return max(self.memory_limit // (3 * ROOMY_SEATS), self.buffer_size)

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Host names, in lower case, that a request may be addressed to."""
        return frozenset({"localhost", "127.0.0.1", "::1", self.host.lower(), *map(str.lower, self.host_names)})


def is_loopback(host: str) -> bool:
    """True for an address, or the name, that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
