"""What can be altered in an answer that honestly came: its headers, the bytes of its body, the pieces of a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from .honest import Answer

__all__ = ["ELEMENT_KINDS", "GROUPS", "HEADER_KINDS", "Alter", "alterations", "with_body", "with_header"]

Alter = Callable[[Answer], Answer]
Altered = Iterator[tuple[str, str, Alter]]
"""A kind of lie, what exactly is said, and what makes it of the honest answer."""

_OURS, _LENGTHS, _REST = "of content metadata", "of length or range", "of any other kind"
_LENGTH_NAMES = frozenset({"content-length", "content-range", "x-amz-mp-parts-count", "accept-ranges"})
_HUGE = "9" * 30
HEADER_KINDS = ("altered", "absent", "doubled", "huge", "negative", "empty")
ELEMENT_KINDS = ("altered", "absent", "doubled", "huge", "negative", "empty")
GROUPS = (_OURS, _LENGTHS, _REST)


def alterations(answer: Answer, random: Random) -> Altered:
    """Every alteration of one answer.

    Args:
        answer: the honest one.
        random: chooses bits and places.
    """
    yield from _headers(answer, random)
    yield from _bodies(answer, random)
    yield from _documents(answer, random)


# Headers


def _group(name: str) -> str:
    lower = name.lower()
    if lower.startswith("x-amz-meta-x-amz-"):
        return _OURS
    return _LENGTHS if lower in _LENGTH_NAMES else _REST


def _headers(answer: Answer, random: Random) -> Altered:
    for name in dict.fromkeys(name for name, _ in answer.headers):
        group = _group(name)
        for kind in HEADER_KINDS:
            for value, detail in _values(kind, answer.header(name) or "", random):
                row = f"header {kind}, {group}"
                yield (row, f"{name}: {detail}", with_header(name, value, double=kind == "doubled"))
    for name, value in (
        ("Content-Encoding", "gzip"),
        ("Content-Range", "bytes 0-15/16"),
        ("Transfer-Encoding", "chunked"),
        ("x-amz-delete-marker", "true"),
        ("x-amz-meta-x-amz-key-v2", "AAAA"),
        ("x-amz-meta-x-amz-cek-alg", "AES/CBC/PKCS5Padding"),
        ("x-amz-meta-x-amz-c", "115"),
        ("x-amz-meta-x-amz-unencrypted-content-length", "1"),
        ("x-amz-meta-x-amz-crypto-instr-file", ""),
        ("x-amz-missing-meta", "3"),
        ("x-amz-mp-parts-count", "7"),
        ("x-amz-restore", 'ongoing-request="true"'),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
    ):
        if answer.header(name) is None:
            yield ("header too many", f"{name}: {value}", _with_more(name, value))


def _values(kind: str, value: str, random: Random) -> Iterator[tuple[str | None, str]]:
    if kind == "altered":
        for each in _alterations(value, random):
            yield each, repr(each)[:80]
    elif kind == "absent":
        yield None, "absent"
    elif kind == "doubled":
        yield value, "twice the same"
        for each in _alterations(value, random):
            yield each, f"again, as {each!r}"[:80]
    elif kind == "huge":
        yield _HUGE, _HUGE
        yield str(2**36), str(2**36)
        yield "A" * 40_000, "40,000 letters"
    elif kind == "negative":
        yield "-1", "-1"
        yield f"-{value}"[:200], "with a minus"
    else:
        yield "", "nothing"


def _alterations(text: str, random: Random) -> Iterator[str]:
    """The same text with one thing changed, each in another way; never the text itself."""
    if text:
        place = random.randrange(len(text))
        for step in (1, 2, 32):
            # Another printable character, so that as many lies come of one value as of any other like it.
            other = chr(33 + (ord(text[place]) - 33 + step) % 94)
            yield text[:place] + other + text[place + 1 :]
        yield text[:-1]
    yield text + "0"
    if number := re.fullmatch(r"(bytes )?(\d{1,12})(-\d.*)?", text):
        before, digits, after = number.groups("")
        for shift in (1, 16, -1, -16):
            yield f"{before}{int(digits) + shift}{after}"
    yield "x\u00fc=\u201e"[:2]


def with_header(name: str, value: str | None, *, double: bool) -> Alter:
    """Replaces a header, doubles it by another value, or takes it away for None."""

    def alter(answer: Answer) -> Answer:
        headers = []
        for each, old in answer.headers:
            if each.lower() != name.lower():
                headers.append((each, old))
            else:
                headers += [(each, old)] if double else []
                headers += [(each, value)] if value is not None else []
        return replace(answer, headers=headers)

    return alter


def _with_more(name: str, value: str) -> Alter:
    return lambda answer: replace(answer, headers=[*answer.headers, (name, value)])


def with_body(answer: Answer, body: bytes) -> Answer:
    """The answer with another body, and with its length."""
    changed = with_header("Content-Length", str(len(body)), double=False)(answer)
    return replace(changed, body=body)


# Bodies


def _bodies(answer: Answer, random: Random) -> Altered:
    body = answer.body
    if not body:
        return
    size = len(body)
    for place in (0, size - 1, size - 16, size - 17, size // 2, random.randrange(size), random.randrange(size)):
        bit = 1 << random.randrange(8)
        yield ("body: a bit flipped", f"byte {place}, {bit:#x}", _flipped(place, bit))
    for left in (size - 1, size - 16, size - 17, size // 2, 16, 1, 0):
        yield ("body: cut short, and says so", f"to {left}", _resized(left))
    for more in (1, 16, 4096):
        yield ("body: longer, and says so", f"by {more}", _resized(size + more))
    half, block = size // 2, 16 * random.randrange(max(1, size // 32))
    for name, order in (
        ("halves", ((half, size), (0, half))),
        ("two blocks", ((0, block), (block + 16, block + 32), (block, block + 16), (block + 32, size))),
        ("the tag first", ((size - 16, size), (0, size - 16))),
        ("a block twice", ((0, block + 16), (block, size - 16))),
    ):
        yield ("body: in another order", name, _reordered(order))
    yield ("body: all zeros", "of its length", lambda answer: replace(answer, body=bytes(len(answer.body))))


def _flipped(place: int, bit: int) -> Alter:
    def alter(answer: Answer) -> Answer:
        body = bytearray(answer.body)
        if body:
            body[max(0, min(place, len(body) - 1))] ^= bit
        return replace(answer, body=bytes(body))

    return alter


def _resized(size: int) -> Alter:
    return lambda answer: with_body(answer, answer.body[: max(0, size)].ljust(size, b"\x00"))


def _reordered(order: tuple[tuple[int, int], ...]) -> Alter:
    return lambda answer: replace(answer, body=b"".join(answer.body[max(0, first) : end] for first, end in order))


# Documents: XML of S3, JSON of instruction files


_LEAF = re.compile(rb"<(\w+)>([^<>]*)</\1>")
_MEMBER = re.compile(rb'"([\w-]+)"\s*:\s*"([^"]*)"')


def _documents(answer: Answer, random: Random) -> Altered:
    body = answer.body
    if not body.isascii():  # ciphertext, which may begin with any byte
        return
    pattern = _LEAF if body.startswith(b"<") else _MEMBER if body.startswith(b"{") else None
    if pattern is None:
        return
    for number, leaf in enumerate(pattern.finditer(body)):
        name, value = leaf.group(1).decode(), leaf.group(2).decode()
        for kind in ELEMENT_KINDS:
            for text, detail in _values(kind, value, random):
                alter = _with_leaf(pattern, number, kind, text)
                yield (f"document: element {kind}", f"{name} {number}: {detail}", alter)
    for detail, instead in (
        ("nothing", b""),
        ("half of it", body[: len(body) // 2]),
        ("noise", b"\xff\xfe\x00<>{]"),
        ("another document", b"<Other><Thing>1</Thing></Other>" if pattern is _LEAF else b"[]"),
        ("nested deep", b"<a>" * 20_000 if pattern is _LEAF else b"[" * 20_000),
        ("a page of HTML", b"<html><body>It works!</body></html>"),
    ):
        yield ("document: none", detail, lambda answer, instead=instead: with_body(answer, instead))
    if b"<IsTruncated>" in body:
        for detail in ("the token of before", "new tokens", "nothing but tokens"):
            yield ("list without an end", detail, _endless_list(detail))


def _with_leaf(pattern: re.Pattern[bytes], number: int, kind: str, text: str | None) -> Alter:
    def alter(answer: Answer) -> Answer:
        leaves = list(pattern.finditer(answer.body))
        if not leaves:
            return answer
        leaf = leaves[min(number, len(leaves) - 1)]
        whole = leaf.group(0)
        start, end = leaf.span(2)
        start, end = start - leaf.start(), end - leaf.start()
        escaped = (text or "").replace("&", "&amp;").replace("<", "&lt;").encode()
        changed = whole[:start] + escaped + whole[end:]
        if kind == "absent":
            changed = b"" if pattern is _LEAF else b'"x-nothing": ""'
        elif kind == "doubled":
            changed = whole + (b"" if pattern is _LEAF else b", ") + changed
        return with_body(answer, answer.body[: leaf.start()] + changed + answer.body[leaf.end() :])

    return alter


def _endless_list(detail: str) -> Alter:
    count = [0]

    def alter(answer: Answer) -> Answer:
        count[0] += 1
        number = "7" if detail == "the token of before" else f"7{count[0]}"
        body = re.sub(rb"<(Next\w+)>[^<]*</\1>", b"", answer.body)
        names = ("NextContinuationToken", "NextKeyMarker", "NextVersionIdMarker", "NextPartNumberMarker")
        marks = "".join(f"<{name}>{number}</{name}>" for name in names).encode()
        if detail == "nothing but tokens":
            body = re.sub(rb"<(Contents|Version|Part)>.*</\1>", b"", body)
        body = re.sub(rb"<IsTruncated>\w*</IsTruncated>", b"<IsTruncated>true</IsTruncated>" + marks, body)
        return with_body(answer, body)

    return alter
