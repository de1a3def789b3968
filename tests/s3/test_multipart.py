"""The requests of a multipart upload, answered by hand."""

from __future__ import annotations

from s3ec.s3 import flow
from s3ec.s3.multipart.requests import list_parts

from support.flows import ByHand

UPLOAD = {"Bucket": "b", "Key": "k", "UploadId": "u"}


def test_every_page_of_the_parts() -> None:
    """Each request goes on where the last answer ended."""
    hand = ByHand(list_parts(UPLOAD))
    assert hand.asked == flow.Call("ListParts", UPLOAD)
    page = {"Parts": [{"PartNumber": 1}], "IsTruncated": True, "NextPartNumberMarker": 1}
    assert hand.answer(page) == flow.Call("ListParts", {**UPLOAD, "PartNumberMarker": 1})
    assert hand.answer({"Parts": [{"PartNumber": 2}], "IsTruncated": False}) is None
    assert hand.result == [{"PartNumber": 1}, {"PartNumber": 2}]


def test_no_parts() -> None:
    """An upload that was just begun."""
    hand = ByHand(list_parts(UPLOAD))
    assert hand.answer({}) is None
    assert hand.result == []
