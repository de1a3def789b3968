"""Headers that a copy carries over, byte for byte.

HTTP gives bytes. botocore reads each byte of a header as one letter (Latin-1), and sends text as UTF-8: sent again as
it was read, ``Übersicht.pdf`` would have its first letter encoded twice. User metadata beyond ASCII it refuses to send
at all, and an ``Expires`` it sends in letters of its own; but what another writer has stored is to stay as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from s3ec.errors import UnsupportedOperationError

__all__ = ["Carried", "carried", "take_out", "text_of"]


class Carried(str):
    """Text of a header as S3 gave it; `s3ec.client.calls.carried.send_carried` sends it as the bytes that it was."""

    __slots__ = ()


def text_of(values: Mapping[str, str]) -> dict[str, str]:
    """Header values as botocore reads them, as the text that it has to be given.

    Raises:
        UnicodeError: a value is not UTF-8, and no SDK sends such bytes.
    """
    return {
        name: value if value.isascii() else value.encode("latin-1").decode("utf-8") for name, value in values.items()
    }


def carried(head: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Members of a request that give a new object the headers of an answer about another.

    Args:
        head: the answer to HEAD or GET.
        names: members, ``Metadata`` and ``Expires`` among them or not.

    Raises:
        UnsupportedOperationError: a value cannot be sent as it is.
    """
    names = set(names)
    found: dict[str, Any] = {name: head[name] for name in names if head.get(name)}
    try:
        if "Metadata" in found:
            found["Metadata"] = {name: Carried(value) for name, value in text_of(found["Metadata"]).items()}
        raw = head.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("expires", head.get("ExpiresString"))
        if "Expires" in names and raw:
            found["Expires"] = Carried(text_of({"Expires": raw})["Expires"])
        texts = {name: value for name, value in found.items() if type(value) is str}
        return {**found, **text_of(texts)}
    except UnicodeError as error:
        raise UnsupportedOperationError(
            "the object has a header or metadata that is not UTF-8, and no SDK sends such bytes: a copy would change it"
        ) from error


def take_out(params: dict[str, Any], is_carried: Callable[[Any], bool]) -> dict[str, str]:
    """Take what botocore would not send as it is out of a request; gives it as headers."""
    taken = {}
    if isinstance(params.get("Expires"), str) and is_carried(params["Expires"]):
        taken["Expires"] = str(params.pop("Expires"))
    metadata = params.get("Metadata")
    if isinstance(metadata, dict):
        beyond = {
            name: value
            for name, value in metadata.items()
            if isinstance(value, str) and not value.isascii() and is_carried(value)
        }
        if beyond:
            params["Metadata"] = {name: value for name, value in metadata.items() if name not in beyond}
            taken |= {f"x-amz-meta-{name}": str(value) for name, value in beyond.items()}
    return taken
