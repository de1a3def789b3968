"""KMS requests with botocore's own parts, but without what it does around them again for each request.

One call of a KMS client takes as long as a small request to S3, nearly all of it in this process: the same endpoint is
resolved, the same user agent put together twice, contexts are copied and a dozen hooks called, but nothing listens.
Here the client's own serializer and parser are used directly, and between them a signature and a connection that cost a
quarter of botocore's. A proxy, a certificate of the client's own, another kind of signature or somebody who watches
connections keep the client's own signer and pool.

That is done only where no one could tell the difference. If something listens to the client's events, has patched or
traces it, and whenever KMS does not simply say yes or no, the client is used as usual; after trouble, for a while only
the client: a direct attempt comes on top of its own, and a service in trouble is not to be asked any faster.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.client import BaseClient
from botocore.endpoint import convert_to_response_dict
from botocore.exceptions import BotoCoreError
from botocore.history import get_global_history_recorder
from botocore.serialize import create_serializer

from s3ec.client.calls.shortcuts.user_agents import UserAgents
from s3ec.client.calls.shortcuts.way import OutOfTheOrdinary, Way, is_unpatched, is_usual, listening
from s3ec.errors import KeyringError
from s3ec.exchanges.wire import Connections, WireError

__all__ = ["KmsRequests"]

# What these do for every request is done here too, or changes nothing about these operations.
_HANDLERS_OF_BOTOCORE = frozenset(
    {
        "botocore.handlers",
        "botocore.retries.standard",
        "botocore.retryhandler",
        "botocore.signers",
        "botocore.useragent",
    }
)
# Where tracers and tests put themselves in front of a call.
_CLIENT_METHODS = (
    "_make_api_call",
    "_make_request",
    "_convert_to_request_dict",
    "_emit_api_params",
    "_resolve_endpoint_ruleset",
)
_ENDPOINT_METHODS = (
    "make_request",
    "create_request",
    "prepare_request",
    "_send_request",
    "_get_response",
    "_do_get_response",
    "_send",
    "_needs_retry",
)
# KMS means no: another try would be answered the same way (KMS API reference, "Common errors" and each operation's).
_FINAL = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "ExpiredTokenException",
        "IncorrectKeyException",
        "InvalidCiphertextException",
        "InvalidGrantTokenException",
        "InvalidKeyUsageException",
        "InvalidSignatureException",
        "KMSInvalidStateException",
        "NotFoundException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
_Read = Callable[[], Mapping[str, Any] | None]
"""Reads the answer to a request that was sent; None where the client is to ask again."""
_PAUSE = 30.0  # seconds in which botocore's own waiting is not undercut
# A log of requests is for botocore to write.
_LOGS = tuple(map(logging.getLogger, ("botocore", "botocore.endpoint", "botocore.hooks", "botocore.regions")))


class KmsRequests:
    """The requests of one KMS client."""

    __slots__ = ("_client", "_connections", "_not_before", "_operations")

    def __init__(self, client: Any) -> None:
        """Take a client as boto3 makes it, or what its caller uses in its place."""
        self._client = client
        self._operations: dict[str, _Operation | None] = {}
        self._connections = Connections()
        self._not_before = 0.0

    def call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """Return what ``client.<method>(**parameters)`` would return.

        Args:
            method: a method of the client, such as ``generate_data_key``.
            parameters: arguments of the types that the operation takes; KMS itself refuses wrong values.

        Raises:
            botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as the client raises them.
        """
        operation = self._operation(method)
        send = None if operation is None else partial(operation.send, parameters)
        return self._finish(send, method, parameters)

    def begin(self, method: str, several: Sequence[Mapping[str, Any]]) -> list[Callable[[], Any]] | None:
        """Send several requests before the first answer is read; see `s3ec.keyrings.kms_calls.Calls`."""
        operation = self._operation(method)
        begun = None if operation is None else operation.begin(several)
        if begun is None:
            return None
        return [partial(self._finish, read, method, one) for read, one in zip(begun, several, strict=True)]

    def _operation(self, method: str) -> _Operation | None:
        """Return what makes requests directly; None while that is not the client's way."""
        if not _is_plain(self._client, method) or time.monotonic() < self._not_before:
            return None
        if method not in self._operations:
            self._operations[method] = _Operation.of(self._client, method, self._connections)
        operation = self._operations[method]
        return None if operation is None or operation.is_listened_to() else operation

    def _finish(self, read: _Read | None, method: str, parameters: Mapping[str, Any]) -> Any:
        if read is not None:
            answer = read()
            if answer is not None:
                return answer
            self._not_before = time.monotonic() + _PAUSE
        return getattr(self._client, method)(**parameters)


class _Operation:
    """One operation of one client, with all that is the same for each of its requests."""

    __slots__ = (
        "_client",
        "_context",
        "_emitter",
        "_endpoint_url",
        "_last_heard",
        "_model",
        "_parser",
        "_serializer",
        "_user_agents",
        "_way",
    )

    def __init__(self, client: Any, name: str, connections: Connections | None) -> None:
        service, config = client.meta.service_model, client.meta.config
        protocol = getattr(service, "resolved_protocol", service.metadata["protocol"])
        self._client = client
        self._model = service.operation_model(name)
        self._serializer = create_serializer(protocol)
        self._parser = client._endpoint._response_parser_factory.create_parser(protocol)
        self._emitter = client.meta.events._emitter
        self._user_agents = UserAgents(client._user_agent_creator)
        self._context = {
            "auth_type": getattr(self._model, "resolved_auth_type", self._model.auth_type),
            "client_config": config,
            "client_region": client.meta.region_name,
            "has_streaming_input": False,
        }
        # Notes in the context how the endpoint wants to be signed for.
        self._endpoint_url, headers, *_ = client._resolve_endpoint_ruleset(self._model, {}, self._context)
        only_one_attempt = (config.retries or {}).get("total_max_attempts") == 1
        if headers or only_one_attempt or getattr(config, "auth_scheme_preference", None):
            raise OutOfTheOrdinary
        self._way = Way.of(client, self._endpoint_url, self._context, connections or Connections())
        self._last_heard: tuple[object, bool] = (None, True)
        self.is_listened_to()

    @classmethod
    def of(cls, client: Any, method: str, connections: Connections | None = None) -> _Operation | None:
        """Return the operation, or None if the client is not made as this module expects."""
        try:
            return cls(client, client.meta.method_to_api_mapping[method], connections)
        except (AttributeError, KeyError, OutOfTheOrdinary):
            return None

    def is_listened_to(self) -> bool:
        """True if anything but botocore itself would see, change or answer a call."""
        # The emitter starts a new cache whenever a handler comes or goes.
        cache = self._emitter._lookup_cache
        if self._last_heard[0] is not cache:
            modules = listening(self._emitter, f"kms.{self._model.name}")
            self._last_heard = cache, not modules <= _HANDLERS_OF_BOTOCORE
        return self._last_heard[1]

    def send(self, parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Send one request; return None if the answer is neither yes nor no.

        Raises:
            botocore.exceptions.ClientError: KMS says no.
            botocore.exceptions.BotoCoreError: the request cannot be signed.
        """
        request_dict = self._request_dict(parameters)
        try:
            response = self._directly(request_dict) or self._by_the_pool(request_dict)
        except (BotoCoreError, WireError):
            return None
        return self._parsed(response)

    def begin(self, several: Sequence[Mapping[str, Any]]) -> list[_Read] | None:
        """Send requests directly; return what reads the answers as `send` does, or None if that is not the way."""
        way = self._usual_way()
        made: dict[int, bytes] = {}
        for parameters in several:
            if way is not None and id(parameters) not in made:
                request = self._signed(way, self._request_dict(parameters))
                if request is None:
                    return None
                made[id(parameters)] = request
        return None if way is None else [self._begin(way, made[id(parameters)]) for parameters in several]

    @staticmethod
    def _signed(way: Way, request_dict: dict[str, Any]) -> bytes | None:
        try:
            return way.request_of(request_dict)
        except BotoCoreError:  # of whoever gives the credentials
            return None

    def _begin(self, way: Way, request: bytes) -> _Read:
        try:
            receive = way.begin(request)
        except WireError:
            return lambda: None

        def read() -> Mapping[str, Any] | None:
            try:
                response = receive()
            except WireError:
                return None
            return self._parsed(self._noted(response))

        return read

    def _request_dict(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        context = dict(self._context)
        request_dict: dict[str, Any] = self._serializer.serialize_to_request(parameters, self._model)
        prepare_request_dict(
            request_dict, endpoint_url=self._endpoint_url, user_agent=self._user_agents.text(), context=context
        )
        # botocore's own handlers: in a Lambda function they send the mark on that stops endless recursion.
        self._emitter.emit(
            f"before-call.kms.{self._model.name}",
            model=self._model,
            params=request_dict,
            request_signer=self._client._request_signer,
            context=context,
        )
        return request_dict

    def _parsed(self, response: dict[str, Any]) -> Mapping[str, Any] | None:
        try:
            parsed: dict[str, Any] = self._parser.parse(response, self._model.output_shape)
        except BotoCoreError:
            return None
        if not isinstance(parsed, dict):
            raise KeyringError(f"AWS KMS answered {self._model.name} with something that cannot be read")
        parsed["ResponseMetadata"]["RetryAttempts"] = 0
        if response["status_code"] == 200:
            return parsed
        code = parsed.get("Error", {}).get("Code")
        if code not in _FINAL:
            return None
        raise self._client.exceptions.from_code(code)(parsed, self._model.name)

    def _usual_way(self) -> Way | None:
        return self._way if is_usual(self._client._endpoint.http_session) else None

    def _directly(self, request_dict: dict[str, Any]) -> dict[str, Any] | None:
        """Send the request by a connection of our own; return None if that is not the client's way."""
        way = self._usual_way()
        request = None if way is None else way.request_of(request_dict)
        return None if way is None or request is None else self._noted(way.begin(request)())

    def _noted(self, response: dict[str, Any]) -> dict[str, Any]:
        response["context"] = {"operation_name": self._model.name}
        return response

    def _by_the_pool(self, request_dict: dict[str, Any]) -> dict[str, Any]:
        """Send the request with the client's own signer and by its own connections."""
        request = create_request_object(request_dict)
        self._client._request_signer.sign(self._model.name, request)
        endpoint = self._client._endpoint
        response = endpoint.http_session.send(endpoint.prepare_request(request))
        return dict(convert_to_response_dict(response, self._model))


def _is_plain(client: object, method: str) -> bool:
    """True if the client is botocore's own, and no tracer, test or log is in front of its calls."""
    return (
        isinstance(client, BaseClient)
        and is_unpatched(client, (method, *_CLIENT_METHODS))
        and is_unpatched(getattr(client, "_endpoint", None), _ENDPOINT_METHODS)
        and not any(log.isEnabledFor(logging.DEBUG) for log in _LOGS)
        and not getattr(get_global_history_recorder(), "_enabled", True)
    )
