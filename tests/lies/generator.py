"""Every lie about an answer, made from what was honestly answered: nothing here knows which call it will be told to.

`lies_about` takes the exchanges of one honest call. For each of them it goes through the headers that the answer has,
the pieces of its document, the bytes of its body, and the ways in which an answer can arrive or not, and gives one
`Lie` for each alteration, told once or each time. A lie is deterministic but for the ciphertext that it is told about.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import quote, urlsplit

from .alterations import ELEMENT_KINDS, GROUPS, HEADER_KINDS, Alter, alterations, with_body, with_header
from .honest import Answer, Cloud, Request, error, operation
from .server import Exchange, Tell

__all__ = ["ROWS", "Lie", "lies_about"]

Say = Callable[[Request, Callable[[Request | None], Answer]], Answer | None]
"""Gives what goes back; the second argument asks the cloud, for another thing than was asked where one is given."""

_NOWHERE = "http://127.0.0.1:9/"
_REGION = "eu-north-1"


ROWS = (
    *(f"header {kind}, {group}" for group in GROUPS for kind in HEADER_KINDS),
    "header too many",
    "body: a bit flipped",
    "body: cut short, and says so",
    "body: longer, and says so",
    "body: in another order",
    "body: all zeros",
    "body: endless",
    *(f"document: element {kind}" for kind in ELEMENT_KINDS),
    "document: none",
    "list without an end",
    "replay: the older version",
    "replay: its body",
    "replay: its headers",
    "swap: the other object",
    "swap: its body",
    "swap: its headers",
    "range: another, and says so",
    "range: another, and denies it",
    "range: another total",
    "range: ignored",
    "status: 200 with an error",
    "status: 500 after it was done",
    "status: 503 before it was done",
    "status: another",
    "redirect to another region",
    "connection: reset in the request",
    "connection: reset before the answer",
    "connection: reset in the answer",
    "connection: ended in the answer",
    "stall before the answer",
    "stall in the answer",
    "KMS throttles",
    "KMS fails",
    "KMS hangs",
    "KMS hangs up",
    "KMS: another key ID",
    "KMS: a key of another length",
    "KMS: a strange field",
    "KMS: no document",
)


@dataclass(frozen=True)
class Lie:
    """One lie.

    Attributes:
        row: its kind, one of `ROWS`.
        detail: what exactly is said, so that a failure can be told again.
        kind: the operation that it is told to.
        nth: to which request of that kind, from 0; None for each.
        say: what goes back.
    """

    row: str
    detail: str
    kind: str
    nth: int | None
    say: Say

    def teller(self, cloud: Cloud, seen: list[Exchange]) -> Tell:
        """This lie for a server, which then says the truth to every other request."""
        told = [0]

        def tell(request: Request, number: int, ask: Callable[[], Answer]) -> Answer | None:
            if operation(request) != self.kind:
                return ask()
            told[0] += 1
            if self.nth is not None and self.nth != told[0] - 1:
                return ask()
            return self.say(request, lambda other: ask() if other is None else cloud.answer(other))

        return tell

    @property
    def stalls(self) -> bool:
        """True if it makes the other side wait."""
        return self.row.startswith("stall") or self.row == "KMS hangs"

    def __str__(self) -> str:
        """As a failure shows it."""
        when = "each time" if self.nth is None else f"time {self.nth + 1}"
        return f"{self.row} ({self.detail}; to {self.kind}, {when})"


def lies_about(exchanges: Iterable[Exchange], random: Random) -> Iterator[Lie]:
    """All lies about the answers of one call.

    Args:
        exchanges: what was asked and honestly answered.
        random: chooses bits and places.
    """
    counts: dict[str, int] = {}
    for exchange in exchanges:
        kind = operation(exchange.request)
        nth = counts.setdefault(kind, 0)
        counts[kind] += 1
        about_kms = kind.startswith("kms.")
        for row, detail, say in (_about_kms if about_kms else _about_s3)(exchange, random):
            yield Lie(row, detail, kind, nth, say)
            if nth == 0:
                yield Lie(row, detail, kind, None, say)


_Said = Iterator[tuple[str, str, Say]]


def _altered(row: str, detail: str, alter: Alter) -> tuple[str, str, Say]:
    return row, detail, lambda request, ask: alter(ask(None))


def _about_s3(exchange: Exchange, random: Random) -> _Said:
    for row, detail, alter in alterations(exchange.answer, random):
        yield _altered(row, detail, alter)
    yield from _floods()
    yield from _other_objects(exchange)
    yield from _ranges(exchange.answer)
    yield from _statuses()
    yield from _connections(exchange.answer)


def _floods() -> _Said:
    endless = {"endless": True}
    no_length = with_header("Content-Length", None, double=False)
    yield "body: endless", "no length", lambda request, ask: replace(no_length(ask(None)), **endless)
    yield "body: endless", "500, no length", lambda request, ask: Answer(500, [], b"<Error>", endless=True)
    yield "body: endless", "behind its length", lambda request, ask: replace(ask(None), **endless)


# Other objects, other versions, other ranges


def _other_objects(exchange: Exchange) -> _Said:
    request = exchange.request
    _, key = request.place
    if request.method not in ("GET", "HEAD") or not key or "uploadId" in request.query:
        return
    end = ".instruction" if key.endswith(".instruction") else ""
    for word, detail, path in (
        ("replay: the older version", "of this object", f"/past/{quote(key)}"),
        ("swap: the other object", "of the same bucket", f"/bucket/other{end}"),
    ):
        short = word.partition(":")[0]
        yield word, detail, lambda request, ask, path=path: ask(_instead(request, path))
        yield (
            f"{short}: its body",
            detail,
            lambda request, ask, path=path: with_body(ask(None), ask(_instead(request, path)).body),
        )
        yield (
            f"{short}: its headers",
            detail,
            lambda request, ask, path=path: replace(ask(_instead(request, path)), body=ask(None).body),
        )


def _instead(request: Request, path: str) -> Request:
    headers = {name: value for name, value in request.headers.items() if not name.startswith("if-")}
    query = "" if "versionId" in request.query else urlsplit(request.target).query
    return replace(request, target=path + (f"?{query}" if query else ""), headers=headers)


_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def _ranges(answer: Answer) -> _Said:
    stated = _RANGE.fullmatch(answer.header("Content-Range") or "")
    if stated is None:
        return
    for shift in (1, 16, -16, 1024):
        yield (
            "range: another, and says so",
            f"{shift:+}",
            lambda request, ask, shift=shift: _shifted(request, ask, shift, honest=True),
        )
        yield (
            "range: another, and denies it",
            f"{shift:+}",
            lambda request, ask, shift=shift: _shifted(request, ask, shift, honest=False),
        )
    for more in (1, -1, 16, -16, -1000, 2**20):
        yield _altered("range: another total", f"{more:+}", _with_total(more))
    yield "range: ignored", "200", lambda request, ask: ask(_without_range(request))


def _without_range(request: Request) -> Request:
    return replace(request, headers={name: value for name, value in request.headers.items() if name != "range"})


def _shifted(request: Request, ask: Callable[[Request | None], Answer], shift: int, *, honest: bool) -> Answer:
    answer = ask(None)
    stated = _RANGE.fullmatch(answer.header("Content-Range") or "")
    if stated is None:
        return answer
    first, last, total = map(int, stated.groups())
    start, end = max(0, first + shift), max(0, last + shift)
    whole = ask(_without_range(request)).body
    body = whole[start : end + 1].ljust(last - first + 1 if not honest else 0, b"?")
    if honest:
        answer = with_header("Content-Range", f"bytes {start}-{min(end, total - 1)}/{total}", double=False)(answer)
    return with_body(answer, body)


def _with_total(more: int) -> Alter:
    def alter(answer: Answer) -> Answer:
        stated = _RANGE.fullmatch(answer.header("Content-Range") or "")
        if stated is None:
            return answer
        first, last, total = map(int, stated.groups())
        value = f"bytes {first}-{last}/{max(0, total + more)}"
        return with_header("Content-Range", value, double=False)(answer)

    return alter


# What comes in place of an answer


def _refusal(status: int, code: str) -> Answer:
    answer = error(status, code)
    return with_body(answer, answer.body)


def _statuses() -> _Said:
    for code in ("InternalError", "SlowDown"):
        yield (
            "status: 200 with an error",
            f"{code}, before it was done",
            lambda request, ask, code=code: _refusal(200, code),
        )
        yield (
            "status: 200 with an error",
            f"{code}, after it",
            lambda request, ask, code=code: ask(None) and _refusal(200, code),
        )
    yield "status: 500 after it was done", "", lambda request, ask: ask(None) and _refusal(500, "InternalError")
    yield "status: 503 before it was done", "", lambda request, ask: _refusal(503, "SlowDown")
    for status, code in (
        (204, "NoContent"),
        (202, "Accepted"),
        (206, "PartialContent"),
        (304, "NotModified"),
        (403, "AccessDenied"),
        (404, "NoSuchKey"),
        (404, "NoSuchUpload"),
        (409, "ConditionalRequestConflict"),
        (412, "PreconditionFailed"),
        (416, "InvalidRange"),
        (418, "Unheard"),
        (999, "Unheard"),
    ):
        yield (
            "status: another",
            f"{status} {code}",
            lambda request, ask, status=status, code=code: _refusal(status, code),
        )
        yield (
            "status: another",
            f"{status}, after it was done",
            lambda request, ask, status=status: replace(ask(None), status=status),
        )
    for status, code in ((301, "PermanentRedirect"), (307, "TemporaryRedirect"), (400, "AuthorizationHeaderMalformed")):
        yield (
            "redirect to another region",
            f"{status}",
            lambda request, ask, status=status, code=code: _moved(status, code),
        )
    nowhere = [("Location", _NOWHERE), ("Content-Length", "0")]
    yield "redirect to another region", "301, to nowhere", lambda request, ask: Answer(301, nowhere)


def _moved(status: int, code: str) -> Answer:
    answer = error(status, code, Region=_REGION, Endpoint="127.0.0.1:9", Bucket="bucket")
    headers = [*answer.headers, ("x-amz-bucket-region", _REGION), ("Location", _NOWHERE)]
    return with_body(replace(answer, headers=headers), answer.body)


def _connections(answer: Answer) -> _Said:
    yield "connection: reset in the request", "", lambda request, ask: None
    for row, more in (("connection: reset before the answer", {"reset": True}), ("stall before the answer", _WAITING)):
        yield _altered(row, "after it was done", _ended(None, {"silent": True, **more}))
    yield "stall before the answer", "before it was done", lambda request, ask: Answer(200, silent=True, stall=True)
    refusal = _refusal(500, "InternalError")
    for row, more in (
        ("connection: reset in the answer", {"reset": True}),
        ("connection: ended in the answer", {}),
        ("stall in the answer", _WAITING),
    ):
        yield row, "500, after 20", lambda request, ask, more=more: _ended(20, more)(refusal)
        for sent in sorted({0, 1, len(answer.body) // 2, max(0, len(answer.body) - 1)}):
            if sent < len(answer.body):
                yield _altered(row, f"after {sent}", _ended(sent, more))


_WAITING = {"stall": True}


def _ended(sent: int | None, more: Mapping[str, bool]) -> Alter:
    return lambda answer: replace(answer, cut=sent, **more)


# KMS. It is trusted with keys: that it wraps what it gives cannot be seen from outside. What can be seen is checked.


def _about_kms(exchange: Exchange, random: Random) -> _Said:
    document = json.loads(exchange.answer.body)
    for code, status in (("ThrottlingException", 400), ("RequestLimitExceeded", 503)):
        yield "KMS throttles", code, lambda request, ask, status=status, code=code: _kms_error(status, code)
    for code, status in (
        ("KMSInternalException", 500),
        ("DisabledException", 400),
        ("AccessDeniedException", 400),
        ("NotFoundException", 400),
        ("InvalidCiphertextException", 400),
        ("UnheardException", 418),
    ):
        yield "KMS fails", code, lambda request, ask, status=status, code=code: _kms_error(status, code)
    yield "KMS fails", "after it was done", lambda request, ask: ask(None) and _kms_error(500, "KMSInternalException")
    yield _altered("KMS hangs", "before the answer", lambda answer: replace(answer, silent=True, stall=True))
    yield _altered("KMS hangs", "in the answer", lambda answer: replace(answer, cut=20, stall=True))
    yield "KMS hangs up", "in the request", lambda request, ask: None
    yield _altered("KMS hangs up", "before the answer", lambda answer: replace(answer, silent=True, reset=True))
    yield _altered("KMS hangs up", "in the answer", lambda answer: replace(answer, cut=20, reset=True))
    other = "arn:aws:kms:us-east-1:111122223333:key/99999999-2222-3333-4444-555555555555"
    for value in (other, "", None, 7, "x" * 3000):
        yield _altered("KMS: another key ID", repr(value)[:60], _with_member("KeyId", value))
    if "Plaintext" in document:
        for length in (0, 1, 16, 31, 33, 64, 4096):
            key = base64.b64encode(b"k" * length).decode()
            yield _altered("KMS: a key of another length", f"{length} bytes", _with_member("Plaintext", key))
    for name in document:
        # An altered text of the right length is a key that KMS has wrapped, for all that can be seen.
        for value in (None, "", 7, [], {}, True, "\u00fc", "not base64!", "A" * 60_000):
            yield _altered("KMS: a strange field", f"{name}: {value!r}"[:60], _with_member(name, value))
    for body in (b"", b"{}", b"null", b"[]", b"{", b"[" * 20_000, b"\xff\xfe", b"<html>"):
        yield _altered("KMS: no document", repr(body)[:40], lambda answer, body=body: with_body(answer, body))


def _kms_error(status: int, code: str) -> Answer:
    body = json.dumps({"__type": code, "message": code}).encode()
    return with_body(Answer(status, [("Content-Type", "application/x-amz-json-1.1")]), body)


def _with_member(name: str, value: object) -> Alter:
    def alter(answer: Answer) -> Answer:
        document = json.loads(answer.body)
        document[name] = value
        if value is None:
            del document[name]
        return with_body(answer, json.dumps(document).encode())

    return alter
