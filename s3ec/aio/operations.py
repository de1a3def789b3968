"""The operations of the asynchronous client that are more than a flow; each gets a wire and parameters of its own.

Multipart uploads are in `s3ec.aio.multipart`; what has no handler is refused by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from s3ec.aio.sources import is_async_body, open_body
from s3ec.aio.verified_ranges import AsyncVerifiedTable
from s3ec.aio.wire import AsyncWire
from s3ec.client.bodies.claims import take_claims
from s3ec.errors import UnsupportedOperationError
from s3ec.s3 import put_object as puts
from s3ec.s3.copy_object import copy_object, rename_object
from s3ec.s3.delete_object import delete_object, delete_objects
from s3ec.s3.flow import Flow
from s3ec.s3.get_object import get_object
from s3ec.s3.head_object import head_object
from s3ec.s3.surroundings import Surroundings

__all__ = ["Handler", "handlers", "refused"]

Handler = Callable[[AsyncWire, dict[str, Any]], Awaitable[dict[str, Any]]]


def handlers() -> dict[str, Handler]:
    """What carries out each operation that is not passed on, for one client."""
    table = AsyncVerifiedTable()

    async def get(wire: AsyncWire, parameters: dict[str, Any]) -> dict[str, Any]:
        return await wire.run(get_object(wire, table, parameters))

    return {
        "CopyObject": _flow(copy_object),
        "DeleteObject": _flow(delete_object),
        "DeleteObjects": _flow(delete_objects),
        "GetObject": get,
        "HeadObject": _flow(head_object),
        "PutObject": _put_object,
        "RenameObject": _flow(rename_object),
    }


def refused(operation_name: str) -> UnsupportedOperationError:
    """The error of an operation that this client has no handler for."""
    return UnsupportedOperationError(
        f"{operation_name} is refused: the asynchronous client of this version of s3ec does not make it; "
        "use s3ec.EncryptionClient in a thread (asyncio.to_thread)"
    )


def _flow(operation: Callable[[Surroundings, dict[str, Any]], Flow[dict[str, Any]]]) -> Handler:
    async def handle(wire: AsyncWire, parameters: dict[str, Any]) -> dict[str, Any]:
        return await wire.run(operation(wire, parameters))

    return handle


async def _put_object(wire: AsyncWire, parameters: dict[str, Any]) -> dict[str, Any]:
    puts.refuse_other_writes(parameters)
    context = parameters.pop("EncryptionContext", None)
    claims = take_claims(parameters)
    body = parameters.pop("Body", b"")
    wire.validate("PutObject", parameters if is_async_body(body) else {**parameters, "Body": body})
    source = open_body(body, claims.length)
    return await wire.run(puts.put_object(wire, parameters, context, source, claims))
