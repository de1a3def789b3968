"""What copies need of the client that makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from s3ec.client.calls.around import Around
from s3ec.client.calls.wire import Wire
from s3ec.s3.answers import status_of
from s3ec.s3.copy_object import CopySource, heard_source, parse_copy_source, refusal_of_the_copy
from s3ec.s3.managed_copy import store_keeping

__all__ = [
    "CopySource",
    "heard_source",
    "of_the_copy",
    "parse_copy_source",
    "send_keeping",
]


@contextmanager
def of_the_copy(wire: Around, operation_name: str = "CopyObject") -> Iterator[None]:
    """Answer a read's conditions the way S3 answers those of the copy."""
    try:
        yield
    except ClientError as error:
        if instead := refusal_of_the_copy(wire, status_of(error.response), operation_name):
            raise instead from error
        raise


def send_keeping(wire: Wire, own: Mapping[str, str], operation_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Send a request of a managed copy; one that makes an object keeps its content metadata, whatever handlers do.

    Args:
        wire: the client's.
        own: the content metadata of the source.
        operation_name: as botocore spells it.
        parameters: as s3transfer wants them sent.
    """
    if operation_name not in ("CopyObject", "CreateMultipartUpload"):
        return wire.call(operation_name, parameters)
    return wire.run(store_keeping(operation_name, parameters, own))
