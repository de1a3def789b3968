"""Managed copies: what is looked at before anything is copied, and what a copy says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec import formats
from s3ec.s3.answers import etag_of, length_of
from s3ec.s3.carried import carried
from s3ec.s3.copy_object import (
    CONTENT_HEADERS,
    CopySource,
    heard_source,
    own_metadata,
    refusal_of_the_copy,
    refuse_bound_copy,
    source_request,
    with_metadata,
    without_conditions,
)
from s3ec.s3.flow import Flow, RefusedError, after, call, hear, store
from s3ec.s3.head_object import plaintext_length
from s3ec.s3.instruction_copies import CopiedObject
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.transfers import Config, needs_parts

__all__ = ["ManagedCopy", "keep_own", "look_at_source", "store_keeping"]

_OUR_OWN = frozenset({"Bucket", "Key", "CopySource"})


@dataclass(frozen=True, slots=True)
class ManagedCopy:
    """A copy whose source was looked at.

    Attributes:
        source: the object that is copied.
        target: bucket and key of the copy, ``CopySource`` and the caller's extra arguments.
        head: S3's answer about the source.
    """

    source: CopySource
    target: Mapping[str, Any] = field(repr=False)
    head: Mapping[str, Any] = field(repr=False)

    @property
    def length(self) -> int:
        """Bytes that S3 has of it."""
        return length_of(self.head)

    @property
    def plaintext_length(self) -> int:
        """What progress adds up to: requests count ciphertext, and the caller's figures end with the plaintext."""
        return plaintext_length(dict(self.head))

    @property
    def copied(self) -> CopiedObject:
        """The copy as its instruction file goes with it."""
        return CopiedObject(self.source.bucket, self.source.key, self.head.get("Metadata", {}), self.target)

    def own(self, whole: Mapping[str, str] | None) -> dict[str, str]:
        """The content metadata that the copy has in itself, whatever is sent: the source's, or what is given."""
        return own_metadata(self.head.get("Metadata", {})) if whole is None else dict(whole)

    def arguments(self, config: Config, whole: Mapping[str, str] | None) -> dict[str, Any]:
        """The extra arguments of the copy: of the very object that was looked at, with all metadata where need be.

        Args:
            config: says from which size on a copy is made in parts.
            whole: content metadata that the copy has in itself; None means the source's.

        Raises:
            ConfigurationError: it is too much for S3.
            AuthenticationError: S3 has stated no ETag.
        """
        extra = {name: value for name, value in self.target.items() if name not in _OUR_OWN}
        # The conditions held for what was looked at, and the copy is of nothing else.
        pinned = {**without_conditions(extra), "CopySourceIfMatch": etag_of(self.head)}
        if whole is not None:
            stated = with_metadata(pinned, self.head, whole)
            rest = {name: value for name, value in pinned.items() if name not in ("Metadata", "MetadataDirective")}
            return {**stated, **rest}
        if pinned.get("MetadataDirective") == "REPLACE":
            return {**pinned, "Metadata": {**pinned.get("Metadata", {}), **self.own(None)}}
        if not needs_parts(config, self.length):
            return pinned
        # A copy in parts makes a new object: s3transfer before 0.18 gave it no metadata at all.
        everything = carried(self.head, (*CONTENT_HEADERS, "Metadata"))
        return {"Metadata": {}, **everything, **pinned, "MetadataDirective": "REPLACE"}


def look_at_source(s3: Surroundings, source: CopySource, target: Mapping[str, Any]) -> Flow[ManagedCopy]:
    """Look at the source of a copy. Its one request is made by the client that the source is read with.

    Args:
        s3: the client that copies.
        source: the object that is copied.
        target: bucket and key of the copy, and the caller's extra arguments.

    Raises:
        UnsupportedOperationError: the copy could not be read.
        RefusedError: S3's own errors, and of the copy where a condition on its source does not hold.
    """
    try:
        head = yield from call("HeadObject", source_request(s3, target, source))
    except RefusedError as refused:
        if instead := refusal_of_the_copy(s3, refused.status, "CopyObject"):
            raise instead from refused.error
        raise
    refuse_bound_copy(head.get("Metadata", {}), source, target)
    return ManagedCopy(source, target, head)


def keep_own(operation_name: str, parameters: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
    """A request that makes the copy, or the upload that becomes it, as handlers left it, with its content metadata.

    Args:
        operation_name: ``CopyObject`` or ``CreateMultipartUpload``.
        parameters: as handlers left them.
        own: the content metadata, in place of any of theirs.
    """
    request = dict(parameters)
    if "CopySource" in request:
        request["CopySource"] = heard_source(request["CopySource"]).parameters()
    if operation_name == "CreateMultipartUpload" or request.get("MetadataDirective") == "REPLACE":
        request["Metadata"] = {**formats.strip(request.get("Metadata") or {}), **own}
    return request


def store_keeping(operation_name: str, parameters: Mapping[str, Any], own: Mapping[str, str]) -> Flow[dict[str, Any]]:
    """Make such a request: handlers may change it, and its content metadata stays. See `keep_own`.

    Raises:
        RefusedError, UnreachableError: as from a plain client.
    """
    heard = yield from hear(operation_name, dict(parameters))
    request = keep_own(operation_name, heard.parameters, own)
    return (yield from after(heard, store(operation_name, request, own=False)))
