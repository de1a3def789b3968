"""Managed transfers with boto3's signatures: upload_file, upload_fileobj, download_file, download_fileobj, copy.

Each takes a client as its wire, and as the view of it that does not encrypt.

Copies run on s3transfer. Uploads and downloads have engines of their own: the cipher works in order while the network
works in parallel, and a downloaded file gets its name only after the tag verified. The CRT transfer client has an HTTP
stack of its own and would carry plaintext past any Python client: it is never used.
"""

from __future__ import annotations

import copy as copying
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from boto3.s3.transfer import ProgressCallbackInvoker, TransferConfig
from botocore.exceptions import ClientError
from s3transfer.exceptions import RetriesExceededError as S3TransferRetriesExceededError
from s3transfer.futures import NonThreadedExecutor, TransferFuture
from s3transfer.manager import TransferManager
from s3transfer.subscribers import BaseSubscriber

from s3ec.client.calls import checksums, copies, driver
from s3ec.client.calls.wire import Wire
from s3ec.client.server_side import rules as server_side
from s3ec.client.transfers import download_targets, uploads
from s3ec.client.transfers.downloads import DownloadEngine
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.s3.answers import status_of
from s3ec.s3.copy_object import parse_copy_source
from s3ec.s3.flow import Flow, work
from s3ec.s3.instruction_copies import copied_with_object
from s3ec.s3.managed_copy import look_at_source
from s3ec.s3.managed_download import Download, download, to_file, to_object
from s3ec.s3.names import Located
from s3ec.s3.objects import without_ours
from s3ec.s3.pinning import ReplacedError
from s3ec.s3.requests import check_user_metadata
from s3ec.s3.transfers import Progress

__all__ = [
    "Manager",
    "check_extra",
    "classic",
    "copy",
    "download_file",
    "download_fileobj",
    "upload_file",
    "upload_fileobj",
    "upload_parameters",
]


class Manager(TransferManager):
    """s3transfer's own manager, but it lets our parameters and newer ones of boto3's operations through."""

    ALLOWED_UPLOAD_ARGS = [  # noqa: RUF012 - s3transfer's own shape
        *dict.fromkeys(
            [*TransferManager.ALLOWED_UPLOAD_ARGS, "EncryptionContext", "BucketKeyEnabled", "IfMatch", "IfNoneMatch"]
        )
    ]
    ALLOWED_DOWNLOAD_ARGS = [  # noqa: RUF012 - s3transfer's own shape
        *dict.fromkeys([*TransferManager.ALLOWED_DOWNLOAD_ARGS, "EncryptionContext", "InstructionFileSuffix"])
    ]
    ALLOWED_COPY_ARGS = [  # noqa: RUF012 - s3transfer's own shape
        *dict.fromkeys([*TransferManager.ALLOWED_COPY_ARGS, "BucketKeyEnabled"])
    ]


def upload_file(
    wire: Wire, view: Any, filename: Any, bucket: str, key: str, extra: Any, callback: Any, config: Any
) -> None:
    """Upload a file; parts are encrypted in order and sent in parallel."""
    if isinstance(filename, os.PathLike):
        filename = os.fspath(filename)
    if not isinstance(filename, str):
        raise ValueError("Filename must be a string or a path-like object")
    try:
        _upload(wire, view, filename, bucket, key, extra, callback, config)
    except ClientError as error:
        raise S3UploadFailedError(f"Failed to upload {filename} to {bucket}/{key}: {error}") from error


def upload_fileobj(
    wire: Wire, view: Any, fileobj: Any, bucket: str, key: str, extra: Any, callback: Any, config: Any
) -> None:
    """Upload a file-like object, seekable or not."""
    if not hasattr(fileobj, "read"):
        raise ValueError("Fileobj must implement read")
    _upload(wire, view, fileobj, bucket, key, extra, callback, config)


def _upload(wire: Wire, view: Any, body: Any, bucket: str, key: str, extra: Any, callback: Any, config: Any) -> None:
    parameters = upload_parameters(view, bucket, key, extra)
    with Located(parameters):
        uploads.upload(wire, body, parameters, classic(config), callback)


def upload_parameters(client: Any, bucket: str, key: str, extra: Any) -> dict[str, Any]:
    """The request of an upload.

    Args:
        client: whose configuration says whether S3 gets a checksum that nobody named.
        bucket: the object's.
        key: the object's.
        extra: the caller's ``ExtraArgs``.

    Raises:
        ValueError: one that boto3 would refuse.
    """
    check_extra(extra, Manager.ALLOWED_UPLOAD_ARGS)
    parameters = {**(extra or {}), "Bucket": bucket, "Key": key}
    claims = any(name.startswith("Checksum") and name != "ChecksumType" for name in parameters)
    # The type information knows no such attribute of a Config.
    configured = getattr(client.meta.config, "request_checksum_calculation", None)
    if configured == "when_supported" and not claims:
        # As boto3's own uploads do: the object keeps a checksum, whether it is sent in parts or not.
        parameters["ChecksumAlgorithm"] = checksums.of_upload(str(client.meta.endpoint_url), str(bucket))
    return parameters


def download_file(
    wire: Wire, view: Any, bucket: str, key: str, filename: Any, extra: Any, callback: Any, config: Any
) -> None:
    """Download into a file, which gets its name only after the content verified."""
    if isinstance(filename, os.PathLike):
        filename = os.fspath(filename)
    if not isinstance(filename, str):
        raise ValueError("Filename must be a string or a path-like object")
    engine = DownloadEngine(wire, classic(config))
    deliver = partial(to_file, wire, engine, download_targets.FileTarget(filename))
    try:
        _download(wire, view, bucket, key, extra, engine, deliver, filename, callback)
    except S3TransferRetriesExceededError as error:
        raise RetriesExceededError(error.last_exception) from error  # type: ignore[arg-type]  # boto3 passes the same


def download_fileobj(
    wire: Wire, view: Any, bucket: str, key: str, fileobj: Any, extra: Any, callback: Any, config: Any
) -> None:
    """Download into a file-like object, which gets nothing unverified."""
    if not hasattr(fileobj, "write"):
        raise ValueError("Fileobj must implement write")
    engine = DownloadEngine(wire, classic(config))
    _download(wire, view, bucket, key, extra, engine, partial(to_object, wire, engine, fileobj), fileobj, callback)


def _download(
    wire: Wire,
    view: Any,
    bucket: str,
    key: str,
    extra: Any,
    engine: DownloadEngine,
    deliver: Callable[[Download], Flow[None]],
    target: Any,
    callback: Any,
) -> None:
    """Deliver an object; one that is not encrypted (and may be read) comes by way of s3transfer."""
    check_extra(extra, Manager.ALLOWED_DOWNLOAD_ARGS)
    parameters = {**(extra or {}), "Bucket": bucket, "Key": key}
    for is_last in (False, True):
        try:
            with Located(parameters):
                etag = wire.run(download(wire, engine, parameters, deliver, callback, plaintext_too=False))
        except ReplacedError as replaced:
            raise download_targets.download_failed(replaced, bucket, key) from replaced.error
        if etag is None:
            return
        heard = _Heard()
        # Pinned: an encrypted object put there meanwhile must not come back as what it is not.
        pinned = {**without_ours(extra or {}), "IfMatch": etag}
        try:
            with _manager(view, engine.config, more_arguments=["IfMatch"]) as manager:
                manager.download(bucket, key, target, pinned, [*(_subscribers(callback) or ()), heard]).result()
        except (ClientError, download_targets.DownloadFailed) as error:
            if is_last or heard.anything or not _is_replaced(error):
                raise
        else:
            return


class _Heard(BaseSubscriber):
    """Notices whether anything of an object has arrived."""

    anything = False

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: Any) -> None:
        """See s3transfer."""
        self.anything = True


def _is_replaced(error: Exception) -> bool:
    return not isinstance(error, ClientError) or status_of(error.response) == 412


def copy(
    wire: Wire,
    view: Any,
    source: Any,
    bucket: str,
    key: str,
    extra: Any,
    callback: Any,
    source_client: Any,
    config: Any,
) -> None:
    """Copy an object of any size inside S3, content metadata, tag and instruction file included."""
    check_extra(extra, Manager.ALLOWED_COPY_ARGS)
    extra = dict(extra or {})
    check_user_metadata(extra.get("Metadata"))
    from_view = view
    if source_client is not None:
        from_view = source_client.__dict__.get("_s3ec_view", source_client)
    target = {**extra, "Bucket": bucket, "Key": key, "CopySource": source}

    def look(effect: Any) -> object:
        return from_view.head_object(**effect.parameters)

    with Located(target):
        server_side.check("CopyObject", extra, secure=wire.secure)
        planned = driver.run(look_at_source(wire, parse_copy_source(source), target), look)

        def send(whole: Mapping[str, str] | None) -> None:
            settings = classic(config)
            with _manager(_keeping_view(wire, view, planned.own(whole)), settings) as manager:
                progress = None if callback is None else Progress(callback, planned.plaintext_length)
                arguments, subscribers = planned.arguments(settings, whole), _subscribers(progress)
                manager.copy(planned.source.parameters(), bucket, key, arguments, subscribers, from_view).result()

        wire.run(copied_with_object(wire, planned.copied, lambda whole: work(partial(send, whole))))


def _keeping_view(wire: Wire, view: Any, own: Mapping[str, str]) -> Any:
    """Return the raw view for one copy, which keeps the content metadata of its source, or what it has in itself."""

    def call(_: Any, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        return copies.send_keeping(wire, own, operation_name, dict(api_params))

    view_class = type("S3", (type(view),), {"_make_api_call": call})
    keeping: Any = object.__new__(view_class)
    keeping.__dict__ = view.__dict__
    return keeping


def check_extra(extra: Any, allowed: list[str]) -> None:
    """Refuse extra arguments that boto3 would refuse."""
    for name in extra or {}:
        if name not in allowed:
            raise ValueError(f"Invalid extra_args key '{name}', must be one of: {', '.join(allowed)}")


def _subscribers(callback: Any) -> list[Any] | None:
    return None if callback is None else [ProgressCallbackInvoker(callback)]


def _manager(client: Any, config: Any, more_arguments: Sequence[str] = ()) -> TransferManager:
    config = classic(config)
    manager = Manager(client, config, None, None if config.use_threads else NonThreadedExecutor)
    manager.ALLOWED_DOWNLOAD_ARGS = [*manager.ALLOWED_DOWNLOAD_ARGS, *more_arguments]
    return manager


def classic(config: TransferConfig | None) -> TransferConfig:
    """Return a copy of the caller's configuration that never chooses the CRT.

    Raises:
        UnsupportedOperationError: the caller asks for the CRT by name.
    """
    if config is None:
        config = TransferConfig()
    if not hasattr(config, "multipart_threshold"):
        raise ConfigurationError("Config must be a boto3.s3.transfer.TransferConfig")
    preferred = str(getattr(config, "preferred_transfer_client", "auto")).lower()
    if preferred == "crt":
        raise UnsupportedOperationError(
            'preferred_transfer_client="crt" is refused: the CRT transfer client has an HTTP client of its own and '
            'would upload plaintext past this one; use "classic" or leave it out'
        )
    config = copying.copy(config)
    config.preferred_transfer_client = "classic"  # type: ignore[assignment]  # it is a str
    return config
