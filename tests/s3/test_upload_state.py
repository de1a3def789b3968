"""The state of an upload by itself: its flows are carried out by hand, and stop where a test wants them to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.client.bodies.sources import BytesSource
from s3ec.errors import ConfigurationError, MultipartStateError, ObjectTooLargeError, SourceChangedError
from s3ec.s3.flow import Call, Store, TakeIn, Wait, Work
from s3ec.s3.multipart import state as state_module
from s3ec.s3.multipart.ledger import PartListError
from s3ec.s3.multipart.requests import LAST_PART_NUMBER, MAXIMUM_PART_LENGTH, MINIMUM_PART_LENGTH

from support.flows import refused
from support.upload_bench import CIPHER, Bench, is_a

LARGE = os.urandom(MINIMUM_PART_LENGTH)
FAILS = refused(503, "SlowDown")


class Promised(BytesSource):
    """A body that says what length it has, or does not say."""

    def __init__(self, data: bytes, length: int | None) -> None:
        super().__init__(data)
        self.length = length


def free_slots(bench: Bench) -> int:
    """How many places of the spool may be used again."""
    return sum(map(len, bench.room.spool._free.values()))


class TestRefusedBeforeItIsRead:
    """What a body says of itself is enough."""

    @pytest.mark.parametrize("closed", [False, True])
    def test_a_part_that_is_too_long(self, bench: Bench, closed: bool) -> None:
        """By one byte; where the upload has ended, for that."""
        if closed:
            bench.run(bench.state.close("it was aborted"))
        with pytest.raises(MultipartStateError if closed else ObjectTooLargeError):
            bench.part(1, Promised(b"", MAXIMUM_PART_LENGTH + 1)).go(is_a(TakeIn))
        if not closed:
            assert isinstance(bench.part(1, Promised(b"", MAXIMUM_PART_LENGTH)).go(is_a(TakeIn)).asked, TakeIn)

    def test_an_object_that_is_too_long(self, bench: Bench) -> None:
        """With this part, but not without its last byte."""
        bench.state._ledger.length = GCM_MAX_PLAINTEXT_LENGTH - 5
        with pytest.raises(ObjectTooLargeError):
            bench.part(1, Promised(b"", 6)).go(is_a(TakeIn))
        assert isinstance(bench.part(1, Promised(b"", 5)).go(is_a(TakeIn)).asked, TakeIn)

    def test_a_stream_that_does_not_end(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is refused where it is too long, and not earlier."""
        monkeypatch.setattr(state_module, "MAXIMUM_PART_LENGTH", 10)
        assert bench.part(1, Promised(b"x" * 10, None)).go().result.length == 10
        with pytest.raises(ObjectTooLargeError):
            bench.part(2, Promised(b"x" * 11, None)).go()


class TestParts:
    """Given, given again, and refused."""

    def test_one_that_is_on_its_way_is_waited_for(self, bench: Bench) -> None:
        """The next one knows that it comes, from its first step on, and waits without an end."""
        first = bench.part(1, LARGE).step()
        second = bench.part(2, LARGE).go()
        assert second.waits == Wait()
        first.go()
        second.go()
        assert [number for number, *_ in bench.sent] == [1, 2]

    @pytest.mark.parametrize("again", [False, True])
    def test_the_upload_ends_while_one_is_read(self, bench: Bench, again: bool) -> None:
        """Nothing is entered, or sent once more."""
        if again:
            bench.part(1, LARGE).go()
        part = bench.part(1, LARGE).go(is_a(TakeIn)).step()
        bench.run(bench.state.close("it was aborted"))
        with pytest.raises(MultipartStateError, match="it was aborted"):
            part.go()
        assert len(bench.sent) == again

    @pytest.mark.parametrize("checked", [True, False])
    def test_one_that_is_not_taken_leaves_nothing(self, make: Callable[..., Bench], checked: bool) -> None:
        """Its place in the spool is free again, whether its reading or its comparison ended it."""
        bench = make(memory=0)
        bench.part(1, b"one").go()
        part = bench.part(1, b"two")
        if checked:
            part.go(is_a(TakeIn)).step()
            bench.run(bench.state.close("it was aborted"))
        with pytest.raises(MultipartStateError):
            part.go()
        assert free_slots(bench) == 1

    def test_one_that_is_sent_leaves_nothing(self, make: Callable[..., Bench]) -> None:
        """Its place in the spool is free again, also where S3 fails."""
        bench = make(memory=0)
        bench.refusals["UploadPart"] = [FAILS]
        with pytest.raises(type(FAILS)):
            bench.part(1, LARGE).go()
        assert free_slots(bench) == 5
        bench.part(1, LARGE).go()
        assert free_slots(bench) == 5

    def test_one_that_failed_before_it_was_encrypted_may_be_another(self, bench: Bench) -> None:
        """It is dropped, and its length with it."""
        part = bench.part(1, b"one").go(is_a(Work))
        part.fail(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            part.go()
        assert bench.state._ledger.length == 0
        bench.part(1, b"other").go()
        bench.complete(1).go()
        assert bench.stored() == CIPHER.encrypt(b"other")

    def test_one_that_failed_after_it_was_encrypted_stays(self, bench: Bench) -> None:
        """Its counters are used."""
        part = bench.part(1, LARGE).go(is_a(Work))
        assert part.asked is not None
        bench.perform(part.asked)
        part.fail(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            part.go()
        with pytest.raises(MultipartStateError, match="other bytes"):
            bench.part(1, b"other").go()
        bench.part(1, LARGE).go()
        bench.complete(1).go()
        assert bench.stored() == CIPHER.encrypt(LARGE)

    @pytest.mark.parametrize("first", [b"x" * 5, LARGE, LARGE + b"x" * 5], ids=len)
    def test_one_that_is_given_again(self, bench: Bench, first: bytes) -> None:
        """The same ciphertext, wherever it begins within a block; what was kept stays kept."""
        bench.part(1, first).go()
        for _ in range(2):
            bench.part(2, LARGE).go()
        bench.part(1, first).go()
        assert {data for number, data, _ in bench.sent if number == 2} == {
            CIPHER.encrypt(first + LARGE)[len(first) : -16]
        }
        bench.complete(1, 2).go()
        assert bench.stored() == CIPHER.encrypt(first + LARGE)

    def test_one_that_waits_and_is_given_again(self, make: Callable[..., Bench]) -> None:
        """Nothing of the second one stays in the spool."""
        bench = make(memory=0)
        part = bench.part(2, LARGE).go()
        assert part.waits == Wait(0.5)
        bench.clock.time += 0.5
        part.go()
        assert (part.result.answer, bench.sent) == (None, [])
        assert bench.part(2, LARGE).go().result.answer is None
        assert free_slots(bench) == 5
        bench.part(1, b"").go()
        bench.complete(1, 2).go()
        assert bench.stored() == CIPHER.encrypt(LARGE)

    @pytest.mark.parametrize(
        ("number", "data", "kept"),
        [
            (1, LARGE, False),
            (1, LARGE[1:], True),
            (LAST_PART_NUMBER - 1, LARGE, False),
            (LAST_PART_NUMBER, LARGE, True),
            (LAST_PART_NUMBER, b"", True),
        ],
        ids=["long enough", "too short", "last but one", "last", "last and empty"],
    )
    def test_what_may_be_the_last_one_is_kept(self, bench: Bench, number: int, data: bytes, kept: bool) -> None:
        """Until the tag is there: what S3 takes as the last one alone, or has no number after it."""
        bench.state._turnstile._next = number
        given = bench.part(number, data).go().result
        assert (given.answer is None) is kept
        assert bench.sent == [] if kept else [(number, CIPHER.encrypt(data)[:-16], False)]
        assert given.etag.strip('"') == bench.etag(number)
        assert given.length == len(data)
        bench.complete(number).go()
        assert bench.stored() == CIPHER.encrypt(data)
        assert bench.listed == [[number] if kept else [number, number + 1]]
        assert bench.sent[-1][2] is True

    def test_parts_that_are_kept_go_to_the_spool_as_ciphertext(self, make: Callable[..., Bench]) -> None:
        """Where memory is short; they come from there."""
        bench = make(memory=100)
        for number in (1, 2, 3):
            bench.part(number, bytes([number]) * 60).go()
        assert bench.room.spool._end >= 120
        bench.complete(1, 2, 3).go()
        assert bench.stored() == CIPHER.encrypt(b"".join(bytes([number]) * 60 for number in (1, 2, 3)))
        assert bench.most == [8]

    def test_one_that_is_kept_twice_at_once(self, make: Callable[..., Bench]) -> None:
        """Two flows that give it again find that it is kept, and leave nothing of theirs in the spool."""
        bench = make(memory=0)
        bench.part(1, LARGE).go()
        bench.state._ledger.get(1).sent = None  # type: ignore[union-attr]  # S3 lost it
        bench.part(2, b"two").go()
        record = bench.state._ledger.get(2)
        assert record is not None
        kept, record.content = record.content, None
        flows = [bench.part(2, b"two").go(is_a(Work)).step().go(is_a(Work)) for _ in range(2)]
        for flow in flows:
            flow.go()
        assert record.content is not None
        assert record.content is not kept
        assert free_slots(bench) == 6

    def test_what_a_caller_adds_is_sent(self, bench: Bench) -> None:
        """In requests of the caller's own."""
        part = bench.part(1, LARGE, ExpectedBucketOwner="owner").go(is_a(Store))
        assert isinstance(part.asked, Store)
        assert (part.asked.own, part.asked.parameters["ExpectedBucketOwner"]) == (False, "owner")
        answer = part.go().result.answer
        assert "ChecksumCRC32" not in answer

    def test_one_at_a_time_sends_a_part(self, bench: Bench) -> None:
        """So that the ETag that is kept is that of what S3 received last."""
        first = bench.part(1, LARGE).go(is_a(Store))
        second = bench.part(1, LARGE).go()
        assert second.waits == Wait()
        first.go()
        second.go()
        assert second.result.etag == '"1-2"'
        bench.complete(1).go()
        assert bench.stored() == CIPHER.encrypt(LARGE)


class TestCompletion:
    """The end of an upload."""

    def test_one_at_a_time_completes(self, bench: Bench) -> None:
        """The next one goes on where it failed, and sends nothing twice."""
        bench.part(1, b"one").go()
        bench.refusals["CompleteMultipartUpload"] = [FAILS]
        first = bench.complete(1).go(is_a(Call))
        second = bench.complete(1).go()
        assert second.waits == Wait()
        with pytest.raises(type(FAILS)):
            first.go()
        assert second.go().result["ETag"] == '"whole"'
        assert len(bench.sent) == 1
        assert bench.stored() == CIPHER.encrypt(b"one")
        assert bench.room.spool._closed

    def test_a_forked_process_does_not_wait(self, bench: Bench) -> None:
        """In it nobody ends what was under way."""
        bench.part(1, b"one").go()
        bench.complete(1).go(is_a(Call))
        bench.state._turnstile._process += 1
        with pytest.raises(MultipartStateError, match="forked"):
            bench.complete(1).go()

    def test_once_more_with_the_same_list(self, bench: Bench) -> None:
        """S3 is asked again; another list is refused as S3 would."""
        bench.part(1, b"one").go()
        bench.complete(1).go()
        assert bench.complete(1).go().result["ETag"] == '"whole"'
        with pytest.raises(PartListError) as caught:
            bench.complete().go()
        assert caught.value.code == "NoSuchUpload"
        assert bench.listed == [[1], [1]]

    def test_once_more_leaves_the_instruction_file_alone(self, bench: Bench) -> None:
        """It stands since the first time, whatever S3 answers now."""
        bench.part(1, b"one").go()
        bench.complete(1).go()
        bench.state.upload = replace(bench.state.upload, instruction_file=b"{}")
        again = bench.complete(1).go(is_a((Call, Store)))
        assert isinstance(again.asked, Call)
        assert again.asked.operation == "CompleteMultipartUpload"
        assert again.go().result["ETag"] == '"whole"'

    def test_after_the_end(self, bench: Bench) -> None:
        """S3 is not asked, and the list is not looked at."""
        bench.part(1, b"one").go()
        bench.run(bench.state.close("it was aborted"))
        for numbers in ((), (1,), (7,)):
            with pytest.raises(MultipartStateError, match="it was aborted"):
                bench.complete(*numbers).go()
        assert bench.listed == []
        assert all(record.content is None for record in bench.state._ledger)

    def test_an_empty_list_seals_nothing(self, bench: Bench) -> None:
        """S3 says what is wrong with it; parts may follow."""
        bench.refusals["CompleteMultipartUpload"] = [refused(400, "MalformedXML")]
        with pytest.raises(type(FAILS)):
            bench.complete().go()
        bench.part(1, b"one").go()
        bench.complete(1).go()
        assert bench.stored() == CIPHER.encrypt(b"one")

    def test_a_list_that_is_wrong_seals_nothing(self, bench: Bench) -> None:
        """Nor does a length, or a checksum that nothing computed."""
        bench.part(1, b"one").go()
        with pytest.raises(PartListError):
            bench.complete(2).go()
        for length in (2, 4):
            with pytest.raises(MultipartStateError, match="MpuObjectSize"):
                bench.complete(1, length=length).go()
        bench.checksum.refusal["check_claims"] = ConfigurationError("not computed")
        with pytest.raises(ConfigurationError):
            bench.complete(1).go()
        bench.checksum.refusal.clear()
        bench.part(2, b"two").go()
        bench.complete(1, 2, length=6).go()
        assert bench.stored() == CIPHER.encrypt(b"onetwo")

    def test_another_checksum_stores_nothing(self, bench: Bench) -> None:
        """All is encrypted then, the tag is not made, and nothing is sent."""
        bench.part(1, b"one").go()
        bench.checksum.refusal["compare"] = SourceChangedError("other plaintext")
        with pytest.raises(SourceChangedError):
            bench.complete(1).go()
        assert (bench.sent, bench.listed) == ([], [])
        assert bench.checksum.seen == b"one"
        with pytest.raises(MultipartStateError, match="after the upload was completed"):
            bench.part(2, b"two").go()

    @pytest.mark.parametrize("kept", [True, False])
    def test_the_tag_leaves_once(self, bench: Bench, kept: bool) -> None:
        """With the last part, or as a part of its own, after whatever failed."""
        data = b"one" if kept else LARGE
        bench.part(1, LARGE).go()
        bench.part(2, data).go()
        before = len(bench.sent)
        bench.refusals = {"UploadPart": [FAILS], "CompleteMultipartUpload": [FAILS]}
        for _ in range(2):
            with pytest.raises(type(FAILS)):
                bench.complete(1, 2).go()
        bench.complete(1, 2).go()
        assert bench.listed == [[1, 2] if kept else [1, 2, 3]]
        assert len(bench.sent) == before + 1
        assert bench.stored() == CIPHER.encrypt(LARGE + data)

    def test_a_part_that_s3_lost_is_given_again(self, bench: Bench) -> None:
        """Otherwise the object would not open: all that are lost are named."""
        for number in (1, 2, 3):
            bench.part(number, LARGE).go()
        for record in bench.state._ledger:
            record.sent = None if record.number != 2 else record.sent
        with pytest.raises(MultipartStateError, match="does not have part 1, 3;"):
            bench.complete(1, 2, 3).go()
        for number in (1, 3):
            bench.part(number, LARGE).go()
        bench.complete(1, 2, 3).go()
        assert bench.stored() == CIPHER.encrypt(LARGE * 3)

    def test_parts_behind_gaps(self, bench: Bench) -> None:
        """Those that wait and those that are kept: none that S3 has is sent again."""
        waiting = bench.part(5, b"five").go()
        bench.clock.time += 0.5
        waiting.go()
        for number in (1, 2):
            bench.part(number, LARGE).go()
        bench.complete(1, 2, 5).go()
        assert [number for number, *_ in bench.sent] == [1, 2, 5]
        assert bench.stored() == CIPHER.encrypt(LARGE * 2 + b"five")


class TestElsewhere:
    """Where S3, or another process, says how it goes on."""

    @pytest.mark.parametrize(("code", "gone"), [("NoSuchUpload", True), ("AccessDenied", False)])
    def test_an_upload_that_is_gone(self, bench: Bench, code: str, gone: bool) -> None:
        """It is let go of, for that answer alone; the error is the caller's in any case."""
        forgotten = []

        def fails() -> Any:
            raise refused(404, code)
            yield

        def works() -> Any:
            return {"it": "works"}
            yield

        with pytest.raises(type(FAILS)):
            bench.run(bench.state.closed_where_gone(fails(), lambda: forgotten.append(1)))
        assert forgotten == [1] * gone
        assert bench.room.spool._closed is gone
        if not gone:
            assert bench.run(bench.state.closed_where_gone(works(), lambda: forgotten.append(1))) == {"it": "works"}
            assert forgotten == []
            bench.part(1, b"one").go()

    def test_another_process_goes_on(self, bench: Bench, make: Callable[..., Bench]) -> None:
        """From the state that was handed over, with what S3 says that it has; here nothing goes on."""
        bench.part(1, LARGE).go()
        bench.part(2, b"two").go()
        snapshot = bench.run(bench.state.hand_over())
        with pytest.raises(MultipartStateError, match="exported"):
            bench.part(3, b"three").go()
        other = make(snapshot=snapshot)
        other.sent += bench.sent
        other.state.restore(1, {"PartNumber": 1, "ETag": '"1-1"', "Size": len(LARGE)}, has_tag=False)
        other.state.restore(7, {"PartNumber": 7, "ETag": '"unknown"'}, has_tag=False)
        record = other.state._ledger.get(1)
        assert record is not None
        assert record.sent == {"PartNumber": 1, "ETag": '"1-1"'}
        other.part(2, b"two").go()
        other.part(3, b"three").go()
        other.complete(1, 2, 3).go()
        assert other.stored() == CIPHER.encrypt(LARGE + b"two" + b"three")

    def test_the_tag_that_left_elsewhere(self, bench: Bench, make: Callable[..., Bench]) -> None:
        """Does not leave again."""
        bench.part(1, b"one").go()
        bench.refusals["CompleteMultipartUpload"] = [FAILS]
        with pytest.raises(type(FAILS)):
            bench.complete(1).go()
        snapshot = bench.run(bench.state.hand_over())
        other = make(snapshot=snapshot)
        other.sent += bench.sent
        other.state.restore(1, {"PartNumber": 1, "ETag": '"1-1"'}, has_tag=True)
        other.complete(1).go()
        assert other.listed == [[1]]
        assert other.stored() == CIPHER.encrypt(b"one")

    def test_it_is_saved_before_a_part_leaves(self, bench: Bench) -> None:
        """From the moment that it is asked for."""
        saved: list[Any] = []
        bench.run(bench.state.keep_saved(saved.append))
        bench.part(1, LARGE).go(is_a(Store))
        assert [len(snapshot.parts) for snapshot in saved] == [0, 1]

    def test_it_gives_way_to_a_state_that_knows_all(self, bench: Bench) -> None:
        """And ends here; to one that lacks what may have left it does not."""
        saved: list[Any] = []
        bench.run(bench.state.keep_saved(saved.append))
        bench.part(1, LARGE).go()
        assert bench.run(bench.state.give_way(saved[0])) is False
        assert not bench.room.spool._closed
        assert bench.run(bench.state.give_way(saved[-1])) is True
        assert bench.room.spool._closed
        with pytest.raises(MultipartStateError, match="resumed by another client"):
            bench.part(2, LARGE).go()


def test_an_answer_that_is_lost(bench: Bench) -> None:
    """What was sent is sent again as it was, and one that fails may be waited for no longer."""
    bench.refusals["UploadPart"] = [FAILS]
    with pytest.raises(type(FAILS)):
        bench.part(1, LARGE).go()
    assert bench.part(1, LARGE).go().result.etag == '"1-1"'
