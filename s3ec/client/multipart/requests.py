"""What a client adds to the requests of an upload: its options with the upload's server-side mode, and S3's answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from botocore.model import ServiceModel

from s3ec.client.options import Options
from s3ec.client.server_side import rules as server_side
from s3ec.s3.multipart.requests import EncryptedUpload

__all__ = ["answer_before_sending", "with_server_side_mode_of"]


def with_server_side_mode_of(options: Options, parameters: Mapping[str, Any]) -> Options:
    """The options for an upload: the mode that the creating request names, or the default."""
    if not any(name.startswith(("SSE", "ServerSide", "BucketKey")) for name in parameters):
        return options
    return dataclasses.replace(options, server_side_encryption=server_side.requested_mode(parameters))


def answer_before_sending(service_model: ServiceModel, upload: EncryptedUpload, etag: str) -> dict[str, Any]:
    """What S3 would answer to a part that it gets later: its ETag, and the upload's server-side encryption."""
    shape = service_model.operation_model("UploadPart").output_shape
    known = {**upload.request, **upload.created}
    members = {} if shape is None else {name: member for name, member in shape.members.items() if name in known}
    stated = {name: known[name] for name in members if not name.startswith("Checksum")}
    headers = {members[name].serialization["name"].lower(): _as_header(value) for name, value in stated.items()}
    return {
        "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"etag": etag, **headers}, "RetryAttempts": 0},
        "ETag": etag,
        **stated,
    }


def _as_header(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
