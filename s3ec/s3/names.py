"""Names of objects: for errors, and for encryption contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec.errors import S3ECError, escaped
from s3ec.formats.metadata import OBJECT_ARN_PAIR
from s3ec.s3.surroundings import ReadRules, WriteRules

__all__ = ["Located", "bound_context", "located", "location_of", "object_arn"]


def location_of(parameters: Mapping[str, Any]) -> str | None:
    """``s3://bucket/key?versionId=…`` for the object that a request is about; None where it names no bucket."""
    bucket, key, version = (parameters.get(name) for name in ("Bucket", "Key", "VersionId"))
    if not isinstance(bucket, str):
        return None
    place = f"s3://{bucket}/{key}" if isinstance(key, str) else f"s3://{bucket}"
    return escaped(f"{place}?versionId={version}" if isinstance(version, str) else place)


def located(error: S3ECError, parameters: Mapping[str, Any]) -> S3ECError:
    """Note in an error which object a request is about, and return it."""
    place = location_of(parameters)
    return error if place is None else error.locate(place)


class Located:
    """Notes in errors of ours which object a request is about.

    ::

        with Located(parameters):
            ...
    """

    __slots__ = ("_parameters",)

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take the request."""
        self._parameters = parameters

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, S3ECError):
            # What it was made of says nothing more to the caller, and stays out of the traceback.
            located(error, self._parameters).__suppress_context__ = True


def object_arn(bucket: str, key: str) -> str:
    """ARN of an object as S3 uses it for encryption contexts; an access point's ARN stands for itself."""
    if bucket.startswith("arn:"):
        return f"{bucket}/object/{key}"
    return f"arn:aws:s3:::{bucket}/{key}"


def bound_context(parameters: Mapping[str, Any], rules: ReadRules | WriteRules) -> dict[str, str] | None:
    """The pair that binds the object's place into its encryption context, where the client does so."""
    if not rules.bind_object:
        return None
    return {OBJECT_ARN_PAIR: object_arn(parameters["Bucket"], parameters["Key"])}
