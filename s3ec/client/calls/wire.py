"""The plain calls beneath the encrypting client: what every handler may use, and nothing else of boto.

A handler of an operation gets a `Wire` and a dict of its own. `Wire.call` sends a request as a plain client would, on a
fresh copy of the parameters (botocore's handlers edit what they are given), and turns an error of ours that was raised
while a body was being sent back into itself. `Wire.store` does so for what was encrypted here, under a seal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import HTTPClientError

from s3ec.client.bodies.ciphertext import CiphertextBody, encrypted_body
from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.delivery import deliver
from s3ec.client.calls import driver
from s3ec.client.calls.around import Around
from s3ec.client.calls.handlers import Heard
from s3ec.client.calls.monitors import take_step
from s3ec.client.calls.retries import own_error_in
from s3ec.client.calls.seals import Seal, SealedBytes
from s3ec.client.calls.together import for_each
from s3ec.client.server_side import rules as server_side
from s3ec.errors import S3ECError
from s3ec.s3.flow import (
    After,
    Call,
    CloseBody,
    Deliver,
    Effect,
    Encrypt,
    Enter,
    Flow,
    Hear,
    Leave,
    NewDataKey,
    ReadBody,
    Step,
    Store,
    TakeIn,
    Together,
    ToTheEnd,
    Transfer,
    Unwrap,
    Work,
)
from s3ec.secrets import Secret

__all__ = ["OwnErrorFirst", "Wire", "context_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wire(Around):
    """Plain S3 calls, with the options of the client that makes them.

    Attributes:
        send: the generated class's own ``_make_api_call``, bound to the client; the caller's handlers change the
            request.
        send_as_it_is: the same for parameters that they do not change any more, with what they made of them where they
            were asked, and with the seal of what must not change afterwards.
        hear: asks the caller's handlers what they make of an operation's parameters.
        heard: what the handlers made of the caller's request, whose call this wire belongs to. None on the client's own
            wire, whose requests are those that boto3 itself would make, and are the handlers' to change.
    """

    send: Callable[[str, dict[str, Any]], dict[str, Any]]
    send_as_it_is: Callable[[str, dict[str, Any], Heard | None, Seal | None], dict[str, Any]]
    hear: Callable[..., Heard]
    heard: Heard | None = None

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of this client's to its end.

        Raises:
            botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: of a call that failed.
            S3ECError: as the flow raises it.
        """
        return driver.run(flow, self.perform)

    def perform(self, effect: Effect) -> object:
        """Carry out an effect of a flow, and return the answer."""
        return _PERFORM[type(effect)](self, effect)

    def after(self, heard: Heard) -> Wire:
        """The wire of one call, whose parameters the handlers have seen.

        The request itself is sent as they left it. What else the call needs (a HEAD, an instruction file) is derived
        from that, and is not changed a second time: they hear of it, and nothing more.
        """
        # Of each call: `dataclasses.replace` takes several times as long.
        return Wire(
            self.options,
            self.service_model,
            self.secure,
            self.exceptions,
            self.reading,
            self.writing,
            self.send,
            self.send_as_it_is,
            self.hear,
            heard,
        )

    def call(self, operation_name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request as a plain client does; server-side defaults are added and checked first."""
        ready = server_side.apply(operation_name, parameters, self.options.server_side_encryption, secure=self.secure)
        if self.heard is None:
            with OwnErrorFirst(ready.get("Body")):
                response = self.send(operation_name, ready)
        else:
            heard = self.heard if self.heard.operation_name == operation_name and not self.heard.used else None
            response = self._send_as_it_is(operation_name, ready, heard, None)
        server_side.warn_unless_confirmed(operation_name, ready, response)
        return response

    def store(self, operation_name: str, parameters: Mapping[str, Any], heard: Heard | None) -> dict[str, Any]:
        """Send what was encrypted here, or belongs to it: as it is, or not at all.

        Args:
            operation_name: as botocore spells it.
            parameters: ready to be sent, with a body of ours, and content metadata where it has any.
            heard: what the handlers made of the request before it was encrypted; None for one of our own.

        Raises:
            UnsupportedOperationError: a handler changed the request afterwards; nothing was sent.
        """
        ready = server_side.apply(operation_name, parameters, self.options.server_side_encryption, secure=self.secure)
        response = self._send_as_it_is(operation_name, ready, heard, Seal(operation_name, ready))
        server_side.warn_unless_confirmed(operation_name, ready, response)
        return response

    def _send_as_it_is(
        self, operation_name: str, ready: dict[str, Any], heard: Heard | None, seal: Seal | None
    ) -> dict[str, Any]:
        if heard is not None:
            heard.used = True
        with OwnErrorFirst(ready.get("Body")):
            return self.send_as_it_is(operation_name, ready, heard, seal)


class OwnErrorFirst:
    """Turns what became of an error raised inside a body's ``read`` back into that error.

    botocore wraps it into its transport error, and the signer that comes with awscrt into one that has lost it.
    """

    __slots__ = ("_body",)

    def __init__(self, body: object) -> None:
        self._body = body

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        own = own_error_in(error) if isinstance(error, HTTPClientError) else None
        own = own or getattr(self._body, "failure", None)
        if isinstance(own, S3ECError):
            raise own from None


def _store(wire: Wire, effect: Store) -> dict[str, Any]:
    parameters = effect.parameters
    if isinstance(parameters.get("Body"), bytes):
        parameters = {**parameters, "Body": SealedBytes(parameters["Body"])}
    return wire.store(effect.operation, parameters, None if effect.own else wire.heard)


def _encrypt(wire: Wire, effect: Encrypt) -> bytes | CiphertextBody:
    return encrypted_body(
        effect.source,
        effect.cipher,
        effect.claims,
        buffer_size=wire.options.buffer_size,
        spool_directory=wire.options.spool_directory,
    )


def _hear(wire: Wire, effect: Hear) -> Heard:
    return wire.hear(effect.operation, effect.parameters, **context_of(effect))


def context_of(effect: Hear) -> dict[str, Any]:
    """What botocore puts into the context of such a request, beside what each has."""
    return {"is_presign_request": True} if effect.presigned else {}


def _read_body(_: Wire, effect: ReadBody) -> bytes:
    return CiphertextReader(effect.body, has_tag=effect.has_tag).read(effect.size)


_PERFORM: dict[type, Callable[[Wire, Any], object]] = {
    After: lambda wire, effect: wire.after(effect.heard).run(effect.flow),
    Call: lambda wire, effect: wire.call(effect.operation, effect.parameters),
    Store: _store,
    Unwrap: lambda _, effect: effect.checked.ask(),
    NewDataKey: lambda _, effect: Secret(effect.manager.get_encryption_materials(effect.request)),
    Encrypt: _encrypt,
    ReadBody: _read_body,
    CloseBody: lambda _, effect: effect.body.close(),
    Deliver: lambda wire, effect: deliver(wire.options, effect),
    Enter: lambda _, effect: effect.gate.acquire(),
    Hear: _hear,
    Leave: lambda _, effect: effect.gate.release(),
    Step: lambda _, effect: take_step(effect.monitor, effect.function),
    TakeIn: lambda _, effect: effect.room.take_in(effect.source, effect.observe, effect.check),
    Together: lambda wire, effect: for_each(wire.run, effect.flows, effect.at_once),
    Transfer: lambda _, effect: effect.engine.move(effect.plan),
    ToTheEnd: lambda wire, effect: wire.run(effect.flow),
    Work: lambda _, effect: effect.function(),
}
