"""Connections of botocore's that write headers, and read the head of an answer, in a shorter way.

urllib3 hands each header to `http.client`, which makes bytes of it and looks at all of it for what a header may not
have. The names of a client's headers are always the same, and a value without a line break has nothing of that.
"""

from __future__ import annotations

import contextlib
import http.client
import re
from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.httpsession import URLLib3Session

from s3ec.exchanges.heads import QuickResponse

__all__ = ["connect_quickly"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STARTED = getattr(http.client, "_CS_REQ_STARTED", None)
_MOST_KEPT = 1024
_names: dict[str, bytes] = {}


class _Quick:
    """Stands before one of botocore's connections."""

    response_class = QuickResponse

    def putheader(self, header: Any, *values: Any) -> None:
        """Write a header; see `http.client`."""
        connection: Any = self
        start = _names.get(header) if type(header) is str else None
        start = start or _start(header)
        value = values[0] if len(values) == 1 else None
        begun = vars(self).get("_HTTPConnection__state") == _STARTED
        if start and begun and type(value) is bytes and b"\n" not in value and b"\r" not in value:
            connection._output(start + value)
        else:
            plain: Any = super()
            plain.putheader(header, *values)


def _start(header: Any) -> bytes | None:
    """A name and what stands behind it, as bytes; None for what is to be looked at."""
    if type(header) is not str or not _NAME.fullmatch(header):
        return None
    if len(_names) >= _MOST_KEPT:
        _names.clear()
    start = _names[header] = header.encode("ascii") + b": "
    return start


_KINDS: dict[Any, type] = {
    kind: type(kind.__name__, (_Quick, kind), {}) for kind in (AWSHTTPConnection, AWSHTTPSConnection)
}


def _pool(kind: Any) -> type:
    """A kind of pool whose connections are ours, as long as they would be botocore's own."""

    def connection_class(self: Any) -> Any:
        plain = kind.ConnectionCls
        return _KINDS.get(plain, plain)

    return type(kind.__name__, (kind,), {"ConnectionCls": property(connection_class)})


def connect_quickly(client: Any) -> None:
    """Have the connections of a client written to, and read from, in a shorter way.

    Args:
        client: a client of boto3; one whose HTTP session is not botocore's own is left alone.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if type(session) is URLLib3Session:
        with contextlib.suppress(AttributeError):
            pools: Any = session._pool_classes_by_scheme  # type: ignore[attr-defined]  # the stubs leave it out
            pools.update({scheme: _pool(kind) for scheme, kind in pools.items()})
