"""Content encryption: AES-GCM, and AES-CTR for pieces of a GCM stream.

AES-CBC, which is only read, stands in `s3ec.crypto.legacy`.
Source: S3 Encryption Client specification, encryption.md and decryption.md; NIST SP 800-38D (GCM), 800-38A (CTR).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import AEADDecryptionContext, AEADEncryptionContext, Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM

from s3ec.algorithms import BLOCK_LENGTH, GCM_MAX_PLAINTEXT_LENGTH, AlgorithmSuite
from s3ec.crypto.buffers import Octets, octets
from s3ec.crypto.failures import content_failure
from s3ec.errors import ObjectTooLargeError, S3ECError
from s3ec.secrets import Secret, Unpicklable

__all__ = ["ContentCipher", "ContentDecryptor", "ContentEncryptor", "CtrDecryptor", "CtrEncryptor"]


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
    """Decrypts one object. Single use. Nothing that came out before `verify` is to be trusted until then."""

    __slots__ = ("_failure",)
    _context: AEADDecryptionContext

    def __init__(self, context: CipherContext, failure: Callable[[], S3ECError]) -> None:
        super().__init__(context)
        self._failure = failure

    def verify(self, tag: Octets) -> None:
        """End the stream.

        Args:
            tag: the 16 bytes that follow the ciphertext.

        Raises:
            AuthenticationError: the content, its key or the tag is not what was written.
        """
        try:
            self._context.finalize_with_tag(bytes(tag))
        except (InvalidTag, ValueError):
            raise self._failure() from None


@dataclass(frozen=True, slots=True, eq=False)
class ContentCipher(Unpicklable):
    """How one object's content is encrypted: suite, key and IV, from which every cipher for it is made.

    Attributes:
        suite: the algorithm suite.
        key: the content key: derived (committing suite) or the data key itself; given as bytes it is made a secret.
        iv: 12 bytes.
        aad: additional authenticated data.
        failure: makes the error for content that does not decrypt. Where the data key came out of a wrapping without
            integrity this must be the same error as that of the wrapping, or the difference betrays the key
            (see `s3ec.crypto.legacy.wrapping.content_failure_for`).
    """

    suite: AlgorithmSuite
    key: Secret[bytes] = field(repr=False)
    iv: bytes
    aad: bytes = b""
    failure: Callable[[], S3ECError] = field(default=content_failure, kw_only=True, repr=False)
    _is_legacy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the suite and the lengths."""
        given: object = self.key
        if isinstance(given, bytes):
            object.__setattr__(self, "key", Secret(given))
            del given
        if self.suite.is_legacy is not self._is_legacy:
            raise ValueError(f"{self.suite.name} is not of {type(self).__name__}")
        if len(self.key) not in self.suite.key_lengths or len(self.iv) != self.suite.iv_length:
            raise ValueError(f"{self.suite.name} takes no key of {len(self.key)} with an IV of {len(self.iv)} bytes")

    def encryptor(self) -> ContentEncryptor:
        """Make a fresh encryptor. A second one must be fed the same bytes, since key and IV are the same."""
        context = Cipher(AES(self.key.reveal()), GCM(self.iv)).encryptor()
        context.authenticate_additional_data(self.aad)
        return ContentEncryptor(context)

    def decryptor(self) -> ContentDecryptor:
        """Make a fresh decryptor for the whole object."""
        context = Cipher(AES(self.key.reveal()), GCM(self.iv)).decryptor()
        context.authenticate_additional_data(self.aad)
        return ContentDecryptor(context, self.failure)

    def encrypt(self, plaintext: Octets) -> bytes:
        """Encrypt the whole object at once: ciphertext followed by its tag.

        For small objects; below a few MiB a stream of its own costs more than the encryption. As with
        `encryptor`, a second call must give the same bytes.
        """
        return AESGCM(self.key.reveal()).encrypt(self.iv, octets(plaintext), self.aad)

    def decrypt(self, ciphertext: Octets) -> bytes:
        """Decrypt the whole object at once, with the tag that follows it; nothing unverified comes out.

        Raises:
            AuthenticationError: the content, its key or the tag is not what was written.
        """
        try:
            return AESGCM(self.key.reveal()).decrypt(self.iv, octets(ciphertext), self.aad)
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

    def _ctr(self, offset: int) -> CipherContext:
        if offset % BLOCK_LENGTH or not 0 <= offset <= GCM_MAX_PLAINTEXT_LENGTH:
            raise ValueError(f"offset {offset} is not the start of a block of an AES-GCM stream")
        # GCM counts in the last four bytes only and spends counter 1 on the tag (NIST SP 800-38D, section 7.1). Within
        # the greatest length the counter never wraps around, so that CTR's carry into the IV never happens.
        counter = (2 + offset // BLOCK_LENGTH) % 2**32
        return Cipher(AES(self.key.reveal()), CTR(self.iv + counter.to_bytes(4, "big"))).encryptor()
