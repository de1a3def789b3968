"""Bodies on the way home: botocore's whole surface, and nothing that is not verified."""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import hashlib
import io
import os
import random
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import FlexibleChecksumError, IncompleteReadError, ResponseStreamingError
from botocore.response import StreamingBody

from s3ec import AesKeyring, CommitmentPolicy, EncryptionClient, KmsKeyring, inspect
from s3ec.errors import (
    AuthenticationError,
    EncryptionContextMismatchError,
    KeyUnwrapError,
    LegacyAlgorithmError,
    MalformedMetadataError,
    NotEncryptedError,
    S3ECError,
)

from support.cbc import cbc_object, cbc_options
from support.counting import CountingManager
from support.lying_s3 import LyingS3, Stored

MiB = 1024 * 1024
LINES = b"first\n\nthird line\r\n" + b"a line longer than most " * 1000 + b"\nlast, without an end"
LARGE = random.Random(1).randbytes(2 * MiB + 12345)
"""Three chunks, the last one short."""
CUT = (IncompleteReadError, ResponseStreamingError)
"""What botocore raises for a connection that ends early, over http and over https."""
SPOOLED = {"buffer_size": 1000}


@pytest.fixture
def make(lied_to: Callable[..., Any], _shared_session: boto3.Session) -> Callable[..., EncryptionClient]:
    """Makes clients of one session, which is faster."""

    def make(server: LyingS3, **options: Any) -> EncryptionClient:
        client: EncryptionClient = lied_to(server, session=_shared_session, **options)
        return client

    return make


@pytest.fixture
def plain(http_liar: LyingS3, _shared_session: boto3.Session) -> Iterator[Any]:
    """A plain client of the lying server."""
    with contextlib.closing(_shared_session.client("s3", **http_liar.arguments())) as client:
        yield client


def stored(server: LyingS3) -> Stored:
    """The object that the tests put, as the server holds it."""
    return server.state.objects["b/k"]


def flip(server: LyingS3, position: int) -> None:
    """Turns one bit of the object over."""
    body = bytearray(stored(server).body)
    body[position] ^= 1
    stored(server).body = bytes(body)


def put(client: Any, body: bytes = LARGE, **more: Any) -> None:
    """Puts the object."""
    client.put_object(Bucket="b", Key="k", Body=body, **more)


def get(client: Any, **more: Any) -> Any:
    """The object's body."""
    return client.get_object(Bucket="b", Key="k", **more)["Body"]


def _with(body: Any) -> bytes:
    with body as inside:
        return bytes(inside.read())


def _into(body: Any, size: int) -> list[bytes]:
    buffer, pieces = bytearray(size), []
    while count := body.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    return pieces


def _copied(body: Any) -> bytes:
    target = io.BytesIO()
    shutil.copyfileobj(body, target, 100)
    return target.getvalue()


FORMS: dict[str, Callable[[Any], Any]] = {
    "read": lambda body: (body.read(), body.read(), body.read(5)),
    "read None": lambda body: body.read(None),
    "read in pieces": lambda body: [body.read(size) for size in (1, 0, 7, 10000, 100000, 3)],
    "read amt": lambda body: body.read(amt=4),
    "iter": list,
    "next": lambda body: (next(body), next(body), body.read(3)),
    "iter_chunks": lambda body: list(body.iter_chunks(777)),
    "iter_chunks default": lambda body: list(body.iter_chunks()),
    "iter_lines": lambda body: list(body.iter_lines()),
    "iter_lines kept": lambda body: list(body.iter_lines(chunk_size=10, keepends=True)),
    "readlines": lambda body: body.readlines(),
    "with": _with,
    "copyfileobj": _copied,
    "tell": lambda body: [body.tell(), body.read(9), body.tell(), len(body.read()), body.tell()],
    "text": lambda body: io.TextIOWrapper(body, "utf-8", newline="").read(),
    "text lines": lambda body: list(io.TextIOWrapper(body, "utf-8")),
    "csv": lambda body: list(csv.reader(io.TextIOWrapper(body, "utf-8"))),
    "readable": lambda body: body.readable(),
    "buffered": lambda body: io.BufferedReader(body, 64).read(100),
    "readinto": lambda body: b"".join(_into(body, 300)),
}


class TestSurface:
    """Whatever botocore's body can do, this one does alike."""

    @pytest.mark.parametrize("content", [b"", b"x", LINES], ids=["empty", "one byte", "lines"])
    @pytest.mark.parametrize("form", FORMS)
    def test_form(self, http_liar: LyingS3, make: Callable[..., Any], plain: Any, form: str, content: bytes) -> None:
        """Every way to read gives what a plain body of the same content gives, errors included."""
        read = FORMS[form]
        if form in ("readinto", "buffered") and "readinto" not in StreamingBody.__dict__:
            pytest.skip("this botocore's body has no readinto")

        def outcome(body: Any) -> Any:
            try:
                return read(body)
            except (AttributeError, OSError, StopIteration, TypeError, ValueError) as error:
                return type(error)

        plain.put_object(Bucket="b", Key="plain", Body=content)
        client = make(http_liar)
        put(client, content)
        expected = outcome(plain.get_object(Bucket="b", Key="plain")["Body"])
        assert outcome(get(client)) == expected
        assert outcome(get(make(http_liar, **SPOOLED))) == expected
        assert outcome(get(make(http_liar, enable_delayed_authentication=True))) == expected

    def test_is_a_streaming_body(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Libraries ask for the class."""
        client = make(http_liar)
        put(client)
        assert isinstance(get(client), StreamingBody)

    def test_readinto_fills(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A buffer is filled up, fewer bytes come at the end only, and then none."""
        client = make(http_liar)
        put(client)
        sizes = [len(piece) for piece in _into(get(client), MiB)]
        assert sizes == [MiB, MiB, 12345]

    def test_readinto_takes_any_buffer(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A view of another item size is filled by bytes."""
        client = make(http_liar)
        put(client)
        buffer = bytearray(64)
        assert get(client).readinto(memoryview(buffer).cast("I")) == 64
        assert bytes(buffer) == LARGE[:64]

    @pytest.mark.parametrize("size", [None, -1, 0, 1, 3, 7, 100000])
    def test_readline(self, http_liar: LyingS3, make: Callable[..., Any], size: int | None) -> None:
        """Lines are those of io.BytesIO, with any limit, and reads may be mixed in."""
        client = make(http_liar)
        put(client, LINES)
        body, model = get(client), io.BytesIO(LINES)
        for _ in range(6):
            assert body.readline(size) == model.readline(size)
            assert body.read(2) == model.read(2)
            assert body.tell() == model.tell()

    def test_readlines_with_a_hint(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A hint ends after the line that reaches it."""
        client = make(http_liar)
        put(client, LINES)
        body, model = get(client), io.BytesIO(LINES)
        assert body.readlines(6) == model.readlines(6)
        assert body.readlines() == model.readlines()

    def test_digest_and_gzip(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The standard library reads it like a file."""
        client = make(http_liar)
        put(client, gzip.compress(LARGE, 0))
        assert gzip.GzipFile(fileobj=get(client)).read() == LARGE
        put(client)
        digest = hashlib.sha256()
        for chunk in get(client):
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(LARGE).digest()

    def test_closed_gives_nothing(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """After close, what was verified and not read is gone; nobody takes that for the end."""
        client = make(http_liar)
        put(client)
        body = get(client)
        assert body.read(1) == LARGE[:1]
        body.close()
        body.close()
        for size in (None, 5):
            with pytest.raises(IncompleteReadError):
                body.read(size)
        assert (body.read(0), body.readline(), body.readinto(bytearray(3))) == (b"", b"", 0)
        body = get(client)
        assert body.read() == LARGE
        body.close()
        assert (body.read(), body.read(5)) == (b"", b"")

    @pytest.mark.slow
    def test_with_closes(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The context gives the verifying body, not a raw stream, and closes it."""
        client = make(http_liar)
        put(client)
        with get(client) as body:
            assert isinstance(body, StreamingBody)
            assert body.read(3) == LARGE[:3]
        with pytest.raises(IncompleteReadError):
            body.read()

    def test_with_gives_lines(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """As botocore's raw stream does, though the body itself gives chunks."""
        client = make(http_liar)
        put(client, b"a,1\nb,2\nc")
        with get(client) as lines:
            assert next(lines) == b"a,1\n"
            assert list(lines) == [b"b,2\n", b"c"]
            with pytest.raises(StopIteration):
                next(lines)
        with get(client) as body:
            assert list(body.stream(4)) == [b"a,1\n", b"b,2\n", b"c"]

    @pytest.mark.parametrize("ranged", [{}, {"Range": "bytes=5-2000"}], ids=["whole", "range"])
    @pytest.mark.parametrize("entered", [False, True])
    def test_the_raw_stream(
        self, http_liar: LyingS3, make: Callable[..., Any], plain: Any, ranged: dict[str, str], *, entered: bool
    ) -> None:
        """Applications reach for what botocore has beneath a body: it has the same face, and gives plaintext."""
        client = make(http_liar)
        put(client)
        plain.put_object(Bucket="b", Key="plain", Body=LARGE)

        def raw(body: Any) -> Any:
            return body.__enter__() if entered else body._raw_stream

        def seen(one: Any, key: str) -> list[Any]:
            def body() -> Any:
                return one.get_object(Bucket="b", Key=key, **ranged)["Body"]

            bodies = [body() for _ in range(4)]
            found = [
                b"".join(raw(bodies[0]).stream(700, decode_content=True)),
                raw(bodies[1]).data,
                raw(bodies[2]).read(10, decode_content=False),
                raw(bodies[2]).read(amt=10, decode_content=True),
                raw(bodies[3]).status,
                raw(bodies[3]).headers["Content-length"],
                raw(bodies[3]).headers.get("content-range"),
                bodies[3]._amount_read,
                bodies[3].read(7),
                bodies[3]._amount_read,
            ]
            for each in bodies:
                each.close()
            return found

        assert seen(client, "k") == seen(plain, "plain")

    def test_socket_timeout(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The time-out reaches the connection."""
        client = make(http_liar)
        put(client)
        body = get(client)
        body.set_socket_timeout(17)
        raw = body._plaintext._reader._body._raw_stream
        assert raw._fp.fp.raw._sock.gettimeout() == 17
        assert body.read() == LARGE


class TestVerifiedFirst:
    """Not a byte before the tag."""

    @pytest.mark.parametrize("options", [{}, SPOOLED], ids=["in memory", "spooled"])
    @pytest.mark.parametrize("position", [0, MiB + 5, 2 * MiB + 12344, -16, -1])
    def test_flipped_bit(
        self, http_liar: LyingS3, make: Callable[..., Any], position: int, options: dict[str, Any]
    ) -> None:
        """A bit turned over anywhere releases nothing, by no way of reading, now or later."""
        client = make(http_liar, **options)
        put(client)
        flip(http_liar, position)
        body = get(client)
        buffer = bytearray(10)
        ways: list[Callable[[], Any]] = [
            lambda: body.read(1),
            lambda: body.read(1),
            body.read,
            lambda: body.readinto(buffer),
            body.readline,
            body.readlines,
            lambda: next(iter(body)),
            lambda: next(body.iter_lines()),
            lambda: io.TextIOWrapper(body, "latin-1").read(1),
        ]
        for way in ways:
            with pytest.raises(AuthenticationError, match=r"\[s3://b/k\]"):
                way()
        assert buffer == bytes(10)
        assert body.tell() == 0

    def test_the_connection_is_returned_after_a_failure(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A hundred failures leave the client usable."""
        client = make(http_liar)
        put(client, b"small")
        flip(http_liar, 0)
        for _ in range(20):
            with pytest.raises(AuthenticationError):
                get(client).read()
        flip(http_liar, 0)
        assert get(client).read() == b"small"

    @pytest.mark.parametrize("options", [{}, SPOOLED, {"enable_delayed_authentication": True}])
    @pytest.mark.parametrize("cut", [1, 16, 17, MiB + 20])
    def test_cut_connection(self, liar: LyingS3, make: Callable[..., Any], cut: int, options: dict[str, Any]) -> None:
        """A connection that ends early is botocore's own error, which callers retry: no evidence of tampering."""
        client = make(liar, **options)
        put(client)
        liar.lies.cut_answers, liar.lies.cut_by = 1, cut
        body = get(client)
        with pytest.raises(CUT):
            body.read()
        with pytest.raises(CUT):
            body.read(1)
        assert get(client).read() == LARGE

    @pytest.mark.parametrize("options", [{}, SPOOLED, {"enable_delayed_authentication": True}])
    @pytest.mark.parametrize("left", [0, 5, 16, 20, MiB, 2 * MiB + 12345])
    def test_cut_object(self, http_liar: LyingS3, make: Callable[..., Any], left: int, options: dict[str, Any]) -> None:
        """An object that was shortened where it lies does not verify."""
        client = make(http_liar, **options)
        put(client)
        stored(http_liar).body = stored(http_liar).body[:left]
        with pytest.raises(AuthenticationError, match="s3://b/k"):
            get(client).read()

    def test_lengthened_object(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Bytes behind the tag do not verify either."""
        client = make(http_liar)
        put(client, b"x")
        stored(http_liar).body += b"y"
        with pytest.raises(AuthenticationError):
            get(client).read()

    def test_nothing_is_read_before_it_is_asked_for(
        self, http_liar: LyingS3, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A body that nobody reads costs no memory and no disk."""
        made: list[Any] = []
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: made.append(1))
        client = make(http_liar, **SPOOLED)
        put(client)
        get(client).close()
        assert made == []


class TestSpool:
    """What lies on the disk."""

    @pytest.fixture
    def spools(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
        """Every spool that is opened, with the folder that was asked for."""
        opened: list[tuple[Any, Any]] = []
        genuine = tempfile.TemporaryFile

        def recording(*args: Any, **keywords: Any) -> Any:
            file = genuine(*args, **keywords)
            opened.append((file, keywords.get("dir")))
            return file

        monkeypatch.setattr(tempfile, "TemporaryFile", recording)
        return opened

    def test_holds_ciphertext_in_the_folder(
        self, http_liar: LyingS3, make: Callable[..., Any], spools: list[Any], tmp_path: Path
    ) -> None:
        """The spool is the stored ciphertext, in the folder that the option names, and is gone with the body."""
        client = make(http_liar, spool_directory=tmp_path, **SPOOLED)
        put(client)
        body = get(client)
        assert body.read(10) == LARGE[:10]
        ((file, folder),) = spools
        assert os.pread(file.fileno(), 3 * MiB, 0) == stored(http_liar).body[:-16]
        assert folder == str(tmp_path)
        assert list(tmp_path.iterdir()) == []
        body.close()
        assert file.closed

    def test_changed_on_disk(self, http_liar: LyingS3, make: Callable[..., Any], spools: list[Any]) -> None:
        """What comes back from the disk is what was verified, or an error."""
        client = make(http_liar, **SPOOLED)
        put(client)
        body = get(client)
        assert body.read(10) == LARGE[:10]
        spool = spools[0][0].fileno()
        (byte,) = os.pread(spool, 1, 2 * MiB)
        os.pwrite(spool, bytes([byte ^ 1]), 2 * MiB)
        with pytest.raises(AuthenticationError, match="changed on disk"):
            body.read()
        with pytest.raises(AuthenticationError, match="changed on disk"):
            body.read(1)

    def test_closed_on_failure(self, http_liar: LyingS3, make: Callable[..., Any], spools: list[Any]) -> None:
        """A spool of an object that does not verify is closed at once."""
        client = make(http_liar, **SPOOLED)
        put(client)
        flip(http_liar, -1)
        with pytest.raises(AuthenticationError):
            get(client).read()
        assert [file.closed for file, _ in spools] == [True]

    def test_up_to_the_size_nothing_is_spooled(
        self, http_liar: LyingS3, make: Callable[..., Any], spools: list[Any]
    ) -> None:
        """``buffer_size`` counts plaintext bytes, itself included."""
        put(make(http_liar), b"x" * 1000)
        assert get(make(http_liar, buffer_size=1000)).read() == b"x" * 1000
        assert spools == []
        assert get(make(http_liar, buffer_size=999)).read() == b"x" * 1000
        assert len(spools) == 1


class TestDelayed:
    """Plaintext before its tag, asked for by name."""

    def test_releases_early_and_fails_at_the_end(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The first chunks leave at once; the last waits for the tag and never leaves when it is wrong."""
        client = make(http_liar, enable_delayed_authentication=True)
        put(client)
        flip(http_liar, -1)
        body = get(client)
        assert body.read(2 * MiB) == LARGE[: 2 * MiB]
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                body.read(1)
        assert body.tell() == 2 * MiB

    @pytest.mark.parametrize("size", [0, 1, MiB, 2 * MiB + 12345])
    def test_reads(self, http_liar: LyingS3, make: Callable[..., Any], size: int) -> None:
        """Sound objects of every size, the empty one too, are read and marked as not authenticated first."""
        client = make(http_liar, enable_delayed_authentication=True)
        put(client, LARGE[:size])
        answer = client.get_object(Bucket="b", Key="k")
        assert answer["Body"].read() == LARGE[:size]
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["authenticated"] is False

    def test_empty_forgery(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The tag of an empty object is verified too."""
        client = make(http_liar, enable_delayed_authentication=True)
        put(client, b"")
        flip(http_liar, 0)
        with pytest.raises(AuthenticationError):
            get(client).read()


class TestAnswer:
    """Answers speak of plaintext."""

    def test_fields(self, make_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
        """Length, metadata and what the object was are plaintext's; the ETag is S3's own."""
        client = make_client()
        context = {"team": "hr"}
        client.put_object(
            Bucket=bucket,
            Key="k",
            Body=b"hello",
            Metadata={"mine": "1"},
            ContentType="text/x",
            EncryptionContext=context,
        )
        raw = plain_s3.head_object(Bucket=bucket, Key="k")
        for call in (client.get_object, client.head_object):
            answer = call(Bucket=bucket, Key="k", ChecksumMode="ENABLED", EncryptionContext=context)
            assert answer["ContentLength"] == 5
            assert raw["ContentLength"] == 21
            assert answer["Metadata"] == {"mine": "1"}
            assert answer["ContentType"] == "text/x"
            assert answer["ETag"] == raw["ETag"]
            assert not [name for name in answer if name.startswith("Checksum")]
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
            assert answer["ResponseMetadata"]["ClientSideEncryption"] == {
                "format": "V3",
                "algorithm_suite": "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
                "wrapping_algorithm": "kms+context",
                "metadata_location": "metadata",
                "encryption_context": context,
                "authenticated": "Body" in answer,
            }
        assert client.get_object(Bucket=bucket, Key="k", IfMatch=raw["ETag"], EncryptionContext=context)
        with pytest.raises(client.exceptions.ClientError, match="304"):
            client.get_object(Bucket=bucket, Key="k", IfNoneMatch=raw["ETag"], EncryptionContext=context)

    def test_wrong_context(self, make_client: Callable[..., Any], bucket: str, kms: Any, kms_key: str) -> None:
        """Another context, or none, is refused before KMS is asked."""
        calls: list[str] = []
        kms.meta.events.register("before-call.kms", lambda model, **_: calls.append(model.name))
        client = make_client(keyring=KmsKeyring(kms_key, client=kms))
        client.put_object(Bucket=bucket, Key="k", Body=b"hello", EncryptionContext={"team": "hr"})
        calls.clear()
        for wrong in ({"EncryptionContext": {"team": "it"}}, {"EncryptionContext": {}}, {}):
            with pytest.raises(EncryptionContextMismatchError, match="team"):
                client.get_object(Bucket=bucket, Key="k", **wrong)
        assert calls == []

    def test_arguments_stay_the_callers(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """What the caller gives is not edited."""
        client = make(http_liar)
        put(client, b"x")
        arguments = {"Bucket": "b", "Key": "k"}
        before = dict(arguments)
        client._make_api_call("GetObject", arguments)["Body"].read()
        assert arguments == before

    def test_instruction_file(self, make_client: Callable[..., Any], bucket: str) -> None:
        """The place of the content metadata is told, and HEAD knows the length without another request."""
        client = make_client(instruction_file_writes=True)
        client.put_object(Bucket=bucket, Key="k", Body=b"hello")
        answer = client.get_object(Bucket=bucket, Key="k")
        assert answer["Body"].read() == b"hello"
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["metadata_location"] == "instruction_file"
        head = client.head_object(Bucket=bucket, Key="k")
        assert head["ContentLength"] == 5
        assert head["ResponseMetadata"]["ClientSideEncryption"]["metadata_location"] == "instruction_file"


class TestUnencrypted:
    """Objects that no client encrypted."""

    def test_refused(self, http_liar: LyingS3, make: Callable[..., Any], plain: Any, counting: CountingManager) -> None:
        """By default they are refused by name, without a key operation; HEAD answers."""
        put(plain, b"open")
        client = make(http_liar)
        with pytest.raises(NotEncryptedError, match=r'unencrypted_objects="allow".*s3://b/k'):
            get(client)
        head = client.head_object(Bucket="b", Key="k")
        assert (head["ContentLength"], head["ResponseMetadata"]["ClientSideEncryption"]["format"]) == (4, None)
        assert counting.calls == 0

    @pytest.mark.parametrize("name", ["x-amz-unencrypted-content-length", "X-Amz-Unencrypted-Content-MD5"])
    def test_never_ciphertext_whose_instruction_file_is_gone(
        self, http_liar: LyingS3, make: Callable[..., Any], name: str
    ) -> None:
        """The one trace that older clients leave in such an object is enough to keep it from passing for content."""
        http_liar.state.objects["b/k"] = Stored(b"ciphertext", {f"x-amz-meta-{name}": "5"})
        client = make(http_liar, unencrypted_objects="allow")
        ways: list[dict[str, str]] = [{}, {"Range": "bytes=0-3"}]
        for how in ways:
            with pytest.raises(MalformedMetadataError, match=name.lower()):
                client.get_object(Bucket="b", Key="k", **how)
        assert name.lower() in str(inspect(client, Bucket="b", Key="k").problem)

    @pytest.mark.parametrize("allowed", ["allow", "refuse"])
    def test_never_ciphertext_whose_instruction_file_was_cut(
        self, http_liar: LyingS3, make: Callable[..., Any], allowed: str
    ) -> None:
        """A broken line while the file is read is a broken line, and says nothing about the object."""
        policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
        make(http_liar, commitment_policy=policy, instruction_file_writes=True).put_object(
            Bucket="b", Key="k", Body=b"plaintext"
        )
        client = make(http_liar, commitment_policy=policy, unencrypted_objects=allowed)

        def cut_the_second(number: int) -> None:
            http_liar.lies.cut_answers = int(number == 2)

        http_liar.state.gets = 0
        http_liar.lies.on_get = cut_the_second
        with pytest.raises(CUT):
            client.get_object(Bucket="b", Key="k")
        assert client.get_object(Bucket="b", Key="k")["Body"].read() == b"plaintext"

    def test_an_instruction_file_is_read_as_what_it_is(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Its mark is a name of the encrypting clients as well, and no sign of ciphertext."""
        http_liar.state.objects["b/k.other"] = Stored(b"{}", {"x-amz-meta-x-amz-crypto-instr-file": ""})
        client = make(http_liar, unencrypted_objects="allow")
        assert client.get_object(Bucket="b", Key="k.other")["Body"].read() == b"{}"
        assert inspect(client, Bucket="b", Key="k.other").problem is None

    @pytest.mark.parametrize("how", [{}, {"Range": "bytes=0-2"}])
    def test_allowed(self, http_liar: LyingS3, make: Callable[..., Any], plain: Any, how: dict[str, str]) -> None:
        """Where they are allowed, they come as they are and are marked as such."""
        put(plain, b"open")
        answer = make(http_liar, unencrypted_objects="allow").get_object(Bucket="b", Key="k", **how)
        assert answer["Body"].read() == (b"ope" if how else b"open")
        assert answer["ResponseMetadata"]["ClientSideEncryption"] == {
            "format": None,
            "algorithm_suite": None,
            "wrapping_algorithm": None,
            "metadata_location": None,
            "encryption_context": None,
            "authenticated": False,
        }

    def test_stripped_metadata_is_not_ciphertext_served(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """An encrypted object that lost its metadata is refused like every other object without."""
        client = make(http_liar)
        put(client)
        stored(http_liar).metadata.clear()
        with pytest.raises(NotEncryptedError):
            get(client)

    @pytest.mark.slow
    def test_head_of_a_forgery_answers(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """HEAD describes even what cannot be understood; the read says why."""
        client = make(http_liar)
        put(client, b"x")
        stored(http_liar).metadata["x-amz-meta-x-amz-key-v2"] = "AAAA"
        head = client.head_object(Bucket="b", Key="k")
        assert head["ResponseMetadata"]["ClientSideEncryption"]["format"] is None
        assert head["Metadata"] == {}
        with pytest.raises(S3ECError):
            get(client)


class TestCbc:
    """Legacy content, which nothing authenticates."""

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17, MiB - 1, MiB, 2 * MiB + 12345])
    def test_reads(self, http_liar: LyingS3, make: Callable[..., Any], size: int) -> None:
        """Every size comes out as it went in, and is marked as not authenticated."""
        http_liar.state.objects["b/k"] = cbc_object(LARGE[:size])
        client = make(http_liar, **cbc_options())
        answer = client.get_object(Bucket="b", Key="k")
        assert b"".join(answer["Body"].iter_chunks(100_000)) == LARGE[:size]
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["authenticated"] is False
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["format"] == "V1"

    def test_refused_by_default(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Without the opt-in nothing is read."""
        http_liar.state.objects["b/k"] = cbc_object(b"x")
        client = make(http_liar, **cbc_options(enable_legacy_unauthenticated_modes=False))
        with pytest.raises(LegacyAlgorithmError, match="enable_legacy_unauthenticated_modes"):
            get(client)

    @pytest.mark.parametrize("left", [0, 1, 16, 31, MiB])
    def test_cut_object(self, http_liar: LyingS3, make: Callable[..., Any], left: int) -> None:
        """What is left of a padded object fails with the error of a wrong key, whatever was cut: no padding oracle."""
        found = cbc_object(b"x" * (2 * MiB))
        http_liar.state.objects["b/k"] = Stored(found.body[:left], found.metadata)
        with pytest.raises(KeyUnwrapError, match="its content was altered"):
            get(make(http_liar, **cbc_options())).read()

    def test_cut_connection(self, liar: LyingS3, make: Callable[..., Any]) -> None:
        """A cut connection is botocore's error here too."""
        liar.state.objects["b/k"] = cbc_object(LARGE)
        client = make(liar, **cbc_options())
        liar.lies.cut_answers = 1
        with pytest.raises(CUT):
            get(client).read()

    @pytest.mark.parametrize("noted", ["12345", "9", "nonsense"])
    def test_head(self, http_liar: LyingS3, make: Callable[..., Any], noted: str) -> None:
        """The noted length is believed only where padding allows it."""
        found = cbc_object(LARGE[:12345])
        found.metadata["x-amz-meta-x-amz-unencrypted-content-length"] = noted
        http_liar.state.objects["b/k"] = found
        head = make(http_liar, **cbc_options()).head_object(Bucket="b", Key="k")
        assert head["ContentLength"] == (12345 if noted == "12345" else 12352)


def test_another_key(http_liar: LyingS3, make: Callable[..., Any]) -> None:
    """A wrapping key that did not wrap is refused before content is read."""
    put(make(http_liar), b"x")
    with pytest.raises(S3ECError):
        get(make(http_liar, keyring=AesKeyring(bytes(32))))


def _with_a_wrong_checksum(server: LyingS3, plain: Any) -> None:
    """Let the server say, of its object as it is, a checksum that is another content's."""
    stored = server.state.objects["b/k"]
    wrong = zlib.crc32(stored.body + b"other").to_bytes(4, "big")
    stored.metadata["x-amz-checksum-crc32"] = base64.b64encode(wrong).decode()
    with pytest.raises(FlexibleChecksumError):
        plain.get_object(Bucket="b", Key="k")["Body"].read()


@pytest.mark.parametrize("options", [{}, SPOOLED, {"enable_delayed_authentication": True}], ids=str)
@pytest.mark.parametrize("size", [0, 1000, 2 * MiB + 5])
def test_the_tag_makes_the_checksum_idle(
    make: Callable[..., Any], http_liar: LyingS3, plain: Any, size: int, options: dict[str, Any]
) -> None:
    """Content that its tag covers is not run through the checksum as well, which would cost more than decrypting it."""
    client, body = make(http_liar, **options), os.urandom(size)
    client.put_object(Bucket="b", Key="k", Body=body)
    _with_a_wrong_checksum(http_liar, plain)
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == body
    sink = io.BytesIO()
    client.download_fileobj("b", "k", sink)
    assert sink.getvalue() == body


@pytest.mark.parametrize("encrypted", [True, False], ids=["CBC", "not encrypted"])
def test_without_a_tag_the_checksum_is_looked_at(
    make: Callable[..., Any], http_liar: LyingS3, plain: Any, encrypted: bool
) -> None:
    """Nothing else would notice an error of the line in CBC content, nor in content that is not encrypted."""
    http_liar.state.objects["b/k"] = cbc_object(b"plaintext") if encrypted else Stored(b"plaintext", {})
    client = make(http_liar, **cbc_options(unencrypted_objects="allow"))
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == b"plaintext"
    _with_a_wrong_checksum(http_liar, plain)
    with pytest.raises(FlexibleChecksumError):
        client.get_object(Bucket="b", Key="k")["Body"].read()
