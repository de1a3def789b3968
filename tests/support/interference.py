"""What happens to a bucket job from outside, at an exact request: another writer, a lost header, the process's end.

It sits between a boto3 client and the network, so that each case is the same on every machine: an action runs when the
n-th request of a kind is about to leave, which is the moment in which a proxy would see it arrive.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

__all__ = ["Interference", "KilledError"]


class KilledError(BaseException):
    """The process has ended: nothing that it would still send leaves it."""


class Interference:
    """Watches the requests of one client, and interferes.

    Attributes:
        sent: operations in the order in which they left.
    """

    def __init__(self, client: Any) -> None:
        """Take the client of a job."""
        self.sent: list[str] = []
        self._client = client
        self._actions: list[tuple[str, Callable[[AWSPreparedRequest], Any]]] = []
        self._fatal: int | None = None
        self._refused: int | None = None
        client.meta.events.register("before-send.s3", self._before)

    def begin_again(self) -> None:
        """Count requests from 1 again, and let them pass."""
        self.sent.clear()
        self._fatal = self._refused = None

    def kill_before(self, number: int) -> None:
        """End the process when its n-th request (from 1) is about to leave."""
        self._fatal = number

    def refuse(self, number: int) -> None:
        """Answer its n-th request (from 1) with 403, and do nothing of it."""
        self._refused = number

    def when(self, operation: str, action: Callable[..., Any], *, nth: int | None = 1, key: str | None = None) -> None:
        """Run an action when the n-th request of an operation leaves; None for each of them.

        Args:
            operation: as botocore names it, ``"PutObject"``.
            action: called without arguments; what it returns is thrown away.
            nth: counted from 1.
            key: requests for this key alone.
        """
        ending = None if key is None else re.compile(re.escape(key) + r"(\?|$)")
        count = 0

        def run(request: AWSPreparedRequest) -> None:
            nonlocal count
            if ending is None or ending.search(request.url):
                count += 1
                if nth is None or count == nth:
                    action()

        self._actions.append((operation, run))

    def answer(self, operation: str, status: int, code: str) -> None:
        """Answer each request of an operation with an error, as a server that does not allow it."""
        body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self._actions.append((operation, lambda request: _response(request, status, body)))

    def forget(self, header: str, operation: str) -> None:
        """Let an operation pass over a header, as servers do that do not know it."""

        def drop(request: AWSPreparedRequest) -> None:
            if header in request.headers:
                del request.headers[header]

        self._actions.append((operation, drop))

    def refuse_removal_of_versions(self) -> None:
        """Answer DeleteObject of a version as S3 does while a lock lies on it."""
        body = b"<Error><Code>AccessDenied</Code><Message>Object Lock</Message></Error>"
        self._actions.append(
            ("DeleteObject", lambda request: _response(request, 403, body) if "versionId=" in request.url else None)
        )

    def refuse_conditions_on_deletes(self) -> None:
        """Let DeleteObject answer ``If-Match`` as servers do that know of it, and have not built it."""

        def refuse(request: AWSPreparedRequest) -> AWSResponse | None:
            if "If-Match" not in request.headers:
                return None
            return _response(request, 501, b"<Error><Code>NotImplemented</Code></Error>")

        self._actions.append(("DeleteObject", refuse))

    def _before(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        self.sent.append(operation)
        if self._fatal is not None and len(self.sent) >= self._fatal:
            raise KilledError(operation)
        if self._refused == len(self.sent):
            return _response(request, 403, b"<Error><Code>AccessDenied</Code></Error>")
        for wanted, action in self._actions:
            if wanted == operation:
                answer = action(request)
                if isinstance(answer, AWSResponse):
                    return answer
        return None


class _Raw:
    """The body of an answer."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self._body]

    def read(self, *_: Any, **__: Any) -> bytes:
        return self._body


def _response(request: AWSPreparedRequest, status: int, body: bytes) -> AWSResponse:
    return AWSResponse(request.url, status, {"content-type": "application/xml"}, _Raw(body))
