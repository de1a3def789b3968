"""Bodies on the way in: every kind, every pass, every retry, and never two plaintexts under one key."""

from __future__ import annotations

import base64
import hashlib
import io
import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from s3ec.client.bodies.sources import CHUNK_SIZE, open_source
from s3ec.errors import ConfigurationError, ObjectTooLargeError, S3ECError, SourceChangedError

from support.counting import CountingManager
from support.lying_s3 import LyingS3

SIZES = [0, 1, 15, 16, 17, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE + 5]
MODES = ["legacy", "standard", "adaptive"]


class ReadOnly:
    """A body with nothing but read, in short pieces."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(min(size, 700_001) if size > 0 else size)


def _kinds(data: bytes, folder: Path) -> Iterator[tuple[str, Any, bytes]]:
    path = folder / "body"
    path.write_bytes(data)
    yield "bytes", data, data
    yield "bytearray", bytearray(data), data
    yield "memoryview", memoryview(data), data
    yield "BytesIO", io.BytesIO(data), data
    yield "generator", (data[start : start + 99_991] for start in range(0, len(data), 99_991)), data
    yield "read-only", ReadOnly(data), data
    with path.open("rb") as file:
        yield "file", file, data
    with path.open("rb") as file:
        offset = min(7, len(data))
        file.seek(offset)
        yield "file at an offset", file, data[offset:]
    if data:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield "mmap", mapped, data


@pytest.mark.parametrize("size", SIZES)
def test_every_kind_of_body_round_trips(liar: LyingS3, lied_to: Callable[..., Any], tmp_path: Path, size: int) -> None:
    """Each kind of body that boto3 takes, and those that it does not, comes back as it was; no plaintext is stored."""
    client = lied_to(liar)
    for kind, body, expected in _kinds(os.urandom(size), tmp_path):
        client.put_object(Bucket="b", Key="k", Body=body)
        stored = liar.state.objects["b/k"].body
        assert len(stored) == len(expected) + 16, kind
        assert len(expected) < 32 or expected[:32] not in stored, kind
        assert client.get_object(Bucket="b", Key="k")["Body"].read() == expected, kind


@pytest.mark.parametrize("size", [0, 5, CHUNK_SIZE, 3 * CHUNK_SIZE + 5])
def test_memory_is_filled_from_every_kind(tmp_path: Path, size: int) -> None:
    """As read in chunks, and to the last byte; what is asked for at a time is no more than a chunk."""
    given = os.urandom(size)
    for kind, body, expected in _kinds(given, tmp_path):
        source, room = open_source(body), bytearray(size + 9)
        assert source.fill(memoryview(room)[:3]) == min(3, len(expected)), kind
        assert source.fill(memoryview(room)[3:]) == max(len(expected) - 3, 0), kind
        assert room[: len(expected)] == expected, kind
        assert not source.read_chunk(1), kind
    asked: list[int] = []

    class Noting(ReadOnly):
        def read(self, size: int = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    assert open_source(Noting(given)).fill(memoryview(bytearray(size))) == size
    assert max(asked, default=0) <= CHUNK_SIZE


def test_text_and_absent_bodies(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """A str is sent as UTF-8, and no body at all is an empty object, encrypted like any other."""
    client = lied_to(http_liar)
    client.put_object(Bucket="b", Key="k", Body="grün")
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == "grün".encode()
    client.put_object(Bucket="b", Key="k")
    assert len(http_liar.state.objects["b/k"].body) == 16
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == b""


@pytest.mark.parametrize("body", [None, 5, ["a"], {"a": 1}], ids=repr)
def test_bodies_that_boto3_refuses_are_refused_as_boto3_does(
    http_liar: LyingS3, lied_to: Callable[..., Any], counting: CountingManager, body: Any
) -> None:
    """The error is botocore's own, and comes before any key is asked for."""
    with pytest.raises(ParamValidationError):
        lied_to(http_liar).put_object(Bucket="b", Key="k", Body=body)
    assert (counting.calls, http_liar.state.requests) == (0, [])


@pytest.mark.parametrize("body", [io.StringIO("text"), iter(["text"])], ids=["StringIO", "iterator"])
def test_bodies_that_give_text_are_refused(http_liar: LyingS3, lied_to: Callable[..., Any], body: Any) -> None:
    """The error says that it is text, and nothing is stored."""
    with pytest.raises(ConfigurationError, match="text"):
        lied_to(http_liar).put_object(Bucket="b", Key="k", Body=body)
    assert http_liar.state.objects == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [10, CHUNK_SIZE, 2 * CHUNK_SIZE + 5])
def test_a_retry_sends_the_same_ciphertext(
    liar: LyingS3, lied_to: Callable[..., Any], tmp_path: Path, size: int, mode: str
) -> None:
    """A file at an offset goes out twice as the same bytes, from its offset, where plain boto3 would start at 0."""
    data = os.urandom(size + 5)
    path = tmp_path / "body"
    path.write_bytes(data)
    client = lied_to(liar, config=Config(retries={"mode": mode}))
    liar.lies.fail_after_body = 1
    with path.open("rb") as file:
        file.seek(5)
        client.put_object(Bucket="b", Key="k", Body=file)
    first, second = liar.state.bodies()
    assert first == second
    assert len(first) == size + 16
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == data[5:]


@pytest.mark.slow
def test_a_refusal_before_the_body_costs_nothing(liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """A 503 in answer to Expect is retried, and what arrives then is whole."""
    data = os.urandom(2 * CHUNK_SIZE + 5)
    liar.lies.fail_before_body = 1
    client = lied_to(liar)
    client.put_object(Bucket="b", Key="k", Body=io.BytesIO(data))
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == data


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", ["same length", "shorter", "longer"])
def test_a_source_that_changed_is_an_error_before_a_differing_byte_leaves(
    liar: LyingS3, lied_to: Callable[..., Any], tmp_path: Path, change: str, mode: str
) -> None:
    """Whatever arrived of a second attempt is a prefix of the first: no second ciphertext under the same key."""
    size = 3 * CHUNK_SIZE
    path = tmp_path / "body"
    path.write_bytes(b"A" * size)
    client = lied_to(liar, config=Config(retries={"mode": mode, "max_attempts": 3}))
    liar.lies.fail_after_body = 5
    other = {"same length": b"B" * size, "shorter": b"A" * (size - 9), "longer": b"A" * (size + 9)}[change]
    attempts: list[int] = []

    def swap(**_: Any) -> None:
        attempts.append(1)
        if len(attempts) == 2:
            path.write_bytes(other)

    client.meta.events.register_first("request-created.s3.PutObject", swap)
    with path.open("rb") as file, pytest.raises(SourceChangedError):
        client.put_object(Bucket="b", Key="k", Body=file)
    assert len(attempts) == 2, "an error of ours is not retried"
    whole = liar.state.bodies()[0]
    assert all(whole.startswith(body) for body in liar.state.bodies())
    assert liar.state.objects == {}


@pytest.mark.parametrize("view", [False, True], ids=["bytearray", "memoryview of one"])
def test_bytes_in_memory_that_changed_are_no_less_an_error(
    liar: LyingS3, lied_to: Callable[..., Any], view: bool
) -> None:
    """Only what nobody can change, bytes, is believed to be the same without a second look."""
    body = bytearray(b"A" * (3 * CHUNK_SIZE))
    client = lied_to(liar)
    liar.lies.fail_after_body = 5
    attempts: list[int] = []

    def change(**_: Any) -> None:
        attempts.append(1)
        if len(attempts) == 2:
            body[2 * CHUNK_SIZE] = ord("B")

    client.meta.events.register_first("request-created.s3.PutObject", change)
    with pytest.raises(SourceChangedError):
        client.put_object(Bucket="b", Key="k", Body=memoryview(body) if view else body)
    whole = liar.state.bodies()[0]
    assert all(whole.startswith(body) for body in liar.state.bodies())


@pytest.mark.parametrize("mode", MODES)
def test_an_error_raised_while_sending_surfaces_as_itself(
    liar: LyingS3, lied_to: Callable[..., Any], tmp_path: Path, mode: str
) -> None:
    """botocore wraps what a body raises and would retry it: the caller sees our error, after one attempt."""
    path = tmp_path / "body"
    path.write_bytes(b"A" * (3 * CHUNK_SIZE))
    client = lied_to(liar, config=Config(retries={"mode": mode}))
    attempts: list[int] = []

    def shrink(**_: Any) -> None:
        attempts.append(1)
        os.truncate(path, CHUNK_SIZE)

    client.meta.events.register_first("before-send.s3.PutObject", shrink)
    with path.open("rb") as file, pytest.raises(SourceChangedError, match="s3://b/k"):
        client.put_object(Bucket="b", Key="k", Body=file)
    assert len(attempts) == 1
    assert liar.state.objects == {}


@pytest.mark.slow
def test_streams_are_spooled_as_ciphertext(
    http_liar: LyingS3, lied_to: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above buffer_size a stream waits on disk, where none of its plaintext is to be found."""
    data = b"plaintext that must never touch the disk " * 50_000
    seen: list[bytes] = []

    def look(**_: Any) -> None:
        for entry in Path("/proc/self/fd").iterdir():
            try:
                target = os.readlink(entry)
                if str(tmp_path) in target:
                    seen.append(entry.read_bytes())
            except OSError:
                continue

    client = lied_to(http_liar, buffer_size=1000, spool_directory=tmp_path)
    client.meta.events.register_first("before-send.s3.PutObject", look)
    client.put_object(Bucket="b", Key="k", Body=iter([data]))
    if Path("/proc/self/fd").is_dir():
        assert seen
        assert len(seen[0]) == len(data) + 16
        assert b"plaintext" not in b"".join(seen)
    assert list(tmp_path.iterdir()) == []
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == data


CHECKSUMS = {
    "ContentMD5": lambda data: hashlib.md5(data).digest(),
    "ChecksumSHA1": lambda data: hashlib.sha1(data).digest(),
    "ChecksumSHA256": lambda data: hashlib.sha256(data).digest(),
    "ChecksumCRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
}


@pytest.mark.parametrize("name", CHECKSUMS)
@pytest.mark.parametrize("size", [0, 100, 3 * CHUNK_SIZE])
def test_a_checksum_of_the_plaintext_is_verified_and_not_sent(
    liar: LyingS3, lied_to: Callable[..., Any], name: str, size: int
) -> None:
    """The right one lets the object through without it; a wrong one stores nothing."""
    data = os.urandom(size)
    client = lied_to(liar)
    value = base64.b64encode(CHECKSUMS[name](data)).decode()
    client.put_object(Bucket="b", Key="k", Body=io.BytesIO(data), **{name: value})
    assert value not in liar.state.attempts[0].headers.values()
    wrong = base64.b64encode(CHECKSUMS[name](data + b"x")).decode()
    liar.state.objects.clear()
    with pytest.raises(SourceChangedError, match=name):
        client.put_object(Bucket="b", Key="k", Body=io.BytesIO(data), **{name: wrong})
    assert liar.state.objects == {}


@pytest.mark.parametrize("name", ["ChecksumXXHASH64", "ChecksumOfTheFuture"])
def test_a_checksum_that_cannot_be_verified_is_refused(
    http_liar: LyingS3, lied_to: Callable[..., Any], counting: CountingManager, name: str
) -> None:
    """Not ignored, and refused before any key."""
    with pytest.raises(ConfigurationError, match=name):
        lied_to(http_liar).put_object(Bucket="b", Key="k", Body=b"x", **{name: "AAAA"})
    assert counting.calls == 0


def test_the_declared_length_is_the_plaintexts(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """The right one is taken out; a wrong one, which plain boto3 would truncate to, is refused."""
    client = lied_to(http_liar)
    client.put_object(Bucket="b", Key="k", Body=b"hello", ContentLength=5)
    assert len(http_liar.state.objects["b/k"].body) == 21
    for body in (b"hello world", io.BytesIO(b"hello world")):
        with pytest.raises(ConfigurationError, match="ContentLength"):
            client.put_object(Bucket="b", Key="k", Body=body, ContentLength=5)
    for body in (iter([b"hello world"]), iter([b"hey"])):
        with pytest.raises(SourceChangedError):
            client.put_object(Bucket="b", Key="k", Body=body, ContentLength=5)


class Huge(io.RawIOBase):
    """A body that only says how long it is."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length
        self._position = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._length)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("not a byte may be read")


def test_more_than_one_key_may_encrypt_is_refused_before_byte_one(
    http_liar: LyingS3, lied_to: Callable[..., Any], counting: CountingManager
) -> None:
    """2^36 - 32 bytes is the most; one more is refused with advice."""
    with pytest.raises(ObjectTooLargeError, match="split"):
        lied_to(http_liar).put_object(Bucket="b", Key="k", Body=Huge(2**36 - 31))
    assert (counting.calls, http_liar.state.requests) == (0, [])


@pytest.mark.parametrize(
    "metadata", [{"x-amz-iv": "a"}, {"X-Amz-3": "a"}, {"x-amz-unencrypted-content-length": "5"}, {"x-amz-c": ""}]
)
def test_reserved_metadata_is_refused(
    http_liar: LyingS3, lied_to: Callable[..., Any], counting: CountingManager, metadata: dict[str, str]
) -> None:
    """Content-metadata keys of any version and in any case are refused, and never merged."""
    with pytest.raises(ConfigurationError, match="reserved"):
        lied_to(http_liar).put_object(Bucket="b", Key="k", Body=b"x", Metadata=metadata)
    assert (counting.calls, http_liar.state.requests) == (0, [])


def test_the_callers_arguments_stay_as_they_were(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """Neither the metadata nor the request is changed for the caller."""
    metadata = {"mine": "1"}
    lied_to(http_liar).put_object(Bucket="b", Key="k", Body=b"x", Metadata=metadata)
    assert metadata == {"mine": "1"}
    assert "x-amz-meta-mine" in http_liar.state.objects["b/k"].metadata


def test_metadata_beyond_two_kilobytes_is_refused_with_the_numbers(
    http_liar: LyingS3, lied_to: Callable[..., Any]
) -> None:
    """S3 would answer MetadataTooLarge after the upload; an instruction file is the way out."""
    client = lied_to(http_liar)
    with pytest.raises(ConfigurationError, match="2048.*instruction_file_writes"):
        client.put_object(Bucket="b", Key="k", Body=b"x", Metadata={"long": "v" * 1900})
    assert http_liar.state.objects == {}
    with_file = lied_to(http_liar, instruction_file_writes=True)
    with_file.put_object(Bucket="b", Key="k", Body=b"x", Metadata={"long": "v" * 1900})
    assert with_file.get_object(Bucket="b", Key="k")["Body"].read() == b"x"


def test_conditions_and_s3s_own_errors_pass_unwrapped(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """A 412 is botocore's ClientError with S3's code."""
    client = lied_to(http_liar)
    client.put_object(Bucket="b", Key="k", Body=b"x")
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket="b", Key="k", Body=b"y", IfNoneMatch="*")
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    assert not isinstance(caught.value, S3ECError)
