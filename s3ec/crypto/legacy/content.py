"""AES-CBC content, and any content whose data key nothing commits to.

Source: S3 Encryption Client specification, decryption.md; NIST SP 800-38A (CBC).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from s3ec.algorithms import BLOCK_LENGTH, AlgorithmSuite
from s3ec.crypto.buffers import Octets, octets
from s3ec.crypto.content import ContentCipher, ContentDecryptor
from s3ec.crypto.legacy.wrapping import content_failure_for, substitute_key
from s3ec.errors import S3ECError
from s3ec.materials import EncryptedDataKey
from s3ec.secrets import Secret

__all__ = ["CbcCipher", "CbcDecryptor", "not_committing"]


class CbcDecryptor(ContentDecryptor):
    """Decrypts AES-CBC, which is not authenticated: wrong content comes out as other bytes, seldom as an error."""

    __slots__ = ("_rejected", "_unpadder")

    def __init__(
        self, context: CipherContext, failure: Callable[[], S3ECError], *, padded: bool, rejected: bool
    ) -> None:
        super().__init__(context, failure)
        self._rejected = rejected
        self._unpadder = PKCS7(8 * BLOCK_LENGTH).unpadder() if padded else None

    def update(self, data: Octets) -> bytes:
        """Decrypt bytes; up to 32 of them are held back until it is known whether they are padding."""
        plaintext = self._context.update(octets(data))
        return self._unpadder.update(plaintext) if self._unpadder else plaintext

    def update_into(self, data: Octets, buffer: bytearray | memoryview) -> int:
        """AES-CBC gives back more or fewer bytes than it gets: raises `ValueError`."""
        raise ValueError("AES-CBC content is decrypted by update()")

    def verify(self, tag: Octets) -> None:
        """AES-CBC has no tag: raises `ValueError`."""
        raise ValueError("AES-CBC content has no tag and ends with finish()")

    def finish(self) -> bytes:
        """End the stream and give back the bytes held back.

        Raises:
            AuthenticationError: the length or the padding is wrong; one error for all of it, since an attacker who
                tells them apart can decrypt the object by trying (CVE-2020-8911).
        """
        try:
            last = self._context.finalize()
            if self._unpadder is None:
                return last
            last = self._unpadder.update(last) + self._unpadder.finalize()
        except ValueError:
            raise self._failure() from None
        if self._rejected:
            raise self._failure()
        return last


@dataclass(frozen=True, slots=True, eq=False)
class CbcCipher(ContentCipher):
    """A `ContentCipher` of AES-CBC content, which can only decrypt.

    Attributes:
        iv: 16 bytes.
        aad: must be empty.
        padded: False for the content that has no padding (``AES/CBC/NoPadding``).
        rejected: True if the key is a substitute for a data key that did not unwrap. AES-CBC finds valid padding
            under one wrong key in 256, and under this one it must find none: garbage would come out.
    """

    padded: bool = field(default=True, kw_only=True)
    rejected: bool = field(default=False, kw_only=True, repr=False)
    _is_legacy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the lengths."""
        ContentCipher.__post_init__(self)
        if self.aad:
            raise ValueError("AES-CBC takes no additional authenticated data")

    def decryptor(self) -> CbcDecryptor:
        """Make a fresh decryptor for the whole object."""
        return self._decryptor(self.iv, padded=self.padded)

    def decryptor_from(self, previous_block: bytes, *, reaches_end: bool) -> CbcDecryptor:
        """Decrypt from the middle.

        Args:
            previous_block: the 16 bytes of ciphertext before the first byte to decrypt, or the IV.
            reaches_end: True if the last block of the object is among what will be decrypted, so that its padding
                is taken off.
        """
        return self._decryptor(previous_block, padded=self.padded and reaches_end)

    def _decryptor(self, iv: bytes, *, padded: bool) -> CbcDecryptor:
        context = Cipher(AES(self.key.reveal()), CBC(iv)).decryptor()
        return CbcDecryptor(context, self.failure, padded=padded, rejected=self.rejected)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError("AES-CBC is never written, nor read at once or from an offset as if it were AES-GCM")

    encryptor = encrypt = decrypt = encryptor_at = decryptor_at = _refuse


def not_committing(
    suite: AlgorithmSuite,
    data_key: Secret[bytes] | None,
    encrypted_data_key: EncryptedDataKey,
    iv: bytes,
    *,
    padded: bool = True,
) -> ContentCipher:
    """Make the cipher of content that does not commit to its data key.

    Args:
        suite: AES-CBC or AES-GCM.
        data_key: what the encrypted data key opened to; None if it did not, under a wrapping without integrity. Then
            the content does not decrypt, just as it would not under a wrong data key.
        encrypted_data_key: where it came from.
        iv: the object's.
        padded: see `CbcCipher`.
    """
    failure = content_failure_for(encrypted_data_key.wrapping_algorithm)
    key = data_key or substitute_key(encrypted_data_key.ciphertext, max(suite.key_lengths))
    if suite.is_legacy:
        return CbcCipher(suite, key, iv, failure=failure, padded=padded, rejected=data_key is None)
    return ContentCipher(suite, key, iv, failure=failure)
