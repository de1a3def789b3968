"""put_object as a client makes it: with what boto3 takes for a body."""

from __future__ import annotations

from typing import Any

from s3ec.client.bodies.claims import take_claims
from s3ec.client.bodies.sources import Source, open_source
from s3ec.client.calls.wire import Wire
from s3ec.s3 import put_object as flow
from s3ec.s3.put_object import refuse_other_writes

__all__ = ["put_object", "put_source"]


def put_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Encrypt a body and store it; see `s3ec.s3.put_object`.

    Raises:
        UnsupportedOperationError: it is not the write of one new object.
    """
    refuse_other_writes(parameters)
    context = parameters.pop("EncryptionContext", None)
    claims = take_claims(parameters)
    wire.validate("PutObject", parameters)
    source = open_source(parameters.pop("Body", b""), claims.length)
    return wire.run(flow.put_object(wire, parameters, context, source, claims))


def put_source(wire: Wire, parameters: dict[str, Any], source: Source) -> dict[str, Any]:
    """Do the same for a body that was opened already; a managed upload has measured it."""
    context = parameters.pop("EncryptionContext", None)
    claims = take_claims(parameters)
    wire.validate("PutObject", parameters)
    return wire.run(flow.put_object(wire, parameters, context, source, claims))
