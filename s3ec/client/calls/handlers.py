"""The caller's event handlers: they see and change the plaintext request, and encryption comes after them.

boto3 lets handlers change a request's parameters (``provide-client-params``, ``before-parameter-build``) before it is
built. Here the parameters are given to the handlers once, as the caller wrote them; what they make of it is encrypted;
and the call that sends it does not show them the ciphertext as if it were a body of the caller's.

Everything goes by the two events and by ``client.meta.events``, which are botocore's public ones. A call that skips
them runs on a view of the client of its own, so there is no state that another call or thread could meet.
Source: boto3 documentation, "Extensibility guide"; botocore, ``BaseClient._emit_api_params``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient
from botocore.handlers import handle_copy_source_param
from botocore.hooks import first_non_none_response

from s3ec.client.bodies.sources import Source, SourceBody, open_source
from s3ec.client.calls.seals import SEAL, Seal
from s3ec.s3.flow import Flow, hear

__all__ = [
    "BUILD",
    "PROVIDE",
    "EventsOfCall",
    "Heard",
    "HeardParameters",
    "hear_source",
    "heard_with",
    "make_sender",
    "send_after_handlers",
    "sending_view",
]

PROVIDE = "provide-client-params."
BUILD = "before-parameter-build."
_OBJECT_READ = "after-call.s3.GetObject"


class Heard:
    """What the caller's handlers made of one request.

    Attributes:
        operation_name: as botocore spells it.
        parameters: the request as they left it; the caller's body and metadata, in plaintext.
        context: what they keep about the call, to be found again by their handlers of later events.
        used: whether a request was sent with it already.
    """

    __slots__ = ("_events", "_given", "_kept", "context", "operation_name", "parameters", "used")

    def __init__(self, client: BaseClient, operation_name: str, parameters: dict[str, Any], **context: Any) -> None:
        """Ask the handlers of a client.

        Args:
            client: any botocore client; its handlers are asked.
            operation_name: as botocore spells it.
            parameters: a dict of the caller's own, which handlers may change.
            **context: more of what botocore would put into the context, such as ``is_presign_request``.

        Raises:
            botocore.exceptions.ParamValidationError: botocore's own handlers refuse the parameters.
        """
        event, arguments = self._begin(client, operation_name, context)
        given_body = parameters.get("Body")
        answers = self._events.emit(f"{PROVIDE}{event}", params=parameters, **arguments)
        parameters = first_non_none_response(answers, default=parameters)
        self._events.emit(f"{BUILD}{event}", params=parameters, **arguments)
        self._end(parameters, given_body)

    def _begin(self, client: BaseClient, operation_name: str, context: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What handlers are asked with: the end of the events' names, and the arguments besides ``params``."""
        meta = client.meta
        model = meta.service_model.operation_model(operation_name)
        self._given = {
            "client_region": meta.region_name,
            "client_config": meta.config,
            "has_streaming_input": model.has_streaming_input,
            "auth_type": model.resolved_auth_type,
            "unsigned_payload": model.unsigned_payload,
            "auth_options": meta.service_model.metadata.get("auth"),
            **context,
        }
        self._events = meta.events
        self._kept: tuple[str, dict[str, Any]] | None = None
        self.operation_name = operation_name
        self.context: dict[str, Any] = dict(self._given)
        self.used = False
        event = f"{meta.service_model.service_id.hyphenize()}.{operation_name}"
        return event, {"model": model, "context": self.context}

    def _end(self, parameters: dict[str, Any], given_body: object) -> None:
        """Take what handlers made of the parameters."""
        body = parameters.get("Body")
        if body is not given_body and type(body) is io.BytesIO and not body.tell():
            # botocore has put bytes into a file; as bytes they cannot change, and need not be checked for that.
            parameters["Body"] = body.getvalue()
        self.parameters = parameters

    def keep(self, event_name: str, arguments: dict[str, Any]) -> None:
        """Keep an event about S3's answer until there is plaintext: its handlers see what the caller sees."""
        self._kept = event_name, arguments

    def answer(self, response: dict[str, Any]) -> dict[str, Any]:
        """Show handlers the answer that the caller gets, if its event was kept."""
        if self._kept is not None:
            event_name, arguments = self._kept
            self._events.emit(event_name, **{**arguments, "parsed": response})
        return response

    def enter(self, context: dict[str, Any]) -> None:
        """Put what the handlers keep into the context of the call that is made."""
        given = self._given
        context.update({name: value for name, value in self.context.items() if given.get(name, self) is not value})


class HeardParameters(dict[str, Any]):
    """Parameters that are on their way to a request of their own, with what the handlers keep about it.

    Attributes:
        heard: what the handlers made of them.
    """

    def __init__(self, parameters: Mapping[str, Any], heard: Heard) -> None:
        """Take a copy of the parameters."""
        super().__init__(parameters)
        self.heard = heard


def heard_with(parameters: Mapping[str, Any]) -> Heard | None:
    """What the handlers made of these parameters, where they were asked."""
    return parameters.heard if isinstance(parameters, HeardParameters) else None


def hear_source(operation_name: str, parameters: dict[str, Any], source: Source) -> Flow[tuple[Any, Source | None]]:
    """Ask the handlers about a request of a managed upload, whose body is open already.

    Args:
        operation_name: as botocore spells it.
        parameters: parameters of the request, without ``Body``.
        source: its plaintext, which stands at its start.

    Returns:
        What they made of it, without ``Body``, and the plaintext that is to be encrypted instead; None where it is that
        of the source, which stands at its start.
    """
    body = SourceBody(source)
    heard = yield from hear(operation_name, {**parameters, "Body": body})
    found = heard.parameters.pop("Body", b"")
    return heard, None if found is body and not body.touched else open_source(found)


class EventsOfCall:
    """A client's emitter as one call sees it, whose parameters the caller's handlers do not change any more."""

    __slots__ = ("_events", "_heard", "_seal", "_shown")

    def __init__(self, events: Any, heard: Heard | None, seal: Seal | None) -> None:
        self._events = events
        self._heard = heard
        self._seal = seal
        self._shown: dict[str, Any] = {}

    def emit(self, event_name: str, **arguments: Any) -> Any:
        """Ask handlers, as botocore's emitter does."""
        asked = self.asked(event_name, arguments)
        return self.answer(event_name, arguments, [] if asked is None else self._events.emit(event_name, **asked))

    def asked(self, event_name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """What handlers are asked with; None where they are not asked."""
        if event_name.startswith(PROVIDE):
            return self._provide(arguments)
        if event_name.startswith(BUILD):
            return None if self._heard is not None else {**arguments, "params": self._shown}
        if self._keeps(event_name, arguments):
            # A handler that reads the body (the AWS CLI writes it to a file) would take ciphertext for the object.
            if self._heard is not None:
                self._heard.keep(event_name, arguments)
            return None
        return arguments

    def answer(self, event_name: str, arguments: dict[str, Any], answers: Any) -> Any:
        """What botocore is told that they answered."""
        if event_name.startswith(PROVIDE):
            self._shown = first_non_none_response(answers, default=self._shown)
            return []
        if event_name.startswith(BUILD):
            if "CopySource" in arguments["params"]:
                # The one parameter that botocore's own handlers bring into the form that is sent.
                handle_copy_source_param(arguments["params"])
            return []
        return [] if self._keeps(event_name, arguments) else answers

    def _provide(self, arguments: dict[str, Any]) -> dict[str, Any] | None:
        context = arguments["context"]
        if self._seal is not None:
            context[SEAL] = self._seal
        if self._heard is not None:
            self._heard.enter(context)
            return None
        # A request of our own: handlers hear of it, botocore's own among them, on a copy that is not sent.
        self._shown = _copy(arguments["params"])
        return {**arguments, "params": self._shown}

    def _keeps(self, event_name: str, arguments: dict[str, Any]) -> bool:
        return event_name.startswith(_OBJECT_READ) and _has_body(arguments.get("parsed"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)


def _has_body(parsed: Any) -> bool:
    return isinstance(parsed, dict) and "Body" in parsed


def _copy(parameters: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: dict(value) if isinstance(value, dict) else value for name, value in parameters.items()}
    if "Body" in shown:
        # A handler that reads or wraps it would move, or hold, the body that is sent.
        shown["Body"] = b""
    return shown


def make_sender(generated: type) -> type:
    """The class of the views that calls are sent by: botocore's generated one, with a ``meta`` per object.

    Args:
        generated: the class that botocore generated for the client.
    """
    # A slot is not in the dict, which every view of a client shares with it, and comes before what is.
    return type("S3", (generated,), {"__slots__": ("meta",)})


def sending_view(
    client: BaseClient, sender: type, heard: Heard | None, seal: Seal | None, events: type[EventsOfCall] = EventsOfCall
) -> Any:
    """A view of a client for one call, which the handlers of parameters do not change.

    Args:
        client: the client.
        sender: as `make_sender` gave it.
        heard: what the handlers made of the request already; None for a request of our own, which they hear of.
        seal: what must not change on the request's further way, or None.
        events: the emitter of the view.
    """
    meta = client.meta
    # A meta of its own, with the client's parts but for the emitter. One that passes on what it is asked would be asked
    # nine times in a call, and several times as long each time.
    own: Any = object.__new__(type(meta))
    own.__dict__.update(meta.__dict__, events=events(meta.events, heard, seal))
    view: Any = object.__new__(sender)
    view.__dict__ = client.__dict__
    view.meta = own
    return view


def send_after_handlers(
    client: BaseClient,
    sender: type,
    operation_name: str,
    parameters: dict[str, Any],
    heard: Heard | None,
    seal: Seal | None,
) -> dict[str, Any]:
    """Send a request whose parameters the caller's handlers do not change any more; see `sending_view`."""
    view = sending_view(client, sender, heard, seal)
    # By the class: a wrapper of the client object's method has heard of this call already.
    response: dict[str, Any] = sender._make_api_call(view, operation_name, parameters)  # type: ignore[attr-defined]
    return response
