"""The list of an upload's parts, answered by hand."""

from __future__ import annotations

import pytest

from s3ec.errors import AuthenticationError
from s3ec.s3 import flow
from s3ec.s3.multipart.requests import list_parts

from support.flows import ByHand

UPLOAD = {"Bucket": "b", "Key": "k", "UploadId": "u"}


def page(*numbers: int, behind: object = None) -> dict[str, object]:
    """One of its pages; the last one names nothing behind it."""
    parts = [{"PartNumber": number} for number in numbers]
    return {"Parts": parts} if behind is None else {"Parts": parts, "IsTruncated": True, "NextPartNumberMarker": behind}


def test_all_pages() -> None:
    """One after the other."""
    hand = ByHand(list_parts(UPLOAD))
    assert hand.asked == flow.Call("ListParts", UPLOAD)
    assert hand.answer(page(1, 2, behind=2)) == flow.Call("ListParts", {**UPLOAD, "PartNumberMarker": 2})
    assert hand.answer(page(3)) is None
    assert [part["PartNumber"] for part in hand.result] == [1, 2, 3]


@pytest.mark.parametrize("behind", [2, 1, 0, [3, 4], "2"])
def test_a_list_in_circles(behind: object) -> None:
    """It would never end: it is refused, and so is one that does not say where it goes on."""
    hand = ByHand(list_parts(UPLOAD))
    hand.answer(page(1, 2, behind=2))
    with pytest.raises(AuthenticationError, match="circles"):
        hand.answer(page(1, 2, behind=behind))


@pytest.mark.parametrize("numbers", [(), (1, 2), (2,), (10_001,)], ids=str)
def test_a_list_that_leads_on_without_new_parts(numbers: tuple[int, ...]) -> None:
    """Its marker may grow a hundred thousand times; there are ten thousand parts."""
    hand = ByHand(list_parts(UPLOAD))
    hand.answer(page(1, 2, behind=2))
    with pytest.raises(AuthenticationError, match="circles"):
        hand.answer(page(*numbers, behind=3))
