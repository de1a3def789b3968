"""Copying an object onto itself without losing anything: in parts, and its access control list."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

from botocore.exceptions import ClientError

from s3ec.client.server_side import rules as server_side
from s3ec.errors import UnsupportedOperationError
from s3ec.s3.answers import code_of, etag_of, length_of
from s3ec.s3.carried import carried
from s3ec.s3.copy_object import CONTENT_HEADERS
from s3ec.s3.requests import GRANTS, grantee_of

__all__ = ["copy_in_parts", "grants", "speaks_to_aws"]

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")

_PART_SIZE = 512 * 1024**2
_MAX_PARTS = 10_000
_THREADS = 8
_SSE_C_MEMBERS = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")
_NO_SUCH_FEATURE = frozenset({"AccessControlListNotSupported", "MethodNotAllowed", "NotImplemented"})


def speaks_to_aws(view: Any) -> bool:
    """True if a client's endpoint is one of AWS's own, and not another server that speaks its protocol."""
    host = urlsplit(str(view.meta.endpoint_url)).hostname or ""
    return host.endswith(_AWS_HOSTS)


def grants(view: Any, named: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's access control list as members of a request that makes one.

    Args:
        view: a plain S3 client.
        named: Bucket, Key and maybe VersionId.

    Returns:
        ``Grant…`` members; empty where only the owner has access, which is what a new object gets anyway and the only
        list that buckets without access control lists accept.

    Raises:
        botocore.exceptions.ClientError: the list cannot be read; it would be lost unseen otherwise.
    """
    try:
        acl = view.get_object_acl(**named)
    except ClientError as error:
        if code_of(error.response) in _NO_SUCH_FEATURE:
            return {}
        raise
    owner = acl.get("Owner", {}).get("ID")
    # MinIO answers one grant that names no grantee.
    named_grants = [grant for grant in acl.get("Grants", []) if {"ID", "URI"} & grant["Grantee"].keys()]
    if all(grant["Grantee"].get("ID") == owner for grant in named_grants):
        return {}
    members: dict[str, list[str]] = {}
    for grant in named_grants:
        members.setdefault(GRANTS[grant["Permission"]], []).append(grantee_of(grant))
    return {member: ", ".join(who) for member, who in members.items()}


def copy_in_parts(
    view: Any,
    request: Mapping[str, Any],
    source: Mapping[str, Any],
    head: Mapping[str, Any],
    named: Mapping[str, Any],
    *,
    part_limit: int,
) -> str | None:
    """Copy an object onto itself by UploadPartCopy, with everything that CopyObject would have taken along.

    Args:
        view: a plain S3 client.
        request: Bucket, Key, the new mode and what a copy has to be told.
        source: CopySource, CopySourceIfMatch and the source's SSE-C key.
        head: the source's HEAD, with checksums.
        named: Bucket, Key and maybe VersionId of the source.
        part_limit: in bytes, the most that one part may have.

    Returns:
        The new version's ID, if the bucket is versioned.

    Raises:
        UnsupportedOperationError: the object has metadata that S3 cannot answer in headers.
        botocore.exceptions.ClientError: S3's own refusals; the upload is aborted.
    """
    if head.get("MissingMeta"):
        raise UnsupportedOperationError(
            f"s3://{request['Bucket']}/{request['Key']} has {head['MissingMeta']} metadata entries that no header can "
            "hold: a copy in parts would lose them"
        )
    place = {"Bucket": request["Bucket"], "Key": request["Key"]}
    create = {**request, **carried(head, (*CONTENT_HEADERS, "Metadata")), **_tags(view, named)}
    key = {name: request[name] for name in _SSE_C_MEMBERS if name in request}
    finish = {"IfMatch": etag_of(head)}
    if speaks_to_aws(view):
        # MinIO wants the checksums of copied parts from the client, which never sees the bytes, and the SSE-C key of
        # the object that is there, so that it can compare its ETag.
        create.update(_checksum(head))
        finish.update(key)
    else:
        finish.update(server_side.source_companion(source))
    upload = {**place, "UploadId": view.create_multipart_upload(**create)["UploadId"]}

    def copy(part: tuple[int, str]) -> dict[str, Any]:
        number, byte_range = part
        answer = view.upload_part_copy(**upload, **source, **key, PartNumber=number, CopySourceRange=byte_range)
        result = answer["CopyPartResult"]
        return {"PartNumber": number, **{name: result[name] for name in result if name != "LastModified"}}

    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            parts = list(pool.map(copy, _ranges(length_of(head), part_limit)))
        # IfMatch: an object that was replaced since we looked is kept.
        done = view.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **_known(view, finish))
    except BaseException:
        # Parts without an end are invisible and billed; what went wrong first is what the caller sees.
        with contextlib.suppress(ClientError):
            view.abort_multipart_upload(**upload)
        raise
    version: str | None = done.get("VersionId")
    return version


def _ranges(length: int, part_limit: int) -> Iterator[tuple[int, str]]:
    size = min(part_limit, max(_PART_SIZE, -(-length // _MAX_PARTS)))
    for number, start in enumerate(range(0, length, size), start=1):
        yield number, f"bytes={start}-{min(start + size, length) - 1}"


def _known(view: Any, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that the installed botocore has for CompleteMultipartUpload: IfMatch came late."""
    shape = view.meta.service_model.operation_model("CompleteMultipartUpload").input_shape
    return {name: value for name, value in members.items() if name in shape.members}


def _checksum(head: Mapping[str, Any]) -> dict[str, str]:
    """Keep the kind of checksum that the object has; S3 computes it again from the same bytes."""
    found = [name for name in head if name.startswith("Checksum") and name != "ChecksumType"]
    if not found:
        return {}
    kind = {"ChecksumAlgorithm": found[0].removeprefix("Checksum")}
    return {**kind, "ChecksumType": head["ChecksumType"]} if "ChecksumType" in head else kind


def _tags(view: Any, named: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags, always asked for: HEAD hides their number from those who may not read them."""
    try:
        tags = view.get_object_tagging(**named)["TagSet"]
    except ClientError as error:
        if code_of(error.response) in _NO_SUCH_FEATURE:
            return {}
        raise
    return {"Tagging": urlencode({tag["Key"]: tag["Value"] for tag in tags})} if tags else {}
