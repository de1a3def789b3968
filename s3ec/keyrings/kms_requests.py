"""KMS requests with botocore's own parts, but without all that it does around them anew for each.

One call of a KMS client takes as long as a small request to S3, nearly all of it in this process: the same endpoint is
resolved, the same user agent put together twice, contexts are copied and a dozen hooks asked, although nobody listens.
Here the client's own signer and its own connections (with its TLS settings, proxies and pool) are used directly.

That is done only where nobody could tell the difference. Where somebody listens to the client's events, has patched it,
or traces it, and whenever KMS does not simply say yes or no, the client is asked as usual: retries are botocore's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.client import BaseClient
from botocore.endpoint import convert_to_response_dict
from botocore.exceptions import BotoCoreError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

__all__ = ["KmsRequests"]

_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-call",
    "request-created",
    "before-send",
    "before-parse",
    "response-received",
    "needs-retry",
    "after-call",
    "after-call-error",
)
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
# KMS means no: another try would be answered the same way (KMS API reference, Decrypt and GenerateDataKey).
_FINAL = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "IncorrectKeyException",
        "InvalidCiphertextException",
        "InvalidGrantTokenException",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "NotFoundException",
    }
)
_log = logging.getLogger("botocore")


class KmsRequests:
    """The requests of one KMS client."""

    __slots__ = ("_client", "_operations")

    def __init__(self, client: Any) -> None:
        """Take a client as boto3 makes it, or what its caller has put in its place."""
        self._client = client
        self._operations: dict[str, _Operation | None] = {}

    def call(self, method: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """What ``client.<method>(**parameters)`` gives back.

        Args:
            method: a method of the client, such as ``generate_data_key``.
            parameters: of the types that the operation takes; their values are KMS's to refuse.

        Raises:
            botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as the client raises them.
        """
        if _is_plain(self._client, method):
            if method not in self._operations:
                self._operations[method] = _Operation.of(self._client, method)
            operation = self._operations[method]
            if operation is not None and not operation.is_listened_to():
                answer = operation.send(parameters)
                if answer is not None:
                    return answer
        answered: Mapping[str, Any] = getattr(self._client, method)(**parameters)
        return answered


class _Operation:
    """One operation of one client, with all that is the same for each of its requests."""

    __slots__ = (
        "_context",
        "_emitter",
        "_endpoint",
        "_endpoint_url",
        "_exceptions",
        "_last_heard",
        "_model",
        "_parser",
        "_serializer",
        "_signer",
        "_user_agent",
    )

    def __init__(self, client: Any, name: str) -> None:
        service = client.meta.service_model
        protocol = getattr(service, "resolved_protocol", service.metadata["protocol"])
        self._model = service.operation_model(name)
        self._serializer = create_serializer(protocol, include_validation=False)
        self._parser = create_parser(protocol)
        self._exceptions = client.exceptions
        self._emitter = client.meta.events._emitter
        self._signer = client._request_signer
        self._endpoint = client._endpoint
        self._user_agent = client._user_agent_creator.to_string()
        self._context = {
            "auth_type": getattr(self._model, "resolved_auth_type", self._model.auth_type),
            "client_config": client.meta.config,
            "client_region": client.meta.region_name,
            "has_streaming_input": False,
        }
        # Notes in the context how the endpoint wants to be signed for.
        self._endpoint_url, headers, *_ = client._resolve_endpoint_ruleset(self._model, {}, self._context)
        if headers or getattr(client.meta.config, "auth_scheme_preference", None):
            raise _OutOfTheOrdinary
        self._last_heard: tuple[object, bool] = (None, True)
        self.is_listened_to()

    @classmethod
    def of(cls, client: Any, method: str) -> _Operation | None:
        """The operation, or None where the client is not made as this module expects it."""
        try:
            return cls(client, client.meta.method_to_api_mapping[method])
        except (AttributeError, KeyError, _OutOfTheOrdinary):
            return None

    def is_listened_to(self) -> bool:
        """Say whether anybody but botocore itself would see, change or answer a call."""
        # The emitter starts a new cache whenever a handler comes or goes.
        cache = self._emitter._lookup_cache
        if self._last_heard[0] is not cache:
            handlers = (
                handler
                for event in _EVENTS
                for handler in self._emitter._handlers.prefix_search(f"{event}.kms.{self._model.name}")
            )
            foreign = any(getattr(handler, "__module__", None) not in _HANDLERS_OF_BOTOCORE for handler in handlers)
            self._last_heard = cache, foreign
        return self._last_heard[1]

    def send(self, parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Send one request; None where the answer is neither yes nor no.

        Raises:
            botocore.exceptions.ClientError: KMS says no.
            botocore.exceptions.BotoCoreError: the request cannot be signed.
        """
        request_dict = self._serializer.serialize_to_request(parameters, self._model)
        prepare_request_dict(
            request_dict, endpoint_url=self._endpoint_url, user_agent=self._user_agent, context=dict(self._context)
        )
        request = create_request_object(request_dict)
        self._signer.sign(self._model.name, request)
        try:
            response = self._endpoint.http_session.send(self._endpoint.prepare_request(request))
            parsed: dict[str, Any] = self._parser.parse(
                convert_to_response_dict(response, self._model), self._model.output_shape
            )
        except BotoCoreError:
            return None
        parsed["ResponseMetadata"]["RetryAttempts"] = 0
        if response.status_code == 200:
            return parsed
        code = parsed.get("Error", {}).get("Code")
        if code not in _FINAL:
            return None
        raise self._exceptions.from_code(code)(parsed, self._model.name)


class _OutOfTheOrdinary(Exception):  # noqa: N818 - no error: it never leaves this module
    """The client or its endpoint wants more than an address and the usual signature."""


def _is_plain(client: object, method: str) -> bool:
    """Say whether the client is botocore's own, and no tracer or test has put anything in front of its calls."""
    if not isinstance(client, BaseClient):
        return False
    passed_through = (
        getattr(type(client), method, None),
        getattr(type(client), "_make_api_call", None),
        getattr(type(getattr(client, "_endpoint", None)), "make_request", None),
    )
    return (
        all(_is_botocores(function) for function in passed_through)
        and vars(client).keys().isdisjoint((method, "_make_api_call"))
        # A log of the request is botocore's to write, and its mark in a Lambda function botocore's to send on.
        and not _log.isEnabledFor(logging.DEBUG)
        and "AWS_LAMBDA_FUNCTION_NAME" not in os.environ
    )


def _is_botocores(function: object) -> bool:
    # Wrappers take on a function's names, but never the globals of the module that it was written in.
    return isinstance(function, FunctionType) and function.__globals__.get("__name__", "").startswith("botocore.")
