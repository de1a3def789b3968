"""copy_object as a client makes it: the caller's handlers hear of it in its middle; and what managed copies need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from s3ec.client.calls.around import Around
from s3ec.client.calls.wire import Wire
from s3ec.s3 import copy_object as flow
from s3ec.s3.answers import status_of
from s3ec.s3.copy_object import CopySource, heard_source, parse_copy_source, refusal_of_the_copy
from s3ec.s3.managed_copy import keeping

__all__ = [
    "CopySource",
    "copy_object",
    "heard_source",
    "of_the_copy",
    "parse_copy_source",
    "rename_object",
    "send_keeping",
]


def copy_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Copy an object with its content metadata, and with its instruction file; see `s3ec.s3.copy_object`."""
    looked = wire.run(flow.look_first(wire, parameters))
    heard = wire.hear("CopyObject", dict(parameters))
    of_this_call = wire.after(heard)
    return of_this_call.run(flow.copy_object(of_this_call, heard.parameters, looked))


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
    heard = wire.hear(operation_name, parameters)
    request = dict(heard.parameters)
    if "CopySource" in request:
        request["CopySource"] = heard_source(request["CopySource"]).parameters()
    if operation_name == "CreateMultipartUpload" or request.get("MetadataDirective") == "REPLACE":
        request["Metadata"] = keeping(request.get("Metadata"), own)
    return wire.store(operation_name, request, heard=heard)


def rename_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Rename an object of a directory bucket, unless its name is bound into its encryption context.

    Raises:
        UnsupportedOperationError: the client binds objects to their names.
    """
    flow.refuse_rename(bind_object=wire.options.bind_object)
    return wire.call("RenameObject", parameters)
