"""The one strict reader and writer of base64 and JSON.

Lenient decoders let two texts mean the same bytes, or one text mean two things to two readers; both are ways to make
clients disagree about an object. Everything here therefore has one spelling, and refuses the rest.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import NoReturn

from s3ec.errors import MalformedMetadataError

__all__ = ["JsonNumber", "decode_base64", "dump_string_map", "encode_base64", "load_object", "load_string_map", "shown"]


_LONGEST_SHOWN = 60


class JsonNumber(str):
    """A JSON integer, as its text: two PHP clients wrote lengths as numbers."""

    __slots__ = ()


def encode_base64(data: bytes) -> str:
    """Encode in the standard alphabet, padded, without line breaks (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str, name: str) -> bytes:
    """Decode the one canonical spelling of some bytes.

    Args:
        text: what was stored.
        name: the metadata key, for the message.

    Raises:
        MalformedMetadataError: the text is anything else: another alphabet, missing padding, line breaks, stray bits.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: text that is not ASCII
        data = b""
    if encode_base64(data) != text:
        raise MalformedMetadataError(f"{name} is not base64; the object's metadata was damaged or altered") from None
    return data


def load_object(text: str, name: str) -> dict[str, object]:
    """Parse one JSON object whose names are all different; integers come as `JsonNumber`.

    Raises:
        MalformedMetadataError: broken JSON, a name stated twice, fractions, NaN, anything but an object, or text that
            no UTF-8 could have carried.
    """
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):  # RecursionError: brackets nested deeply to exhaust the reader
        raise MalformedMetadataError(f"{name} is not the JSON that it should be") from None
    if not isinstance(value, dict):
        raise MalformedMetadataError(f"{name} is JSON, but not an object of names and values")
    return value


def load_string_map(text: str | None, name: str) -> dict[str, str]:
    """Parse a material description or encryption context; absent, and JSON ``null``, are empty.

    Args:
        text: what was stored, already free of S3's double encoding; None if nothing was.
        name: the metadata key, for the message.

    Raises:
        MalformedMetadataError: not an object of strings; the message tells names, never values.
    """
    if text is None or text == "null":
        return {}
    pairs: dict[str, str] = {}
    for key, value in load_object(text, name).items():
        if not isinstance(value, str) or isinstance(value, JsonNumber):
            raise MalformedMetadataError(f"{name} holds something other than text under {shown(key)}")
        pairs[key] = value
    return pairs


def dump_string_map(pairs: Mapping[str, str]) -> str:
    r"""Render a map so that every reader and every hop gets it back unchanged; the caller's order stays.

    Compact and ASCII: S3 re-encodes other header values, and several clients cannot undo it. Besides, ``=?`` becomes
    ``\u003d?``, because readers that undo the re-encoding would take it for an encoded word of RFC 2047.
    """
    text = json.dumps(dict(pairs), separators=(",", ":"), ensure_ascii=True)
    return text.replace("=?", "\\u003d?").replace("\x7f", "\\u007f")


def shown(text: str) -> str:
    """Quote foreign text for a message: escaped, so that it forges no line of a log, and never at length."""
    return ascii(text) if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]!a}…"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is stated twice")
    for text in (text for pair in pairs for text in pair if isinstance(text, str)):
        text.encode()  # a lone surrogate is a UnicodeEncodeError, hence a ValueError: no service would take it
    return found


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not an integer")


# Made once: json.loads would make one at every call.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=JsonNumber,
    parse_float=_refuse_number,
    parse_constant=_refuse_number,
)
