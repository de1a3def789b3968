"""get_object, answered by hand: each request, key and close in its order, and no network."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest

from s3ec import AesKeyring, CommitmentPolicy, encryption, formats
from s3ec.errors import AuthenticationError, InstructionFileError, KeyUnwrapError, NotEncryptedError
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.s3 import flow
from s3ec.s3.contents import VerifiedSpan, WholeContent
from s3ec.s3.get_object import get_object
from s3ec.s3.verified import OpenedKey, VerifiedObject

from support.flows import ByHand, Surroundings, refused
from support.materials import CountingManager

PLACE = {"Bucket": "b", "Key": "k"}
PLAINTEXT = bytes(range(256)) * 1_000


class Table:
    """Verified objects, for one flow."""

    def __init__(self) -> None:
        self.entries: dict[Any, VerifiedObject] = {}
        self.keys: dict[Any, OpenedKey] = {}

    def expiry(self) -> float:
        """Never."""
        return 1e9

    def get(self, place: Any) -> VerifiedObject | None:
        """What was put."""
        return self.entries.get(place)

    def put(self, place: Any, verified: VerifiedObject, expires: float) -> None:
        """Keep it."""
        self.entries[place] = verified

    def opened(self, place: Any, content_metadata: Any) -> OpenedKey | None:
        """What was kept."""
        return self.keys.get((place, repr(content_metadata)))

    def keep(self, place: Any, key: OpenedKey) -> None:
        """Keep it."""
        self.keys[place, repr(key.content_metadata)] = key

    def gate(self, place: Any) -> object:
        """Nothing to wait for."""
        return place


@pytest.fixture
def manager() -> CountingManager:
    """Counts what it is asked."""
    return CountingManager(DefaultMaterialsManager(AesKeyring(bytes(32))))


@pytest.fixture
def s3(manager: CountingManager) -> Surroundings:
    """A client that there is none of."""
    return Surroundings(manager)


@pytest.fixture
def stored(manager: CountingManager) -> tuple[dict[str, str], bytes]:
    """User metadata and ciphertext of an object."""
    content_metadata, cipher = encryption.begin(
        materials_manager=manager,
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
        algorithm_suite=None,
        encryption_context=None,
    )
    manager.requests.clear()
    return formats.render_object(content_metadata), cipher.encrypt(PLAINTEXT)


def response(metadata: dict[str, str], body: bytes, **more: Any) -> dict[str, Any]:
    """An answer of S3's."""
    return {
        "Body": io.BytesIO(body),
        "Metadata": dict(metadata),
        "ContentLength": len(body),
        "ETag": '"e"',
        "ResponseMetadata": {"HTTPStatusCode": 206 if "ContentRange" in more else 200, "HTTPHeaders": {}},
        **more,
    }


def unwrapped(hand: ByHand) -> object:
    """The answer to a data key that is asked for."""
    assert isinstance(hand.asked, flow.Unwrap)
    return hand.asked.checked.ask()


def test_a_whole_object(s3: Surroundings, stored: tuple[dict[str, str], bytes]) -> None:
    """One request, one data key, one body; nothing is read of it before the caller reads."""
    hand = ByHand(get_object(s3, Table(), dict(PLACE)))
    assert hand.asked == flow.Call("GetObject", PLACE)
    hand.answer(response(*stored))
    delivered = hand.answer(unwrapped(hand))
    assert isinstance(delivered, flow.Deliver)
    assert delivered.body.tell() == 0
    assert delivered.length == len(PLAINTEXT)
    assert isinstance(delivered.content, WholeContent)
    assert delivered.content.cipher.decrypt(delivered.body.read()) == PLAINTEXT
    assert hand.answer("the caller's body") is None
    assert (hand.result["Body"], hand.result["ContentLength"]) == ("the caller's body", len(PLAINTEXT))
    assert hand.result["ResponseMetadata"]["ClientSideEncryption"]["format"] == "V3"
    assert not hand.result["Metadata"]


def test_what_headers_can_refuse_costs_no_key(
    s3: Surroundings, manager: CountingManager, stored: tuple[dict[str, str], bytes]
) -> None:
    """A part for the whole, and a body that is too short for its tag: the body is closed, and no keyring asked."""
    metadata, body = stored
    for wrong in (response(metadata, body, ContentRange="bytes 0-9/10"), response(metadata, body[:15])):
        hand = ByHand(get_object(s3, Table(), dict(PLACE)))
        assert hand.answer(wrong) == flow.CloseBody(wrong["Body"])
        with pytest.raises(AuthenticationError):
            hand.answer()
    assert manager.calls == 0


def test_whatever_ends_a_read_closes_its_body(s3: Surroundings, stored: tuple[dict[str, str], bytes]) -> None:
    """A keyring's refusal, and what ends a program or a task."""
    for error in (KeyUnwrapError("no"), KeyboardInterrupt()):
        hand = ByHand(get_object(s3, Table(), dict(PLACE)))
        hand.answer(response(*stored))
        assert isinstance(hand.fail(error), flow.CloseBody)
        with pytest.raises(type(error)):
            hand.answer()


def test_an_instruction_file_that_is_not_there(s3: Surroundings, manager: CountingManager) -> None:
    """Not there is another thing than not to be seen; the object's body is closed either way."""
    for answered, raised in ((refused(404, "NoSuchKey"), NotEncryptedError), (refused(403, "AccessDenied"), None)):
        hand = ByHand(get_object(s3, Table(), dict(PLACE)))
        asked = hand.answer(response({}, b"plain"))
        assert asked == flow.Call("GetObject", {"Bucket": "b", "Key": "k.instruction"})
        assert isinstance(hand.fail(answered), flow.CloseBody)
        with pytest.raises(raised or flow.RefusedError) as told:
            hand.answer()
        assert raised is None or told.value.__context__ is None or told.value.__suppress_context__
    assert manager.calls == 0


def test_an_instruction_file_is_read_to_its_end(s3: Surroundings) -> None:
    """A connection that is cut leaves no half of one, which would be none at all; both bodies are closed."""
    hand = ByHand(get_object(s3, Table(), {**PLACE, "InstructionFileSuffix": ".mine"}))
    object_itself, file = response({}, b"ciphertext"), response({}, b"{")
    hand.answer(object_itself)
    assert hand.answer(file) == flow.ReadBody(file["Body"], formats.INSTRUCTION_FILE_MAX_LENGTH + 1, has_tag=False)
    assert hand.fail(flow.UnreachableError(OSError("cut"))) == flow.CloseBody(file["Body"])
    assert hand.answer() == flow.CloseBody(object_itself["Body"])
    with pytest.raises(flow.UnreachableError):
        hand.answer()
    hand = ByHand(get_object(s3, Table(), {**PLACE, "InstructionFileSuffix": ".mine"}))
    hand.answer(object_itself)
    hand.fail(refused(404, "NoSuchKey"))
    with pytest.raises(InstructionFileError, match="is not there"):
        hand.answer()


def test_a_range_is_verified_once(s3: Surroundings, stored: tuple[dict[str, str], bytes]) -> None:
    """The object is read whole behind a gate, which is left in any case; the next range needs neither."""
    metadata, body = stored
    table = Table()
    answered = f"bytes 0-65551/{len(body)}"

    hand = ByHand(get_object(s3, table, {**PLACE, "Range": "bytes=5-9"}))
    assert hand.asked == flow.Call("GetObject", {**PLACE, "Range": "bytes=0-65551"})
    first = response(metadata, body[:65552], ContentRange=answered)
    assert isinstance(hand.answer(first), flow.Enter)
    hand.answer()
    assert hand.answer(unwrapped(hand)) == flow.Call("GetObject", {**PLACE, "IfMatch": '"e"'})
    whole = response(metadata, body)
    read = hand.answer(whole)
    while isinstance(read, (flow.ReadBody, flow.Work)):
        read = hand.answer(read.body.read(read.size) if isinstance(read, flow.ReadBody) else read.function())
    assert read == flow.CloseBody(whole["Body"])
    assert isinstance(hand.answer(), flow.Leave)
    assert hand.answer() == flow.CloseBody(first["Body"])
    assert hand.answer() == flow.Call("GetObject", {**PLACE, "IfMatch": '"e"', "Range": "bytes=0-65551"})
    delivered = hand.answer(response(metadata, body[:65552], ContentRange=answered))
    assert isinstance(delivered, flow.Deliver)
    assert isinstance(delivered.content, VerifiedSpan)
    assert (delivered.content.span, delivered.length) == ((5, 9), 5)
    assert hand.answer() is None

    hand = ByHand(get_object(s3, table, {**PLACE, "Range": "bytes=5-9"}))
    assert isinstance(hand.answer(response(metadata, body[:65552], ContentRange=answered)), flow.Deliver)
    assert hand.answer() is None


@pytest.mark.parametrize("step", range(8))
def test_a_range_that_is_broken_off_anywhere(s3: Surroundings, stored: tuple[dict[str, str], bytes], step: int) -> None:
    """Whatever is interrupted: the gate is left, and every body that was opened is closed."""
    metadata, body = stored
    hand = ByHand(get_object(s3, Table(), {**PLACE, "Range": "bytes=5-9"}))
    opened, closed, inside = [], [], 0
    for number in range(20):
        asked = hand.asked
        inside += isinstance(asked, flow.Enter) - isinstance(asked, flow.Leave)
        if isinstance(asked, flow.CloseBody):
            closed.append(asked.body)
        if number == step:
            inside -= isinstance(asked, flow.Enter)
            with contextlib.suppress(KeyboardInterrupt):
                hand.fail(KeyboardInterrupt())
                while hand.asked:
                    inside -= isinstance(hand.asked, flow.Leave)
                    closed += [hand.asked.body] if isinstance(hand.asked, flow.CloseBody) else []
                    hand.answer()
            break
        answer: Any = None
        if isinstance(asked, flow.Call):
            ranged = {"ContentRange": f"bytes 0-65551/{len(body)}"} if "Range" in asked.parameters else {}
            answer = response(metadata, body[:65552] if ranged else body, **ranged)
            opened.append(answer["Body"])
        elif isinstance(asked, flow.Unwrap):
            answer = unwrapped(hand)
        elif isinstance(asked, flow.ReadBody):
            answer = asked.body.read(asked.size)
        hand.answer(answer)
    assert inside == 0
    assert [body for body in opened if body not in closed] == []
