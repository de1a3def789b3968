"""s3ec.open: an object as a file that seeks, each byte of it verified."""

from __future__ import annotations

import io
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3ec
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    EncryptionContextMismatchError,
    NotEncryptedError,
    UnsupportedOperationError,
)

from support.cbc import cbc_object, cbc_options
from support.counting import CountingManager
from support.lying_s3 import LyingS3, Stored

KiB = 1024
DATA = random.Random(4).randbytes(300_000)
SPOOLED = {"buffer_size": 1000}


def put(client: Any, body: bytes = DATA) -> None:
    """Puts the object."""
    client.put_object(Bucket="b", Key="k", Body=body)


def opened(client: Any, **more: Any) -> Any:
    """The object as a file."""
    return s3ec.open(client, Bucket="b", Key="k", **more)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 200_000)),
        st.tuples(st.just("readline"), st.integers(-1, 500)),
        st.tuples(st.just("readinto"), st.integers(0, 100_000)),
        st.tuples(st.just("set"), st.integers(0, 320_000)),
        st.tuples(st.just("by"), st.integers(-50_000, 50_000)),
        st.tuples(st.just("end"), st.integers(-300_000, 10_000)),
    ),
    max_size=8,
)


def play(file: Any, steps: list[tuple[str, int]]) -> list[Any]:
    """Does the steps and notes what each gave."""
    seen: list[Any] = []
    for what, number in steps:
        if what == "read":
            seen.append(file.read(number))
        elif what == "readline":
            seen.append(file.readline(number))
        elif what == "readinto":
            buffer = bytearray(number)
            seen.append((file.readinto(buffer), bytes(buffer)))
        else:
            offset = number if what != "by" else max(number, -file.tell())
            seen.append(file.seek(offset, ("set", "by", "end").index(what)))
        seen.append(file.tell())
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, SPOOLED, {"unencrypted_objects": "allow"}], ids=["memory", "ranges", "plain"])
@pytest.mark.parametrize("read_ahead", [1000, 1024 * KiB])
def test_is_like_bytesio(
    http_liar: LyingS3, make: Callable[..., Any], options: dict[str, Any], read_ahead: int
) -> None:
    """Any sequence of seeks and reads gives what io.BytesIO gives."""
    client = make(**options)
    if "unencrypted_objects" in options:
        http_liar.state.objects["b/k"] = Stored(DATA, {})
    else:
        put(client)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=STEPS)
    def property_holds(steps: list[tuple[str, int]]) -> None:
        with opened(client, read_ahead=read_ahead) as file:
            assert play(file, steps) == play(io.BytesIO(DATA), steps)

    property_holds()


@pytest.mark.parametrize("options", [{}, SPOOLED])
def test_surface(make: Callable[..., Any], options: dict[str, Any]) -> None:
    """Readable, seekable, not writable; closed after ``with``; nothing before the start."""
    client = make(**options)
    put(client)
    with opened(client) as file:
        assert isinstance(file, io.BufferedIOBase)
        assert file.readable()
        assert file.seekable()
        with pytest.raises(ValueError, match=r"."):
            file.seek(-1)
        with pytest.raises(ValueError, match=r"."):
            file.seek(0, 7)
        assert file.read(3) == DATA[:3]
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


@pytest.mark.parametrize("options", [{}, SPOOLED, {"unencrypted_objects": "allow"}], ids=["memory", "ranges", "plain"])
def test_is_read_only(http_liar: LyingS3, make: Callable[..., Any], options: dict[str, Any]) -> None:
    """Nothing can be written through a file of any size, and what libraries look at is the same at every size."""
    client = make(**options)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("first", DATA)
    content = archive.getvalue()
    if "unencrypted_objects" in options:
        http_liar.state.objects["b/k"] = Stored(content, {})
    else:
        put(client, content)
    with opened(client) as file:
        assert type(file) is io.BufferedReader
        assert isinstance(file.raw, io.RawIOBase)
        assert not file.writable()
        for write in (lambda: file.write(b"x"), lambda: file.truncate(3), lambda: file.raw.truncate(3), file.fileno):
            with pytest.raises(io.UnsupportedOperation):
                write()
        with pytest.raises(io.UnsupportedOperation), zipfile.ZipFile(file, "a") as appended:
            appended.writestr("second", b"two")
    file = opened(client)
    assert file.peek(3)[:3] == content[:3]
    assert file.read1(2) == content[:2]
    buffer = bytearray(10)
    assert file.readinto1(buffer) > 0
    assert file.seek(7) == 7
    raw = file.detach()
    with pytest.raises(ValueError, match="detached"):
        file.read(1)
    assert raw.seek(-4, io.SEEK_END) == len(content) - 4
    assert raw.readall() == content[-4:]
    raw.close()
    for use in (lambda: raw.readinto(buffer), raw.tell, lambda: raw.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            use()


@pytest.mark.slow
def test_memory(make: Callable[..., Any]) -> None:
    """A small object takes its own size and little more, also while it is opened."""
    client, size = make(), 16 * 1024 * KiB
    put(client, bytes(size))
    opened(client).close()
    tracemalloc.start()
    try:
        with opened(client) as file:
            assert len(file.read(1)) == 1
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The verified plaintext in chunks, which are let go while they are copied into one piece.
    assert peak < 2.3 * size


@pytest.mark.parametrize("size", [0, 1, 64 * KiB, 64 * KiB + 1, 300_000])
def test_every_size(make: Callable[..., Any], size: int) -> None:
    """Whole reads at the edges of chunks, the empty object too."""
    client = make(buffer_size=0)
    put(client, DATA[:size])
    with opened(client) as file:
        assert file.read() == DATA[:size]
        assert file.read() == b""


@pytest.mark.parametrize("options", [{}, SPOOLED])
def test_archives(make: Callable[..., Any], options: dict[str, Any]) -> None:
    """zipfile and tarfile read members out of the middle."""
    client = make(**options)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("first", DATA)
        written.writestr("second", b"two")
    put(client, archive.getvalue())
    with opened(client) as file, zipfile.ZipFile(file) as found:
        assert found.read("second") == b"two"
        assert found.read("first") == DATA
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        entry = tarfile.TarInfo("member")
        entry.size = len(DATA)
        packed.addfile(entry, io.BytesIO(DATA))
    put(client, archive.getvalue())
    with opened(client) as file, tarfile.open(fileobj=file) as unpacked:
        member = unpacked.extractfile("member")
        assert member is not None
        assert member.read() == DATA


def test_requests(http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager) -> None:
    """One pass on opening, one key operation in all, and then a request for each read-ahead; no limit of size."""
    client = make(verified_range_limit=0, **SPOOLED)
    put(client)
    http_liar.state.requests.clear()
    with opened(client, read_ahead=100_000) as file:
        assert [header for _, _, header in http_liar.state.requests] == [None]
        file.seek(70_000)
        assert file.read(10) == DATA[70_000:70_010]
        assert file.read(10) == DATA[70_010:70_020]
    assert [header for _, _, header in http_liar.state.requests] == [None, "bytes=65536-196607"]
    assert counting.decryptions == 1


@pytest.mark.parametrize("options", [{}, SPOOLED])
@pytest.mark.parametrize("position", [0, 150_000, -1])
def test_flipped_bit(http_liar: LyingS3, make: Callable[..., Any], position: int, options: dict[str, Any]) -> None:
    """An object that does not verify does not open."""
    client = make(**options)
    put(client)
    body = bytearray(http_liar.state.objects["b/k"].body)
    body[position] ^= 1
    http_liar.state.objects["b/k"].body = bytes(body)
    with pytest.raises(AuthenticationError, match="s3://b/k"):
        opened(client)


@pytest.mark.parametrize("left", [0, 15, 16, 1000, 300_000])
@pytest.mark.parametrize("options", [{}, {"buffer_size": 0}])
def test_cut_object(http_liar: LyingS3, make: Callable[..., Any], left: int, options: dict[str, Any]) -> None:
    """Nor does a shortened one."""
    client = make(**options)
    put(client)
    http_liar.state.objects["b/k"].body = http_liar.state.objects["b/k"].body[:left]
    with pytest.raises(AuthenticationError):
        opened(client)


@pytest.mark.parametrize("options", [{}, {"buffer_size": 0}])
def test_a_connection_that_is_cut(http_liar: LyingS3, make: Callable[..., Any], options: dict[str, Any]) -> None:
    """A broken line shows as botocore's own error, which callers know, and not as the object's fault."""
    client = make(**options)
    put(client)
    http_liar.lies.cut_answers = 1
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        opened(client)
    assert opened(client).read() == DATA


def test_tampered_after_opening(http_liar: LyingS3, make: Callable[..., Any]) -> None:
    """Each later answer is compared with what was verified."""
    client = make(**SPOOLED)
    put(client)
    with opened(client, read_ahead=100) as file:
        assert file.read(10) == DATA[:10]
        http_liar.lies.tamper = lambda body: body[:200_000] + bytes([body[200_000] ^ 1]) + body[200_001:]
        assert file.read(1000) == DATA[10:1010]
        file.seek(200_000)
        with pytest.raises(AuthenticationError, match=r"altered.*s3://b/k"):
            file.read(1)


def test_replaced_after_opening(http_liar: LyingS3, make: Callable[..., Any]) -> None:
    """Reads are pinned to what was opened."""
    client = make(**SPOOLED)
    put(client)
    with opened(client, read_ahead=100) as file:
        put(client, DATA[::-1])
        with pytest.raises(ClientError, match="PreconditionFailed"):
            file.read(1)


@pytest.mark.parametrize("lie", ["ignore_ranges", "wrong_range"])
def test_server_that_answers_something_else(http_liar: LyingS3, make: Callable[..., Any], lie: str) -> None:
    """Another range, or everything, is noticed."""
    client = make(**SPOOLED)
    put(client)
    with opened(client, read_ahead=100) as file:
        setattr(http_liar.lies, lie, 1)
        with pytest.raises(AuthenticationError):
            file.read(1)


@pytest.mark.parametrize("lie", [{"headers": {"ETag": '"other"'}}, {"total": 300_100, "total_answers": 500}])
def test_answers_for_another_object(http_liar: LyingS3, make: Callable[..., Any], lie: dict[str, Any]) -> None:
    """Each answer says that it is about what was opened, or is not believed."""
    client = make(**SPOOLED)
    put(client)
    with opened(client, read_ahead=100) as file:
        for name, value in lie.items():
            setattr(http_liar.lies, name, value)
        with pytest.raises(AuthenticationError, match="another object"):
            file.read(1)


def test_cbc_is_refused(http_liar: LyingS3, make: Callable[..., Any]) -> None:
    """CBC cannot be verified, whatever is allowed."""
    http_liar.state.objects["b/k"] = cbc_object(DATA)
    with pytest.raises(UnsupportedOperationError, match=r"CBC.*get_object.*s3://b/k"):
        opened(make(**cbc_options(enable_unauthenticated_ranges=True)))


def test_unencrypted(http_liar: LyingS3, make: Callable[..., Any]) -> None:
    """Refused by default; where allowed, pinned reads of what is there."""
    http_liar.state.objects["b/k"] = Stored(DATA, {})
    with pytest.raises(NotEncryptedError):
        opened(make())
    with opened(make(unencrypted_objects="allow"), read_ahead=100) as file:
        file.seek(-5, io.SEEK_END)
        assert file.read() == DATA[-5:]
        http_liar.state.objects["b/k"] = Stored(b"other", {})
        file.seek(0)
        with pytest.raises(ClientError, match="PreconditionFailed"):
            file.read(1)


def test_context_and_version(make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
    """Contexts are checked, and a version stays that version."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client = make_client(buffer_size=0)
    context = {"team": "hr"}
    first = client.put_object(Bucket=bucket, Key="k", Body=b"first", EncryptionContext=context)["VersionId"]
    with s3ec.open(client, Bucket=bucket, Key="k", EncryptionContext=context) as file:
        client.put_object(Bucket=bucket, Key="k", Body=b"later", EncryptionContext=context)
        assert file.read() == b"first"
    with s3ec.open(client, Bucket=bucket, Key="k", VersionId=first, EncryptionContext=s3ec.STORED_CONTEXT) as file:
        assert file.read() == b"first"
    with pytest.raises(EncryptionContextMismatchError):
        s3ec.open(client, Bucket=bucket, Key="k")
    with pytest.raises(client.exceptions.NoSuchKey):
        s3ec.open(client, Bucket=bucket, Key="absent")


def test_misuse(make: Callable[..., Any], plain_s3: Any) -> None:
    """A plain client, a range, or no read-ahead at all make no sense here."""
    with pytest.raises(ConfigurationError, match="EncryptionClient"):
        opened(plain_s3)
    client = make()
    for wrong in ({"Range": "bytes=0-1"}, {"PartNumber": 1}, {"read_ahead": 0}):
        with pytest.raises(ConfigurationError):
            opened(client, **wrong)
