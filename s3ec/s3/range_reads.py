"""One ranged read on its way, and the answer that it ends in: what all kinds of ranges share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3ec.decryption import Checked
from s3ec.errors import AuthenticationError
from s3ec.s3.answers import state_span
from s3ec.s3.contents import Content, Span
from s3ec.s3.flow import Deliver, Flow
from s3ec.s3.names import location_of
from s3ec.s3.objects import EncryptedObject, ReadRequest, describe, speak_plaintext
from s3ec.s3.range_header import ByteRange
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.verified import Table

__all__ = ["Part", "Question", "RangeRead", "range_not_satisfiable"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart object, as the server describes it: where parts begin and end, S3 alone knows.

    Attributes:
        number: the caller's ``PartNumber``.
        count: how many parts there are, where the server says so.
        total: bytes of the whole object.
    """

    number: int
    count: int | None
    total: int

    @property
    def may_be_empty(self) -> bool:
        """True if it is the last of several, which can hold our tag and no content."""
        return self.count is not None and self.number == self.count > 1


@dataclass(frozen=True, slots=True)
class Question:
    """What the caller wants, and what S3 is asked for.

    Attributes:
        request: the caller's read; its parameters name no range.
        wanted: the range in the plaintext's offsets.
        asked: the range in the ciphertext's offsets.
        part: the part, if the range is that of a part.
    """

    request: ReadRequest
    wanted: ByteRange
    asked: ByteRange
    part: Part | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the first request."""
        return {**self.request.parameters, "Range": str(self.asked)}

    def pinned(self, etag: str) -> dict[str, Any]:
        """Return those of the same request again, tied to the object that an answer was about."""
        return {**self.request.pinned(etag), "Range": str(self.asked)}


@dataclass(frozen=True, slots=True)
class RangeRead:
    """A ranged read of an encrypted object, which has passed the gate's checks."""

    s3: Surroundings
    table: Table
    question: Question
    found: EncryptedObject
    checked: Checked

    def span(self, length: int) -> Span | None:
        """First and last offset of the plaintext wanted; None for a part without any.

        Args:
            length: bytes of plaintext in the object.

        Raises:
            botocore.exceptions.ClientError: 416, as S3 would answer for the plaintext.
            AuthenticationError: a part that cannot be empty lies behind the plaintext.
        """
        part = self.question.part
        span = self.question.wanted.within(length)
        if span is None and part is None:
            raise range_not_satisfiable(self.s3, self.question.wanted, length)
        if span is None and part is not None and not part.may_be_empty:
            raise AuthenticationError(
                f"S3 says that part {part.number} lies behind the content; only the last of several parts can"
            )
        return span

    def answer(
        self, response: dict[str, Any], content: Content, span: Span | None, length: int, *, authenticated: bool
    ) -> Flow[dict[str, Any]]:
        """Put a partial body and plaintext's offsets into an answer of S3's.

        Args:
            response: it.
            content: what its body is.
            span: first and last offset of the plaintext that is handed out; None for a part that holds none.
            length: bytes of plaintext in the object.
            authenticated: True if the content is verified before it is handed out.
        """
        size = 0 if span is None else span[1] - span[0] + 1
        location = location_of(self.question.request.parameters)
        response["Body"] = yield Deliver(response["Body"], content, size, location, response.get("ResponseMetadata"))
        state_span(response, span, length)
        speak_plaintext(response, describe(self.found, authenticated=authenticated))
        return response


def range_not_satisfiable(
    s3: Surroundings, wanted: ByteRange, length: int, operation_name: str = "GetObject"
) -> Exception:
    """S3's 416, for plaintext of this length."""
    if operation_name == "HeadObject":
        # The answer to a HEAD has no body that could say more.
        return s3.refusal(operation_name, 416, "416", "Requested Range Not Satisfiable")
    return s3.refusal(
        operation_name,
        416,
        "InvalidRange",
        "The requested range is not satisfiable",
        RangeRequested=wanted.written or str(wanted),
        ActualObjectSize=str(length),
    )
