"""The turnstile and the ledger by themselves: parts from every side through one stream, without a server."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Sequence
from typing import TypeVar

import pytest

from s3ec.algorithms import AlgorithmSuite
from s3ec.client.bodies.sources import BytesSource
from s3ec.client.calls import driver
from s3ec.client.calls.monitors import ThreadMonitor
from s3ec.client.multipart.storage import PartContent, PartRoom
from s3ec.crypto.content import ContentCipher
from s3ec.errors import ConfigurationError, MultipartStateError, ObjectTooLargeError
from s3ec.s3.flow import Effect, Flow, Step, TakeIn, Work, take_in
from s3ec.s3.multipart.ledger import Ledger, PartListError, PartRecord
from s3ec.s3.multipart.turnstile import Turnstile

T = TypeVar("T")
CIPHER = ContentCipher(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, bytes(range(32)), bytes(12))
PIECES = [b"first", b"", os.urandom(70_000), b"x" * 16, b"last"]


def drive(flow: Flow[T]) -> T:
    """Run a flow of which no request is part."""
    return driver.run(flow, perform)


def perform(effect: Effect) -> object:
    """Carry out an effect as a client would."""
    if isinstance(effect, Step):
        return effect.monitor.take(effect.function)  # type: ignore[attr-defined]  # it is a `ThreadMonitor`
    if isinstance(effect, TakeIn):
        return effect.room.take_in(effect.source, effect.observe, effect.check)
    assert isinstance(effect, Work)
    return effect.function()


class Upload:
    """One stream with the books and the room around it.

    Attributes:
        memory: bytes that parts which wait may hold; what is more is spooled.
    """

    def __init__(self, memory: int = 2**20) -> None:
        self.ledger = Ledger()
        self.room = PartRoom(ThreadMonitor(), memory, None)
        self.turnstile = Turnstile(CIPHER, self.ledger, self.room)
        self.contents: dict[int, PartContent] = {}
        self._lock = threading.Lock()

    def take(self, number: int, piece: bytes) -> tuple[PartRecord, bool]:
        """Give a part; True if it was encrypted at once, or had been."""
        return drive(self._take(number, piece))

    def _take(self, number: int, piece: bytes) -> Flow[tuple[PartRecord, bool]]:
        step = self.turnstile.step
        yield from step(lambda: self.turnstile.arrive(number))
        try:
            mac = self.ledger.mac_for(number)
            content = yield from take_in(self.room, BytesSource(piece), observe=mac.update, check=lambda: None)
            record, is_new = yield from step(lambda: self.ledger.enter(number, len(piece), mac.digest()))
            if not is_new:
                return record, (yield from step(lambda: self.turnstile.settled(record)))
            with self._lock:
                self.contents[number] = content
            return record, (yield from self.turnstile.encrypt(record, content))
        finally:
            yield from step(lambda: self.turnstile.arrived(number))

    def close(self, reason: str) -> None:
        """End the stream."""
        drive(self.turnstile.step(lambda: self.turnstile.close(reason)))

    def ciphertext(self) -> bytes:
        """What lies in the parts, in the order of their numbers, and the tag."""
        drive(self.turnstile.encrypt_rest())
        tag = drive(self.turnstile.finish())
        bodies = [self.contents[number].body().read() for number in sorted(self.contents)]
        assert drive(self.turnstile.finish()) == tag
        return b"".join(bodies) + tag


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part waits half a second for one that may come; nothing comes in a test with one thread."""
    monkeypatch.setattr("s3ec.s3.multipart.turnstile._PATIENCE", 0.001)


@pytest.mark.parametrize("memory", [2**20, 0], ids=["in memory", "spooled"])
@pytest.mark.parametrize("order", [*itertools.permutations(range(1, 4)), (5, 4, 3, 2, 1), (2, 4, 1, 5, 3)], ids=str)
def test_every_order_gives_the_same_object(order: Sequence[int], memory: int) -> None:
    """A part behind a gap waits, sealed where memory is short, and the one that closes the gap takes it along."""
    upload = Upload(memory)
    for number in order:
        upload.take(number, PIECES[number - 1])
    assert upload.turnstile.passed == len(order)
    assert all(not record.waits for record in upload.ledger)
    assert upload.ciphertext() == CIPHER.encrypt(b"".join(PIECES[: len(order)]))


@pytest.mark.parametrize("seed", range(4))
def test_threads(seed: int) -> None:
    """From eight threads, in whatever order they come, each part twice: the same object, with each part once."""
    chance = random.Random(seed)
    pieces = {number: chance.randbytes(chance.randrange(3000)) for number in range(1, 25)}
    jobs = list(pieces) * 2
    chance.shuffle(jobs)
    upload, faults, lock = Upload(10_000), list[BaseException](), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not jobs:
                    return
                number = jobs.pop()
            try:
                upload.take(number, pieces[number])
            except BaseException as fault:
                faults.append(fault)
                raise

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert faults == []
    assert upload.ciphertext() == CIPHER.encrypt(b"".join(pieces[number] for number in sorted(pieces)))


def test_numbers_with_gaps() -> None:
    """What waits behind a number that never comes is encrypted when the list of parts is final."""
    upload = Upload()
    assert upload.take(2, b"b")[1] is False
    assert upload.take(7, b"c")[1] is False
    assert upload.ciphertext() == CIPHER.encrypt(b"bc")


def test_what_comes_after_the_end() -> None:
    """A closed turnstile wakes who waits, gives the first reason, and lets nothing pass."""
    upload = Upload()
    record, _ = upload.take(1, b"a")
    upload.close("the upload was aborted")
    upload.close("another reason")
    for call in (
        lambda: upload.take(2, b"b"),
        lambda: drive(upload.turnstile.encrypt_rest()),
        lambda: drive(upload.turnstile.finish()),
        upload.turnstile.check_open,
    ):
        with pytest.raises(MultipartStateError, match="the upload was aborted"):
            call()
    assert record.offset == 0


def test_a_thread_that_waits_is_woken_by_the_end() -> None:
    """It waits for a part that was announced, however long; the end is an answer too."""
    upload, ended = Upload(), list[BaseException]()
    waits = threading.Event()

    def second() -> None:
        waits.set()
        try:
            upload.take(2, b"b")
        except MultipartStateError as error:
            ended.append(error)

    drive(upload.turnstile.step(lambda: upload.turnstile.arrive(1)))
    thread = threading.Thread(target=second)
    thread.start()
    assert waits.wait(60)
    upload.close("the upload was aborted")
    thread.join(60)
    assert [str(error) for error in ended] == ["the upload was aborted"]


def test_a_failure_in_the_stream_ends_it() -> None:
    """It is unknown how far the counter came: nothing may be encrypted after it."""
    upload = Upload()
    record, _ = upload.ledger.enter(1, 1, b"m" * 16)

    class Broken(PartContent):
        def encrypt(self, *_: object) -> None:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        drive(upload.turnstile.encrypt(record, Broken(upload.room.spool)))
    with pytest.raises(MultipartStateError, match="unknown how far the stream came"):
        upload.take(2, b"b")


def test_a_state_goes_on_elsewhere() -> None:
    """Where one stream stands another one goes on, at every offset within a block, also after its end."""
    for length in (0, 1, 15, 16, 17, 4000):
        first = Upload()
        first.take(1, b"p" * length)
        state = drive(first.turnstile.exclusively(first.turnstile.step(first.turnstile.state)))
        head = first.contents[1].body().read()
        second = Upload()
        record, _ = second.ledger.enter(1, length, b"m" * 16)
        record.offset = 0
        second.turnstile = Turnstile(CIPHER, second.ledger, second.room, state=state)
        second.take(2, b"rest")
        assert head + second.ciphertext() == CIPHER.encrypt(b"p" * length + b"rest")


class TestLedger:
    """Which plaintext was given for which part."""

    def test_other_bytes_are_refused(self) -> None:
        """By length or by MAC; the same bytes are the part that is there."""
        ledger = Ledger()
        record, is_new = ledger.enter(3, 5, b"m" * 16)
        assert is_new
        assert ledger.enter(3, 5, b"m" * 16) == (record, False)
        for length, mac in ((6, b"m" * 16), (5, b"n" * 16)):
            with pytest.raises(MultipartStateError, match="other bytes"):
                ledger.enter(3, length, mac)
        assert ledger.length == 5
        ledger.drop(record)
        assert (ledger.length, ledger.get(3)) == (0, None)

    def test_macs_tell_chunks_and_parts_apart(self) -> None:
        """The same bytes have another MAC as another part, under another key, and split elsewhere."""

        def mac(ledger: Ledger, number: int, *chunks: bytes) -> bytes:
            taken = ledger.mac_for(number)
            for chunk in chunks:
                taken.update(memoryview(chunk))
            return taken.digest()

        ledger = Ledger()
        assert mac(ledger, 1, b"ab", b"c") == mac(ledger, 1, b"ab", b"c")
        assert mac(Ledger(ledger.mac_key), 1, b"ab") == mac(ledger, 1, b"ab")
        others = [mac(ledger, 2, b"ab", b"c"), mac(ledger, 1, b"a", b"bc"), mac(ledger, 1, b"abc"), mac(ledger, 1)]
        others += [mac(Ledger(), 1, b"ab", b"c"), mac(ledger, 1, b"c", b"ab")]
        assert len({mac(ledger, 1, b"ab", b"c"), *others}) == 7

    def test_room(self) -> None:
        """One stream is at most 2^36 - 32 bytes, over all parts; a part sent again counts once."""
        ledger = Ledger()
        ledger.enter(1, 2**36 - 40, b"m" * 16)
        ledger.check_room(1, 2**36 - 40)
        ledger.check_room(2, 8)
        with pytest.raises(ObjectTooLargeError, match="several objects"):
            ledger.enter(2, 9, b"m" * 16)
        ledger.sealed = True
        with pytest.raises(MultipartStateError, match="after the upload was completed"):
            ledger.enter(2, 8, b"m" * 16)

    @pytest.mark.parametrize(
        ("numbers", "code"),
        [
            ([2, 1], "InvalidPartOrder"),
            ([1, 1], "InvalidPartOrder"),
            ([1, 2, 3], "InvalidPart"),
            ([1, None], "MalformedXML"),
        ],
    )
    def test_lists_that_s3_refuses(self, numbers: list[int | None], code: str) -> None:
        """With S3's own code."""
        ledger = Ledger()
        etags = {number: ledger.enter(number, 1, b"m" * 16)[0].stand_in_etag() for number in (1, 2)}
        given = [{"PartNumber": number, "ETag": etags.get(number or 0, '"e"')} for number in numbers]
        listed = [{name: value for name, value in part.items() if value is not None} for part in given]
        with pytest.raises(PartListError) as caught:
            ledger.check_list(listed)
        assert caught.value.code == code

    def test_a_list_is_all_parts_with_what_was_answered(self) -> None:
        """With quotes or without; a part less would not open, and an invented checksum was never verified."""
        ledger = Ledger()
        first, second = (ledger.enter(number, 1, b"m" * 16)[0] for number in (1, 2))
        second.record({"ETag": '"real"', "ChecksumCRC32": "sent=="})
        second.checksums["ChecksumSHA1"] = "given="
        parts = [{"PartNumber": 1, "ETag": first.stand_in_etag().strip('"')}, {"PartNumber": 2, "ETag": '"real"'}]
        ledger.check_list(parts)
        ledger.check_list([parts[0], {**parts[1], "ChecksumCRC32": "sent==", "ChecksumSHA1": "given="}])
        with pytest.raises(MultipartStateError, match="every part that was given"):
            ledger.check_list(parts[:1])
        with pytest.raises(ConfigurationError, match="was not verified"):
            ledger.check_list([parts[0], {**parts[1], "ChecksumSHA1": "other="}])
        with pytest.raises(PartListError, match="not one that upload_part answered"):
            ledger.check_list([parts[0], {"PartNumber": 2, "ETag": "other"}])
