"""Low-level multipart uploads: whatever the order, the sizes and the failures, one sound object or a clear error."""

from __future__ import annotations

import base64
import io
import itertools
import os
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import httpchecksum
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from s3ec import AesKeyring
from s3ec.client.encryption_client import raw_view
from s3ec.client.multipart import handlers as multipart
from s3ec.client.multipart import storage as multipart_storage
from s3ec.errors import (
    ConfigurationError,
    MultipartStateError,
    ObjectTooLargeError,
    SourceChangedError,
    UnsupportedOperationError,
)
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.s3.multipart import ledger as multipart_ledger
from s3ec.s3.multipart import state as multipart_state
from s3ec.s3.multipart import turnstile as multipart_turnstile

from support.counting import CountingManager
from support.lying_s3 import LyingS3
from support.model import skip_unless_known
from support.one_shot import check_wire, one_shot, sent_parts

MiB = 1024 * 1024
WRAPPING_KEY = bytes(range(32))
NO_RETRIES = Config(retries={"total_max_attempts": 1})


class Upload:
    """One upload by its caller's hand, and what it must come to."""

    def __init__(self, client: Any, server: LyingS3, key: str = "k", **create: Any) -> None:
        self.client, self.server, self.key = client, server, key
        self.id = client.create_multipart_upload(Bucket="b", Key=key, **create)["UploadId"]
        self.metadata = server.state.uploads[self.id][1]
        self.plaintexts: dict[int, bytes] = {}
        self.etags: dict[int, str] = {}

    def part(self, number: int, data: bytes, *, body: Any = None, **more: Any) -> dict[str, Any]:
        """Give one part."""
        answer: dict[str, Any] = self.client.upload_part(
            Bucket="b", Key=self.key, UploadId=self.id, PartNumber=number, Body=data if body is None else body, **more
        )
        self.plaintexts[number], self.etags[number] = data, answer["ETag"]
        return answer

    def listed(self) -> list[dict[str, Any]]:
        """The caller's list of parts."""
        return [{"PartNumber": number, "ETag": self.etags[number]} for number in sorted(self.etags)]

    def complete(self, parts: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
        """Put the parts together."""
        listed = {"Parts": self.listed() if parts is None else parts}
        answer: dict[str, Any] = self.client.complete_multipart_upload(
            Bucket="b", Key=self.key, UploadId=self.id, MultipartUpload=listed, **more
        )
        return answer

    def check(self) -> None:
        """The object is what one call of AES-GCM gives, it reads back, and nothing else was ever on the wire."""
        plaintext = b"".join(self.plaintexts[number] for number in sorted(self.plaintexts))
        stored = self.server.state.objects[f"b/{self.key}"]
        assert stored.body == one_shot(stored.metadata, WRAPPING_KEY, plaintext)
        assert self.client.get_object(Bucket="b", Key=self.key)["Body"].read() == plaintext
        self.check_wire()

    def check_wire(self) -> None:
        """Nothing but pieces of the one stream was ever on the wire."""
        check_wire(self.server.state, self.id, self.metadata, WRAPPING_KEY, self.plaintexts)

    def sent(self, number: int) -> list[bytes]:
        """What arrived for a part, attempt by attempt."""
        return [body for sent, body in sent_parts(self.server.state, self.id) if sent == number]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 64 bytes count as large and chunks have 48, so that bytes do what megabytes would; nobody waits long."""
    monkeypatch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 64)
    monkeypatch.setattr(multipart_storage, "CHUNK_SIZE", 48)
    monkeypatch.setattr(multipart_turnstile, "_PATIENCE", 0.02)


@pytest.fixture
def start(http_liar: LyingS3, lied_to: Callable[..., Any]) -> Callable[..., Upload]:
    """Begins an upload with a client of its own; ``options`` are the client's, the rest is the request's."""

    def begin(options: Mapping[str, Any] | None = None, **create: Any) -> Upload:
        return Upload(lied_to(http_liar, **(options or {})), http_liar, **create)

    return begin


@pytest.mark.parametrize("size", [0, 1, 5 * MiB - 1, 5 * MiB, 8 * MiB - 16, 8 * MiB, 16 * MiB, 16 * MiB + 1])
def test_sizes(start: Callable[..., Upload], size: int) -> None:
    """Objects of every awkward size, in parts of 8 MiB; a part goes to S3 at once, unless it may be the last."""
    upload, data = start(), os.urandom(size)
    for number, begin in enumerate(range(0, max(size, 1), 8 * MiB), start=1):
        upload.part(number, data[begin : begin + 8 * MiB])
        assert bool(upload.sent(number)) == (len(upload.plaintexts[number]) >= 5 * MiB)
    answer = upload.complete()
    upload.check()
    assert answer["ResponseMetadata"]["ClientSideEncryption"]["format"] == "V3"
    assert len(upload.server.state.objects["b/k"].body) == size + 16


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("buffer_size", [0, 1 << 20], ids=["on disk", "in memory"])
def test_any_order_of_one_thread(start: Callable[..., Upload], buffer_size: int) -> None:
    """Parts whose place is not known yet wait, in memory or sealed on disk, and the object is the same."""
    parts = {1: os.urandom(100), 2: os.urandom(64), 3: os.urandom(131), 4: os.urandom(77)}
    first = start({"buffer_size": buffer_size})
    for order in itertools.permutations(parts):
        first.server.state.attempts.clear()
        upload = Upload(first.client, first.server)
        for number in order:
            upload.part(number, parts[number])
        upload.complete()
        upload.check()


@pytest.mark.usefixtures("tiny")
def test_a_gap_that_closes(start: Callable[..., Upload]) -> None:
    """Once the part that others waited for is there, those behind them are sent as they come."""
    upload = start()
    for number in (3, 2, 1, 4):
        upload.part(number, os.urandom(100))
    assert [bool(upload.sent(number)) for number in (1, 2, 3, 4)] == [True, False, False, True]
    upload.complete()
    upload.check()


@pytest.mark.slow
@pytest.mark.parametrize("buffer_size", [3 * MiB, 64 * MiB], ids=["on disk", "in memory"])
def test_uneven_parts_from_threads(start: Callable[..., Upload], buffer_size: int) -> None:
    """Sizes that are not multiples of 16, as awswrangler sends them, from eight threads in any order."""
    upload = start({"buffer_size": buffer_size})
    parts = {number: os.urandom(5 * MiB + 1 + 7 * number) for number in range(1, 7)} | {7: os.urandom(242_934)}
    order = list(parts)
    random.shuffle(order)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(upload.part, number, parts[number]) for number in order]:
            done.result()
    upload.complete()
    upload.check()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("numbers", [[1, 3, 5], [2], [10_000], [9_999, 10_000], [1, 10_000], [5, 3, 1]], ids=str)
def test_gaps_in_the_numbering(start: Callable[..., Upload], numbers: list[int]) -> None:
    """S3 allows gaps; what lies behind one waits until the list of parts is final."""
    upload = start()
    for number in numbers:
        upload.part(number, os.urandom(100))
    upload.complete()
    upload.check()


@pytest.mark.usefixtures("tiny")
def test_the_last_number(start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
    """The part with the last number waits whatever its size, since there is no number left for the tag."""
    monkeypatch.setattr(multipart_state, "LAST_PART_NUMBER", 3)
    upload = start()
    for number in (1, 2, 3):
        upload.part(number, os.urandom(100))
        assert bool(upload.sent(number)) == (number < 3)
    upload.complete()
    upload.check()


@pytest.mark.slow
def test_ten_thousand_parts(start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
    """All the parts that S3 allows: the last one waits for the tag, since there is no number left for it."""
    monkeypatch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 1)
    upload = start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: upload.part(number, number.to_bytes(3, "big")), range(1, 10_001)))
    assert upload.sent(9_999)
    assert not upload.sent(10_000)
    upload.complete()
    upload.check()


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_numbers_that_s3_does_not_have(start: Callable[..., Upload], number: int) -> None:
    """Numbers outside of 1 to 10,000 are refused before anything is encrypted."""
    upload = start()
    with pytest.raises(MultipartStateError, match="from 1 to 10000"):
        upload.part(number, b"data")


@pytest.mark.usefixtures("tiny")
class TestAgain:
    """The same part number once more."""

    @pytest.mark.parametrize("size", [10, 100], ids=["held back", "sent"])
    def test_same_bytes(self, start: Callable[..., Upload], size: int) -> None:
        """The same bytes give the same ciphertext, and either ETag may be listed."""
        upload, data = start(), os.urandom(size)
        upload.part(1, os.urandom(99))
        first = upload.part(2, data)["ETag"]
        second = upload.part(2, data)["ETag"]
        assert len(set(upload.sent(2))) == len(upload.sent(2)[:1])
        upload.part(3, os.urandom(70))
        for etag in (first, second.strip('"')):
            upload.etags[2] = etag
            upload.client._s3ec_uploads.find(upload.id)._ledger.check_list(upload.listed())
        upload.complete()
        upload.check()

    @pytest.mark.parametrize("size", [10, 100], ids=["held back", "sent"])
    @pytest.mark.parametrize("change", ["one bit", "shorter", "longer", "empty"])
    def test_other_bytes(self, start: Callable[..., Upload], size: int, change: str) -> None:
        """Other bytes are refused before one of them leaves, and the upload goes on with the first ones."""
        upload, data = start(), os.urandom(size)
        other = {
            "one bit": bytes([data[0] ^ 1]) + data[1:],
            "shorter": data[:-1],
            "longer": data + b"!",
            "empty": b"",
        }[change]
        upload.part(1, data)
        with pytest.raises(MultipartStateError, match="part 1 was given before with other bytes"):
            upload.part(1, other)
        assert len(upload.sent(1)) == (size == 100)
        upload.plaintexts[1] = data
        upload.complete()
        upload.check()

    def test_while_the_first_one_waits(self, start: Callable[..., Upload]) -> None:
        """A part that waits for an earlier one is compared as well, though nothing of it is encrypted yet."""
        upload, data = start(), os.urandom(100)
        upload.part(2, data)
        upload.part(2, data)
        with pytest.raises(MultipartStateError, match="other bytes"):
            upload.part(2, os.urandom(100))
        upload.plaintexts[2] = data
        upload.part(1, os.urandom(65))
        upload.complete()
        upload.check()

    def test_after_a_failure(self, start: Callable[..., Upload]) -> None:
        """A part that S3 did not take may have been read all the same: only the same bytes can follow."""
        upload, data = start({"config": NO_RETRIES}), os.urandom(100)
        upload.server.lies.fail_after_body = 1
        with pytest.raises(ClientError, match="InternalError"):
            upload.part(1, data)
        with pytest.raises(MultipartStateError, match="other bytes"):
            upload.part(1, os.urandom(100))
        with pytest.raises(MultipartStateError, match="the list has the parts none"):
            upload.complete([])
        upload.part(1, data)
        assert len(upload.sent(1)) == 2
        upload.complete()
        upload.check()

    def test_by_two_threads_at_once(self, start: Callable[..., Upload]) -> None:
        """Two threads with one part: both are answered, one ciphertext is sent."""
        upload, data = start(), os.urandom(200)
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(upload.part, 1, data) for _ in range(8)]:
                done.result()
        assert set(upload.sent(1)) == {upload.sent(1)[0]}
        upload.complete()
        upload.check()

    @pytest.mark.parametrize("other", [{"Key": "typo"}, {"Bucket": "another"}])
    def test_of_another_object(self, start: Callable[..., Upload], other: dict[str, str]) -> None:
        """An upload is one of its bucket and key: for S3 there is none under another name."""
        upload = start()
        part = {"Bucket": "b", "Key": "k", "UploadId": upload.id, **other}
        with pytest.raises(upload.client.exceptions.NoSuchUpload, match="UploadPart"):
            upload.client.upload_part(**part, PartNumber=1, Body=b"x")
        upload.part(1, os.urandom(100))
        with pytest.raises(upload.client.exceptions.NoSuchUpload, match="CompleteMultipartUpload"):
            upload.client.complete_multipart_upload(**part, MultipartUpload={"Parts": []})
        upload.complete()
        upload.check()

    def test_while_the_first_one_fails(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
        """A repeat does not rest on the first attempt, which may fail yet: it is answered when S3 has the part."""
        monkeypatch.setattr(multipart_turnstile, "_PATIENCE", 60)
        upload, data = start({"config": NO_RETRIES}), os.urandom(100)
        given = threading.Barrier(3)

        class Announced(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if not self.tell():
                    given.wait(60)
                return super().read(size)

        with ThreadPoolExecutor(2) as pool:
            parts = [pool.submit(upload.part, 2, data, body=Announced(data)) for _ in range(2)]
            given.wait(60)
            time.sleep(0.1)  # both are compared by now; if not, the test only shows less
            upload.server.lies.fail_after_body = 1
            upload.part(1, b"held back")
            errors = [part.exception() for part in parts]
        assert sorted(type(error).__name__ for error in errors) == ["ClientError", "NoneType"]
        upload.complete()
        upload.check()

    def test_after_a_body_that_failed(self, start: Callable[..., Upload]) -> None:
        """A body that fails while it is read has used no counter: the part is free for other bytes."""

        class Failing(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell():
                    raise OSError("the disk is gone")
                return super().read(min(size or 0, 50))

        upload = start()
        with pytest.raises(OSError, match="the disk is gone"):
            upload.part(1, b"", body=Failing(os.urandom(100)))
        assert upload.sent(1) == []
        upload.part(1, os.urandom(100))
        upload.complete()
        upload.check()


@pytest.mark.usefixtures("tiny")
class TestList:
    """The list of parts at the end."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda parts: parts[:-1],
            lambda parts: parts[1:],
            lambda parts: parts[::-1],
            lambda parts: [*parts, parts[-1]],
            lambda parts: [*parts, {"PartNumber": 9, "ETag": "x"}],
            lambda parts: [*parts[:-1], {**parts[-1], "ETag": parts[0]["ETag"]}],
            lambda parts: [*parts[:-1], {"PartNumber": parts[-1]["PartNumber"]}],
        ],
        ids=["last missing", "first missing", "reversed", "twice", "unknown", "foreign ETag", "no ETag"],
    )
    def test_wrong_lists(
        self, start: Callable[..., Upload], change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> None:
        """A list that is not exactly the parts that were given is refused; the right one still works."""
        upload = start()
        for number in (1, 2, 3):
            upload.part(number, os.urandom(80))
        with pytest.raises(MultipartStateError):
            upload.complete(change(upload.listed()))
        assert "b/k" not in upload.server.state.objects
        upload.complete()
        upload.check()

    def test_a_part_may_follow_a_refused_list(self, start: Callable[..., Upload]) -> None:
        """Nothing is sealed by a list that was refused."""
        upload = start()
        upload.part(1, os.urandom(80))
        with pytest.raises(MultipartStateError):
            upload.complete([])
        upload.part(2, os.urandom(80))
        upload.complete()
        upload.check()

    def test_no_parts_at_all(self, start: Callable[..., Upload]) -> None:
        """S3 refuses an upload without parts, in its own words."""
        upload = start()
        with pytest.raises(ClientError, match="MalformedXML"):
            upload.complete([])


@pytest.mark.usefixtures("tiny")
class TestServerFailures:
    """S3 fails; what is sent again is the same."""

    @pytest.mark.parametrize("size", [50, 100], ids=["short", "long"])
    def test_one_500(self, start: Callable[..., Upload], size: int) -> None:
        """botocore's own retry of a part sends identical ciphertext."""
        upload = start()
        upload.server.lies.fail_after_body = 1
        upload.part(1, os.urandom(size))
        upload.complete()
        assert len(upload.sent(1)) == 2
        assert upload.sent(1)[0] == upload.sent(1)[1]
        upload.check()

    @pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["tag of its own", "tag behind the last part"])
    def test_complete_again(self, start: Callable[..., Upload], order: tuple[int, ...]) -> None:
        """A completion that S3 fails may be repeated; neither the tag nor a held part is sent twice."""
        upload = start({"config": NO_RETRIES})
        for number in order:
            upload.part(number, os.urandom(100))

        def fail_when_completing(**_: Any) -> None:
            upload.server.lies.fail_after_body = 1

        events = upload.client.meta.events
        events.register("before-call.s3.CompleteMultipartUpload", fail_when_completing, unique_id="once")
        with pytest.raises(ClientError, match="InternalError"):
            upload.complete()
        events.unregister("before-call.s3.CompleteMultipartUpload", unique_id="once")
        sent = len(sent_parts(upload.server.state, upload.id))
        with pytest.raises(MultipartStateError, match="part 3 comes after the upload was completed"):
            upload.part(3, os.urandom(100))
        upload.complete()
        assert len(sent_parts(upload.server.state, upload.id)) == sent == 4 - order[0]
        upload.check()

    def test_the_tag_fails(self, start: Callable[..., Upload]) -> None:
        """Where the part with the tag is lost on the way, the next completion sends it again, the same."""
        upload = start({"config": NO_RETRIES})
        upload.part(1, os.urandom(100))
        upload.server.lies.fail_after_body = 1
        with pytest.raises(ClientError, match="InternalError"):
            upload.complete()
        upload.complete()
        assert len(upload.sent(2)) == 2
        upload.check()

    def test_an_upload_that_is_gone_is_forgotten(self, start: Callable[..., Upload]) -> None:
        """Once S3 says NoSuchUpload there is nothing to keep."""
        upload = start()
        upload.server.state.uploads.clear()
        with pytest.raises(ClientError, match="NoSuchUpload"):
            upload.part(1, os.urandom(100))
        with pytest.raises(MultipartStateError, match="did not begin"):
            upload.part(1, os.urandom(100))


class TestUnknownUploads:
    """Uploads that this client did not begin."""

    def test_parts_are_refused(self, start: Callable[..., Upload]) -> None:
        """There is no key, so a part would be plaintext: refused, and nothing is sent."""
        upload = start()
        upload.id = "somebody-elses"
        with pytest.raises(MultipartStateError, match=r"did not begin the upload 'somebody-elses'.*\[s3://b/k\]"):
            upload.part(1, b"data")
        with pytest.raises(MultipartStateError, match="did not begin"):
            upload.complete([{"PartNumber": 1, "ETag": "x"}])
        assert sent_parts(upload.server.state, upload.id) == []

    def test_those_of_the_raw_view(self, start: Callable[..., Upload]) -> None:
        """Copies into a plain upload pass, as does its end; parts of plaintext need the plain view."""
        upload = start()
        view = raw_view(upload.client)
        view.put_object(Bucket="b", Key="source", Body=b"ciphertext of some object")
        plain = view.create_multipart_upload(Bucket="b", Key="copy")["UploadId"]
        place = {"Bucket": "b", "Key": "copy", "UploadId": plain}
        upload.client.upload_part_copy(**place, PartNumber=1, CopySource="b/source")
        assert upload.server.state.objects["b/copy"].body == b"ciphertext of some object"
        upload.client.abort_multipart_upload(**place)
        assert plain not in upload.server.state.uploads

    def test_too_many_are_forgotten(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
        """Uploads that nobody ends do not pile up: the one used longest ago is forgotten, and says so."""
        monkeypatch.setattr(multipart, "_LIMIT", 2)
        first = start()
        second, third = Upload(first.client, first.server), Upload(first.client, first.server)
        with pytest.raises(MultipartStateError, match="did not begin"):
            first.part(1, b"data")
        for upload in (second, third):
            upload.part(1, b"data")
            upload.complete()
            upload.check()


@pytest.mark.usefixtures("tiny")
class TestAbort:
    """Uploads that are given up."""

    def test_nothing_follows(self, start: Callable[..., Upload]) -> None:
        """After an abort the upload is unknown, and S3 has nothing left of it."""
        upload = start()
        upload.part(1, os.urandom(100))
        upload.part(3, os.urandom(100))
        upload.client.abort_multipart_upload(Bucket="b", Key="k", UploadId=upload.id)
        assert upload.id not in upload.server.state.uploads
        with pytest.raises(MultipartStateError):
            upload.part(2, os.urandom(100))
        with pytest.raises(MultipartStateError):
            upload.complete()

    def test_whoever_waits_is_woken(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
        """A part that waits for its turn ends with an error, not with a hang."""
        monkeypatch.setattr(multipart_turnstile, "_PATIENCE", 60)
        upload = start()
        waiting = threading.Event()

        class Slow(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                waiting.set()
                return super().read(size)

        with ThreadPoolExecutor(1) as pool:
            part = pool.submit(upload.part, 2, b"", body=Slow(os.urandom(100)))
            waiting.wait()
            upload.client.abort_multipart_upload(Bucket="b", Key="k", UploadId=upload.id)
            with pytest.raises(MultipartStateError, match=r"aborted"):
                part.result()
        assert upload.sent(2) == []


@pytest.mark.usefixtures("tiny")
def test_a_forked_process(start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
    """A child has a copy of the ledger, not the ledger: it encrypts nothing, and the parent goes on."""
    upload = start()
    upload.part(1, os.urandom(100))
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        with pytest.raises(MultipartStateError, match="before this process was forked"):
            upload.part(2, os.urandom(100))
        with pytest.raises(MultipartStateError, match="before this process was forked"):
            upload.complete()
    upload.part(2, os.urandom(100))
    upload.complete()
    upload.check()


class TestSizeLimit:
    """2^36 - 32 bytes for each object."""

    def test_one_part(self, start: Callable[..., Upload]) -> None:
        """A single body above the limit is refused by its length, before a byte is read."""

        class Huge:
            def read(self, size: int = -1) -> bytes:
                raise AssertionError("nothing may be read")

            def __len__(self) -> int:
                return 2**36 - 31

            def seek(self, *_: int) -> int:
                return 0

            def tell(self) -> int:
                return 0

        with pytest.raises(ObjectTooLargeError, match="2\\^36 - 32"):
            start().part(1, b"", body=Huge())

    def test_a_stream_that_never_ends(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
        """A stream is given up at S3's own limit for a part, and has used no counter."""
        monkeypatch.setattr(multipart_state, "MAXIMUM_PART_LENGTH", 3 * MiB)
        upload = start()
        for more in ({}, {"ContentLength": 5}):
            with pytest.raises((ObjectTooLargeError, SourceChangedError)):
                upload.part(1, b"", body=itertools.repeat(bytes(1000)), **more)
        upload.part(1, b"other")
        upload.complete()
        upload.check()

    @pytest.mark.parametrize("stream", [False, True], ids=["known length", "stream"])
    def test_the_sum(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
        """The part that would bring the counter round is refused; without it the object is sound."""
        monkeypatch.setattr(multipart_ledger, "GCM_MAX_PLAINTEXT_LENGTH", 150)
        monkeypatch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 64)
        upload = start()
        upload.part(1, os.urandom(100))
        more = os.urandom(51)
        with pytest.raises(ObjectTooLargeError, match="part 2 the object would have 151 bytes"):
            upload.part(2, more, body=iter([more]) if stream else more)
        assert upload.sent(2) == []
        upload.part(2, os.urandom(50))
        upload.complete()
        upload.check()


class TestSpool:
    """What has to wait on disk."""

    def test_no_plaintext_on_disk(
        self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A part that waits is sealed on disk; only its ciphertext takes its place."""
        monkeypatch.setattr(multipart_turnstile, "_PATIENCE", 0)
        opened = []

        def visible(**keywords: Any) -> Any:
            assert keywords == {"dir": str(tmp_path)}
            opened.append(tmp_path / f"spool-{len(opened)}")
            return opened[-1].open("w+b")

        monkeypatch.setattr(multipart_storage.tempfile, "TemporaryFile", visible)
        upload = start({"buffer_size": 0, "spool_directory": str(tmp_path)})
        data = os.urandom(2 * MiB + 5)
        upload.part(2, data)
        sealed = opened[0].read_bytes()
        assert len(sealed) > len(data)
        assert data[:32] not in sealed
        upload.part(1, os.urandom(17))
        assert data[:32] not in opened[0].read_bytes()
        upload.complete()
        assert len(opened) == 1
        monkeypatch.undo()
        upload.check()

    def test_room_is_used_again(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
        """Parts larger than the memory leave no more on disk than those that are on their way."""
        monkeypatch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 64)
        upload = start({"buffer_size": 0})
        for number in range(1, 6):
            upload.part(number, os.urandom(MiB + 5))
        spool = upload.client._s3ec_uploads.find(upload.id)._room.spool
        assert spool._end == MiB + 5 + 2 * 28
        upload.complete()
        upload.check()

    def test_an_abort_on_the_way(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
        """A part that is being sent from disk when its upload is aborted ends with an error of ours."""
        monkeypatch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 64)
        upload = start({"buffer_size": 0})

        def abort(**_: Any) -> None:
            upload.client.abort_multipart_upload(Bucket="b", Key="k", UploadId=upload.id)

        upload.client.meta.events.register("before-sign.s3.UploadPart", abort)
        with pytest.raises(MultipartStateError, match="while this part was being sent"):
            upload.part(1, os.urandom(3 * MiB))
        assert upload.sent(1) == []

    def test_a_disk_that_fails(self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the stream may have moved on without its part, the upload ends: nobody could say what was encrypted."""
        upload = start({"buffer_size": 0})

        def fail(*_: Any) -> None:
            raise OSError("the disk is gone")

        with monkeypatch.context() as broken:
            broken.setattr(multipart_storage.PartSpool, "replace", fail)
            with pytest.raises(OSError, match="the disk is gone"):
                upload.part(1, os.urandom(100))
        with pytest.raises(MultipartStateError, match="failed while it was being encrypted"):
            upload.part(1, os.urandom(100))
        assert upload.sent(1) == []

    @pytest.mark.usefixtures("tiny")
    def test_what_waits_shares_the_memory(self, start: Callable[..., Upload]) -> None:
        """Parts that wait stay in memory up to the limit together; the others go to disk, sealed or encrypted."""
        upload = start({"buffer_size": 250})
        state = upload.client._s3ec_uploads.find(upload.id)
        for number in (2, 3, 4):
            upload.part(number, os.urandom(100))
        assert [record.content.in_memory for record in state._ledger] == [True, True, False]
        upload.part(1, os.urandom(60))
        assert not state._ledger.get(1).content.in_memory
        upload.complete()
        upload.check()


class TestBodies:
    """Bodies of every kind that put_object takes."""

    @pytest.mark.parametrize("buffer_size", [0, 1 << 20], ids=["on disk", "in memory"])
    @pytest.mark.parametrize(
        "make",
        [
            bytes,
            bytearray,
            memoryview,
            io.BytesIO,
            lambda data: iter([data[:5], b"", data[5:]]),
            lambda data: io.BufferedReader(io.BytesIO(data)),  # type: ignore[arg-type]  # any raw stream will do
        ],
        ids=["bytes", "bytearray", "memoryview", "BytesIO", "iterator", "reader"],
    )
    def test_kinds(self, start: Callable[..., Upload], make: Callable[[bytes], Any], buffer_size: int) -> None:
        """Each kind gives the same object, in memory or spooled."""
        upload = start({"buffer_size": buffer_size})
        for number in (1, 2):
            data = os.urandom(100 + number)
            upload.part(number, data, body=make(data))
        upload.complete()
        upload.check()

    def test_a_file_at_an_offset(self, start: Callable[..., Upload], tmp_path: Path) -> None:
        """A file is read from where it stands, and stands at its end afterwards."""
        path = tmp_path / "file"
        path.write_bytes(os.urandom(6 * MiB))
        upload = start()
        with path.open("rb") as file:
            file.seek(1000)
            upload.part(1, path.read_bytes()[1000:], body=file)
            assert file.tell() == 6 * MiB
        upload.complete()
        upload.check()

    def test_content_length(self, start: Callable[..., Upload]) -> None:
        """A length that is not the body's is refused; the right one describes plaintext and is not sent."""
        upload = start()
        with pytest.raises(ConfigurationError, match="ContentLength says 5 bytes"):
            upload.part(1, b"four", ContentLength=5)
        upload.part(1, b"four", ContentLength=4)
        upload.complete()
        upload.check()

    def test_a_body_that_ends_early(self, start: Callable[..., Upload]) -> None:
        """A stream that does not keep its declared length is refused, and has used no counter."""
        upload = start()
        for body in (iter([b"abc"]), iter([b"abcde", b"f"])):
            with pytest.raises(SourceChangedError, match="and has 5"):
                upload.part(1, b"", body=body, ContentLength=5)
        upload.part(1, b"other")
        upload.complete()
        upload.check()


def _crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@pytest.mark.usefixtures("tiny")
class TestChecksums:
    """Checksums that the caller gives describe plaintext."""

    def test_of_a_part(self, start: Callable[..., Upload]) -> None:
        """A wrong one is refused before a byte leaves; a right one is verified, may be listed, and is not sent."""
        upload, data = start(), os.urandom(100)
        with pytest.raises(SourceChangedError, match="ChecksumCRC32 is not"):
            upload.part(1, data, ChecksumCRC32=_crc32(b"something else"))
        assert upload.sent(1) == []
        upload.part(1, data, ChecksumCRC32=_crc32(data))
        wrong = [{**upload.listed()[0], "ChecksumCRC32": _crc32(b"?")}]
        with pytest.raises(ConfigurationError, match="ChecksumCRC32 of part 1 was not given with upload_part"):
            upload.complete(wrong)
        upload.complete([{**upload.listed()[0], "ChecksumCRC32": _crc32(data)}])
        upload.check()

    def test_of_the_object(self, start: Callable[..., Upload]) -> None:
        """The whole plaintext is checked against it, in whatever order the parts came."""
        skip_unless_known("CreateMultipartUpload", "ChecksumType")
        upload = start(ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
        upload.part(2, b"b" * 70)
        upload.part(1, b"a" * 70)
        whole = {"ChecksumType": "FULL_OBJECT", "MpuObjectSize": 140}
        with pytest.raises(SourceChangedError, match="ChecksumCRC32 is not the checksum of the parts"):
            upload.complete(ChecksumCRC32=_crc32(b"?"), **whole)
        assert "b/k" not in upload.server.state.objects
        upload.complete(ChecksumCRC32=_crc32(b"a" * 70 + b"b" * 70), **whole)
        upload.check()
        attempt = upload.server.state.attempts[-1]
        assert not {name for name in attempt.headers if name.lower().startswith(("x-amz-checksum", "x-amz-mp"))}

    def test_that_nothing_computed(self, start: Callable[..., Upload]) -> None:
        """A checksum of the object that was not announced cannot be verified, and is refused rather than ignored."""
        upload = start()
        upload.part(1, b"data")
        with pytest.raises(ConfigurationError, match="nothing was told to compute it"):
            upload.complete(ChecksumSHA256="c29tZXRoaW5n")
        upload.complete()
        upload.check()

    def test_that_this_client_cannot_compute(
        self, start: Callable[..., Upload], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An algorithm that botocore cannot compute here for the parts is refused before the upload begins."""
        skip_unless_known("CreateMultipartUpload", "ChecksumType")
        # Where awscrt is installed it can.
        monkeypatch.setattr(httpchecksum, "HAS_CRT", False, raising=False)
        monkeypatch.setattr(httpchecksum, "_SUPPORTED_CHECKSUM_ALGORITHMS", ["crc32", "sha1", "sha256"], raising=False)
        manager = CountingManager(DefaultMaterialsManager(AesKeyring(WRAPPING_KEY)))
        with pytest.raises(BotoCoreError):
            start({"materials_manager": manager}, ChecksumAlgorithm="XXHASH64", ChecksumType="FULL_OBJECT")
        assert manager.calls == 0

    def test_the_size_of_the_object(self, start: Callable[..., Upload]) -> None:
        """MpuObjectSize means the plaintext."""
        skip_unless_known("CompleteMultipartUpload", "MpuObjectSize")
        upload = start()
        upload.part(1, b"data")
        with pytest.raises(MultipartStateError, match="MpuObjectSize says 20 bytes, and the parts given have 4"):
            upload.complete(MpuObjectSize=20)
        upload.complete(MpuObjectSize=4)
        upload.check()

    def test_every_part_carries_the_algorithm(self, start: Callable[..., Upload]) -> None:
        """Parts that this client sends on its own, the tag among them, have the algorithm that the upload has."""
        upload = start(ChecksumAlgorithm="SHA256")
        upload.part(1, os.urandom(100))
        upload.part(2, os.urandom(100))
        upload.complete()
        upload.check()
        parts = [attempt for attempt in upload.server.state.attempts if "partNumber" in attempt.path]
        assert len(parts) == 3
        for attempt in parts:
            assert attempt.headers["x-amz-sdk-checksum-algorithm"] == "SHA256"


class TestCreate:
    """What is decided when an upload begins."""

    @pytest.mark.parametrize(
        ("request_", "error", "text"),
        [
            ({"Metadata": {"x-amz-key-v2": "mine"}}, ConfigurationError, "reserved"),
            ({"Metadata": {"m": "x" * 2100}}, ConfigurationError, "2048"),
            ({"EncryptionContext": {"a": 1}}, ConfigurationError, "strings"),
            ({"EncryptionContext": {"a": "1"}}, ConfigurationError, "binds none"),
            ({"InstructionFileSuffix": ".x"}, UnsupportedOperationError, "for reads"),
            ({"ServerSideEncryption": "AES256", "BucketKeyEnabled": True}, ConfigurationError, "KMS mode"),
        ],
    )
    def test_refusals_cost_no_key(
        self,
        http_liar: LyingS3,
        lied_to: Callable[..., Any],
        counting: CountingManager,
        request_: dict[str, Any],
        error: type[Exception],
        text: str,
    ) -> None:
        """What is refused is refused before the keyring is asked and before S3 hears of it."""
        with pytest.raises(error, match=text):
            lied_to(http_liar).create_multipart_upload(Bucket="b", Key="k", **request_)
        assert counting.calls == 0
        assert http_liar.state.requests == []

    def test_one_key_for_all_parts(self, start: Callable[..., Upload], counting: CountingManager) -> None:
        """The keyring is asked once, the caller's metadata is kept, and the object shows only that."""
        upload = start(Metadata={"mine": "yes"})
        for number in (1, 2, 3):
            upload.part(number, b"data")
        upload.complete()
        assert counting.encryptions == 1
        assert upload.client.head_object(Bucket="b", Key="k")["Metadata"] == {"mine": "yes"}
        upload.check()


class TestInstructionFile:
    """Content metadata beside the object."""

    OPTIONS = {"instruction_file_writes": True}  # noqa: RUF012 - never changed

    def _read(self, upload: Upload) -> bytes:
        body: bytes = upload.client.get_object(Bucket="b", Key="k")["Body"].read()
        return body

    def test_it_comes_with_the_object(self, start: Callable[..., Upload]) -> None:
        """The file is written when the upload is completed, and not for one that is given up."""
        upload = start(self.OPTIONS)
        upload.client.put_object(Bucket="b", Key="k", Body=b"the former object")
        upload.part(1, b"the new one")
        former = upload.server.state.objects["b/k.instruction"].body
        upload.client.abort_multipart_upload(Bucket="b", Key="k", UploadId=upload.id)
        assert upload.server.state.objects["b/k.instruction"].body == former
        assert self._read(upload) == b"the former object"
        again = Upload(upload.client, upload.server)
        again.part(1, b"the new one")
        again.complete()
        assert self._read(upload) == b"the new one"
        # The former object's file is not replaced: readers of that object would meet another's.
        objects = upload.server.state.objects
        assert objects["b/k.instruction"].body == former
        assert "x-amz-meta-x-amz-3" in objects["b/k"].metadata
        fresh = Upload(upload.client, upload.server, "fresh")
        fresh.part(1, b"the new one")
        assert "b/fresh.instruction" not in objects
        fresh.complete()
        assert "b/fresh.instruction" in objects
        assert "x-amz-meta-x-amz-3" not in objects["b/fresh"].metadata

    def test_the_former_one_comes_back(self, start: Callable[..., Upload]) -> None:
        """Where S3 fails to complete, the object that is there stays readable."""
        upload = start({**self.OPTIONS, "config": NO_RETRIES})
        upload.client.put_object(Bucket="b", Key="k", Body=b"the former object")
        upload.part(1, b"the new one")

        def fail(**_: Any) -> None:
            upload.server.lies.fail_after_body = 1

        upload.client.meta.events.register("before-call.s3.CompleteMultipartUpload", fail, unique_id="once")
        with pytest.raises(ClientError, match="InternalError"):
            upload.complete()
        upload.client.meta.events.unregister("before-call.s3.CompleteMultipartUpload", unique_id="once")
        assert self._read(upload) == b"the former object"
        upload.complete()
        assert self._read(upload) == b"the new one"
