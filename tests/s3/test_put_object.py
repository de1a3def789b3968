"""put_object, answered by hand: what is refused before a key, and what becomes of an instruction file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from s3ec import AesKeyring, formats
from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.errors import ConfigurationError, ObjectTooLargeError
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.s3 import flow
from s3ec.s3.put_object import put_object
from s3ec.secrets import Secret

from support.flows import ByHand, Surroundings, refused
from support.materials import CountingManager

PLACE = {"Bucket": "b", "Key": "k"}
FILE = {"Bucket": "b", "Key": "k.instruction"}


@dataclass
class Source:
    """A body of a length."""

    length: int | None


@pytest.fixture
def manager() -> CountingManager:
    """Counts what it is asked."""
    return CountingManager(DefaultMaterialsManager(AesKeyring(bytes(32))))


def begun(s3: Surroundings, length: int | None = 4, **more: Any) -> ByHand:
    """A put that waits for its first answer."""
    return ByHand(put_object(s3, {**PLACE, **more}, None, Source(length), None))


def made(hand: ByHand) -> object:
    """The answer to a data key that is to be made."""
    assert isinstance(hand.asked, flow.NewDataKey)
    return Secret(hand.asked.manager.get_encryption_materials(hand.asked.request))


def test_a_put(manager: CountingManager) -> None:
    """One data key, one body, one request of the caller's; a body that is no bytes is closed at the end."""
    for body in (b"ciphertext", object()):
        hand = begun(Surroundings(manager), Metadata={"mine": "x"})
        asked = hand.answer(made(hand))
        assert isinstance(asked, flow.Encrypt)
        stored = hand.answer(body)
        assert isinstance(stored, flow.Store)
        assert (stored.operation, stored.own) == ("PutObject", False)
        assert stored.parameters["Body"] is body
        assert formats.parse_object(stored.parameters["Metadata"]).format.value == "V3"
        assert stored.parameters["Metadata"]["mine"] == "x"
        end = hand.answer({"ETag": "e", "ResponseMetadata": {}})
        assert end == (None if isinstance(body, bytes) else flow.CloseBody(body))
        if end is not None:
            hand.answer()
        assert hand.result["ResponseMetadata"]["ClientSideEncryption"]["authenticated"] is True


def test_what_is_refused_costs_no_key(manager: CountingManager) -> None:
    """Nor a request."""
    with pytest.raises(ObjectTooLargeError):
        begun(Surroundings(manager), GCM_MAX_PLAINTEXT_LENGTH + 1)
    with pytest.raises(ConfigurationError):
        begun(Surroundings(manager), Metadata={"x-amz-key": "AAAA"})
    with pytest.raises(ConfigurationError):
        begun(Surroundings(manager), Metadata={"a": "b" * 3000})
    assert manager.calls == 0


@pytest.mark.parametrize(
    ("error", "taken_back"),
    [
        (refused(412, "PreconditionFailed"), True),
        (refused(503, "SlowDown"), False),
        (flow.UnreachableError(OSError("cut")), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_an_instruction_file_is_taken_back_where_the_object_was_surely_refused(
    manager: CountingManager, error: BaseException, taken_back: bool
) -> None:
    """It goes first, under a name that is free; an object that may be there needs it."""
    hand = begun(Surroundings(manager, instruction_file_writes=True))
    assert hand.asked == flow.Call("HeadObject", FILE)
    hand.fail(refused(404, "404"))
    hand.answer(made(hand))
    file = hand.answer(b"ciphertext")
    assert isinstance(file, flow.Store)
    assert (file.own, file.parameters["Key"]) == (True, "k.instruction")
    assert formats.is_instruction_file_body(file.parameters["Body"])
    stored = hand.answer({})
    assert isinstance(stored, flow.Store)
    assert (stored.own, stored.parameters["Key"]) == (False, "k")
    if taken_back:
        assert hand.fail(error) == flow.Call("DeleteObject", FILE)
        with pytest.raises(type(error)):
            hand.answer({})
    else:
        with pytest.raises(type(error)):
            hand.fail(error)


def test_a_name_that_is_taken_is_not_written_to(manager: CountingManager) -> None:
    """The object has its content metadata in itself then."""
    hand = begun(Surroundings(manager, instruction_file_writes=True))
    hand.answer({"Metadata": {}})
    hand.answer(made(hand))
    stored = hand.answer(b"ciphertext")
    assert isinstance(stored, flow.Store)
    assert (stored.own, stored.parameters["Key"]) == (False, "k")
    assert formats.parse_object(stored.parameters["Metadata"]).format.value == "V3"
    assert hand.answer({"ResponseMetadata": {}}) is None
