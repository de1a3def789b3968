"""Listings as a client would see them if the objects were stored as they are: lengths, ETags, no instruction files.

GCM makes an object 16 bytes longer, always. Whether an object is encrypted a listing does not say, so lengths are
changed only where the whole bucket is declared to be; a length that was guessed would make readers stop too early.
"""

from __future__ import annotations

from xml.etree import ElementTree  # noqa: S405 - for its types; `parse_xml` parses

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.serve import etags
from s3ec.serve.shapes import NAMESPACE, parse_xml, render_xml, unqualified

__all__ = ["LISTINGS", "in_plaintext"]

LISTINGS = frozenset({"GetObjectAttributes", "ListObjectVersions", "ListObjects", "ListObjectsV2", "ListParts"})
"""Operations whose answers state ETags or lengths of stored objects."""

_SUFFIX = ".instruction"
_ENTRIES = frozenset({"Contents", "Version", "DeleteMarker"})


def in_plaintext(document: bytes, *, plaintext_sizes: bool) -> bytes:
    """An answer of S3's in the terms of plaintext.

    Args:
        document: S3's XML.
        plaintext_sizes: every object of the bucket is declared to be encrypted.

    Raises:
        RefusedError: it is not XML.
    """
    root = parse_xml(document)
    parts = unqualified(root) == "ListPartsResult"
    for element in root.iter():
        element.tag = unqualified(element)
        if element.tag == "ETag" and element.text:
            element.text = etags.shown(element.text)
    for checksum in root.findall("Checksum"):
        # Of the ciphertext, which no client ever sees.
        root.remove(checksum)
    if plaintext_sizes and not parts:
        _hide_instruction_files(root)
        for element in [*root.iter("Size"), *root.iter("ObjectSize")]:
            element.text = _plaintext_size(element.text or "")
    root.set("xmlns", NAMESPACE)
    return render_xml(root)


def _plaintext_size(text: str) -> str:
    return str(int(text) - GCM_TAG_LENGTH) if text.isdigit() and int(text) >= GCM_TAG_LENGTH else text


def _hide_instruction_files(root: ElementTree.Element) -> None:
    hidden = [entry for entry in root if entry.tag in _ENTRIES and (entry.findtext("Key") or "").endswith(_SUFFIX)]
    for entry in hidden:
        root.remove(entry)
    count = root.find("KeyCount")
    if count is not None and (count.text or "").isdigit():
        count.text = str(int(count.text or 0) - len(hidden))
