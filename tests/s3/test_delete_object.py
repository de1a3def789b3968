"""delete_object and delete_objects, answered by hand."""

from __future__ import annotations

import logging

import pytest

from s3ec import AesKeyring
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.s3 import flow
from s3ec.s3.delete_object import delete_object, delete_objects

from support.flows import ByHand, Surroundings, refused

PLACE = {"Bucket": "b", "Key": "k"}
FILE = {"Bucket": "b", "Key": "k.instruction"}


@pytest.fixture
def s3() -> Surroundings:
    """A client that there is none of."""
    return Surroundings(DefaultMaterialsManager(AesKeyring(bytes(32))))


def test_the_object_goes_first(s3: Surroundings) -> None:
    """Then its file: the one that was looked at, once it is known to be one, and while the object is gone."""
    hand = ByHand(delete_object(s3, dict(PLACE)))
    assert hand.asked == flow.Call("DeleteObject", PLACE)
    assert hand.answer({"DeleteMarker": True}) == flow.Call("HeadObject", FILE)
    marked = {"ETag": '"e"', "Metadata": {"x-amz-crypto-instr-file": ""}}
    assert hand.answer(marked) == flow.Call("HeadObject", PLACE)
    assert hand.fail(refused(404, "404")) == flow.Call("DeleteObject", {**FILE, "IfMatch": '"e"'})
    assert hand.fail(refused(412, "PreconditionFailed")) is None
    assert hand.result == {"DeleteMarker": True}


def test_the_file_of_an_object_that_is_back_stays(s3: Surroundings) -> None:
    """Another writer was there."""
    hand = ByHand(delete_object(s3, dict(PLACE)))
    hand.answer({})
    hand.answer({"ETag": '"e"', "Metadata": {"x-amz-crypto-instr-file": ""}})
    assert hand.answer({"ETag": '"new"'}) is None


def test_a_file_that_stays_is_named_in_the_log(s3: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    """The object is gone, and that is what the caller hears."""
    for answered in (refused(403, "AccessDenied"), flow.UnreachableError(OSError("cut"))):
        caplog.clear()
        hand = ByHand(delete_object(s3, dict(PLACE)))
        hand.answer({})
        with caplog.at_level(logging.WARNING, logger="s3ec"):
            assert hand.fail(answered) is None
        assert (hand.result, "k.instruction" in caplog.text) == ({}, True)


def test_several_files_at_once(s3: Surroundings) -> None:
    """Of what was deleted, is not a file, and has no file among what was named."""
    keys = ["a", "b", "failed", "c", "c.instruction"]
    versioned = {"Key": "d", "VersionId": "v"}
    request = {"Bucket": "b", "Delete": {"Objects": [*({"Key": key} for key in keys), versioned]}}
    hand = ByHand(delete_objects(s3, request))
    asked = hand.answer({"Errors": [{"Key": "failed"}]})
    assert isinstance(asked, flow.Together)
    looked_for = [ByHand(one) for one in asked.flows]
    assert [one.asked for one in looked_for] == [
        flow.Call("HeadObject", {"Bucket": "b", "Key": key}) for key in ("a.instruction", "b.instruction")
    ]
    for one in looked_for:
        assert one.fail(refused(404, "404")) is None
    assert hand.answer() is None
