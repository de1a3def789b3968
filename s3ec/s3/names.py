"""Names of objects: for errors, and for encryption contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec.errors import escaped

__all__ = ["location_of", "object_arn"]


def location_of(parameters: Mapping[str, Any]) -> str | None:
    """``s3://bucket/key?versionId=…`` for the object that a request is about; None where it names no bucket."""
    bucket, key, version = (parameters.get(name) for name in ("Bucket", "Key", "VersionId"))
    if not isinstance(bucket, str):
        return None
    place = f"s3://{bucket}/{key}" if isinstance(key, str) else f"s3://{bucket}"
    return escaped(f"{place}?versionId={version}" if isinstance(version, str) else place)


def object_arn(bucket: str, key: str) -> str:
    """ARN of an object as S3 uses it for encryption contexts; an access point's ARN stands for itself."""
    if bucket.startswith("arn:"):
        return f"{bucket}/object/{key}"
    return f"arn:aws:s3:::{bucket}/{key}"
