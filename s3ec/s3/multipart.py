"""Requests of a multipart upload that need nothing of its state: how it begins, and what S3 has of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec.s3.flow import Flow, call, store
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.writing import Write, begin_write

__all__ = ["create_upload", "list_parts"]


def create_upload(s3: Surroundings, parameters: dict[str, Any], context: object) -> Flow[tuple[Write, dict[str, Any]]]:
    """Get a data key and create an upload.

    Args:
        s3: the client.
        parameters: those of ``create_multipart_upload``, validated, without our own.
        context: the caller's ``EncryptionContext``, or None.

    Returns:
        How the object is written, and S3's own answer.

    Raises:
        ConfigurationError: before any key is touched.
        KeyringError: no data key could be obtained; nothing was created.
        RefusedError: S3's own errors.
    """
    write = yield from begin_write(s3, parameters, context)
    request = {**parameters, "Metadata": write.placement.metadata}
    return write, (yield from store("CreateMultipartUpload", request, own=False))


def list_parts(parameters: Mapping[str, Any]) -> Flow[list[dict[str, Any]]]:
    """Return the parts that S3 has of an upload, from all pages of its list.

    Args:
        parameters: those of ``list_parts``.

    Raises:
        RefusedError: S3's own errors.
    """
    parts: list[dict[str, Any]] = []
    marker: dict[str, Any] = {}
    while True:
        page = yield from call("ListParts", {**parameters, **marker})
        parts += page.get("Parts", [])
        if not page.get("IsTruncated"):
            return parts
        marker = {"PartNumberMarker": page["NextPartNumberMarker"]}
