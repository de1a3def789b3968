"""copy_object, answered by hand: what is looked at, in which order, and what the copy is pinned to."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import AesKeyring, CommitmentPolicy, encryption, formats
from s3ec.errors import UnsupportedOperationError
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.s3 import flow
from s3ec.s3.copy_object import copy_heard, copy_object, look_first, rename_object

from support.flows import ByHand, Surroundings, refused

SOURCE = {"Bucket": "b", "Key": "k"}
COPY = {"Bucket": "c", "Key": "copy", "CopySource": SOURCE}


@pytest.fixture
def s3() -> Surroundings:
    """A client that there is none of."""
    return Surroundings(DefaultMaterialsManager(AesKeyring(bytes(32))))


def head(s3: Surroundings) -> dict[str, Any]:
    """The HEAD of an encrypted object."""
    content_metadata, _ = encryption.begin(
        materials_manager=s3.reading.materials_manager,
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
        algorithm_suite=None,
        encryption_context=None,
    )
    return {"Metadata": formats.render_object(content_metadata), "ETag": '"e"'}


def looked(s3: Surroundings, answer: Any) -> Any:
    """What was seen of the source before handlers heard of the copy."""
    hand = ByHand(look_first(s3, dict(COPY)))
    assert hand.asked == flow.Call("HeadObject", SOURCE)
    if isinstance(answer, BaseException):
        hand.fail(answer)
    else:
        hand.answer(answer)
    return hand.result


def test_the_copy_is_of_what_was_looked_at(s3: Surroundings) -> None:
    """One HEAD, and one request of the caller's that names the ETag."""
    hand = ByHand(copy_heard(s3, dict(COPY), looked(s3, head(s3))))
    pinned = {"Bucket": "c", "Key": "copy", "CopySource": SOURCE, "CopySourceIfMatch": '"e"'}
    assert hand.asked == flow.Store("CopyObject", pinned, own=False)
    assert hand.answer({"CopyObjectResult": {"ETag": "e", "ChecksumCRC32": "AAAA"}}) is None
    assert hand.result == {"CopyObjectResult": {"ETag": "e"}}


def test_handlers_may_name_another_source(s3: Surroundings) -> None:
    """Which is looked at then; what was seen of the other says nothing of it."""
    other = {**COPY, "CopySource": "b/o%20ther"}
    hand = ByHand(copy_heard(s3, other, looked(s3, refused(403, "AccessDenied"))))
    assert hand.asked == flow.Call("HeadObject", {"Bucket": "b", "Key": "o ther"})
    stored = hand.answer(head(s3))
    assert isinstance(stored, flow.Store)
    assert hand.answer({}) is None


def test_a_source_that_is_not_there(s3: Surroundings) -> None:
    """S3 is asked what is missing, and the error is that of the copy."""
    hand = ByHand(copy_heard(s3, dict(COPY), None))
    assert hand.fail(refused(404, "404")) == flow.Call("GetObject", {**SOURCE, "Range": "bytes=0-0"})
    with pytest.raises(flow.RefusedError) as missing:
        hand.fail(refused(404, "NoSuchKey"))
    error = missing.value.error
    assert isinstance(error, ClientError)
    assert (error.operation_name, missing.value.code) == ("CopyObject", "NoSuchKey")


def test_a_condition_that_did_not_hold(s3: Surroundings) -> None:
    """A read says 304 or 412, a copy 412; the caller hears of it where no handler names another source."""
    seen = looked(s3, refused(304, "304"))
    with pytest.raises(flow.RefusedError) as failed:
        ByHand(copy_heard(s3, dict(COPY), seen))
    assert (failed.value.status, failed.value.code) == (412, "PreconditionFailed")


def test_a_source_in_plaintext_is_refused(s3: Surroundings) -> None:
    """Once no instruction file is there either."""
    hand = ByHand(copy_heard(s3, dict(COPY), looked(s3, {"Metadata": {}, "ETag": '"e"'})))
    assert hand.asked == flow.Call("HeadObject", {"Bucket": "b", "Key": "k.instruction"})
    with pytest.raises(UnsupportedOperationError, match="not encrypted"):
        hand.fail(refused(404, "404"))


def test_handlers_hear_in_the_middle(s3: Surroundings) -> None:
    """After the look at the source that the caller names, and before anything is sent that makes an object."""

    class Heard:
        parameters = {**COPY, "Key": "another"}

    hand = ByHand(copy_object(s3, dict(COPY)))
    assert hand.asked == flow.Call("HeadObject", SOURCE)
    assert hand.answer(head(s3)) == flow.Hear("CopyObject", COPY)
    heard = Heard()
    left = hand.answer(heard)
    assert isinstance(left, flow.After)
    assert left.heard is heard
    sent = ByHand(left.flow).asked
    assert isinstance(sent, flow.Store)
    assert sent.parameters["Key"] == "another"
    hand.answer({"ETag": "e"})
    assert hand.result == {"ETag": "e"}


def test_a_rename(s3: Surroundings) -> None:
    """S3 does it, unless the name is bound into the object's context."""
    asked = {"Bucket": "b", "Key": "new", "RenameSource": "old"}
    assert ByHand(rename_object(s3, asked)).asked == flow.Call("RenameObject", asked)
    binding = Surroundings(DefaultMaterialsManager(AesKeyring(bytes(32))), bind_object=True)
    with pytest.raises(UnsupportedOperationError, match="bind_object"):
        ByHand(rename_object(binding, asked))
