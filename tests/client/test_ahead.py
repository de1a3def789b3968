"""Encrypting ahead of what is sent: the order, the end of it, the memory that goes round, and whose thread reads."""

from __future__ import annotations

import http.client
import io
import os
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec.algorithms import AlgorithmSuite
from s3ec.client.bodies.ahead import Ahead
from s3ec.client.bodies.ciphertext import EncryptingBody
from s3ec.client.bodies.claims import digest_for, take_claims
from s3ec.client.bodies.sources import CHUNK_SIZE, open_source
from s3ec.crypto.buffers import Rooms
from s3ec.crypto.content import ContentCipher
from s3ec.errors import SourceChangedError
from s3ec.secrets import Secret

from support.lying_s3 import LyingS3

NAME = "s3ec-encrypt"
SIZE = 9 * CHUNK_SIZE + 5


def _cipher() -> ContentCipher:
    return ContentCipher(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, Secret(bytes(32)), bytes(12))


def _body(given: Any) -> EncryptingBody:
    return EncryptingBody(open_source(given), _cipher(), take_claims({}))


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


def _nobody(*_: Any, **__: Any) -> Any:
    raise RuntimeError("can't start new thread")


class TestAhead:
    """Pieces of work."""

    @pytest.mark.parametrize("threads", [True, False])
    def test_in_their_order(self, threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each result is taken in its turn, an error is that of its own work, and no thread is left."""
        if not threads:
            monkeypatch.setattr(ThreadPoolExecutor, "submit", _nobody)
        ahead: Ahead[float] = Ahead(NAME)
        done: list[int] = []

        def work(number: int) -> float:
            done.append(number)
            return 1 / (2 - number)

        for number in range(4):
            ahead.begin(partial(work, number))
        assert [ahead.take(), ahead.take()] == [0.5, 1.0]
        with pytest.raises(ZeroDivisionError):
            ahead.take()
        assert ahead.take() == -1.0
        assert done == [0, 1, 2, 3]
        assert len(ahead) == 0
        ahead.close()
        assert not _threads()

    def test_a_thread_that_fails_to_come_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was begun without a thread is done before what comes after it, whoever does that."""
        ahead: Ahead[None] = Ahead(NAME)
        done: list[int] = []
        submit = ThreadPoolExecutor.submit
        for number in range(3):
            monkeypatch.setattr(ThreadPoolExecutor, "submit", _nobody if number == 1 else submit)
            ahead.begin(partial(done.append, number))
        for _ in range(3):
            ahead.take()
        assert done == [0, 1, 2]
        ahead.close()

    def test_what_is_dropped_has_ended(self) -> None:
        """Whatever was under way has ended, whatever it raised, and nothing else begins; then more may be begun."""
        ahead: Ahead[int] = Ahead(NAME)
        going, may_end = threading.Event(), threading.Event()
        started, ended = list[int](), list[int]()

        def work(number: int) -> int:
            started.append(number)
            going.set()
            may_end.wait()
            ended.append(number)
            raise OSError

        for number in range(3):
            ahead.begin(partial(work, number))
        going.wait()
        threading.Thread(target=may_end.set).start()
        ahead.drop()
        dropped = list(started)
        assert ended == dropped
        ahead.begin(lambda: 5)
        assert ahead.take() == 5
        ahead.close()
        ahead.close()
        assert started == dropped


class TestRooms:
    """Memory that goes round."""

    def test_it_goes_round(self) -> None:
        """What nobody looks at is taken again."""
        rooms = Rooms(100, 3)
        first = rooms.take()
        first[0] = 7
        del first
        assert rooms.take()[0] == 7
        seen = {id(rooms.take().obj) for _ in range(50)}
        assert len(seen) == 1

    def test_what_somebody_keeps_is_theirs(self) -> None:
        """Whoever keeps views, even all of them, finds in them what was there."""
        rooms, kept = Rooms(100, 3), []
        for number in range(20):
            room = rooms.take()
            room[:] = bytes([number]) * 100
            kept.append(room[10:20].toreadonly())
            del room
        assert [bytes(view) for view in kept] == [bytes([number]) * 10 for number in range(20)]


class TestBody:
    """A large body that can be read again."""

    @pytest.mark.parametrize("kind", [bytes, bytearray, io.BytesIO])
    @pytest.mark.parametrize("size", [CHUNK_SIZE + 1, 2 * CHUNK_SIZE, SIZE])
    def test_what_it_gives(self, kind: Callable[[bytes], Any], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read in any pieces, kept or not, with a thread or without: one ciphertext, and its checksum."""
        given = os.urandom(size)
        expected = _cipher().encrypt(given)
        for _ in range(2):
            body = _body(kind(given))
            assert b"".join([body.read_view(700_001) for _ in range(size // 700_001 + 12)]) == expected
            for step in (-1, 4096 * 100, CHUNK_SIZE + 16):
                digest = digest_for("ChecksumCRC32")
                body.begin(digest)
                assert b"".join(iter(lambda: body.read(step), b"")) == expected  # noqa: B023 - called at once
                assert digest.digest() == zlib.crc32(expected).to_bytes(4, "big")
            body.close()
            assert not _threads()
            monkeypatch.setattr(ThreadPoolExecutor, "submit", _nobody)

    @pytest.mark.parametrize(
        ("kind", "size", "threads"),
        [(io.BytesIO, 8 * CHUNK_SIZE, 0), (io.BytesIO, 8 * CHUNK_SIZE + 1, 1), (bytes, 8 * CHUNK_SIZE + 1, 0)],
    )
    def test_a_thread_for_what_is_large(self, kind: Callable[[bytes], Any], size: int, threads: int) -> None:
        """It is there from the first read to the end of the body, where there is enough to do."""
        body = _body(kind(bytes(size)))
        assert not _threads()
        body.read(1)
        assert len(_threads()) == threads
        body.close()
        assert not _threads()

    def test_a_pass_that_is_broken_off(self) -> None:
        """What was begun of one pass has no part in the next."""
        given = os.urandom(SIZE)
        body = _body(io.BytesIO(given))
        for count in range(8):
            digest = digest_for("ChecksumCRC32")
            body.begin(digest)
            for _ in range(count):
                body.read_view(CHUNK_SIZE)
            if count % 2:
                body.seek(0)
        assert body.read() == _cipher().encrypt(given)
        body.close()

    def test_a_source_that_fails_once(self) -> None:
        """Its error comes to whoever reads; what was read before it is not lost, and not given twice."""
        given = os.urandom(SIZE)

        class Failing(io.BytesIO):
            reads = 0

            def read(self, size: int | None = -1) -> bytes:
                self.reads += 1
                if self.reads == 4:
                    raise OSError("once")
                return super().read(size)

        body, pieces, failures = _body(Failing(given)), [], 0
        while True:
            try:
                piece = body.read(CHUNK_SIZE + 16)
            except OSError:
                failures += 1
                continue
            if not piece:
                break
            pieces.append(piece)
        assert failures == 1
        assert b"".join(pieces) == _cipher().encrypt(given)
        body.close()

    @pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1])
    def test_a_length_that_changed(self, size: int) -> None:
        """The end of a source is looked at before the last of it is given; the error stays."""
        source = io.BytesIO(bytes(SIZE))
        body = _body(source)
        source.seek(0)
        source.truncate(0)
        source.write(bytes(size))
        source.seek(0)
        given = 0

        def read_on() -> None:
            nonlocal given
            while piece := body.read(CHUNK_SIZE):
                given += len(piece)

        with pytest.raises(SourceChangedError):
            read_on()
        assert given < SIZE - CHUNK_SIZE
        body.seek(0)
        with pytest.raises(SourceChangedError):
            body.read(1)
        body.close()


class Noting(io.BytesIO):
    """A file of the caller's that notes which threads read it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.threads: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(size)


@pytest.mark.parametrize("failing", [False, True])
def test_whose_thread_reads(liar: LyingS3, lied_to: Callable[..., Any], failing: bool) -> None:
    """A caller's file is read by the caller's thread alone, and when the call has ended nothing is left that reads."""
    client, body = lied_to(liar), Noting(os.urandom(SIZE))
    liar.lies.fail_after_body = 9 if failing else 1
    with pytest.raises(ClientError) if failing else nullcontext():
        client.put_object(Bucket="b", Key="k", Body=body)
    assert body.threads == {threading.get_ident()}
    assert not _threads()
    assert len(set(liar.state.bodies())) == 1
    if not failing:
        assert client.get_object(Bucket="b", Key="k")["Body"].read() == body.getvalue()


def test_pieces_that_are_collected(lied_to: Callable[..., Any], liar: LyingS3) -> None:
    """Whoever keeps what a connection reads, as a recorder does, has all of it in the end."""
    kept: list[Any] = []
    send = http.client.HTTPConnection.send

    def keep(self: http.client.HTTPConnection, data: Any) -> None:
        kept.append(data)
        send(self, data)

    client = lied_to(liar)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http.client.HTTPConnection, "send", keep)
        client.put_object(Bucket="b", Key="k", Body=io.BytesIO(os.urandom(SIZE)))
    recorded, stored = b"".join(piece for piece in kept if not hasattr(piece, "read")), liar.state.objects["b/k"].body
    assert all(stored[at : at + CHUNK_SIZE] in recorded for at in range(0, SIZE, CHUNK_SIZE))
