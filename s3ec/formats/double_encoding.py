"""Repair of header values that S3 re-encoded.

S3 takes each byte of a non-ASCII header value for a Latin-1 character and answers with RFC 2047 encoded words of UTF-8:
the text arrives encoded twice. Servers that do not re-encode give the raw bytes, which Python's HTTP stack decodes as
Latin-1, so that the second step here repairs both. ASCII values come back untouched.
Source: S3 Encryption Client specification, data-format/metadata-strategy.md; RFC 2047, sections 4 and 6.2.
"""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["repair"]

_WORD = r"=\?utf-8\?(?:q\?[^?]*|b\?[A-Za-z0-9+/=]*)\?="
_WORDS = re.compile(rf"{_WORD}(?:[ \t\r\n]*{_WORD})*", re.IGNORECASE)
_ONE_WORD = re.compile(r"=\?utf-8\?([qb])\?([^?]*)\?=", re.IGNORECASE)
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_HIGH = re.compile("[\x80-\xff]+")


def repair(text: str) -> str:
    """Undo S3's double encoding of one header value; text that is not encoded that way comes back as it is.

    Args:
        text: the value of ``x-amz-matdesc``, ``x-amz-m`` or ``x-amz-t`` as an HTTP stack hands it over. Values of an
            instruction file are real Unicode already and must not pass through here.
    """
    return _HIGH.sub(_from_latin1, _WORDS.sub(_from_words, text))


def _from_words(match: re.Match[str]) -> str:
    """Decode a run of encoded words: to bytes first, because one character may lie across two words."""
    try:
        text = b"".join(_word_bytes(word) for word in _ONE_WORD.finditer(match[0])).decode()
    except (UnicodeDecodeError, binascii.Error):
        return match[0]
    # S3 does not re-encode ASCII: words that decode to ASCII were written by the caller.
    return match[0] if text.isascii() else text


def _word_bytes(word: re.Match[str]) -> bytes:
    encoding, payload = word[1], word[2]
    if encoding in "bB":
        return base64.b64decode(payload, validate=True)
    # Quoted: the underscore stands for a space, and what is not =XX stands for itself.
    return _HEX.sub(lambda pair: bytes.fromhex(pair[1].decode()), payload.replace("_", " ").encode())


def _from_latin1(match: re.Match[str]) -> str:
    """Read a run of Latin-1 characters as the UTF-8 that they once were, if they were UTF-8."""
    try:
        return match[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        return match[0]
