"""AES-GCM that can be put down and taken up again: the authenticator's state as a value, also in another process.

GCM is CTR, which can start anywhere, and GHASH, a polynomial in the hash key ``H = E_K(0)``. Two pieces of whole blocks
join as ``Y(A‖B) = Y(A)·H^|B| ⊕ Y(B)``, and the state of a piece comes out of an ordinary tag, by undoing GCM's last
steps: ``tag = E_K(J0) ⊕ (Y ⊕ lengths)·H``. So all bytes are hashed at native speed, and only a few multiplications for
each state are done here. They are not constant-time: H belongs to one object and never meets a remote party's input.
Source: NIST SP 800-38D, sections 6.3 to 6.5 and 7.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB, GCM

from s3ec.algorithms import BLOCK_LENGTH
from s3ec.crypto.buffers import Octets, octets
from s3ec.crypto.content import ContentCipher
from s3ec.secrets import Secret, Unpicklable

__all__ = ["GhashState", "ResumableEncryptor", "multiply", "state_from_tag"]

_REDUCTION = 0xE1 << 120  # x^128 + x^7 + x^2 + x + 1 in GCM's reflected bit order
_ONE = 1 << 127


@dataclass(frozen=True, slots=True)
class GhashState(Unpicklable):
    """How far one GCM stream has come. Secret: with the ciphertext it gives away the hash key.

    Attributes:
        position: bytes of content so far.
        accumulator: 16 bytes, GHASH over the additional data and every whole block of ciphertext.
        tail: the ciphertext after the last whole block, ``position % 16`` bytes.
    """

    position: int
    accumulator: bytes
    tail: bytes

    def __repr__(self) -> str:
        return f"GhashState(position={self.position})"


def multiply(x: int, y: int) -> int:
    """Multiply in GCM's field of 2^128 elements; 16-byte blocks as big-endian integers (SP 800-38D, algorithm 1)."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = (y >> 1) ^ (_REDUCTION if y & 1 else 0)
    return product


def _power(base: int, exponent: int) -> int:
    result = _ONE
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        base = multiply(base, base)
        exponent >>= 1
    return result


def _padded(data: bytes) -> int:
    return int.from_bytes(data.ljust(BLOCK_LENGTH, b"\0"), "big")


def _lengths(aad_length: int, content_length: int) -> int:
    return (8 * aad_length) << 64 | 8 * content_length


class _HashKey:
    """H and what is computed from it, for one content key."""

    __slots__ = ("_key", "h", "inverse")

    def __init__(self, key: Secret[bytes]) -> None:
        self._key = key
        self.h = self.block(bytes(BLOCK_LENGTH))
        self.inverse = _power(self.h, 2**128 - 2)

    def block(self, block: bytes) -> int:
        """Encrypt one block with the cipher."""
        encryptor = Cipher(AES(self._key.reveal()), ECB()).encryptor()  # noqa: S305 - one block, as GCM itself is built
        return int.from_bytes(encryptor.update(block), "big")

    def accumulated(self, tag: bytes, iv: bytes, aad_length: int, content_length: int) -> int:
        """Compute GHASH before the block of lengths, from a tag."""
        masked = int.from_bytes(tag, "big") ^ self.block(iv + b"\0\0\0\1")
        return multiply(masked, self.inverse) ^ _lengths(aad_length, content_length)


def state_from_tag(cipher: ContentCipher, tag: bytes, position: int, tail: bytes) -> GhashState:
    """Return the state of a finished stream, as if it had not been finished.

    Args:
        cipher: cipher of the stream.
        tag: what its encryptor's `finalize` gave. It must never leave the process: a stream that goes on has another
            tag, and two tags under one IV give the hash key away.
        position: bytes of content that went in.
        tail: the ciphertext after the last whole block.
    """
    key = _HashKey(cipher.key)
    accumulated = key.accumulated(tag, cipher.iv, len(cipher.aad), position)
    if tail:
        accumulated = multiply(accumulated, key.inverse) ^ _padded(tail)
    return GhashState(position, accumulated.to_bytes(BLOCK_LENGTH, "big"), tail)


class ResumableEncryptor(Unpicklable):
    """Encrypts the rest of a GCM stream from a state. Single use.

    Two encryptors made from one state must be fed the same bytes.
    """

    __slots__ = ("_cipher", "_ctr", "_hash", "_hash_key", "_hashed", "_nonce", "_start", "_state_tail")

    def __init__(self, cipher: ContentCipher, state: GhashState) -> None:
        """Take the stream's cipher and where it stands."""
        if len(state.tail) != state.position % BLOCK_LENGTH:
            raise ValueError(f"a state at {state.position} bytes has no tail of {len(state.tail)}")
        self._cipher = cipher
        self._hash_key = _HashKey(cipher.key)
        # Any nonce will do for hashing, since the tags stay here; but not the stream's own.
        self._nonce = bytes(byte ^ 0xFF for byte in cipher.iv)
        skipped = state.position % BLOCK_LENGTH
        self._ctr = cipher.encryptor_at(state.position - skipped)
        self._ctr.update(bytes(skipped))
        self._begin(state)

    def _begin(self, state: GhashState) -> None:
        self._start = state
        self._state_tail = state.tail
        self._hash = self._new_hash()
        self._hashed = 0

    def _new_hash(self) -> AEADEncryptionContext:
        return Cipher(AES(self._cipher.key.reveal()), GCM(self._nonce)).encryptor()

    def update_into(self, data: Octets, buffer: bytearray | memoryview) -> int:
        """Encrypt bytes; as `s3ec.crypto.content.ContentEncryptor.update_into`.

        Raises:
            ObjectTooLargeError: more than 2^36 - 32 bytes in all; nothing of this data was processed.
        """
        written = self._ctr.update_into(data, buffer)
        self._absorb(octets(buffer)[:written])
        return written

    def _absorb(self, ciphertext: memoryview) -> None:
        """Hash whole blocks; what is left over waits for the next call."""
        if self._state_tail:
            missing = BLOCK_LENGTH - len(self._state_tail)
            self._state_tail += ciphertext[:missing]
            ciphertext = ciphertext[missing:]
            if len(self._state_tail) < BLOCK_LENGTH:
                return
            self._hash.authenticate_additional_data(self._state_tail)
            self._hashed += BLOCK_LENGTH
        whole = len(ciphertext) - len(ciphertext) % BLOCK_LENGTH
        self._hash.authenticate_additional_data(ciphertext[:whole])
        self._hashed += whole
        self._state_tail = bytes(ciphertext[whole:])

    def state(self) -> GhashState:
        """Return where the stream stands; it can go on."""
        self._hash.finalize()
        piece = self._hash_key.accumulated(self._hash.tag, self._nonce, self._hashed, 0)
        before = int.from_bytes(self._start.accumulator, "big")
        accumulated = multiply(before, _power(self._hash_key.h, self._hashed // BLOCK_LENGTH)) ^ piece
        position = self._start.position - len(self._start.tail) + self._hashed + len(self._state_tail)
        state = GhashState(position, accumulated.to_bytes(BLOCK_LENGTH, "big"), self._state_tail)
        self._begin(state)
        return state

    def finalize(self) -> bytes:
        """End the stream and give back its 16-byte tag."""
        state = self.state()
        key = self._hash_key
        accumulated = int.from_bytes(state.accumulator, "big")
        if state.tail:
            accumulated = multiply(accumulated ^ _padded(state.tail), key.h)
        last = multiply(accumulated ^ _lengths(len(self._cipher.aad), state.position), key.h)
        return (last ^ key.block(self._cipher.iv + b"\0\0\0\1")).to_bytes(BLOCK_LENGTH, "big")
