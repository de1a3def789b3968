"""Managed transfers without a network: what may be seen when, what is begun again, and what is taken back."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from s3ec import AesKeyring, encryption, formats
from s3ec.algorithms import CommitmentPolicy
from s3ec.errors import AuthenticationError, ConfigurationError, SourceChangedError
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.s3 import managed_upload
from s3ec.s3.download import Downloadable, PartReceiver, PartsToFetch
from s3ec.s3.flow import Call, FailedCallError, Transfer, UnreachableError, Unwrap, Work
from s3ec.s3.managed_download import download, to_file, to_object
from s3ec.s3.pinning import ReplacedError
from s3ec.s3.receiving import CHUNK_SIZE
from s3ec.s3.transfers import Pieces, Progress, at_once, joined

from support.flows import ByHand, Shelf, Surroundings, client_error, refused

MANAGER = DefaultMaterialsManager(AesKeyring(bytes(32)))
METADATA, _ = encryption.begin(
    materials_manager=MANAGER,
    commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    algorithm_suite=None,
    encryption_context=None,
)
HEAD = {"Metadata": formats.render_object(METADATA), "ContentLength": 116, "ETag": '"e"'}
PLAIN_HEAD = {"Metadata": {}, "ContentLength": 100, "ETag": '"plain"'}


class Engine:
    """An engine whose transfers a test carries out."""

    def now(self) -> float:
        """It stands still."""
        return 0.0


class Config:
    """As boto3's is by default, but small."""

    multipart_threshold = 100
    multipart_chunksize = 30
    max_request_concurrency = 10
    use_threads = True


def begun(shelf: Shelf | None, told: Callable[[int], object] | None = None, **options: Any) -> ByHand:
    """A download that has passed the gate; to an object where there is no shelf."""
    s3, engine = Surroundings(MANAGER, **options), Engine()
    deliver = partial(to_object, s3, engine, []) if shelf is None else partial(to_file, s3, engine, shelf)
    flow = ByHand(download(s3, engine, {"Bucket": "b", "Key": "k"}, deliver, told))
    passed(flow)
    return flow


def passed(flow: ByHand) -> None:
    """The HEAD is answered, and the data key opened."""
    assert isinstance(flow.asked, Call)
    unwrap = flow.answer(HEAD)
    assert isinstance(unwrap, Unwrap)
    flow.answer(unwrap.checked.ask())


def work_until(flow: ByHand, kind: type) -> Any:
    """Do what is asked of the disk, up to an effect of another kind."""
    while isinstance(flow.asked, Work):
        flow.answer(flow.asked.function())
    assert isinstance(flow.asked, kind)
    return flow.asked


def failed(flow: ByHand, error: BaseException) -> None:
    """An effect fails, and what is asked of the disk then is done."""
    flow.fail(error)
    work_until(flow, type(None))


def replaced() -> ReplacedError:
    """What an engine raises for S3's 412."""
    return ReplacedError(client_error(412, "PreconditionFailed"))


class TestFiles:
    """A file has its name when all of it has verified, and not before."""

    def test_the_name_comes_last(self) -> None:
        """Everything is written to a file that nobody sees."""
        shelf = Shelf()
        flow = begun(shelf)
        moving = work_until(flow, Transfer).plan
        assert (moving.is_private, moving.is_file, moving.delayed, moving.into) == (True, True, True, shelf)
        assert (shelf.done, shelf.content) == (["create"], None)
        shelf.write(b"verified")
        flow.answer()
        work_until(flow, type(None))
        assert (shelf.done, shelf.content) == (["create", "close", "give name"], b"verified")

    @pytest.mark.parametrize("error", [AuthenticationError("altered"), KeyboardInterrupt(), client_error(403, "No")])
    def test_nothing_is_left_of_a_failure(self, error: BaseException) -> None:
        """Whatever it was."""
        shelf = Shelf()
        flow = begun(shelf)
        work_until(flow, Transfer)
        with pytest.raises(type(error)):
            failed(flow, error)
        assert (shelf.done, shelf.content) == (["create", "close", "discard"], None)

    @pytest.mark.parametrize("at", range(4))
    def test_a_disk_that_fails(self, at: int) -> None:
        """At each thing that is asked of it: only what was created is removed, and the error is told."""
        shelf = Shelf()
        flow = begun(shelf)
        for _ in range(at):
            if isinstance(flow.asked, Transfer):
                flow.answer()
            assert isinstance(flow.asked, Work)
            flow.answer(flow.asked.function())
        if isinstance(flow.asked, Transfer):
            flow.answer()
        with pytest.raises(OSError, match="full"):
            failed(flow, OSError("full"))
        assert shelf.content is None
        assert ("discard" in shelf.done) == ("create" in shelf.done)

    def test_what_is_special_is_written_at_once(self) -> None:
        """So it gets nothing that has not verified, unless the client allows that."""
        for delayed in (False, True):
            shelf = Shelf(special=True)
            flow = begun(shelf, enable_delayed_authentication=delayed)
            moving = work_until(flow, Transfer).plan
            assert (moving.is_private, moving.is_file, moving.delayed) == (False, True, delayed)
            flow.answer()
            work_until(flow, type(None))
            assert shelf.done == ["open", "close"]


class TestReplaced:
    """An object that is replaced meanwhile is downloaded from its start, once."""

    def test_a_file_begins_again(self) -> None:
        """Nobody has seen what was written; what was told is taken back."""
        shelf, told = Shelf(), list[int]()
        flow = begun(shelf, told.append)
        moving = work_until(flow, Transfer).plan
        moving.has_begun = True
        moving.progress(60)
        flow.fail(replaced())
        work_until(flow, Call)
        assert (shelf.done, told) == (["create", "close", "discard"], [60, -60])
        passed(flow)
        work_until(flow, Transfer).plan.progress(100)
        flow.answer()
        work_until(flow, type(None))
        assert (shelf.done[3:], sum(told)) == (["create", "close", "give name"], 100)

    def test_an_object_begins_again_only_before_its_first_byte(self) -> None:
        """What it got cannot be taken back."""
        flow = begun(None)
        flow.fail(replaced())
        passed(flow)
        flow = begun(None)
        work_until(flow, Transfer).plan.has_begun = True
        with pytest.raises(ReplacedError):
            flow.fail(replaced())

    def test_twice_is_too_often(self) -> None:
        """For a file too."""
        flow = begun(Shelf())
        work_until(flow, Transfer)
        flow.fail(replaced())
        work_until(flow, Call)
        passed(flow)
        work_until(flow, Transfer)
        with pytest.raises(ReplacedError):
            failed(flow, replaced())


def test_what_is_not_encrypted_may_be_left_to_the_caller() -> None:
    """With the ETag that it is to be asked for with; nothing is opened for it."""
    s3, shelf = Surroundings(MANAGER, unencrypted_objects="allow", instruction_file_reads=False), Shelf()
    deliver = partial(to_file, s3, Engine(), shelf)
    flow = ByHand(download(s3, Engine(), {"Bucket": "b", "Key": "k"}, deliver, None, plaintext_too=False))
    flow.answer(PLAIN_HEAD)
    assert (flow.asked, flow.result, shelf.done) == (None, '"plain"', [])


class TestParts:
    """Which bytes are asked for, and what is taken of an answer."""

    @pytest.mark.parametrize("size", [1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE])
    def test_exactly_what_was_asked_for(self, size: int) -> None:
        """In chunks, the last of which leaves once the end was seen."""
        data, part, handed_out = random.Random(size).randbytes(size), PartReceiver(size), list[bytes]()
        stream = io.BytesIO(data)
        while wanted := part.wanted:
            assert sum(map(len, handed_out)) < size
            handed_out.append(part.feed(stream.read(wanted)))
        assert b"".join(handed_out) == data
        assert max(map(len, handed_out)) <= CHUNK_SIZE

    def test_one_byte_fewer_or_more(self) -> None:
        """Neither passes, and what came before a surplus is kept back."""
        with pytest.raises(AuthenticationError, match="cut off"):
            PartReceiver(10).feed(bytes(9))
        part = PartReceiver(10)
        assert part.feed(bytes(10)) == b""
        with pytest.raises(AuthenticationError, match="more bytes"):
            part.feed(b"x")

    @pytest.mark.parametrize(("total", "at_once"), [(99, 1), (100, 4), (1000, 10)])
    def test_every_byte_is_asked_for_once(self, total: int, at_once: int) -> None:
        """In order; in one part below the threshold of boto3, by as many requests as there are parts."""
        plan = PartsToFetch(Downloadable(None, total, {}), Config())
        parts = list(iter(plan.next_part, None))
        assert plan.at_once == at_once
        assert [start for start, _ in parts] == list(range(0, total, 30))
        assert sum(size for _, size in parts) == total
        assert plan.rest == (total, 0)

    def test_a_part_after_some_bytes(self) -> None:
        """Which came another way."""
        plan = PartsToFetch(Downloadable(None, 100, {}), Config())
        plan.took(75)
        assert (plan.rest, plan.next_part(), plan.next_part()) == ((75, 25), (75, 25), None)

    def test_pieces(self) -> None:
        """Are read in order, in whatever sizes, and without a copy where one will do."""
        pieces = Pieces()
        assert pieces.add([b"abc", b"d"]) == 4
        assert [pieces.take(2), pieces.take(2), pieces.take(9), bool(pieces)] == [b"ab", b"c", b"d", False]
        one = bytes(10)
        assert joined([one]) is one
        assert (joined([]), joined([b"a", b"b"])) == (b"", b"ab")

    def test_without_threads(self) -> None:
        """One request at a time."""
        config = Config()
        config.use_threads = False
        assert (at_once(Config()), at_once(config)) == (10, 1)


def test_progress_adds_up() -> None:
    """To the plaintext, whatever follows it; and from the start when it is taken back."""
    told: list[int] = []
    progress = Progress(told.append, 100)
    for count in (60, 0, 56):
        progress(count)
    progress.take_back()
    progress(116)
    assert told == [60, 40, -100, 100]
    Progress(None, 5)(5)


class Parts:
    """Parts that are sent already."""

    def completing(self, s3: Any, parameters: Any) -> Any:
        """One request."""
        yield Call("CompleteMultipartUpload", parameters)


class Upload:
    """What is known of an upload that was created."""

    upload_id = "u"
    request = {"Bucket": "b", "Key": "k"}  # noqa: RUF012 - as a frozen value has it


class TestUploads:
    """An upload in parts is completed, or aborted."""

    @staticmethod
    def sending() -> ByHand:
        """One whose parts are about to be sent."""

        def creating() -> Any:
            created = yield Call("CreateMultipartUpload", {})
            return Upload, created

        s3: Any = Surroundings(MANAGER)
        flow = ByHand(managed_upload.upload_in_parts(s3, Engine(), creating(), lambda _: Parts(), {"IfNoneMatch": "*"}))
        assert isinstance(flow.answer({}), Transfer)
        return flow

    def test_completed(self) -> None:
        """Under the caller's condition; then nothing is aborted."""
        flow = self.sending()
        completion = flow.answer()
        assert isinstance(completion, Call)
        assert completion.parameters == {"IfNoneMatch": "*"}
        assert flow.answer({}) is None

    @pytest.mark.parametrize("completing", [False, True])
    @pytest.mark.parametrize("error", [SourceChangedError("another"), KeyboardInterrupt()])
    def test_aborted(self, error: BaseException, completing: bool) -> None:
        """To the end, whatever has happened."""
        flow = self.sending()
        if completing:
            flow.answer()
        asked: Any = flow.fail(error)
        abort = next(asked.flow)
        assert (abort.operation, abort.parameters["UploadId"]) == ("AbortMultipartUpload", "u")
        with pytest.raises(type(error)):
            flow.answer()

    @pytest.mark.parametrize("error", [SourceChangedError("another"), KeyboardInterrupt(), refused(403, "Denied")])
    @pytest.mark.parametrize(
        ("again", "said"),
        [
            (refused(404, "NoSuchUpload"), 0),
            (refused(403, "AccessDenied"), 1),
            (UnreachableError(BotoCoreError()), 1),
        ],
    )
    def test_what_went_wrong_first_is_heard(
        self, error: BaseException, again: FailedCallError, said: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An upload that is completed by now hides nothing, nor does one that stays, which is written down."""
        flow = self.sending()
        asked: Any = flow.fail(error)
        undoing = ByHand(asked.flow)
        undoing.fail(again)
        assert undoing.asked is None
        with pytest.raises(type(error)) as raised:
            flow.answer()
        assert raised.value is error
        assert len(caplog.messages) == said
        assert all(f"could not be aborted, and its parts stay ({Upload.upload_id})" in text for text in caplog.messages)

    def test_what_the_completion_says(self) -> None:
        """Is taken out of what creates the upload, and what nobody is to say as well."""
        parameters = {"Bucket": "b", "IfMatch": "e", "MpuObjectSize": 5, "ChecksumType": "FULL_OBJECT"}
        assert managed_upload.for_one_request(parameters) == {"Bucket": "b", "IfMatch": "e"}
        assert managed_upload.take_completion(parameters, 5) == {"IfMatch": "e"}
        assert parameters == {"Bucket": "b"}
        with pytest.raises(ConfigurationError, match="MpuObjectSize says 5 bytes, and the body has 6"):
            managed_upload.take_completion({"MpuObjectSize": 5}, 6)
        assert managed_upload.take_completion({"MpuObjectSize": 5}, None) == {}

    def test_a_body_of_another_length(self) -> None:
        """Is given up as soon as that is seen."""
        managed_upload.check_total(None, 5, last=True)
        managed_upload.check_total(5, 3, last=False)
        managed_upload.check_total(5, 5, last=True)
        for total, last in ((6, False), (4, True)):
            with pytest.raises(SourceChangedError, match=f"5 bytes .* {total}"):
                managed_upload.check_total(5, total, last=last)
