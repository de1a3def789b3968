"""The way to KMS on an ordinary connection: one of our own, with a signature that is botocore's to the last digit."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSHTTPSConnectionPool, HeadersDict
from botocore.httpsession import get_cert_path

from s3ec.exchanges.signature import signed
from s3ec.exchanges.wire import Address, Connections

__all__ = ["EVENTS", "OutOfTheOrdinary", "Way", "is_unpatched", "is_usual", "listening", "module_of"]

EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "before-parse",
    "response-received",
    "needs-retry",
    "after-call",
    "after-call-error",
)
"""Of a call, in its order."""


class OutOfTheOrdinary(Exception):  # noqa: N818 - no error: it never leaves this package
    """The client or its endpoint wants more than an address and the usual signature."""


class Way:
    """How a client reaches KMS, where that is an ordinary one."""

    __slots__ = ("_address", "_connections", "_credentials", "_host", "_region", "_service")

    def __init__(self, client: Any, url: str, context: Mapping[str, Any], connections: Connections) -> None:
        """Look at a client.

        Args:
            client: a botocore client.
            url: where its requests go.
            context: what botocore has noted about them, the signature that the endpoint wants among it.
            connections: kept for all operations of the client.

        Raises:
            OutOfTheOrdinary: it wants more than an address and the usual signature.
            AttributeError, OSError, ValueError: botocore is not made as expected, or trusts authorities of its own way.
        """
        signer, session, config = client._request_signer, client._endpoint.http_session, client.meta.config
        parts, signing = urlsplit(url), context.get("signing", {})
        if (
            signer.signature_version != "v4"
            or signer._credentials is None
            or not {*signing} <= {"region", "signing_name"}
            or parts.hostname is None
            or parts.path not in ("", "/")
            or parts.query
            or session._proxy_config.proxy_url_for(url)
            or session._cert_file
            or getattr(config, "tcp_keepalive", None)
            or (parts.scheme == "https" and not session._verify)
        ):
            raise OutOfTheOrdinary
        tls, default = None, 80
        if parts.scheme == "https":
            tls, default = ssl.create_default_context(cafile=get_cert_path(session._verify)), 443
        port = parts.port or default
        self._address = Address(parts.hostname, port, tls, config.connect_timeout, config.read_timeout)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._host = host if port == default else f"{host}:{port}"
        self._region = signing.get("region") or signer.region_name
        self._service = signing.get("signing_name") or signer.signing_name
        self._credentials = signer._credentials
        self._connections = connections

    @classmethod
    def of(cls, client: Any, url: str, context: Mapping[str, Any], connections: Connections) -> Way | None:
        """Return it, or None for all others, and for a botocore that is not made as expected."""
        try:
            return cls(client, url, context, connections)
        except (AttributeError, OSError, ValueError, OutOfTheOrdinary):
            return None

    def request_of(self, request_dict: dict[str, Any]) -> bytes | None:
        """Sign a request, and return all of it as it is sent; None for a request of another form."""
        body = request_dict["body"]
        if request_dict["method"] != "POST" or request_dict["url_path"] != "/" or not isinstance(body, bytes):
            return None
        headers = {name.lower(): str(value) for name, value in request_dict["headers"].items()}
        headers |= {"host": self._host, "content-length": str(len(body))}
        by = self._credentials.get_frozen_credentials()
        sent = signed("POST", "/", "", headers, body, region=self._region, by=by, service=self._service)
        sent["accept-encoding"] = "identity"  # as urllib3 adds it, after the signature
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"POST / HTTP/1.1\r\n{head}\r\n".encode("ascii") + body

    def begin(self, request: bytes) -> Callable[[], dict[str, Any]]:
        """Send a request, and return what reads the answer as botocore's parsers take one.

        Raises:
            WireError: it could not be sent; what reads raises it where there is no answer that is understood.
        """
        receive = self._connections.begin(self._address, request)

        def read() -> dict[str, Any]:
            answer = receive()
            return {"headers": HeadersDict(answer.headers), "status_code": answer.status, "body": answer.body}

        return read


def is_usual(session: Any) -> bool:
    """True if nobody watches or replaces connections: tracers and recorders of tests do that in urllib3 too."""
    pool = AWSHTTPSConnectionPool
    return (
        is_unpatched(session, ("send",))
        and pool.ConnectionCls.__module__.startswith("botocore.")
        and type(pool.urlopen) is FunctionType
        and module_of(pool.urlopen).startswith("urllib3.")
    )


def is_unpatched(part: object, methods: tuple[str, ...]) -> bool:
    """True if these methods of an object are botocore's own."""
    functions = (getattr(type(part), method, None) for method in methods)
    return (
        part is not None
        and vars(part).keys().isdisjoint(methods)
        and all(
            # Its very type: proxies pretend to be what they wrap.
            type(function) is FunctionType and module_of(function).startswith("botocore.")
            for function in functions
        )
    )


def listening(emitter: Any, operation: str) -> set[str]:
    """Return the modules of all handlers that hear of an operation.

    Args:
        emitter: botocore's own, behind that of a client.
        operation: the end of the events' names, such as ``s3.GetObject``.
    """
    events = (f"{event}.{operation}" for event in EVENTS)
    return {module_of(handler) for event in events for handler in emitter._handlers.prefix_search(event)}


def module_of(called: Any) -> str:
    """Return where a function, a method or an object's class was written; wrappers copy names, but never globals."""
    function = getattr(called, "__func__", called)
    module = function.__globals__.get("__name__") if type(function) is FunctionType else type(function).__module__
    return str(module)
