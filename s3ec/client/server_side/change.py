"""How an object is encrypted on the server, and changing that in place.

S3 has two ways. UpdateObjectEncryption wraps the object's data key again and moves no data, but knows SSE-KMS only.
Everything else is a copy of the object onto itself, which by default loses what this module carries along: storage
class, access control list, website redirect and object lock. Client-side encryption is not touched by either: content
metadata and ciphertext are carried as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, cast

from botocore.exceptions import ClientError

from s3ec.client.encryption_client import plain_view
from s3ec.client.server_side import rules as server_side
from s3ec.client.server_side.copying import copy_in_parts, grants, speaks_to_aws
from s3ec.client.server_side.modes import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.errors import UnsupportedOperationError, escaped
from s3ec.s3.answers import code_of, etag_of, length_of

__all__ = [
    "ServerSideChange",
    "ServerSideState",
    "change_server_side_encryption",
    "server_side_state",
]

_log = logging.getLogger("s3ec")

_NAMES = {"AES256": "SSE-S3", "aws:kms": "SSE-KMS", "aws:kms:dsse": "DSSE-KMS"}
_COPY_LIMIT = 5 * 1024**3
# "This object, this key or this account cannot be updated": a copy may still do it, under its own permissions.
_UPDATE_REFUSALS = frozenset({"AccessDenied", "InvalidRequest", "MalformedXML", "MethodNotAllowed", "NotImplemented"})
# Everything that HEAD answers, a copy takes and MetadataDirective=COPY leaves behind.
_NOT_COPIED = (
    "StorageClass",
    "WebsiteRedirectLocation",
    "ObjectLockMode",
    "ObjectLockRetainUntilDate",
    "ObjectLockLegalHoldStatus",
    "ObjectLockEventHold",
    "ObjectLockEventHoldDurationDays",
    "ObjectLockEventHoldDurationYears",
)

Method = Literal["none", "update", "copy", "multipart-copy"]


@dataclass(frozen=True, slots=True)
class ServerSideState:
    """How S3 says that an object is encrypted.

    Attributes:
        name: ``SSE-S3``, ``SSE-KMS``, ``DSSE-KMS`` or ``SSE-C``; S3's own word for a mode of another service
            (``aws:fsx``); None where the server reports none.
        key_id: ARN of the KMS key.
        bucket_key: whether an S3 Bucket Key was used.
        customer_key_md5: base64 of the MD5 of the SSE-C key.
    """

    name: str | None
    key_id: str | None = None
    bucket_key: bool = False
    customer_key_md5: str | None = None


@dataclass(frozen=True, slots=True)
class ServerSideChange:
    """What `change_server_side_encryption` did.

    Attributes:
        method: ``none`` (it had the mode already), ``update`` (no data moved), ``copy`` or ``multipart-copy``.
        before: the state found.
        after: the state that a HEAD showed afterwards.
        version_id: the version that now has the mode; a copy makes a new one where versioning is on, and the old one
            stays as it was.
        etag: the ETag now; a copy may change it.
    """

    method: Method
    before: ServerSideState
    after: ServerSideState
    version_id: str | None
    etag: str


def server_side_state(response: Mapping[str, Any]) -> ServerSideState:
    """Read the server-side mode off an answer of HeadObject, GetObject, PutObject or CopyObject."""
    if "SSECustomerAlgorithm" in response:
        return ServerSideState("SSE-C", customer_key_md5=response.get("SSECustomerKeyMD5"))
    algorithm = response.get("ServerSideEncryption")
    return ServerSideState(
        name=None if algorithm is None else _NAMES.get(algorithm, algorithm),
        key_id=response.get("SSEKMSKeyId"),
        bucket_key=bool(response.get("BucketKeyEnabled", False)),
    )


def change_server_side_encryption(
    client: Any,
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling, as in every call beside it
    Key: str,  # noqa: N803 - boto3's spelling
    mode: ServerSideMode,
    VersionId: str | None = None,  # noqa: N803 - boto3's spelling
    customer_key: SseC | None = None,
    keep_acl: bool = True,
    update: bool | None = None,
    copy_limit: int = _COPY_LIMIT,
) -> ServerSideChange:
    """Change the server-side mode of one object, content and client-side encryption untouched.

    Metadata, content headers, tags, storage class, website redirect, object lock and access control list are kept.
    A write by someone else in between ends in S3's 412 instead of being overwritten. An instruction file is an object
    of its own: change it by a second call. Object annotations do not survive a copy of more than `copy_limit` bytes.

    Args:
        client: any boto3 S3 client; of an encrypting one neither the encryption nor the default mode is used.
        Bucket: the object's bucket.
        Key: the object's key.
        mode: the mode that it is to have.
        VersionId: a version. One that is not the current one can only be updated, as a copy of it would become current.
        customer_key: the SSE-C key that the object has now, if it has one.
        keep_acl: False spares the reading of the access control list, for callers who may not read it.
        update: whether UpdateObjectEncryption may be used. None allows it on endpoints of AWS only: a server that does
            not know it takes it for a PutObject and overwrites the object with the request.
        copy_limit: in bytes, from which size the copy is made in parts; S3's limit for one copy is 5 GiB.

    Returns:
        What was done.

    Raises:
        ConfigurationError: an SSE-C key over plain http.
        UnsupportedOperationError: an old version that cannot be updated, or a server that reports success and shows
            another mode.
        botocore.exceptions.ClientError: S3's own refusals.
    """
    view: Any = plain_view(client)
    secure = not str(view.meta.endpoint_url).startswith("http://")
    target = {"Bucket": Bucket, "Key": Key}
    named = target if VersionId is None else {**target, "VersionId": VersionId}
    head = _head(view, named, customer_key, secure)
    before = server_side_state(head)
    version = head.get("VersionId")
    if _has(before, mode):
        return ServerSideChange("none", before, before, version, etag_of(head))

    if _may_update(view, before, mode, update) and _update(view, {**target, "VersionId": version}, cast(SseKms, mode)):
        return _verified(view, "update", before, mode, {**target, "VersionId": version}, secure)
    if VersionId is not None and not _is_current(view, target, VersionId, customer_key, secure):
        raise UnsupportedOperationError(
            f"version {VersionId} is not the current one of s3://{Bucket}/{Key}, and its mode cannot be updated where "
            "it lies; a copy would bring the old content back as the current version"
        )
    request = {
        **target,
        **_copy_members(view, named, head, keep_acl=keep_acl),
        **server_side.apply("CopyObject", mode.parameters(), None, secure=secure),
    }
    source = {
        "CopySource": {**target, **({"VersionId": version} if version else {})},
        "CopySourceIfMatch": etag_of(head),
        **(customer_key.parameters("CopySourceSSECustomer") if customer_key else {}),
    }
    method: Method
    if length_of(head) > copy_limit:
        method, version = "multipart-copy", copy_in_parts(view, request, source, head, named, part_limit=copy_limit)
    else:
        # CopySourceIfMatch guards what is read, IfMatch what is overwritten: no write by someone else is lost.
        guard = _known(view, "CopyObject", {"IfMatch": etag_of(head)})
        method, version = "copy", view.copy_object(**request, **source, **guard).get("VersionId")
    # Some servers answer a version ID where the bucket keeps none.
    pinned = {**target, "VersionId": version if head.get("VersionId") else None}
    return _verified(view, method, before, mode, pinned, secure)


def _verified(
    view: Any,
    method: Method,
    before: ServerSideState,
    mode: ServerSideMode,
    named: Mapping[str, Any],
    secure: bool,
) -> ServerSideChange:
    """Look again: some servers report success for something they did not do."""
    named = {name: value for name, value in named.items() if value is not None}
    head = _head(view, named, mode if isinstance(mode, SseC) else None, secure)
    after = server_side_state(head)
    if not _confirms(after, mode):
        raise UnsupportedOperationError(
            f"the server accepted the change of s3://{named['Bucket']}/{named['Key']} and reports {after.name} now; "
            "it does not carry out the mode that was asked for"
        )
    return ServerSideChange(method, before, after, head.get("VersionId"), etag_of(head))


def _head(view: Any, named: Mapping[str, Any], customer_key: SseC | None, secure: bool) -> dict[str, Any]:
    request = server_side.apply("HeadObject", {**named, "ChecksumMode": "ENABLED"}, customer_key, secure=secure)
    return cast(dict[str, Any], view.head_object(**request))


def _is_current(view: Any, target: Mapping[str, Any], version_id: str, customer_key: SseC | None, secure: bool) -> bool:
    try:
        return _head(view, target, customer_key, secure).get("VersionId") == version_id
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            # A delete marker is current: nothing that a copy would keep in place.
            return False
        raise


def _may_update(view: Any, before: ServerSideState, mode: ServerSideMode, update: bool | None) -> bool:
    """True if UpdateObjectEncryption knows both modes, and this endpoint knows UpdateObjectEncryption."""
    suits = (
        isinstance(mode, SseKms)
        and ":key/" in str(mode.key_id)
        and not mode.context
        and before.name in {"SSE-S3", "SSE-KMS"}
        and hasattr(view, "update_object_encryption")
    )
    if not suits or update is not None:
        return suits and bool(update)
    return speaks_to_aws(view)


def _update(view: Any, named: Mapping[str, Any], mode: SseKms) -> bool:
    """Wrap the object's data key again; False if S3 says that it cannot do so for this object or key."""
    wanted = {"KMSKeyArn": mode.key_id}
    if mode.bucket_key is not None:
        wanted["BucketKeyEnabled"] = mode.bucket_key  # type: ignore[assignment]  # one map of two types
    try:
        view.update_object_encryption(
            **{name: value for name, value in named.items() if value is not None}, ObjectEncryption={"SSEKMS": wanted}
        )
    except ClientError as error:
        if code_of(error.response) not in _UPDATE_REFUSALS:
            raise
        place = escaped(f"s3://{named['Bucket']}/{named['Key']}")
        _log.info("UpdateObjectEncryption of %s: %s; copying instead", place, escaped(str(error)))
        return False
    return True


def _copy_members(view: Any, named: Mapping[str, Any], head: Mapping[str, Any], *, keep_acl: bool) -> dict[str, Any]:
    """Return what a copy has to be told so that nothing gets lost."""
    kept = {name: head[name] for name in _NOT_COPIED if head.get(name) is not None}
    until = kept.get("ObjectLockRetainUntilDate")
    if isinstance(until, datetime) and until <= datetime.now(timezone.utc):
        # A retention that has run out protects nothing, and S3 refuses dates in the past.
        del kept["ObjectLockRetainUntilDate"]
        kept.pop("ObjectLockMode", None)
    if keep_acl:
        kept.update(grants(view, named))
    return _known(view, "CopyObject", kept)


def _known(view: Any, operation_name: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that the installed botocore has for an operation."""
    shape = view.meta.service_model.operation_model(operation_name).input_shape
    return {name: value for name, value in members.items() if name in shape.members}


def _has(state: ServerSideState, mode: ServerSideMode) -> bool:
    """True if an object provably has the mode already, so that nothing needs to be done."""
    if not isinstance(mode, SseKms | DsseKms):
        return _confirms(state, mode)
    # What cannot be read off the answer (the managed key, an alias, a context) is done rather than assumed.
    if mode.key_id is None or mode.context or not _confirms(state, mode):
        return False
    bucket_key = mode.bucket_key if isinstance(mode, SseKms) else None
    same_key = state.key_id == mode.key_id or str(state.key_id).endswith(f":key/{mode.key_id}")
    return same_key and bucket_key in {None, state.bucket_key}


def _confirms(state: ServerSideState, mode: ServerSideMode) -> bool:
    """True if what an answer shows is what the mode would show."""
    match mode:
        case SseS3():
            return state.name == "SSE-S3"
        case SseKms():
            return state.name == "SSE-KMS"
        case DsseKms():
            return state.name == "DSSE-KMS"
    return state.name == "SSE-C" and state.customer_key_md5 == mode.key_md5
