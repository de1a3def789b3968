"""Reads of an object that was opened, without a network: what they are pinned to, and compared with."""

from __future__ import annotations

from typing import Any

import pytest

from s3ec.errors import AuthenticationError, ConfigurationError
from s3ec.s3.flow import Call, CloseBody, FailedCallError, ReadBody
from s3ec.s3.open_object import OpenObject, read_into, read_span, take_open_request

from support.flows import ByHand, refused

PINNED = {"Bucket": "b", "Key": "k", "IfMatch": '"e"'}
OPENED = OpenObject(PINNED, "v", 100, None)


def answer(first: int = 5, last: int = 9, total: int = 100, etag: str = '"e"') -> dict[str, Any]:
    """S3's, for a range."""
    ranged = f"bytes {first}-{last}/{total}"
    return {"Body": "body", "ContentRange": ranged, "ContentLength": last - first + 1, "ETag": etag}


def asked(flow: ByHand) -> dict[str, Any]:
    """What is asked of S3."""
    assert isinstance(flow.asked, Call)
    return {name: value for name, value in flow.asked.parameters.items() if name not in PINNED}


def test_a_span() -> None:
    """Is asked for under the ETag of what was opened."""
    flow = ByHand(read_span(OPENED, (5, 9)))
    assert asked(flow) == {"Range": "bytes=5-9"}
    flow.answer(answer())
    assert (flow.result.opened, flow.result.body, flow.result.content) == (OPENED, "body", None)


@pytest.mark.parametrize("lie", [{"first": 6}, {"last": 8}, {"total": 101}, {"etag": '"other"'}], ids=str)
def test_another_answer(lie: dict[str, Any]) -> None:
    """Ends the read, and its body."""
    flow = ByHand(read_span(OPENED, (5, 9)))
    flow.answer(answer(**lie))
    assert isinstance(flow.asked, CloseBody)
    with pytest.raises(AuthenticationError):
        flow.answer()


class TestReplaced:
    """An object that was replaced is read on where the bucket keeps what was opened."""

    def test_by_its_version(self) -> None:
        """Which later reads name at once."""
        flow = ByHand(read_span(OPENED, (5, 9)))
        flow.fail(refused(412, "PreconditionFailed"))
        assert asked(flow) == {"Range": "bytes=5-9", "VersionId": "v"}
        flow.answer(answer())
        again = ByHand(read_span(flow.result.opened, (5, 9)))
        assert asked(again) == {"Range": "bytes=5-9", "VersionId": "v"}
        with pytest.raises(FailedCallError, match="412|PreconditionFailed"):
            again.fail(refused(412, "PreconditionFailed"))

    def test_where_it_may_not_be_named(self) -> None:
        """The first refusal is the one to be told."""
        flow = ByHand(read_span(OPENED, (5, 9)))
        flow.fail(refused(412, "PreconditionFailed"))
        with pytest.raises(FailedCallError, match="PreconditionFailed") as told:
            flow.fail(refused(403, "AccessDenied"))
        assert told.value.__context__ is None or told.value.__suppress_context__

    @pytest.mark.parametrize(("version", "status"), [(None, 412), ("v", 403), ("v", 404)])
    def test_other_refusals(self, version: str | None, status: int) -> None:
        """Are S3's own, and nothing else is asked."""
        flow = ByHand(read_span(OpenObject(PINNED, version, 100, None), (5, 9)))
        with pytest.raises(FailedCallError):
            flow.fail(refused(status, "Code"))


def test_what_is_asked_for() -> None:
    """A file is of a whole object, and reads ahead; a context that the caller gives comes before another."""
    named = {"Bucket": "b", "Key": "k", "VersionId": "v"}
    request = take_open_request(named, None, {"EncryptionContext": {"of": "a rule"}}, 1)
    assert (request.parameters, request.encryption_context) == (named, {"of": "a rule"})
    assert take_open_request(named, {"of": "me"}, {"EncryptionContext": {}}, 1).encryption_context == {"of": "me"}
    for name in ("Range", "PartNumber"):
        with pytest.raises(ConfigurationError, match="whole objects"):
            take_open_request({**named, name: 1}, None, {}, 1)
    with pytest.raises(ConfigurationError, match="at least 1"):
        take_open_request(named, None, {}, 0)


def test_a_buffer_is_filled() -> None:
    """From as many answers of the connection as it takes, whose body is closed; too few bytes are an error."""
    for pieces in ([b"abcde"], [b"abc", b"de"]):
        buffer = bytearray(5)
        flow = ByHand(read_into(OPENED, (5, 9), memoryview(buffer)))
        flow.answer(answer())
        for piece in pieces:
            assert isinstance(flow.asked, ReadBody)
            flow.answer(piece)
        assert isinstance(flow.asked, CloseBody)
        flow.answer()
        assert (flow.result, bytes(buffer)) == (OPENED, b"abcde")
    flow = ByHand(read_into(OPENED, (5, 9), memoryview(bytearray(5))))
    flow.answer(answer())
    flow.answer(b"abc")
    flow.answer(b"")
    with pytest.raises(AuthenticationError, match=r"ended before.*s3://b/k"):
        flow.answer()
