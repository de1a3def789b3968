"""Between HTTP and boto3's parameters, by botocore's public model of each operation: the way of its own, reversed.

Source: Amazon S3 API reference; Smithy, "AWS restXml protocol".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree  # noqa: S405 - `_Parser` below takes no document type, and so no entities

from botocore.model import Shape, StructureShape

from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Request

__all__ = [
    "NAMESPACE",
    "input_document",
    "output_document",
    "output_headers",
    "parameters_of",
    "parse_xml",
    "render_xml",
    "unqualified",
]

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_ROOTS = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CopyObject": "CopyObjectResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "UploadPartCopy": "CopyPartResult",
}
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)  # int() takes more: spaces, underscores, digits of other scripts
_MALFORMED = "The XML you provided was not well-formed or did not validate against our published schema"


@functools.lru_cache(maxsize=256)  # of each client's model a few; to ask a model takes longer than to use the answer
def _outside(shape: StructureShape) -> tuple[tuple[str, Shape, str, str], ...]:
    """The members of a shape that do not stand in a body: name, shape, location, and name on the wire."""
    places = ((name, member, member.serialization) for name, member in shape.members.items())
    return tuple(
        (name, member, at["location"], at.get("name", name)) for name, member, at in places if "location" in at
    )


def parameters_of(request: Request, shape: StructureShape) -> dict[str, Any]:
    """What stands in the target, the query and the headers, by boto3's names.

    Raises:
        RefusedError: a value is not of its type.
    """
    found: dict[str, Any] = {}
    for name, member, location, wire_name in _outside(shape):
        if location == "uri":
            found[name] = request.bucket if name == "Bucket" else request.key
        elif location == "querystring" and wire_name in request.arguments:
            found[name] = _value(member, request.arguments[wire_name], wire_name)
        elif location == "header" and wire_name.lower() in request.headers:
            found[name] = _value(member, request.headers[wire_name.lower()], wire_name)
        elif location == "headers":
            prefix = wire_name.lower()
            metadata = {k.removeprefix(prefix): v for k, v in request.headers.items() if k.startswith(prefix)}
            if metadata:
                found[name] = metadata
    return found


def _value(shape: Shape, text: str, name: str) -> Any:
    try:
        if shape.type_name in ("integer", "long"):
            return int(_NUMBER.fullmatch(text)[0])  # type: ignore[index]  # None is a TypeError, as below
        if shape.type_name == "boolean":
            return {"true": True, "false": False}[text.lower()]
        if shape.type_name == "timestamp":
            return _time(text)
        if shape.type_name == "list":
            return [part.strip() for part in text.split(",")]
    except (KeyError, ValueError, TypeError, OverflowError):
        raise RefusedError(400, "InvalidArgument", f"{name} has a value that it cannot have") from None
    return text


def _time(text: str) -> datetime:
    iso = text[:1].isdigit()
    found = datetime.fromisoformat(text.replace("Z", "+00:00")) if iso else parsedate_to_datetime(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


class _Tree(ElementTree.TreeBuilder):
    """Takes no document type, without which there are no entities to expand."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise RefusedError(400, "MalformedXML", _MALFORMED)


def parse_xml(document: bytes) -> ElementTree.Element:
    """Parse a document that came from a client, or from S3.

    Raises:
        RefusedError: it is not well formed, or declares a document type.
    """
    parser = ElementTree.XMLParser(target=_Tree())  # noqa: S314 - see `_Tree`
    try:
        parser.feed(document)
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError(400, "MalformedXML", _MALFORMED) from None
    return root


def render_xml(root: ElementTree.Element) -> bytes:
    """A document as it is sent."""
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def unqualified(element: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def input_document(document: bytes, shape: Shape) -> Any:
    """The payload of a request, by boto3's names.

    Raises:
        RefusedError: it is not XML, or has a value that is not of its type.
    """
    return _from_element(parse_xml(document), shape)


def _from_element(element: ElementTree.Element, shape: Shape) -> Any:
    if shape.type_name != "structure":
        return _value(shape, element.text or "", unqualified(element))
    found: dict[str, Any] = {}
    for name, member in shape.members.items():  # type: ignore[attr-defined]  # a structure has members
        wire_name = member.serialization.get("name", name)
        children = [child for child in element if unqualified(child) == wire_name]
        if member.type_name == "list":
            if children:
                found[name] = [_from_element(child, member.member) for child in children]
        elif children:
            found[name] = _from_element(children[-1], member)
    return found


def output_headers(response: Mapping[str, Any], shape: StructureShape) -> Iterator[tuple[str, str]]:
    """The headers of an answer."""
    for name, _, location, wire_name in _outside(shape):
        value = response.get(name)
        if value is None:
            continue
        if location == "header":
            yield wire_name, _header_text(value)
        elif location == "headers":
            yield from ((f"{wire_name}{key}", str(text)) for key, text in value.items())


def _header_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return format_datetime(value.astimezone(timezone.utc), usegmt=True)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def output_document(operation_name: str, response: Mapping[str, Any], shape: StructureShape) -> bytes:
    """The XML of an answer; empty where the operation has none."""
    if operation_name not in _ROOTS:
        return b""
    root = ElementTree.Element(_ROOTS[operation_name], {"xmlns": NAMESPACE})
    payload = shape.serialization.get("payload")
    if payload is not None:
        _add_members(root, response.get(payload, {}), shape.members[payload])
    else:
        _add_members(root, response, shape)
    return render_xml(root)


def _add_members(element: ElementTree.Element, values: Mapping[str, Any], shape: Shape) -> None:
    for name, member in shape.members.items():  # type: ignore[attr-defined]  # a structure has members
        if name not in values or values[name] is None or "location" in member.serialization:
            continue
        wire_name = member.serialization.get("name", name)
        several = values[name] if member.type_name == "list" else [values[name]]
        inner = member.member if member.type_name == "list" else member
        for value in several:
            child = ElementTree.SubElement(element, wire_name)
            if inner.type_name == "structure":
                _add_members(child, value, inner)
            else:
                child.text = _element_text(value)


def _element_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return _header_text(value)
