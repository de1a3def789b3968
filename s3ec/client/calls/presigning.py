"""Presigned requests: who holds one of an upload stores what they like, so uploads are refused unless allowed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from s3ec.client.calls.around import Around
from s3ec.client.calls.operations import Treatment, treatment
from s3ec.client.server_side import presigned as server_side_presigned
from s3ec.errors import UnsupportedOperationError
from s3ec.s3 import presigned as rules
from s3ec.s3.objects import without_ours

__all__ = ["check_form", "check_url", "recorded_headers"]

_log = logging.getLogger("s3ec")
_recording: ContextVar[dict[str, str] | None] = ContextVar("s3ec_presigned_headers", default=None)


def check_url(client: Any, around: Around, method_name: str, parameters: Any, http_method: Any) -> Any:
    """Refuse a URL that would store plaintext, and return the parameters of one that would not.

    Args:
        client: the client that signs it.
        around: its options.
        method_name: the caller's ``ClientMethod``; one that there is none of is for botocore to refuse.
        parameters: the caller's ``Params``, or None.
        http_method: the caller's ``HttpMethod``, or None.

    Returns:
        The parameters with the headers of the client's server-side mode, which the holder of the URL sends too.

    Raises:
        ConfigurationError: a server-side mode that S3 would refuse.
        UnsupportedOperationError: the holder of the URL would store plaintext.
    """
    operation_name = client._PY_TO_OP_NAME.get(method_name)
    stripped = without_ours(parameters) if parameters else parameters
    if operation_name is None:
        return stripped
    uploads = around.options.presigned_uploads
    is_refused = treatment(operation_name) is Treatment.REFUSED
    rules.check_operation(operation_name, is_refused=is_refused, uploads=uploads)
    if operation_name == "GetObject":
        _log.info("a presigned get_object gives its holder ciphertext; s3ec.decrypt_presigned opens it")
    own_method = around.service_model.operation_model(operation_name).http.get("method")
    rules.check_method(operation_name, own_method, http_method, uploads=uploads)
    mode = around.options.server_side_encryption
    return server_side_presigned.apply_to_url(operation_name, stripped or {}, mode, secure=around.secure)


def check_form(around: Around, fields: Any, conditions: Any) -> tuple[Any, Any]:
    """Refuse a POST form unless the client allows presigned uploads, and return what one is made of.

    Args:
        around: the client's options.
        fields: the caller's ``Fields``, or None.
        conditions: the caller's ``Conditions``, or None.

    Raises:
        UnsupportedOperationError: with the way out.
    """
    if around.options.presigned_uploads == "refuse":
        raise UnsupportedOperationError(f"a presigned POST is refused: {rules.WAY_OUT}")
    return server_side_presigned.apply_to_form(fields, conditions, around.options.server_side_encryption)


@contextmanager
def recorded_headers(client: Any) -> Iterator[dict[str, str]]:
    """Note the headers of the one upload that is presigned meanwhile, as they are before it is signed.

    Others may be sending requests of their own through the same client: handlers are called in the thread, or in the
    task, that makes a request, and so see whether it is this one.
    """
    headers: dict[str, str] = {}

    def record(request: Any, **_: Any) -> None:
        if _recording.get() is headers:
            headers.update({name: _text(value) for name, value in request.headers.items()})

    # No other one that is registered, not even by the process that forked this one, has the same dict.
    handler_id = f"s3ec-presigned-headers-{id(headers)}"
    events = client.meta.events
    token = _recording.set(headers)
    events.register_last("before-sign.s3.PutObject", record, unique_id=handler_id)
    try:
        yield headers
    finally:
        events.unregister("before-sign.s3.PutObject", unique_id=handler_id)
        _recording.reset(token)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
