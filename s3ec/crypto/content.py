"""Content encryption: AES-GCM, AES-CTR for pieces of a GCM stream, and AES-CBC for reading.

Source: S3 Encryption Client specification, encryption.md and decryption.md; NIST SP 800-38D (GCM), 800-38A (CTR, CBC).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import AEADDecryptionContext, AEADEncryptionContext, Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, GCM
from cryptography.hazmat.primitives.padding import PKCS7

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH, AlgorithmSuite
from s3ec.crypto.buffers import Octets, octets
from s3ec.errors import AuthenticationError, ObjectTooLargeError, S3ECError
from s3ec.secrets import Secret, Unpicklable

__all__ = ["CbcDecryptor", "ContentCipher", "ContentDecryptor", "ContentEncryptor", "CtrDecryptor", "CtrEncryptor"]

_BLOCK_LENGTH = 16


def content_failure() -> S3ECError:
    """Make the one error for content that does not decrypt, whatever is wrong with it."""
    return AuthenticationError("the content is not what was encrypted under this data key: it was altered or cut short")


class _Stream(Unpicklable):
    """Feeds a cipher context, with never more than one GCM stream may carry."""

    __slots__ = ("_context", "_room")

    def __init__(self, context: CipherContext, room: int = GCM_MAX_PLAINTEXT_LENGTH) -> None:
        self._context = context
        self._room = room

    def update_into(self, data: Octets, buffer: bytearray | memoryview) -> int:
        """Process bytes into a buffer and give back how many were written: as many as were given.

        Args:
            data: contiguous bytes. They may start where the buffer starts, but must not overlap it otherwise.
            buffer: writable bytes, at least 15 more than the data.

        Raises:
            ObjectTooLargeError: more than 2^36 - 32 bytes in all; nothing of this data was processed.
        """
        view = self._admit(data)
        written = self._context.update_into(view, buffer)
        self._room -= written
        return written

    def update(self, data: Octets) -> bytes:
        """Process bytes and give back the same number of them.

        Raises:
            ObjectTooLargeError: more than 2^36 - 32 bytes in all; nothing of this data was processed.
        """
        view = self._admit(data)
        self._room -= view.nbytes
        return self._context.update(view)

    def _admit(self, data: Octets) -> memoryview:
        view = octets(data)
        # Past this length the counter would wrap around and encrypt a second plaintext with the same keystream.
        if view.nbytes > self._room:
            raise ObjectTooLargeError(
                f"the content is larger than one AES-GCM stream may be ({GCM_MAX_PLAINTEXT_LENGTH} bytes); "
                "store it as several objects"
            )
        return view


class ContentEncryptor(_Stream):
    """Encrypts one object. Single use."""

    __slots__ = ()
    _context: AEADEncryptionContext

    def finalize(self) -> bytes:
        """End the stream and give back its 16-byte tag."""
        self._context.finalize()
        return self._context.tag


class CtrEncryptor(_Stream):
    """Encrypts a piece of a GCM stream again. Only for bytes that are the same as the first time."""

    __slots__ = ()


class CtrDecryptor(_Stream):
    """Decrypts a piece of a GCM stream, which nothing here authenticates."""

    __slots__ = ()


class ContentDecryptor(_Stream):
    """Decrypts one object. Single use.

    AES-GCM ends with `verify`, AES-CBC with `finish`. Nothing that came out before is to be trusted until then.
    """

    __slots__ = ("_failure",)
    _context: AEADDecryptionContext

    def __init__(self, context: CipherContext, failure: Callable[[], S3ECError]) -> None:
        super().__init__(context)
        self._failure = failure

    def verify(self, tag: Octets) -> None:
        """End an AES-GCM stream.

        Args:
            tag: the 16 bytes that follow the ciphertext.

        Raises:
            AuthenticationError: the content, its key or the tag is not what was written.
        """
        try:
            self._context.finalize_with_tag(bytes(tag))
        except (InvalidTag, ValueError):
            raise self._failure() from None

    def finish(self) -> bytes:
        """End an AES-CBC stream and give back the last bytes.

        Raises:
            AuthenticationError: the length or the padding is wrong; one error for all of it, since an attacker who
                tells them apart can decrypt the object by trying (CVE-2020-8911).
        """
        raise ValueError("AES-GCM content ends with verify(tag)")


class CbcDecryptor(ContentDecryptor):
    """Decrypts AES-CBC, which is not authenticated: wrong content comes out as other bytes, seldom as an error."""

    __slots__ = ("_rejected", "_unpadder")

    def __init__(
        self, context: CipherContext, failure: Callable[[], S3ECError], *, padded: bool, rejected: bool
    ) -> None:
        super().__init__(context, failure)
        self._rejected = rejected
        self._unpadder = PKCS7(8 * _BLOCK_LENGTH).unpadder() if padded else None

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
        """End the stream and give back the bytes held back; see `ContentDecryptor.finish`."""
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
class ContentCipher(Unpicklable):
    """How one object's content is encrypted: suite, key and IV, from which every cipher for it is made.

    Attributes:
        suite: the algorithm suite.
        key: the content key: derived (committing suite) or the data key itself; given as bytes it is made a secret.
        iv: 12 bytes (GCM) or 16 (CBC).
        aad: additional authenticated data; GCM only.
        padded: False for the CBC content that has no padding (``AES/CBC/NoPadding``).
        failure: makes the error for content that does not decrypt. Where the data key came out of a wrapping without
            integrity this must be the same error as that of the wrapping, or the difference betrays the key
            (see `s3ec.crypto.wrapping.content_failure_for`).
        rejected: True if the key is a substitute for a data key that did not unwrap. AES-CBC finds valid padding
            under one wrong key in 256, and under this one it must find none: garbage would come out.
    """

    suite: AlgorithmSuite
    key: Secret[bytes] = field(repr=False)
    iv: bytes
    aad: bytes = b""
    padded: bool = field(default=True, kw_only=True)
    failure: Callable[[], S3ECError] = field(default=content_failure, kw_only=True, repr=False)
    rejected: bool = field(default=False, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        """Check the lengths."""
        given: object = self.key
        if isinstance(given, bytes):
            object.__setattr__(self, "key", Secret(given))
            del given
        if len(self.key) not in self.suite.key_lengths or len(self.iv) != self.suite.iv_length:
            raise ValueError(f"{self.suite.name} takes no key of {len(self.key)} with an IV of {len(self.iv)} bytes")
        if self.aad and self.suite.is_legacy:
            raise ValueError("AES-CBC takes no additional authenticated data")

    def encryptor(self) -> ContentEncryptor:
        """Make a fresh encryptor. A second one must be fed the same bytes, since key and IV are the same."""
        context = Cipher(AES(self.key.reveal()), self._gcm()).encryptor()
        context.authenticate_additional_data(self.aad)
        return ContentEncryptor(context)

    def decryptor(self) -> ContentDecryptor:
        """Make a fresh decryptor for the whole object."""
        if self.suite.is_legacy:
            return self._cbc_decryptor(self.iv, padded=self.padded)
        context = Cipher(AES(self.key.reveal()), self._gcm()).decryptor()
        context.authenticate_additional_data(self.aad)
        return ContentDecryptor(context, self.failure)

    def encrypt(self, plaintext: Octets) -> bytes:
        """Encrypt the whole object at once: ciphertext followed by its tag.

        For small objects; below a few MiB a stream of its own costs more than the encryption. As with
        `encryptor`, a second call must give the same bytes.
        """
        self._require_gcm()
        return AESGCM(self.key.reveal()).encrypt(self.iv, plaintext, self.aad)

    def decrypt(self, ciphertext: Octets) -> bytes:
        """Decrypt the whole object at once, with the tag that follows it; nothing unverified comes out.

        Raises:
            AuthenticationError: the content, its key or the tag is not what was written.
        """
        self._require_gcm()
        try:
            return AESGCM(self.key.reveal()).decrypt(self.iv, ciphertext, self.aad)
        except InvalidTag:
            pass
        # Raised out here, so that it is not chained to theirs, whose frames hold unverified plaintext in old versions.
        raise self.failure() from None

    def encryptor_at(self, offset: int) -> CtrEncryptor:
        """Encrypt the rest of a GCM stream again, from an offset of plaintext that is a multiple of 16."""
        return CtrEncryptor(self._ctr(offset), GCM_MAX_PLAINTEXT_LENGTH - offset)

    def decryptor_at(self, offset: int) -> CtrDecryptor:
        """Decrypt the rest of a GCM stream from an offset of plaintext, a multiple of 16; authenticates nothing."""
        return CtrDecryptor(self._ctr(offset), GCM_MAX_PLAINTEXT_LENGTH - offset)

    def cbc_decryptor_from(self, previous_block: bytes, *, reaches_end: bool) -> ContentDecryptor:
        """Decrypt CBC content from the middle.

        Args:
            previous_block: the 16 bytes of ciphertext before the first byte to decrypt, or the IV.
            reaches_end: True if the last block of the object is among what will be decrypted, so that its padding
                is taken off.
        """
        if not self.suite.is_legacy:
            raise ValueError(f"{self.suite.name} is not AES-CBC")
        return self._cbc_decryptor(previous_block, padded=self.padded and reaches_end)

    def _cbc_decryptor(self, iv: bytes, *, padded: bool) -> CbcDecryptor:
        context = Cipher(AES(self.key.reveal()), CBC(iv)).decryptor()
        return CbcDecryptor(context, self.failure, padded=padded, rejected=self.rejected)

    def _gcm(self) -> GCM:
        self._require_gcm()
        return GCM(self.iv)

    def _require_gcm(self) -> None:
        if self.suite.is_legacy:
            raise ValueError("AES-CBC is never written, nor read from an offset as if it were AES-GCM")

    def _ctr(self, offset: int) -> CipherContext:
        self._require_gcm()
        if offset % _BLOCK_LENGTH or not 0 <= offset <= GCM_MAX_PLAINTEXT_LENGTH:
            raise ValueError(f"offset {offset} is not the start of a block of an AES-GCM stream")
        # GCM counts in the last four bytes only and spends counter 1 on the tag (NIST SP 800-38D, section 7.1). Within
        # the greatest length the counter never wraps around, so that CTR's carry into the IV never happens.
        counter = (2 + offset // _BLOCK_LENGTH) % 2**32
        return Cipher(AES(self.key.reveal()), CTR(self.iv + counter.to_bytes(4, "big"))).encryptor()
