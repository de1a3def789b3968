"""A ciphertext that two keys open: AES-GCM commits to no key (the attack known as invisible salamanders)."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB

from s3ec.crypto.own.ghash import multiply

__all__ = ["two_key_ciphertext"]

_ORDER = 2**128


def two_key_ciphertext(keys: tuple[bytes, bytes], texts: tuple[bytes, bytes], iv: bytes, aad: bytes = b"") -> bytes:
    """Three blocks and a tag that AES-GCM takes for genuine under either key.

    The first block is the first key's text, the second one the second key's; under the other key each is noise. The
    third makes both tags equal: a tag is linear in each block of the ciphertext.

    Args:
        keys: two keys of AES.
        texts: 16 bytes each.
        iv: 12 bytes.
        aad: additional data, at most 16 bytes.
    """
    streams = [Cipher(AES(key), CTR(iv + b"\0\0\0\2")).encryptor().update(bytes(32)) for key in keys]
    blocks = [_xor(texts[0], streams[0][:16]), _xor(texts[1], streams[1][16:])]
    hash_keys = [_number(_block(key, bytes(16))) for key in keys]
    known = [*([aad.ljust(16, b"\0")] if aad else []), *blocks, bytes(16), _lengths(len(aad), 48)]
    tags = [_ghash(h, known) ^ _number(_block(key, iv + b"\0\0\0\1")) for h, key in zip(hash_keys, keys, strict=True)]
    # The third block meets the square of the hash key: it is hashed, and the lengths behind it.
    factor = multiply(hash_keys[0], hash_keys[0]) ^ multiply(hash_keys[1], hash_keys[1])
    third = multiply(tags[0] ^ tags[1], _inverse(factor))
    tag = tags[0] ^ multiply(third, multiply(hash_keys[0], hash_keys[0]))
    return b"".join(blocks) + third.to_bytes(16, "big") + tag.to_bytes(16, "big")


def _ghash(hash_key: int, blocks: list[bytes]) -> int:
    state = 0
    for block in blocks:
        state = multiply(state ^ _number(block), hash_key)
    return state


def _inverse(value: int) -> int:
    result, power, exponent = 1 << 127, value, _ORDER - 2
    while exponent:
        if exponent & 1:
            result = multiply(result, power)
        power, exponent = multiply(power, power), exponent >> 1
    return result


def _block(key: bytes, block: bytes) -> bytes:
    return Cipher(AES(key), ECB()).encryptor().update(block)  # noqa: S305 - as GCM itself is built


def _lengths(aad: int, content: int) -> bytes:
    return (8 * aad).to_bytes(8, "big") + (8 * content).to_bytes(8, "big")


def _number(block: bytes) -> int:
    return int.from_bytes(block, "big")


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
