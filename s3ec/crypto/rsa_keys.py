"""Reading RSA keys: PEM text, or key objects that the caller already has."""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from s3ec.errors import ConfigurationError
from s3ec.secrets import Secret, revealed

__all__ = [
    "MIN_PRIVATE_KEY_BITS",
    "MIN_PUBLIC_KEY_BITS",
    "RSAPrivateKey",
    "RSAPublicKey",
    "private_key",
    "public_key",
    "same_key",
]

MIN_PRIVATE_KEY_BITS = 1024
"""Old objects were written for keys of this size."""

MIN_PUBLIC_KEY_BITS = 2048
"""Nothing new is written for shorter keys (NIST SP 800-131A)."""


def private_key(key: object, passphrase: object = None) -> RSAPrivateKey:
    """Take a private key as PEM (PKCS#8 or PKCS#1) or as a key object, or either of them as a `Secret`.

    Args:
        key: bytes or str of PEM, or a key object.
        passphrase: bytes, or a `Secret` of them, where the PEM is encrypted; a PEM that is not is taken as it is.

    Raises:
        ConfigurationError: it is not an RSA private key, shorter than 1024 bits, or encrypted with something else. The
            text quotes nothing of it.
    """
    given, opens = Secret(revealed(key)), Secret(revealed(passphrase) or None)
    del key, passphrase  # keep what is refused below out of any error report
    loaded = _loaded(given, opens) if isinstance(given.reveal(), (bytes, bytearray, str)) else given.reveal()
    if not isinstance(loaded, RSAPrivateKey):
        raise ConfigurationError(
            f"private_key must be an RSA private key as PEM or as a key object, not {type(loaded).__name__}"
        )
    _check_size("private_key", loaded.key_size, MIN_PRIVATE_KEY_BITS)
    return loaded


def _loaded(pem: Secret[Any], passphrase: Secret[Any]) -> object:
    is_locked = passphrase.reveal() is not None
    try:
        return load_pem_private_key(_encoded(pem.reveal()), password=passphrase.reveal())
    except TypeError:
        # Encrypted, and no passphrase was given, or the other way round.
        fault = (
            "" if is_locked else "the PEM private key is encrypted; load it with its password and give the key object"
        )
    except (ValueError, UnsupportedAlgorithm):
        fault = (
            "the passphrase does not open the PEM private key, or it is not one (PKCS#8 or PKCS#1)"
            if is_locked
            else "private_key is not a PEM private key (PKCS#8 or PKCS#1)"
        )
    # Raised here: the library's own error would bring its frames along, which hold the text of the key.
    if fault:
        raise ConfigurationError(fault)
    return _loaded(pem, Secret(None))


def public_key(key: object) -> RSAPublicKey:
    """Take a public key as PEM (SubjectPublicKeyInfo or PKCS#1) or as an object.

    Raises:
        ConfigurationError: it is not an RSA public key, or shorter than 2048 bits.
    """
    loaded: object = key
    if isinstance(key, (bytes, bytearray, str)):
        try:
            loaded = load_pem_public_key(_encoded(key))
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigurationError("public_key is not a PEM public key (SubjectPublicKeyInfo or PKCS#1)") from None
    if not isinstance(loaded, RSAPublicKey):
        raise ConfigurationError(
            f"public_key must be an RSA public key as PEM or as a key object, not {type(loaded).__name__}"
        )
    _check_size("public_key", loaded.key_size, MIN_PUBLIC_KEY_BITS)
    return loaded


def same_key(a: RSAPublicKey, b: RSAPublicKey) -> bool:
    """True if two public keys are the same."""
    return a.public_numbers() == b.public_numbers()


def _encoded(pem: bytes | bytearray | str) -> bytes:
    return pem.encode() if isinstance(pem, str) else bytes(pem)


def _check_size(name: str, bits: int, minimum: int) -> None:
    if bits < minimum:
        raise ConfigurationError(f"{name} has {bits} bits; {minimum} is the least")
