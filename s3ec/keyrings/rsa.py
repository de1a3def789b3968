"""The keyring for a raw RSA key pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from s3ec.algorithms import WrappingAlgorithm
from s3ec.crypto import random, rsa_keys, wrapping
from s3ec.crypto.rsa_keys import RSAPrivateKey, RSAPublicKey
from s3ec.errors import ConfigurationError, KeyringError
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

__all__ = ["RsaKeyring"]


class RsaKeyring(Unpicklable):
    """Wraps data keys by RSA-OAEP under a key pair of your own.

    Opens RSA-OAEP-SHA1 and, if allowed, RSA-OAEP-SHA256 and RSA PKCS#1 v1.5. With the public key alone it writes only;
    with the private key it reads and, from 2048 bits on, writes too.

    Args:
        private_key: PEM as bytes or str (PKCS#8 or PKCS#1, not encrypted), or a key object; at least 1024 bits.
        public_key: PEM as bytes or str (SubjectPublicKeyInfo or PKCS#1), or a key object; at least 2048 bits. Must
            belong to `private_key` if both are given.
        material_description: stored with each object, in clear and not authenticated; it selects the key on reads.
        additional_decryption_keys: ``(material description, private key)`` pairs for objects that were written for
            other keys. A key is taken where its description is exactly the stored one, otherwise `private_key` is.
        enable_legacy_wrapping_algorithms: also open wrappings that do not bind the content algorithm.

    Raises:
        ConfigurationError: a key or a description is not what it must be.
    """

    __slots__ = ("_capabilities", "_description", "_keys", "_public_key")

    def __init__(
        self,
        *,
        private_key: bytes | str | RSAPrivateKey | None = None,
        public_key: bytes | str | RSAPublicKey | None = None,
        material_description: Mapping[str, str] | None = None,
        additional_decryption_keys: Iterable[tuple[Mapping[str, str], bytes | str | RSAPrivateKey]] | None = None,
        enable_legacy_wrapping_algorithms: bool = False,
    ) -> None:
        if private_key is None and public_key is None:
            raise ConfigurationError("an RsaKeyring needs a private_key to read, or a public_key to write, or both")
        given, more = Secret(private_key), Secret(additional_decryption_keys)
        del private_key, additional_decryption_keys  # keep what is refused below out of any error report
        private = None if given.reveal() is None else rsa_keys.private_key(given)
        self._public_key = _writing_key(private, public_key)
        self._description = text_pairs("material_description", material_description)
        self._keys = DecryptionKeys(private, self._description, more, rsa_keys.private_key)
        self._capabilities = KeyringCapabilities(
            wrapping_algorithms=frozenset(a for a in WrappingAlgorithm if a.family == "rsa"),
            encrypts=self._public_key is not None,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )

    def __repr__(self) -> str:
        # Error reporters also show keyrings that were refused when half made.
        encrypts = getattr(self, "_public_key", None) is not None
        return f"RsaKeyring(<encrypts={encrypts}>, material_description={getattr(self, '_description', None)!r})"

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Capabilities: opens the RSA wrappings, binds no context; writes if there is a public key of 2048 bits."""
        return self._capabilities

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Make a data key and wrap it by RSA-OAEP-SHA1.

        Raises:
            KeyringError: the keyring has only a private key too short to write for.
        """
        if self._public_key is None:
            raise KeyringError(f"this RSA key is shorter than {rsa_keys.MIN_PUBLIC_KEY_BITS} bits and only reads")
        plaintext_data_key = Secret(random.data_key())
        ciphertext = wrapping.wrap_with_rsa(self._public_key, plaintext_data_key, request.content_algorithm)
        return EncryptionMaterials(
            algorithm_suite=request.algorithm_suite,
            plaintext_data_key=plaintext_data_key.reveal(),
            encrypted_data_key=EncryptedDataKey(ciphertext, WrappingAlgorithm.RSA_OAEP_SHA1),
            description=dict(self._description),
        )

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Open the data key with the private key that the stored description selects.

        Raises:
            KeyringError: the keyring has no private key for the object.
            KeyUnwrapError: it does not open; always the same text.
        """
        check_request(request, self._capabilities)
        private_key = self._keys.select(request.description)
        if private_key is None:
            raise KeyringError("this RsaKeyring has only a public key and writes only; to read, give it private_key")
        return DecryptionMaterials(
            plaintext_data_key=wrapping.unwrap(
                request.encrypted_data_key.wrapping_algorithm,
                private_key,
                request.encrypted_data_key.ciphertext,
                request.content_algorithm,
                request.algorithm_suite.key_lengths,
                cbc_may_be_bound_as_gcm=may_bind_gcm_for_cbc(request, self._capabilities),
            )
        )


def _writing_key(private: RSAPrivateKey | None, public_key: bytes | str | RSAPublicKey | None) -> RSAPublicKey | None:
    """Return the key to write with: the one given, else the private key's own unless that is too short."""
    given = None if public_key is None else rsa_keys.public_key(public_key)
    if private is None:
        return given
    own = private.public_key()
    # Writing for one key and reading with another would make objects that this keyring never opens again.
    if given is not None and not rsa_keys.same_key(given, own):
        raise ConfigurationError("public_key does not belong to private_key; old keys go in additional_decryption_keys")
    return own if own.key_size >= rsa_keys.MIN_PUBLIC_KEY_BITS else None
