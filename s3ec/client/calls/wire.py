"""The plain calls beneath the encrypting client: what every handler may use, and nothing else of boto.

A handler of an operation gets a `Wire` and a dict of its own. `Wire.call` sends a request as a plain client would, on a
fresh copy of the parameters (botocore's handlers edit what they are given), and turns an error of ours that was raised
while a body was being sent back into itself. `Wire.store` does so for what was encrypted here, under a seal.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError
from botocore.httpchecksum import resolve_request_checksum_algorithm
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from s3ec.client.bodies.ciphertext import CiphertextBody, encrypted_body
from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.delivery import deliver
from s3ec.client.bodies.sources import is_readable_body
from s3ec.client.calls import driver
from s3ec.client.calls.handlers import Heard
from s3ec.client.calls.seals import Seal, SealedBytes
from s3ec.client.calls.together import for_each
from s3ec.client.options import Options
from s3ec.client.server_side import rules as server_side
from s3ec.errors import S3ECError
from s3ec.s3.flow import (
    Call,
    CloseBody,
    Deliver,
    Effect,
    Encrypt,
    Enter,
    Flow,
    Leave,
    NewDataKey,
    ReadBody,
    Store,
    Together,
    Unwrap,
    Work,
)
from s3ec.s3.surroundings import ReadRules, WriteRules
from s3ec.secrets import Secret

__all__ = ["OwnErrorFirst", "Wire"]

T = TypeVar("T")

_LINE_BREAK = re.compile(r"[\r\n]")
_WITH_CHECKSUMS = Config(request_checksum_calculation="when_supported")
_CARRIED_OVER = ("RequestPayer", "ExpectedBucketOwner")


@dataclass(frozen=True, slots=True)
class Wire:
    """Plain S3 calls, with the options of the client that makes them.

    Attributes:
        options: the client's options.
        send: the generated class's own ``_make_api_call``, bound to the client; the caller's handlers change the
            request.
        send_as_it_is: the same for parameters that they do not change any more, with what they made of them where they
            were asked, and with the seal of what must not change afterwards.
        hear: asks the caller's handlers what they make of an operation's parameters.
        service_model: botocore's model of S3, for validation before any key is touched.
        secure: True if the endpoint is https.
        exceptions: the client's ``exceptions``, to raise S3's own errors as S3 would.
        reading: the options that decide about reads.
        writing: the options that decide about writes.
        heard: what the handlers made of the caller's request, whose call this wire belongs to. None on the client's own
            wire, whose requests are those that boto3 itself would make, and are the handlers' to change.
    """

    options: Options
    send: Callable[[str, dict[str, Any]], dict[str, Any]]
    send_as_it_is: Callable[[str, dict[str, Any], Heard | None, Seal | None], dict[str, Any]]
    hear: Callable[..., Heard]
    service_model: ServiceModel
    secure: bool
    exceptions: Any
    reading: ReadRules
    writing: WriteRules
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

    def with_options(self, options: Options) -> Wire:
        """The same calls with other options of the client's."""
        return dataclasses.replace(self, options=options, reading=options.reading(), writing=options.writing())

    def after(self, heard: Heard) -> Wire:
        """The wire of one call, whose parameters the handlers have seen.

        The request itself is sent as they left it. What else the call needs (a HEAD, an instruction file) is derived
        from that, and is not changed a second time: they hear of it, and nothing more.
        """
        # Of each call: `dataclasses.replace` takes several times as long.
        return Wire(
            self.options,
            self.send,
            self.send_as_it_is,
            self.hear,
            self.service_model,
            self.secure,
            self.exceptions,
            self.reading,
            self.writing,
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

    def validate(self, operation_name: str, parameters: Mapping[str, Any]) -> None:
        """Refuse what botocore would refuse, before any key is touched; bodies may be of more kinds than it takes.

        Raises:
            ConfigurationError: a server-side mode that S3 would refuse.
            botocore.exceptions.ParamValidationError: as a plain client would raise it.
            botocore.exceptions.BotoCoreError: a checksum algorithm that botocore does not know, or cannot compute here.
        """
        shape = self.service_model.operation_model(operation_name).input_shape
        # The forms that botocore itself turns into strings only later: raw SSE-C keys, and a copy source as a map.
        ready = server_side.apply(operation_name, parameters, self.options.server_side_encryption, secure=self.secure)
        as_map = {"CopySource"} if isinstance(ready.get("CopySource"), Mapping) else set()
        if shape is None:
            return
        if is_readable_body(ready.get("Body")):
            del ready["Body"]
        known = {name: value for name, value in ready.items() if name not in as_map}
        if as_map:
            known["CopySource"] = ""
        report = ParamValidator().validate(known, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        _refuse_line_breaks(known, shape)
        if "ChecksumAlgorithm" in known:
            # Those of an upload are computed for its parts.
            summed = "UploadPart" if operation_name == "CreateMultipartUpload" else operation_name
            request = {"headers": {}, "url": "", "context": {"client_config": _WITH_CHECKSUMS}}
            resolve_request_checksum_algorithm(request, self.service_model.operation_model(summed), known)

    def source_companion(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of a read of a copy's source: the source's own SSE-C key."""
        return server_side.source_companion(parameters)

    def refusal(self, operation_name: str, status: int, code: str, message: str, **details: str) -> ClientError:
        """The error that S3 would answer with, for a request that is not sent."""
        answer = {
            "Error": {"Code": code, "Message": message, **details},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
        error: type[ClientError] = self.exceptions.from_code(code)
        return error(answer, operation_name)  # type: ignore[arg-type]  # the stubs want every field of S3's own answer

    def members(self, operation_name: str) -> Collection[str]:
        """The names of an operation's parameters."""
        shape = self.service_model.operation_model(operation_name).input_shape
        return shape.members if shape is not None else ()

    def companion(self, operation_name: str, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Parameters of an extra call of ours about the same object: who pays, who owns, and the SSE-C key.

        Conditions, ranges and response overrides of the caller's request are left behind on purpose.
        """
        members = self.members(operation_name)
        carried = {name: parameters[name] for name in _CARRIED_OVER if name in parameters}
        carried |= server_side.companion(parameters)
        basic = {"Bucket": parameters["Bucket"], "Key": parameters["Key"]}
        return {name: value for name, value in {**basic, **carried, **more}.items() if name in members}


def _refuse_line_breaks(parameters: Mapping[str, Any], shape: Any) -> None:
    """What the HTTP library refuses of a header's value, while no key is touched.

    Raises:
        botocore.exceptions.ParamValidationError: a value or a name in ``Metadata`` has a line break.
    """
    for name, value in parameters.items():
        if isinstance(value, str):
            broken = _LINE_BREAK.search(value) and shape.members[name].serialization.get("location") == "header"
        else:
            broken = name == "Metadata" and any(map(_LINE_BREAK.search, itertools.chain(value, value.values())))
        if broken:
            raise ParamValidationError(report=f"Invalid value for parameter {name}: a header has no line breaks")


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
        cause = error.kwargs.get("error") if isinstance(error, HTTPClientError) else None
        own = cause if isinstance(cause, S3ECError) else getattr(self._body, "failure", None)
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


def _read_body(_: Wire, effect: ReadBody) -> bytes:
    return CiphertextReader(effect.body, has_tag=effect.has_tag).read(effect.size)


_PERFORM: dict[type, Callable[[Wire, Any], object]] = {
    Call: lambda wire, effect: wire.call(effect.operation, effect.parameters),
    Store: _store,
    Unwrap: lambda _, effect: effect.checked.ask(),
    NewDataKey: lambda _, effect: Secret(effect.manager.get_encryption_materials(effect.request)),
    Encrypt: _encrypt,
    ReadBody: _read_body,
    CloseBody: lambda _, effect: effect.body.close(),
    Deliver: lambda wire, effect: deliver(wire.options, effect),
    Enter: lambda _, effect: effect.gate.acquire(),
    Leave: lambda _, effect: effect.gate.release(),
    Together: lambda wire, effect: for_each(wire.run, effect.flows, effect.at_once),
    Work: lambda _, effect: effect.function(),
}
