"""The keyring for a raw AES wrapping key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from s3ec.algorithms import AES_KEY_LENGTHS, WrappingAlgorithm
from s3ec.crypto import random, wrapping
from s3ec.errors import ConfigurationError
from s3ec.keyrings.checks import check_request, may_bind_gcm_for_cbc, text_pairs
from s3ec.keyrings.raw import DecryptionKeys
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptedDataKey,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
)
from s3ec.secrets import Secret, Unpicklable

__all__ = ["AesKeyring"]

# Of random keys of 32 bytes one in 2^113 looks like this.
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]+")


class AesKeyring(Unpicklable):
    """Wraps data keys by AES-GCM under a key of your own. Opens AES-GCM and, if allowed, AESWrap and AES-ECB.

    One key should wrap no more than 2^32 data keys, since their nonces are random (NIST SP 800-38D, section 8.3).

    Args:
        wrapping_key: 16, 24 or 32 bytes.
        material_description: stored with each object, in clear and not authenticated; it selects the key on reads.
        additional_decryption_keys: ``(material description, key)`` pairs for objects that were written with other
            keys. A key is taken where its description is exactly the stored one, otherwise `wrapping_key` is.
        enable_legacy_wrapping_algorithms: also open wrappings that do not bind the content algorithm.

    Raises:
        ConfigurationError: a key or a description is not what it must be.
    """

    __slots__ = ("_capabilities", "_description", "_keys", "_wrapping_key")

    def __init__(
        self,
        wrapping_key: bytes,
        *,
        material_description: Mapping[str, str] | None = None,
        additional_decryption_keys: Iterable[tuple[Mapping[str, str], bytes]] | None = None,
        enable_legacy_wrapping_algorithms: bool = False,
    ) -> None:
        given, more = Secret(wrapping_key), Secret(additional_decryption_keys)
        del wrapping_key, additional_decryption_keys  # keep what is refused below out of any error report
        self._wrapping_key = _key(given)
        self._description = text_pairs("material_description", material_description)
        self._keys = DecryptionKeys(self._wrapping_key, self._description, more, _key)
        self._capabilities = KeyringCapabilities(
            wrapping_algorithms=frozenset(a for a in WrappingAlgorithm if a.family == "aes"),
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )

    def __repr__(self) -> str:
        # Error reporters also show keyrings that were refused when half made.
        bits = 8 * len(getattr(self, "_wrapping_key", b""))
        return f"AesKeyring(<{bits} bits>, material_description={getattr(self, '_description', None)!r})"

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Capabilities: opens the AES wrappings, binds no encryption context."""
        return self._capabilities

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Make a data key and wrap it by AES-GCM."""
        plaintext_data_key = Secret(random.data_key())
        ciphertext = wrapping.wrap_with_aes(self._wrapping_key, plaintext_data_key, request.content_algorithm)
        return EncryptionMaterials(
            algorithm_suite=request.algorithm_suite,
            plaintext_data_key=plaintext_data_key.reveal(),
            encrypted_data_key=EncryptedDataKey(ciphertext, WrappingAlgorithm.AES_GCM),
            description=dict(self._description),
        )

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Open the data key with the key that the stored description selects.

        Raises:
            KeyUnwrapError: it does not open; always the same text.
        """
        check_request(request, self._capabilities)
        return DecryptionMaterials(
            plaintext_data_key=wrapping.unwrap(
                request.encrypted_data_key.wrapping_algorithm,
                self._keys.select(request.description),
                request.encrypted_data_key.ciphertext,
                request.content_algorithm,
                request.algorithm_suite.key_lengths,
                cbc_may_be_bound_as_gcm=may_bind_gcm_for_cbc(request, self._capabilities),
            )
        )


def _key(given: Secret[Any]) -> Secret[bytes]:
    if not isinstance(given.reveal(), (bytes, bytearray)):
        raise ConfigurationError(
            f"an AES wrapping key is given as raw bytes, not as {type(given.reveal()).__name__}; a key in hexadecimal "
            "digits becomes that by bytes.fromhex(…)"
        )
    if len(given) in [2 * length for length in AES_KEY_LENGTHS] and _HEXADECIMAL.fullmatch(given.reveal()):
        # 32 of them pass for a key of 256 bits, and hold 128.
        raise ConfigurationError(
            f"the {len(given)} bytes given as an AES wrapping key are hexadecimal digits, and hold half as many bits: "
            "give bytes.fromhex(…) of them"
        )
    if len(given) not in AES_KEY_LENGTHS:
        raise ConfigurationError(f"an AES wrapping key has 16, 24 or 32 bytes, not {len(given)}")
    return Secret(bytes(given.reveal()))
