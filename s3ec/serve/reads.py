"""Reads of objects by a shorter way to S3 than botocore's, where nobody could tell the difference.

A small read costs botocore as much as all that the endpoint does besides. Here the flow of `get_object` runs as ever,
with every gate, check and decryption in its place; only the request to S3 that it asks for is made by `s3ec.direct`.
What that leaves to botocore (a first request to a bucket, conditions, trouble of any kind) is the client's own call.
"""

from __future__ import annotations

import dataclasses
import threading
from functools import partial
from typing import Any

from botocore import xform_name
from botocore.exceptions import ResponseStreamingError

from s3ec.client.calls.shortcuts.way import listening
from s3ec.client.calls.wire import Wire
from s3ec.client.encryption_client import EncryptionClient, plain_view
from s3ec.direct.requests import DirectRequests
from s3ec.errors import S3ECError
from s3ec.exchanges.wire import Stream, WireError
from s3ec.s3.names import located

__all__ = ["Reads"]

_KEPT = 64 * 1024
"""Bytes of content that are received at once; what is longer is read as it is asked for."""
# Answered without content, which the shorter way takes for trouble.
_CONDITIONS = frozenset({"IfModifiedSince", "IfNoneMatch"})
# It decides when a request may be sent, and wants to hear of each.
_PACING = frozenset({"botocore.retries.adaptive", "botocore.retries.throttling"})


class Reads:
    """The calls of one endpoint's clients; used by all connections at once."""

    def __init__(self) -> None:
        """Begin without knowing any client."""
        self._lock = threading.Lock()
        self._ways: dict[Any, DirectRequests | None] = {}
        self._wires: dict[EncryptionClient, Wire | None] = {}

    def call(self, client: EncryptionClient, operation_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return what the client's own method would return.

        Args:
            client: that of a bucket, or a view of it.
            operation_name: as botocore spells it.
            parameters: of the operation.

        Raises:
            S3ECError, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as the client raises.
        """
        if operation_name == "GetObject" and _CONDITIONS.isdisjoint(parameters):
            wire = self._wire_of(client)
            if wire is not None:
                try:
                    return client._s3ec_ranges.get_object(wire, parameters)
                except S3ECError as error:
                    raise located(error, parameters) from error.__cause__
        response: dict[str, Any] = getattr(client, xform_name(operation_name))(**parameters)
        return response

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for way in list(self._ways.values()):
            if way is not None:
                way.close()

    def _wire_of(self, client: EncryptionClient) -> Wire | None:
        """The client's wire with the shorter way in it; None where it has to be botocore's for all of the call."""
        if client not in self._wires:
            with self._lock:
                self._wires[client] = self._made(client)
        wire = self._wires[client]
        way = self._ways.get(client.meta)
        return wire if way is not None and way.is_alone else None

    def _made(self, client: EncryptionClient) -> Wire | None:
        wire = client._s3ec_wire
        if client.meta not in self._ways:  # the views of a client have it in common
            self._ways[client.meta] = _way_of(client)
        way = self._ways[client.meta]
        return None if way is None else dataclasses.replace(wire, send=partial(_send, way, wire.send))


def _way_of(client: EncryptionClient) -> DirectRequests | None:
    rules = client._s3ec_wire.reading
    if rules.unencrypted_objects == "allow" or rules.enable_legacy_unauthenticated_modes:
        # What no tag verifies is verified by S3's checksums, which botocore looks at.
        return None
    try:
        heard = listening(client.meta.events._emitter, "s3.GetObject")  # type: ignore[attr-defined]  # of an `EventAliaser`
    except AttributeError:
        return None
    if heard & _PACING or not all(module.partition(".")[0] in ("botocore", "s3ec") for module in heard):
        return None
    return DirectRequests.of(plain_view(client), client.__dict__["_request_signer"]._credentials, kept=_KEPT)


def _send(way: DirectRequests, send: Any, operation_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Send as the client's own wire does, in the shorter way where there is one.

    Args:
        way: the shorter one.
        send: what the wire sends with.
        operation_name: as botocore spells it.
        parameters: of the operation.
    """
    answer: dict[str, Any] | None
    if operation_name != "GetObject":
        answer = send(operation_name, parameters)
        return answer
    prepared = way.prepared("get_object", parameters)
    answer = None if prepared is None else prepared()
    if answer is None:
        with way.watching("get_object", parameters):
            answer = send(operation_name, parameters)
    elif isinstance(answer["Body"], Stream):
        answer["Body"] = _Body(answer["Body"])
    return answer


class _Body:
    """A long body whose errors are botocore's."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except WireError as error:
            raise ResponseStreamingError(error=error) from error

    def close(self) -> None:
        self._stream.close()
