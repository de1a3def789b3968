"""Bodies whose memory changes while they are sent, and bodies that have nothing to give yet."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from s3ec.client.bodies import ciphertext
from s3ec.errors import ConfigurationError, MultipartStateError, SourceChangedError
from s3ec.s3.multipart import ledger as multipart_ledger

from support.lying_s3 import LyingS3

MiB = 1024 * 1024
PLACE = {"Bucket": "b", "Key": "k"}


class TestSnapshots:
    """What is authenticated and what is encrypted is one copy: no write between the two reaches the wire."""

    @pytest.mark.parametrize("kind", [lambda data: data, memoryview], ids=["bytearray", "memoryview"])
    def test_put(
        self, make: Callable[..., Any], http_liar: LyingS3, monkeypatch: pytest.MonkeyPatch, kind: Callable[..., Any]
    ) -> None:
        """The caller's memory changes after each MAC and back before the next: one ciphertext, or an error."""
        data = bytearray(2 * MiB)
        real = ciphertext.ChunkMac.of

        def then_write(mac: Any, index: int, chunk: Any) -> bytes:
            result: bytes = real(mac, index, chunk)
            # As another thread may, between the MAC and the cipher, in every second pass.
            data[5] = len(http_liar.state.attempts) % 2
            return result

        monkeypatch.setattr(ciphertext.ChunkMac, "of", then_write)
        http_liar.lies.fail_after_body = 2
        client = make()
        with suppress(SourceChangedError):
            client.put_object(**PLACE, Body=kind(data))
        first, *others = http_liar.state.bodies()
        assert first
        # An attempt that was broken off is the beginning of the first.
        assert all(first.startswith(body) for body in others)

    def test_parts(self, make: Callable[..., Any], http_liar: LyingS3, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same for a part that is given twice: what is kept is what its MAC is of."""
        data = bytearray(6 * MiB)
        real = multipart_ledger.PartMac.update

        def then_write(mac: Any, chunk: Any) -> None:
            real(mac, chunk)
            data[5] ^= 0xFF

        client = make()
        upload = {**PLACE, "UploadId": client.create_multipart_upload(**PLACE)["UploadId"]}
        monkeypatch.setattr(multipart_ledger.PartMac, "update", then_write)
        for _ in range(4):
            data[5] = 0
            with suppress(MultipartStateError):
                client.upload_part(**upload, PartNumber=1, Body=data)
        assert len(set(http_liar.state.bodies())) == 1


class Dry(io.RawIOBase):
    """A stream that gives something, then nothing yet, and then the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[bytes | None] = [b"A" * 1000, None, b"B" * 1000, b""]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> Any:
        return self.answers.pop(0)


class _Pipe(io.FileIO):
    """The reading end of a pipe that does not wait, with something in it and a writer that keeps it open."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        os.set_blocking(reader, False)
        os.write(self.writer, b"A" * 1000)
        super().__init__(reader, "rb")

    def close(self) -> None:
        if not self.closed:
            os.close(self.writer)
        super().close()


BODIES: dict[str, Callable[[], Any]] = {
    "read answers None": Dry,
    "a pipe that does not wait": _Pipe,
    "a buffered pipe": lambda: io.BufferedReader(_Pipe()),
    "an iterator of None": lambda: iter([b"A", None, b"B"]),
    "an iterator of text": lambda: iter([b"A", "B"]),
    "an iterator of numbers": lambda: iter([1, 2]),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("way", ["put", "part", "upload"])
def test_nothing_yet_is_not_the_end(
    make: Callable[..., Any], http_liar: LyingS3, body: Callable[[], Any], way: str
) -> None:
    """None from a body is an error (PEP 3116), whatever it is, and nothing is stored."""
    client = make()
    given = body()
    if way == "upload" and not hasattr(given, "read"):
        pytest.skip("upload_fileobj takes files")
    upload = {**PLACE, "UploadId": client.create_multipart_upload(**PLACE)["UploadId"]}
    call = {
        "put": lambda: client.put_object(**PLACE, Body=given),
        "part": lambda: client.upload_part(**upload, PartNumber=1, Body=given),
        "upload": lambda: client.upload_fileobj(given, "b", "k"),
    }[way]
    with pytest.raises(ConfigurationError, match=r"nothing to read yet|gives text|gives int"):
        call()
    assert "b/k" not in http_liar.state.objects
    if hasattr(given, "close"):
        given.close()


def test_a_file_without_a_size(make: Callable[..., Any], tmp_path: Any) -> None:
    """A FIFO says that it has no bytes; all that comes through it is uploaded."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    data = os.urandom(300_000)
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    counted: list[int] = []
    client = make()
    client.upload_file(str(path), "b", "k", Callback=counted.append)
    writer.join()
    assert client.get_object(**PLACE)["Body"].read() == data
    assert sum(counted) == len(data)


def test_no_callback_with_nothing(make: Callable[..., Any], tmp_path: Any) -> None:
    """An empty upload or download does not call back, since callers divide by what they hear of."""
    client, empty, counted = make(), tmp_path / "empty", list[int]()
    empty.write_bytes(b"")
    client.upload_file(str(empty), "b", "k", Callback=counted.append)
    client.upload_fileobj(io.BytesIO(b""), "b", "k", Callback=counted.append)
    client.download_file("b", "k", str(empty), Callback=counted.append)
    client.download_fileobj("b", "k", io.BytesIO(), Callback=counted.append)
    assert counted == []


def test_a_negative_length_is_botocores_error(make: Callable[..., Any], http_liar: LyingS3) -> None:
    """ContentLength is validated as botocore validates parameters."""
    from botocore.exceptions import ParamValidationError

    client = make()
    for length in (-1, "5"):
        with pytest.raises(ParamValidationError):
            client.put_object(**PLACE, Body=b"x", ContentLength=length)
    assert not http_liar.state.attempts


@pytest.mark.parametrize(
    ("claim", "algorithm"),
    [
        ({"ContentMD5": "kAFQmDzST7DWlj99KOF/cg=="}, "CRC32"),
        ({"ChecksumCRC32": "NSRBwg=="}, "CRC32"),
        ({"ChecksumSHA256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="}, "SHA256"),
        ({"ChecksumSHA1": "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="}, "SHA1"),
    ],
    ids=["md5", "crc32", "sha256", "sha1"],
)
@pytest.mark.parametrize("way", ["put", "part"])
def test_a_checksum_is_replaced(
    make: Callable[..., Any], http_liar: LyingS3, claim: dict[str, str], algorithm: str, way: str
) -> None:
    """A caller's checksum of the plaintext becomes one of the ciphertext, also where none is sent by default."""
    from botocore.config import Config

    client = make(config=Config(request_checksum_calculation="when_required"))
    if way == "put":
        client.put_object(**PLACE, Body=b"abc", **claim)
    else:
        upload = {**PLACE, "UploadId": client.create_multipart_upload(**PLACE)["UploadId"]}
        answer = client.upload_part(**upload, PartNumber=1, Body=b"abc" * 2_000_000)
        answer = client.upload_part(**upload, PartNumber=2, Body=b"abc", **claim)
        assert answer["ETag"]
        return
    headers = {name.lower() for name in http_liar.state.attempts[-1].headers}
    assert f"x-amz-checksum-{algorithm.lower()}" in headers
    assert "content-md5" not in headers


ENDING = """
    import atexit, io, threading, sys
    sys.path[:0] = {path!r}
    from s3ec import AesKeyring, EncryptionClient

    client = EncryptionClient(keyring=AesKeyring(bytes(32)), **{arguments!r})

    def clean():
        place = dict(Bucket={bucket!r}, Key="m")
        for key, body in (("a", b"x"), ("b", b"x"), ("c", io.BytesIO(bytes(9 * 1024 * 1024)))):
            client.put_object(Bucket={bucket!r}, Key=key, Body=body)
        doomed = dict(Objects=[dict(Key=key) for key in "abc"])
        print(len(client.delete_objects(Bucket={bucket!r}, Delete=doomed)["Deleted"]))
        upload = dict(place, UploadId=client.create_multipart_upload(**place)["UploadId"])
        parts = []
        for number, size in ((2, 7), (1, 5 * 1024 * 1024)):
            answer = client.upload_part(**upload, PartNumber=number, Body=bytes(size))
            parts.insert(0, dict(PartNumber=number, ETag=answer["ETag"]))
        client.complete_multipart_upload(**upload, MultipartUpload=dict(Parts=parts))
        print(client.head_object(**place)["ContentLength"])

    {how}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        "atexit.register(clean)",
        "threading.Thread(target=lambda: (threading.main_thread().join(), clean())).start()",
    ],
    ids=["atexit", "a thread that outlives the main one"],
)
def test_at_the_end_of_the_interpreter(aws: dict[str, Any], bucket: str, how: str) -> None:
    """Clean-ups work where plain boto3's do: no call needs a new thread."""
    code = textwrap.dedent(ENDING).format(path=sys.path, arguments=aws, bucket=bucket, how=how)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["3", str(5 * MiB + 7)], done.stderr
