"""The checksum of a whole object that a caller may check against the parts when they are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from s3ec.client.bodies.claims import Digest, decoded, digest_for
from s3ec.errors import ConfigurationError, SourceChangedError

__all__ = ["FullObjectChecksum"]


class FullObjectChecksum:
    """Computed over the plaintext as it is encrypted, where the request that began the upload said so."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Take the parameters of ``create_multipart_upload``; an empty map computes nothing."""
        algorithm = request.get("ChecksumAlgorithm")
        # CRC64NVME is only ever of the full object.
        wanted = request.get("ChecksumType") == "FULL_OBJECT" or algorithm == "CRC64NVME"
        self._name = f"Checksum{algorithm}"
        self._digest: Digest | None = None
        if wanted:
            try:
                self._digest = digest_for(self._name)
            except ConfigurationError:
                # What cannot be computed is refused only if a value is really given.
                self._digest = None

    @property
    def observe(self) -> Callable[[memoryview], object] | None:
        """What has to see the plaintext, in order; None where nothing is computed."""
        return None if self._digest is None else self._digest.update

    def check_claims(self, claims: Mapping[str, str]) -> None:
        """Refuse what could not be verified.

        Raises:
            ConfigurationError: a checksum that nothing computed, or no base64.
        """
        for name, value in claims.items():
            if name != self._name or self._digest is None:
                raise ConfigurationError(
                    f"{name} describes the whole plaintext, and nothing was told to compute it; name the algorithm on "
                    'create_multipart_upload with ChecksumType="FULL_OBJECT", or leave the checksum out '
                    "(a resumed upload cannot verify one)"
                )
            decoded(name, value)

    def compare(self, claims: Mapping[str, str]) -> None:
        """Hold the caller's checksums against all that was encrypted.

        Raises:
            SourceChangedError: one is not that of the plaintext.
        """
        for name, value in claims.items():
            if self._digest is None or decoded(name, value) != self._digest.digest():
                raise SourceChangedError(f"{name} is not the checksum of the parts that were given; nothing was stored")
