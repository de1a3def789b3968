"""The head of an answer, read at once where all of it is there and nothing about it is unusual.

`http.client` reads an answer's head line by line, and has its headers understood by a parser of letters that looks for
all that a letter may have. What a server says is nearly always a status and a dozen plain lines. Those are read here,
into what `http.client` makes of them; of everything else not a byte is taken, and it is read as ever.
Source: RFC 9112, "HTTP/1.1", sections 4 and 5.
"""

from __future__ import annotations

import re
from email.policy import Compat32
from http.client import HTTPMessage, HTTPResponse
from typing import Any

__all__ = ["PLAIN", "QuickResponse"]

_MOST_LINES = 99  # http.client's own limit, and the empty line counts
_VALUE = rb"(?:[!-~](?:[\t -~]*[!-~])?)?"
_LINE = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t ]*" + _VALUE + rb"\r\n"
_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: (" + _VALUE + rb"))?\r\n((?:" + _LINE + rb")*)\r\n")
_PAIR = re.compile(rf"([^:]+):[\t ]*({_VALUE.decode()})\r\n")
# What a letter with such headers has in it is looked for by its parser.
_OF_LETTERS = re.compile(
    rb"^content-t(?:ype:[\t ]*(?:multipart|message)|ransfer-encoding:)", re.IGNORECASE | re.MULTILINE
)


class _Plain(Compat32):
    """The policy that headers have anyway, without a look for bytes in text that is ASCII."""

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        """See `Compat32`, which gives back such values as they are."""
        if type(value) is bytes or (type(value) is str and value.isascii()):
            return value
        return super().header_fetch_parse(name, value)


PLAIN = _Plain()
"""A policy for headers that gives what Python's own for them gives."""


class QuickResponse(HTTPResponse):
    """An answer as `http.client` reads it."""

    def begin(self) -> None:
        """Read the head."""
        begun: object = self.headers
        if begun is not None or self.debuglevel > 0 or not self._take_head():
            super().begin()

    def _take_head(self) -> bool:
        peek = getattr(self.fp, "peek", None)
        seen = b"" if peek is None else peek(1)
        match = _HEAD.match(seen)
        if match is None or match[3].count(b"\n") > _MOST_LINES - 1 or _OF_LETTERS.search(match[3]):
            return False
        message = HTTPMessage(policy=PLAIN)
        message.set_payload("")
        for name, value in _PAIR.findall(match[3].decode("ascii")):
            message.set_raw(name, value)
        self.fp.read(match.end())
        self.code = self.status = int(match[1])
        self.reason = (match[2] or b"").decode("ascii")
        self.version = 11
        self.headers = self.msg = message
        self._measure()
        return True

    def _measure(self) -> None:
        """Find out how the body ends, as `http.client` does."""
        this: Any = self  # the stubs leave out what subclasses see
        encoding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        self.chunked = encoding is not None and encoding.lower() == "chunked"
        if self.chunked:
            self.chunk_left = None
        self.will_close = this._check_close()
        self.length = None
        if length and not self.chunked:
            try:
                self.length = int(length)
            except ValueError:
                pass
            else:
                self.length = None if self.length < 0 else self.length
        if self.status in (204, 304) or this._method == "HEAD":
            self.length = 0
        if not self.will_close and not self.chunked and self.length is None:
            self.will_close = True
