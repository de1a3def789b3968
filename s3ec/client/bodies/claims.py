"""What a caller says about the plaintext: its length and checksums. Verified while encrypting, never sent.

S3 would check them against the ciphertext. A checksum that cannot be verified here is refused, never ignored; one that
was verified is replaced by one over the ciphertext, so that what the caller wanted protected on its way is protected.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from botocore.exceptions import ParamValidationError

from s3ec.errors import ConfigurationError, SourceChangedError

__all__ = ["Digest", "PlaintextClaims", "decoded", "digest_for", "take_claims"]

_NOT_A_VALUE = {"ChecksumAlgorithm", "ChecksumMode", "ChecksumType"}
_OF_CIPHERTEXT = {f"Checksum{name}": name for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")}
"""The algorithms that botocore can compute over what is sent, by the request members that state their values."""


class Digest(Protocol):
    """What hashlib's objects have."""

    def update(self, data: Any, /) -> object:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """Return the checksum so far."""
        ...


class _Crc:
    """A CRC function of the form ``crc(data, previous)`` as a digest, big-endian as S3 writes it."""

    def __init__(self, function: Callable[[Any, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Any) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _hashlib(name: str) -> Digest:
    return hashlib.new(name, usedforsecurity=False)


def _awscrt(name: str, size: int) -> Digest:
    try:
        from awscrt import checksums
    except ImportError:
        raise ConfigurationError(
            f"Checksum{name.upper()} describes the plaintext and can only be verified with the package awscrt; "
            "install it, or give another checksum"
        ) from None
    function = getattr(checksums, name)
    return _Crc(lambda data, value: function(bytes(data), value), size)


_DIGESTS: dict[str, Callable[[], Digest]] = {
    "ContentMD5": lambda: _hashlib("md5"),
    "ChecksumMD5": lambda: _hashlib("md5"),
    "ChecksumSHA1": lambda: _hashlib("sha1"),
    "ChecksumSHA256": lambda: _hashlib("sha256"),
    "ChecksumSHA512": lambda: _hashlib("sha512"),
    "ChecksumCRC32": lambda: _Crc(zlib.crc32, 4),
    "ChecksumCRC32C": lambda: _awscrt("crc32c", 4),
    "ChecksumCRC64NVME": lambda: _awscrt("crc64nvme", 8),
}


class PlaintextClaims:
    """Length and checksums that the caller gave, compared with the plaintext as it passes.

    Attributes:
        length: ``ContentLength``, or None.
        algorithm: algorithm of a checksum over the ciphertext, sent instead of those given; None if none was.
    """

    def __init__(self, length: int | None, expected: dict[str, str]) -> None:
        """Start a digest for each checksum given.

        Raises:
            ConfigurationError: a checksum cannot be verified here.
            botocore.exceptions.ParamValidationError: a length that is not a whole number from 0 on.
        """
        whole: object = length
        if whole is not None and (not isinstance(whole, int) or whole < 0):
            raise ParamValidationError(
                report=f"Invalid value for parameter ContentLength, value: {length!r}, valid: whole numbers from 0 on"
            )
        self.length = length
        self.algorithm = next((_OF_CIPHERTEXT.get(name, "CRC32") for name in expected), None)
        self._digests = {name: digest_for(name) for name in expected}
        self._expected = {name: decoded(name, value) for name, value in expected.items()}

    def __bool__(self) -> bool:
        """True if there is anything to verify."""
        return bool(self._digests)

    def update(self, data: memoryview) -> None:
        """Take the next bytes of plaintext."""
        for digest in self._digests.values():
            digest.update(data)

    def compute(self, name: str) -> None:
        """Take one more checksum of what passes, where this client can compute it."""
        if name in _OF_CIPHERTEXT and name not in self._digests:
            with suppress(ConfigurationError):
                self._digests[name] = digest_for(name)

    def checksums(self) -> dict[str, str]:
        """The checksums of all the plaintext that passed, in base64 as S3 writes them, by the request member's name."""
        return {
            name: base64.b64encode(digest.digest()).decode()
            for name, digest in self._digests.items()
            if name.startswith("Checksum")
        }

    def check(self) -> None:
        """Compare; called before the last bytes are released, so that a wrong object is never completed.

        Raises:
            SourceChangedError: a checksum is not that of the bytes read.
        """
        for name, expected in self._expected.items():
            if self._digests[name].digest() != expected:
                raise SourceChangedError(f"{name} is not the checksum of the bytes that Body gave; nothing was stored")


def digest_for(name: str) -> Digest:
    """Make a fresh digest for a checksum of S3's, by the request member's name.

    Raises:
        ConfigurationError: this client cannot compute it.
    """
    make = _DIGESTS.get(name)
    if make is None:
        raise ConfigurationError(
            f"{name} describes the plaintext, and this client cannot verify it; leave it out "
            "(ChecksumAlgorithm protects the ciphertext on its way)"
        )
    return make()


def decoded(name: str, value: str) -> bytes:
    """Return the bytes of a checksum that a request states in base64.

    Raises:
        ConfigurationError: it is not base64.
    """
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} is not base64") from None


def take_claims(parameters: dict[str, Any]) -> PlaintextClaims:
    """Take everything that describes the plaintext out of a request.

    Matched by prefix, since S3 keeps adding checksums. Where there was a checksum and the request names no algorithm,
    one is named, and botocore then sends a checksum of the ciphertext whatever it is configured to: S3 refuses puts
    under Object Lock without one.

    Raises:
        ConfigurationError: a checksum cannot be verified here.
    """
    length = parameters.pop("ContentLength", None)
    names = [
        name
        for name in parameters
        if name == "ContentMD5" or (name.startswith("Checksum") and name not in _NOT_A_VALUE)
    ]
    claims = PlaintextClaims(length, {name: parameters.pop(name) for name in names})
    if claims.algorithm is not None:
        parameters.setdefault("ChecksumAlgorithm", claims.algorithm)
    return claims
