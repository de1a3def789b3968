"""What becomes of a request: who sent it, what it is, whether it may pass, and which way it goes. In that order.

Nothing of a body is read, and nothing is asked of S3 or KMS, before all that the headers decide is decided.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from contextlib import ExitStack
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.client.calls.operations import ENCRYPTED, refuse_unless_supported
from s3ec.errors import S3ECError, escaped
from s3ec.serve import content, etags
from s3ec.serve.doors import Door, Doors
from s3ec.serve.listings import LISTINGS, in_plaintext
from s3ec.serve.memory import Seats
from s3ec.serve.metrics import Metrics
from s3ec.serve.payloads import Payload, open_payload
from s3ec.serve.reads import Reads
from s3ec.serve.refusals import Refusal, RefusedError, refusal_of
from s3ec.serve.relay import Relay
from s3ec.serve.requests import Answer, Request, with_hoisted
from s3ec.serve.routes import Routes
from s3ec.serve.settings import ServeSettings
from s3ec.serve.signatures import Signed, verify

__all__ = ["Gateway"]

_access = logging.getLogger("s3ec.serve.access")
_OF_ERRORS = ("x-amz-delete-marker", "x-amz-version-id", "last-modified", "retry-after")
"""What S3 says with an error besides its document: that an object is deleted, by which version, when to ask again."""
_COPIES = frozenset({"CopyObject", "UploadPartCopy"})
_HEAVY = frozenset({"CopyObject", "GetObject", "PutObject", "UploadPart", "UploadPartCopy"})
_BUFFERED = frozenset({"GetObject", "PutObject"})
_LISTING_LIMIT = 64 * 1024 * 1024
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@/\s]+)(?::\d{1,5})?")
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_REFUSED_HERE = {
    "CreateSession": "it would hand out credentials that reach S3 past this endpoint",
    "PutObjectAnnotation": "annotations carry a payload that is not encrypted",
}


class Gateway:
    """Answers requests. One for each endpoint; used by all connections at once.

    Attributes:
        metrics: what was counted so far.
    """

    def __init__(
        self, settings: ServeSettings, doors: Doors, relay: Relay, *, on_aws: bool, metrics: Metrics | None = None
    ) -> None:
        """Take the way in and the ways out.

        Args:
            settings: whom to believe, and how much to take on.
            doors: which way the requests to a bucket go.
            relay: for requests that are not changed.
            on_aws: S3 is AWS's own.
            metrics: where to count; what was counted before stays.
        """
        self.metrics = Metrics() if metrics is None else metrics
        self._settings = settings
        self._doors = doors
        self._relay = relay
        self._routes = Routes.of_s3()
        self._on_aws = on_aws
        self._slots = threading.BoundedSemaphore(settings.max_requests)
        self._seats = Seats(settings)
        self._reads = Reads()

    def handle(self, request: Request) -> Answer:
        """Answer one request; errors become answers."""
        started = time.monotonic()
        self.metrics.enter(1)
        operation_name = "-"
        stack = ExitStack()
        stack.callback(self.metrics.enter, -1)
        try:
            inner = self._own_page(request)
            if inner is not None:
                return self._finished(inner, request, "-", started, stack)
            signed = verify(request, self._settings.credentials)
            request = with_hoisted(request)
            operation_name = self._routes.find(request)
            answer = self._answer(operation_name, request, signed, stack)
        except (S3ECError, ClientError, BotoCoreError) as error:
            answer = self._failed(error, request)
        except BaseException:
            stack.close()
            raise
        return self._finished(answer, request, operation_name, started, stack)

    def close(self) -> None:
        """Close the connections to S3 that no request uses."""
        self._reads.close()

    def fail(self, refusal: Refusal, resource: str = "") -> Answer:
        """The answer that says no; also to what could not be read as a request."""
        code = refusal.code if _CODE.fullmatch(refusal.code) else "Other"
        self.metrics.count("s3ec_refusals_total", code=code)
        request_id = secrets.token_hex(8).upper()
        headers = [("Content-Type", "application/xml"), ("x-amz-request-id", request_id)]
        return Answer(refusal.status, headers, refusal.render(request_id, resource))

    def _failed(self, error: S3ECError | ClientError | BotoCoreError, request: Request) -> Answer:
        refusal = refusal_of(error)
        answer = self.fail(refusal, request.path)
        headers: Any = {}
        if isinstance(error, ClientError):
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if refusal.status == 304:
            etag = headers.get("etag")
            return Answer(304, [("ETag", etags.shown(etag))] if etag else [], b"")
        answer.headers += [(name, headers[name]) for name in _OF_ERRORS if name in headers]
        if request.method == "HEAD":
            answer.body = b""
        return answer

    def _own_page(self, request: Request) -> Answer | None:
        """What is asked of the endpoint itself; no bucket can have such a name."""
        self._check_host(request)
        if request.bucket != "-" or request.method not in ("GET", "HEAD"):
            return None
        text = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")]
        if request.key == "ready":
            return Answer(200, text, b"ready\n")
        if request.key == "metrics":
            return Answer(200, text, self.metrics.render())
        return None

    def _check_host(self, request: Request) -> None:
        """Refuse names that a page in a browser could have pointed at this machine (DNS rebinding)."""
        found = _HOST.fullmatch(request.headers.get("host", ""))
        name = "" if found is None else found[1].strip("[]").lower()
        if name not in self._settings.allowed_hosts:
            raise RefusedError(
                403, "AccessDenied", "The request is addressed to another host; use path-style addresses "
                "(http://127.0.0.1:PORT/bucket/key), or allow the name with --host-name"
            )  # fmt: skip

    def _answer(self, operation_name: str, request: Request, signed: Signed, stack: ExitStack) -> Answer:
        refuse_unless_supported(operation_name, on_aws=lambda: self._on_aws)
        odd = [name for name, value in request.headers.items() if not (value.isascii() and value.isprintable())]
        if odd:
            # Neither boto3 nor HTTP says how they are encoded; what was signed here would be signed otherwise there.
            raise RefusedError(400, "InvalidArgument", f"The header {odd[0]} has characters that are not ASCII")
        if operation_name in _REFUSED_HERE:
            raise RefusedError(501, "NotImplemented", f"{operation_name} is refused: {_REFUSED_HERE[operation_name]}")
        door = None if request.bucket is None else self._doors.of(request.bucket)
        if operation_name in _COPIES and door is not None:
            self._check_copy(request, door)
        payload = open_payload(request, signed, of_object=operation_name == "CompleteMultipartUpload")
        if operation_name in _HEAVY:
            self._take_slot(stack)
        if operation_name in ("PutObject", "UploadPart"):
            self.metrics.count("s3ec_received_bytes_total", payload.length)
        if door is None or (door.client is None and operation_name not in ENCRYPTED):
            return self._relay.small(request, payload)
        if door.client is None:
            return self._relay.large(request, payload, signed.payload)
        if operation_name in ENCRYPTED:
            client = door.client
            if operation_name in _BUFFERED:
                known = payload.length if operation_name == "PutObject" else None
                client = self._seats.client_for(client, known, stack)
            return content.perform(operation_name, request, payload, door, client, self._reads)
        return self._relayed(operation_name, request, payload, door)

    def _relayed(self, operation_name: str, request: Request, payload: Payload, door: Door) -> Answer:
        answer = self._relay.small(request, payload)
        if operation_name not in LISTINGS or answer.status != 200:
            return answer
        stream: Any = answer.body
        try:
            document = b""
            while piece := stream.read(1 << 20):
                document += piece
                if len(document) > _LISTING_LIMIT:
                    raise RefusedError(502, "BadGateway", "S3 answered with a document of a size that it never has")
        finally:
            stream.close()
        kept = [pair for pair in answer.headers if not pair[0].lower().startswith("x-amz-checksum")]
        return Answer(200, kept, in_plaintext(document, plaintext_sizes=door.plaintext_sizes))

    def _check_copy(self, request: Request, door: Door) -> None:
        """Refuse a copy between buckets with different rules: what is stored would be moved as it is.

        Raises:
            RefusedError: plaintext would come into an encrypted bucket, or ciphertext under another key.
        """
        source = content.copy_source(request)
        if self._doors.of(source["Bucket"]) is not door:
            raise RefusedError(
                501, "NotImplemented", "A copy between buckets with different keys or rules would move what is stored "
                "as it is; read the object and write it again"
            )  # fmt: skip

    def _take_slot(self, stack: ExitStack) -> None:
        if not self._slots.acquire(timeout=self._settings.queue_timeout):
            raise RefusedError(503, "SlowDown", "Please reduce your request rate: all of --max-requests are at work")
        stack.callback(self._slots.release)

    def _finished(
        self, answer: Answer, request: Request, operation_name: str, started: float, stack: ExitStack
    ) -> Answer:
        """Let what the request holds go, and write it down, once the answer has left."""
        stack.callback(self._note, answer, request, operation_name, started)
        if isinstance(answer.body, bytes):
            stack.close()
        else:
            answer.body = _Held(answer.body, stack)
        return answer

    def _note(self, answer: Answer, request: Request, operation_name: str, started: float) -> None:
        self.metrics.count("s3ec_requests_total", operation=operation_name, status=f"{answer.status // 100}xx")
        if operation_name == "GetObject" and answer.status in (200, 206):
            self.metrics.count("s3ec_sent_bytes_total", answer.length or 0)
        # Without the query: it may hold a signature that somebody could use again.
        _access.info(
            "%s %s %s %d %s %.0fms", request.method, escaped(request.path), operation_name, answer.status,
            "-" if answer.length is None else answer.length, (time.monotonic() - started) * 1000,
        )  # fmt: skip


class _Held:
    """A body whose request goes on until it is closed."""

    def __init__(self, body: Any, stack: ExitStack) -> None:
        self._body = body
        self._stack = stack

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        return bytes(self._body.read(size))

    def close(self) -> None:
        """Close the body, and end the request."""
        try:
            self._body.close()
        finally:
            self._stack.close()
