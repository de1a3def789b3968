"""Managed transfers: boto3's signatures, plaintext's figures, and no file that did not verify."""

from __future__ import annotations

import io
import os
import random
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from boto3.s3.transfer import S3Transfer, TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import ClientError
from s3transfer.manager import TransferManager

from s3ec.client.transfers import downloads, uploads
from s3ec.client.transfers import pace as pace_of_transfers
from s3ec.client.transfers.download_targets import DownloadFailed
from s3ec.client.transfers.pace import Pace
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    EncryptionContextMismatchError,
    NotEncryptedError,
    S3ECError,
    SourceChangedError,
    UnsupportedOperationError,
)

from support.cbc import cbc_object, cbc_options
from support.counting import CountingManager
from support.lying_s3 import LyingS3, Stored

MiB = 1024 * 1024
MARK = b"plaintext that must not travel "
DATA = MARK + random.Random(5).randbytes(11 * MiB) + MARK
SMALL = TransferConfig(multipart_threshold=100_000, multipart_chunksize=5 * MiB, max_concurrency=3)
DOWN = TransferConfig(multipart_threshold=100_000, multipart_chunksize=30_000, max_concurrency=4)
ONE_THREAD = {"use_threads": False, "multipart_threshold": 100_000, "multipart_chunksize": 30_000}
ONCE = Config(retries={"total_max_attempts": 1})
SIZES = [0, 1, 99_999, 100_000, 100_001, 11 * MiB]


class OnlyReads:
    """A stream that can do nothing but read, and gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        """Some bytes."""
        return self._file.read(min(size, 70_001) if size >= 0 else -1)


def put(client: Any, body: bytes = DATA[:300_000]) -> bytes:
    """Puts the object; gives back its content."""
    client.put_object(Bucket="b", Key="k", Body=body)
    return body


def body_of(client: Any) -> bytes:
    """The content of the object."""
    data: bytes = client.get_object(Bucket="b", Key="k")["Body"].read()
    return data


class TestUploads:
    """upload_file and upload_fileobj."""

    @pytest.mark.parametrize("how", ["file", "path", "seekable", "stream"])
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("threads", [True, False])
    def test_every_size(
        self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, how: str, size: int, threads: bool
    ) -> None:
        """What goes up comes down; the callback's sum is the plaintext; the wire never sees it."""
        if size > MiB and (how in ("path", "seekable")) is threads:
            pytest.skip("the same as its neighbour")
        client, content, told = make(), DATA[:size], list[int]()
        config = TransferConfig(multipart_threshold=100_000, multipart_chunksize=5 * MiB, use_threads=threads)
        place = {"Bucket": "b", "Key": "k", "Callback": told.append, "Config": config}
        if how in ("file", "path"):
            source = tmp_path / "source"
            source.write_bytes(content)
            client.upload_file(source if how == "path" else str(source), **place)
        else:
            client.upload_fileobj(io.BytesIO(content) if how == "seekable" else OnlyReads(content), **place)
        assert sum(told) == size
        assert len(http_liar.state.objects["b/k"].body) == size + 16
        assert not [body for body in http_liar.state.bodies() if MARK in body]
        assert ("POST" in [method for method, _, _ in http_liar.state.requests]) is (size >= 100_000)
        assert http_liar.state.uploads == {}
        assert body_of(client) == content

    def test_from_where_it_stands(self, make: Callable[..., Any]) -> None:
        """A file-like object goes up from its position on, and stays open."""
        client, source = make(), io.BytesIO(b"0123456789")
        source.seek(4)
        client.upload_fileobj(source, "b", "k")
        assert body_of(client) == b"456789"
        assert not source.closed

    def test_extra_arguments(self, make_client: Callable[..., Any], bucket: str, tmp_path: Path) -> None:
        """Metadata, content type and context arrive, in one request and in parts."""
        client = make_client()
        (tmp_path / "f").write_bytes(DATA[:150_000])
        extra = {"Metadata": {"mine": "1"}, "ContentType": "text/x", "EncryptionContext": {"team": "hr"}}
        before = {name: dict(value) if isinstance(value, dict) else value for name, value in extra.items()}
        for config in (TransferConfig(), SMALL):
            client.upload_file(str(tmp_path / "f"), bucket, "k", ExtraArgs=extra, Config=config)
            head = client.head_object(Bucket=bucket, Key="k")
            assert (head["Metadata"], head["ContentType"]) == ({"mine": "1"}, "text/x")
            with pytest.raises(EncryptionContextMismatchError):
                client.get_object(Bucket=bucket, Key="k")
            client.download_file(
                bucket, "k", str(tmp_path / "g"), ExtraArgs={"EncryptionContext": {"team": "hr"}}, Config=DOWN
            )
            assert (tmp_path / "g").read_bytes() == DATA[:150_000]
        assert extra == before

    def test_failure_is_boto3s_and_aborts(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """S3's refusal is S3UploadFailedError from a file, ClientError from an object; no upload is left behind."""
        client = make(config=ONCE)
        (tmp_path / "f").write_bytes(DATA)
        http_liar.lies.fail_after_body = 100
        for config in (SMALL, TransferConfig(use_threads=False)):
            with pytest.raises(S3UploadFailedError, match="Failed to upload .* to b/k"):
                client.upload_file(str(tmp_path / "f"), "b", "k", Config=config)
            with pytest.raises(ClientError):
                client.upload_fileobj(io.BytesIO(DATA), "b", "k", Config=config)
        assert http_liar.state.uploads == {}
        assert http_liar.state.objects == {}

    @pytest.mark.parametrize("threads", [True, False])
    def test_failure_of_the_caller_aborts(self, http_liar: LyingS3, make: Callable[..., Any], threads: bool) -> None:
        """An error of the source or of the callback comes out as it is, and the upload is aborted."""

        class Broken(OnlyReads):
            left = 6 * MiB

            def read(self, size: int = -1) -> bytes:
                self.left -= size
                if self.left < 0:
                    raise OSError("the disk is gone")
                return super().read(size)

        def refuse(_: int) -> None:
            raise RuntimeError("no further")

        client = make()
        config = TransferConfig(multipart_threshold=100_000, multipart_chunksize=5 * MiB, use_threads=threads)
        with pytest.raises(OSError, match="the disk is gone"):
            client.upload_fileobj(Broken(DATA), "b", "k", Config=config)
        with pytest.raises(RuntimeError, match="no further"):
            client.upload_fileobj(io.BytesIO(DATA), "b", "k", Config=config, Callback=refuse)
        assert http_liar.state.uploads == {}
        assert http_liar.state.objects == {}

    def test_file_that_shrinks(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """A file that shrinks on the way gives no object."""
        source = tmp_path / "f"
        source.write_bytes(DATA)
        config = TransferConfig(multipart_threshold=100_000, multipart_chunksize=5 * MiB, use_threads=False)
        with pytest.raises(SourceChangedError, match=r"given up.*s3://b/k"):
            make().upload_file(str(source), "b", "k", Config=config, Callback=lambda _: os.truncate(source, 6 * MiB))
        assert http_liar.state.uploads == {}

    @pytest.mark.parametrize("threshold", [100_000, 1000 * MiB])
    def test_file_that_grows(self, make: Callable[..., Any], tmp_path: Path, threshold: int) -> None:
        """A log that is written to meanwhile is stored as far as it reached, as plain boto3 does."""
        source = tmp_path / "f"
        source.write_bytes(DATA)
        client = make()
        config = TransferConfig(multipart_threshold=threshold, multipart_chunksize=5 * MiB, use_threads=False)

        def append(**_: Any) -> None:
            with source.open("ab") as file:
                file.write(b"more")

        client.meta.events.register("before-call.s3", append)
        client.upload_file(str(source), "b", "k", Config=config)
        assert source.stat().st_size > len(DATA)
        assert body_of(client) == DATA

    def test_declared_size(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A declared size that is not the body's is refused before anything is sent."""
        client = make()
        with pytest.raises(ConfigurationError, match="MpuObjectSize says 5"):
            client.upload_fileobj(io.BytesIO(DATA), "b", "k", {"MpuObjectSize": 5}, Config=SMALL)
        assert http_liar.state.requests == []
        client.upload_fileobj(io.BytesIO(DATA), "b", "k", {"MpuObjectSize": len(DATA)}, Config=SMALL)
        assert body_of(client) == DATA

    @pytest.mark.slow
    def test_bandwidth(self, make: Callable[..., Any]) -> None:
        """A limit of bandwidth is taken."""
        client = make()
        config = TransferConfig(multipart_threshold=100_000, max_bandwidth=1000 * MiB)
        client.upload_fileobj(io.BytesIO(DATA), "b", "k", Config=config)
        target = io.BytesIO()
        client.download_fileobj("b", "k", target, Config=config)
        assert target.getvalue() == DATA

    def test_misuse(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """boto3's own errors for wrong arguments, before the wire."""
        client: Any = make()
        calls: list[Callable[[], Any]] = [
            lambda: client.upload_file(7, "b", "k"),
            lambda: client.upload_fileobj("text", "b", "k"),
            lambda: client.download_file("b", "k", 7),
            lambda: client.download_fileobj("b", "k", object()),
            lambda: client.upload_fileobj(io.BytesIO(), "b", "k", {"Nonsense": 1}),
            lambda: client.download_fileobj("b", "k", io.BytesIO(), {"ACL": "private"}),
            lambda: client.copy({"Bucket": "b", "Key": "k"}, "b", "l", {"EncryptionContext": {}}),
            lambda: client.upload_fileobj(io.BytesIO(), "b", "k", Config={"multipart_threshold": 3}),
            lambda: client.upload_fileobj(io.BytesIO(), "b", "k", {"Metadata": {"x-amz-key-v2": "x"}}),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"."):
                call()
        with pytest.raises(FileNotFoundError):
            client.upload_file(str(tmp_path / "absent"), "b", "k")
        assert http_liar.state.requests == []


class TestDownloads:
    """download_file and download_fileobj."""

    @pytest.mark.parametrize("config", [DOWN, TransferConfig(**ONE_THREAD), None], ids=["parallel", "serial", "none"])
    @pytest.mark.parametrize("size", [0, 1, 99_983, 99_984, 99_985, 300_000])
    @pytest.mark.parametrize("options", [{}, {"buffer_size": 5}])
    def test_every_size(
        self, make: Callable[..., Any], tmp_path: Path, size: int, config: Any, options: dict[str, Any]
    ) -> None:
        """Around the threshold, in one request and in many; the callback's sum is the plaintext."""
        client = make(**options)
        content = put(client, DATA[:size])
        told: list[int] = []
        client.download_file("b", "k", str(tmp_path / "f"), Callback=told.append, Config=config)
        assert (tmp_path / "f").read_bytes() == content
        assert sum(told) == size
        target, told = io.BytesIO(), []
        client.download_fileobj("b", "k", target, Callback=told.append, Config=config)
        assert target.getvalue() == content
        assert sum(told) == size
        assert os.listdir(tmp_path) == ["f"]

    def test_is_parallel_and_pinned(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """Ranges of one version, each once, and one key operation."""
        client = make()
        put(client)
        http_liar.state.requests.clear()
        client.download_file("b", "k", tmp_path / "f", Config=DOWN)
        methods = [method for method, _, _ in http_liar.state.requests]
        ranges = [header for _, _, header in http_liar.state.requests[1:]]
        assert methods == ["HEAD"] + ["GET"] * 11
        assert len(set(ranges)) == 11
        assert "bytes=300000-300015" in ranges

    @pytest.mark.parametrize("config", [DOWN, TransferConfig()], ids=["parts", "whole"])
    @pytest.mark.parametrize("position", [0, 150_000, -1])
    @pytest.mark.parametrize("options", [{}, {"buffer_size": 5}])
    def test_flipped_bit(
        self,
        http_liar: LyingS3,
        make: Callable[..., Any],
        tmp_path: Path,
        position: int,
        config: Any,
        options: dict[str, Any],
    ) -> None:
        """Tampering leaves no file, harms none that was there, and gives an object nothing."""
        client = make(**options)
        put(client)
        http_liar.lies.tamper = lambda body: (
            body[: position % len(body)] + bytes([body[position] ^ 1]) + body[position % len(body) + 1 :]
        )
        with pytest.raises(AuthenticationError, match="s3://b/k"):
            client.download_file("b", "k", str(tmp_path / "f"), Config=config)
        assert os.listdir(tmp_path) == []
        (tmp_path / "f").write_bytes(b"former")
        with pytest.raises(AuthenticationError):
            client.download_file("b", "k", str(tmp_path / "f"), Config=config)
        assert (tmp_path / "f").read_bytes() == b"former"
        assert os.listdir(tmp_path) == ["f"]
        target = io.BytesIO()
        with pytest.raises(AuthenticationError):
            client.download_fileobj("b", "k", target, Config=config)
        assert target.getvalue() == b""

    @pytest.mark.parametrize("left", [0, 15, 16, 100_000, 299_000])
    def test_cut_object(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, left: int) -> None:
        """Neither does an object that was shortened."""
        client = make()
        put(client)
        http_liar.state.objects["b/k"].body = http_liar.state.objects["b/k"].body[:left]
        with pytest.raises(AuthenticationError):
            client.download_file("b", "k", str(tmp_path / "f"), Config=DOWN)
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("to_file", [True, False])
    @pytest.mark.parametrize("same_length", [True, False])
    @pytest.mark.parametrize("times", [1, 2])
    @pytest.mark.parametrize("config", [DOWN, None], ids=["parts", "whole"])
    def test_replaced_meanwhile(
        self,
        http_liar: LyingS3,
        make: Callable[..., Any],
        tmp_path: Path,
        config: TransferConfig | None,
        times: int,
        *,
        same_length: bool,
        to_file: bool,
    ) -> None:
        """An object replaced while it is downloaded is downloaded again, once; then the error is s3transfer's own."""
        client = make()
        content = put(client)
        first = http_liar.state.objects["b/k"]
        others = [content[::-1] if same_length else b"x" * 99, content]
        stored = []
        for other in others:
            client.put_object(Bucket="b", Key="k", Body=other)
            stored.append(http_liar.state.objects["b/k"])
        http_liar.state.objects["b/k"] = first
        told: list[int] = []
        http_liar.state.requests.clear()
        replacements = stored[:times]

        def replace(_: int) -> None:
            # At the first GET after each HEAD.
            heads = [method for method, _, _ in http_liar.state.requests].count("HEAD")
            if replacements and heads > times - len(replacements):
                http_liar.state.objects["b/k"] = replacements.pop(0)

        http_liar.lies.on_get = replace
        target = io.BytesIO()

        def download() -> None:
            if to_file:
                client.download_file("b", "k", str(tmp_path / "f"), Config=config, Callback=told.append)
            else:
                client.download_fileobj("b", "k", target, Config=config, Callback=told.append)

        if times == 1:
            download()
            assert (tmp_path / "f").read_bytes() if to_file else target.getvalue() == others[0]
            assert sum(told) == len(others[0])
            return
        with pytest.raises(DownloadFailed, match='"k" in bucket "b" did not match expected ETag|PreconditionFailed'):
            download()
        assert os.listdir(tmp_path) == []
        assert target.getvalue() == b""

    @pytest.mark.parametrize(
        ("lie", "told"),
        [
            ({"headers": {"ETag": '"other"'}}, "was replaced"),
            ({"total": 4_000_000, "total_answers": 500}, "one length of the object first"),
        ],
    )
    @pytest.mark.parametrize("config", [DOWN, None], ids=["parts", "whole"])
    def test_answers_for_another_object(
        self,
        http_liar: LyingS3,
        make: Callable[..., Any],
        config: TransferConfig | None,
        lie: dict[str, Any],
        told: str,
    ) -> None:
        """Every part is of the object that the HEAD was about."""
        client = make()
        put(client, DATA[:3_000_000])

        def pass_off(_: int) -> None:
            for name, value in lie.items():
                setattr(http_liar.lies, name, value)

        http_liar.lies.on_get = pass_off
        with pytest.raises(AuthenticationError, match=told):
            client.download_fileobj("b", "k", io.BytesIO(), Config=config)

    @pytest.mark.parametrize("lie", ["ignore_ranges", "wrong_range"])
    def test_server_that_answers_something_else(
        self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, lie: str
    ) -> None:
        """A server that ignores the range or answers another one is noticed."""
        client = make()
        put(client)
        setattr(http_liar.lies, lie, 16)
        with pytest.raises(AuthenticationError, match="another range|makes no sense"):
            client.download_file("b", "k", str(tmp_path / "f"), Config=DOWN)
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("config", [DOWN, TransferConfig()], ids=["parts", "whole"])
    def test_broken_connections(
        self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, config: TransferConfig
    ) -> None:
        """Parts that break are fetched again, and counted once; those that always break are boto3's error."""
        client = make()
        content = put(client)
        told: list[int] = []
        http_liar.lies.cut_answers, http_liar.lies.cut_by = 3, 10
        client.download_file("b", "k", str(tmp_path / "f"), Callback=told.append, Config=config)
        assert (tmp_path / "f").read_bytes() == content
        assert sum(told) == len(content)
        http_liar.lies.cut_answers = 10_000
        with pytest.raises(RetriesExceededError):
            client.download_file("b", "k", str(tmp_path / "g"), Config=config)
        assert os.listdir(tmp_path) == ["f"]

    @pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
    def test_mode(self, make: Callable[..., Any], tmp_path: Path) -> None:
        """The file gets the mode that the umask gives, and nobody else may read it before it verified."""
        client = make()
        put(client)
        modes: set[int] = set()

        def look(_: int) -> None:
            modes.update(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())

        former = os.umask(0o027)
        try:
            client.download_file("b", "k", str(tmp_path / "f"), Callback=look, Config=TransferConfig(**ONE_THREAD))
        finally:
            os.umask(former)
        assert modes <= {0o600, 0o640}
        assert 0o600 in modes
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    @pytest.mark.parametrize("sound", [True, False])
    def test_special_file(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, sound: bool) -> None:
        """A pipe gets verified plaintext, or nothing."""
        client = make()
        content = put(client)
        if not sound:
            http_liar.lies.tamper = lambda body: body[:-1] + bytes([body[-1] ^ 1])
        os.mkfifo(tmp_path / "pipe")
        arrived: list[bytes] = []
        reader = threading.Thread(target=lambda: arrived.append((tmp_path / "pipe").read_bytes()))
        reader.start()
        if sound:
            client.download_file("b", "k", str(tmp_path / "pipe"), Config=DOWN)
        else:
            with pytest.raises(AuthenticationError):
                client.download_file("b", "k", str(tmp_path / "pipe"), Config=DOWN)
        reader.join(30)
        assert arrived == [content if sound else b""]
        assert os.listdir(tmp_path) == ["pipe"]

    def test_delayed_authentication(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """Asked for by name, an object gets bytes early; a file still appears only when it verified."""
        client = make(enable_delayed_authentication=True)
        config = TransferConfig(multipart_threshold=MiB, multipart_chunksize=700_000)
        content = put(client, DATA[: 3 * MiB])
        http_liar.lies.tamper = lambda body: body[:-1] + bytes([body[-1] ^ 1])
        target = io.BytesIO()
        with pytest.raises(AuthenticationError):
            client.download_fileobj("b", "k", target, Config=config)
        assert target.getvalue() == content[: 2 * MiB]
        with pytest.raises(AuthenticationError):
            client.download_file("b", "k", str(tmp_path / "f"), Config=config)
        assert os.listdir(tmp_path) == []

    def test_cbc(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """Legacy content is downloaded with its opt-ins."""
        http_liar.state.objects["b/k"] = cbc_object(DATA[:300_000])
        make(**cbc_options()).download_file("b", "k", str(tmp_path / "f"), Config=DOWN)
        assert (tmp_path / "f").read_bytes() == DATA[:300_000]

    def test_unencrypted(
        self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, counting: CountingManager
    ) -> None:
        """Refused by default, allowed where it is allowed, on the same path as plain boto3."""
        http_liar.state.objects["b/k"] = Stored(b"open", {})
        target = io.BytesIO()
        with pytest.raises(NotEncryptedError):
            make().download_file("b", "k", str(tmp_path / "f"))
        assert os.listdir(tmp_path) == []
        client, told = make(unencrypted_objects="allow"), list[int]()
        client.download_file("b", "k", str(tmp_path / "f"), Callback=told.append)
        client.download_fileobj("b", "k", target, Config=TransferConfig(use_threads=False))
        assert ((tmp_path / "f").read_bytes(), target.getvalue(), told) == (b"open", b"open", [4])
        assert counting.calls == 0

    def test_absent(self, make: Callable[..., Any], tmp_path: Path) -> None:
        """S3's own 404, and no file; a folder that is not there is the system's error."""
        client = make()
        with pytest.raises(ClientError, match="404"):
            client.download_file("b", "k", str(tmp_path / "f"))
        put(client)
        with pytest.raises(FileNotFoundError):
            client.download_file("b", "k", str(tmp_path / "absent" / "f"))
        assert os.listdir(tmp_path) == []

    def test_target_that_breaks(self, make: Callable[..., Any]) -> None:
        """An error of the caller's own object comes out as it is, and the client stays usable."""

        class Full(io.RawIOBase):
            def write(self, _: Any) -> int:
                raise OSError("the disk is full")

        client = make()
        content = put(client)
        with pytest.raises(OSError, match="the disk is full"):
            client.download_fileobj("b", "k", Full(), Config=DOWN)
        assert body_of(client) == content


class TestClassic:
    """The transfer client that goes past every Python client."""

    def test_crt_by_name_is_refused(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """Asking for it by name is an error that says why."""
        config = TransferConfig(preferred_transfer_client="crt")
        client = make()
        (tmp_path / "f").write_bytes(b"x")
        calls: list[Callable[[], Any]] = [
            lambda: client.upload_file(str(tmp_path / "f"), "b", "k", Config=config),
            lambda: client.upload_fileobj(io.BytesIO(), "b", "k", Config=config),
            lambda: client.download_file("b", "k", str(tmp_path / "g"), Config=config),
            lambda: client.download_fileobj("b", "k", io.BytesIO(), Config=config),
        ]
        for call in calls:
            with pytest.raises(UnsupportedOperationError, match="CRT"):
                call()
        assert [request for request in http_liar.state.requests if request[0] == "PUT"] == []

    def test_the_callers_config_is_left_alone(self, make: Callable[..., Any]) -> None:
        """What is forced is forced on a copy."""
        config = TransferConfig()
        before = config.preferred_transfer_client
        make().upload_fileobj(io.BytesIO(b"x"), "b", "k", Config=config)
        assert config.preferred_transfer_client == before

    def test_boto3_chooses_the_classic_manager(
        self, http_liar: LyingS3, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """boto3's own factory, told to take the CRT, takes the classic one, and the wire sees no plaintext."""
        pytest.importorskip("awscrt", reason="without awscrt there is nothing to choose")
        client = make()
        (tmp_path / "f").write_bytes(DATA[:100_000])
        with create_transfer_manager(client, TransferConfig(preferred_transfer_client="crt")) as manager:
            assert isinstance(manager, TransferManager)
            manager.upload(str(tmp_path / "f"), "b", "k").result()
        assert http_liar.state.bodies()
        assert not [body for body in http_liar.state.bodies() if MARK in body]
        assert body_of(client) == DATA[:100_000]

    def test_s3transfer_class(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """boto3's older class works on the client, both ways."""
        client = make()
        (tmp_path / "f").write_bytes(DATA[:100_000])
        with S3Transfer(client) as transfer:
            transfer.upload_file(str(tmp_path / "f"), "b", "k")
            transfer.download_file("b", "k", str(tmp_path / "g"))
        assert (tmp_path / "g").read_bytes() == DATA[:100_000]
        assert not [body for body in http_liar.state.bodies() if MARK in body]


class TestCopies:
    """copy."""

    LARGE = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB)

    @pytest.mark.parametrize("size", [10, 6 * MiB])
    @pytest.mark.parametrize("source_client", ["none", "encrypting", "plain"])
    def test_keeps_everything(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, size: int, source_client: str
    ) -> None:
        """Content, tag, metadata and content type survive, below and above the threshold, from any client."""
        client = make_client()
        described = {"Metadata": {"mine": "1"}, "ContentType": "text/x"}
        client.put_object(Bucket=bucket, Key="k", Body=DATA[:size], **described)
        source = {"none": None, "encrypting": make_client(), "plain": plain_s3}[source_client]
        client.copy({"Bucket": bucket, "Key": "k"}, bucket, "l", SourceClient=source, Config=self.LARGE)
        answer = client.get_object(Bucket=bucket, Key="l")
        assert answer["Body"].read() == DATA[:size]
        assert (answer["Metadata"], answer["ContentType"]) == ({"mine": "1"}, "text/x")

    @pytest.mark.parametrize("size", [10, 6 * MiB])
    def test_replace(self, make_client: Callable[..., Any], bucket: str, size: int) -> None:
        """REPLACE replaces the caller's metadata and nothing else."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=DATA[:size], Metadata={"mine": "1"})
        extra = {"Metadata": {"new": "2"}, "MetadataDirective": "REPLACE"}
        client.copy({"Bucket": bucket, "Key": "k"}, bucket, "l", extra, Config=self.LARGE)
        answer = client.get_object(Bucket=bucket, Key="l")
        assert answer["Body"].read() == DATA[:size]
        assert answer["Metadata"] == {"new": "2"}
        assert extra == {"Metadata": {"new": "2"}, "MetadataDirective": "REPLACE"}

    def test_instruction_file_travels(self, make_client: Callable[..., Any], bucket: str) -> None:
        """The file beside the object goes with it."""
        client = make_client(instruction_file_writes=True)
        client.put_object(Bucket=bucket, Key="k", Body=b"hello")
        client.copy({"Bucket": bucket, "Key": "k"}, bucket, "l", Config=TransferConfig(use_threads=False))
        client.delete_object(Bucket=bucket, Key="k")
        assert client.get_object(Bucket=bucket, Key="l")["Body"].read() == b"hello"

    def test_bound_object_is_refused(self, make_client: Callable[..., Any], bucket: str) -> None:
        """An object that is bound to its name cannot be read under another."""
        client = make_client(bind_object=True)
        client.put_object(Bucket=bucket, Key="k", Body=b"hello")
        with pytest.raises(UnsupportedOperationError, match=re.escape(f"[s3://{bucket}/l]")):
            client.copy({"Bucket": bucket, "Key": "k"}, bucket, "l")

    def test_misuse(self, make_client: Callable[..., Any], bucket: str) -> None:
        """Reserved names, senseless sources and the CRT are refused; an absent source is S3's 404."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=b"hello")
        source = {"Bucket": bucket, "Key": "k"}
        crt = TransferConfig(preferred_transfer_client="crt")
        with pytest.raises(ConfigurationError, match="x-amz-iv"):
            client.copy(source, bucket, "l", {"Metadata": {"x-amz-iv": "x"}, "MetadataDirective": "REPLACE"})
        with pytest.raises(S3ECError):
            client.copy("nonsense", bucket, "l")
        with pytest.raises(UnsupportedOperationError, match="CRT"):
            client.copy(source, bucket, "l", Config=crt)
        with pytest.raises(ClientError, match="404"):
            client.copy({"Bucket": bucket, "Key": "absent"}, bucket, "l")


class TestInOneAnswer:
    """A large object of a close server comes in one answer, with all that holds for parts."""

    @pytest.fixture(autouse=True)
    def near(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every object is large, and every server close and fast, whatever the machine has to do."""
        monkeypatch.setattr(downloads, "_LARGE", 1)
        monkeypatch.setattr(pace_of_transfers, "_NEAR", 1e9)
        monkeypatch.setattr(pace_of_transfers, "_SLOW", 0)

    @staticmethod
    def ranges(liar: LyingS3) -> list[str | None]:
        """What was asked for."""
        return [header for method, _, header in liar.state.requests if method == "GET"]

    @pytest.mark.parametrize("options", [{}, {"buffer_size": 5}], ids=str)
    def test_one_request(
        self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, options: dict[str, Any]
    ) -> None:
        """And progress that adds up."""
        client = make(**options)
        content, told, target = put(client, DATA[: 3 * MiB + 1]), list[int](), io.BytesIO()
        http_liar.state.requests.clear()
        client.download_file("b", "k", str(tmp_path / "f"), Config=DOWN, Callback=told.append)
        client.download_fileobj("b", "k", target, Config=DOWN)
        assert (tmp_path / "f").read_bytes() == target.getvalue() == content
        assert sum(told) == len(content)
        assert self.ranges(http_liar) == [None, None]

    def test_a_connection_that_breaks(self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path) -> None:
        """What has arrived is kept, and the rest asked for, as often as a part would be."""
        client = make()
        content, told = put(client, DATA[: 3 * MiB]), list[int]()
        http_liar.state.requests.clear()
        http_liar.lies.cut_answers, http_liar.lies.cut_by = 2, MiB + 5
        client.download_file("b", "k", str(tmp_path / "f"), Config=DOWN, Callback=told.append)
        assert (tmp_path / "f").read_bytes() == content
        assert sum(told) == len(content)
        assert self.ranges(http_liar) == [None, *[f"bytes={2 * MiB}-{3 * MiB + 15}"] * 2]
        http_liar.lies.cut_answers, http_liar.lies.cut_by = 10_000, 10
        http_liar.state.requests.clear()
        with pytest.raises(RetriesExceededError):
            client.download_file("b", "k", str(tmp_path / "g"), Config=DOWN)
        assert os.listdir(tmp_path) == ["f"]
        assert len(self.ranges(http_liar)) == DOWN.num_download_attempts

    def test_a_server_that_turns_out_slow(
        self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rest is asked for in parts."""
        monkeypatch.setattr(pace_of_transfers, "_SLOW", 1e18)
        monkeypatch.setattr(pace_of_transfers, "_ENOUGH_TO_TELL", MiB)
        client = make()
        content = put(client, DATA[: MiB + 100_000])
        http_liar.state.requests.clear()
        client.download_file("b", "k", str(tmp_path / "f"), Config=DOWN)
        assert (tmp_path / "f").read_bytes() == content
        parts = [f"bytes={MiB + first}-{MiB + min(first + 30_000, 100_016) - 1}" for first in range(0, 100_016, 30_000)]
        asked = self.ranges(http_liar)
        assert (asked[0], sorted(map(str, asked[1:]))) == (None, sorted(parts))

    def test_an_upload_holds_few_parts(
        self, http_liar: LyingS3, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As many buffers as there are parts on their way."""
        made: list[int] = []
        run = uploads._PartedUpload.run

        def noting(upload: Any) -> None:
            run(upload)
            made.append(upload._made)

        monkeypatch.setattr(uploads._PartedUpload, "run", noting)
        monkeypatch.setattr(uploads, "_NEAR_BUFFERS", 1)
        client = make()
        client.upload_fileobj(io.BytesIO(DATA), "b", "k", Config=SMALL)
        assert made == [1]
        assert body_of(client) == DATA

    @pytest.mark.parametrize(
        ("lie", "told"),
        [
            ({"tamper": lambda body: body[:-1] + bytes([body[-1] ^ 1])}, "was altered"),
            ({"headers": {"ETag": '"other"'}}, "was replaced"),
            ({"wrong_range": 16, "cut_answers": 1, "cut_by": MiB + 5}, "another range"),
        ],
        ids=["flipped", "another object", "another range after a break"],
    )
    def test_lies(
        self, http_liar: LyingS3, make: Callable[..., Any], tmp_path: Path, lie: dict[str, Any], told: str
    ) -> None:
        """Leave no file."""
        client = make()
        put(client, DATA[: 3 * MiB])

        def lying(_: int) -> None:
            http_liar.lies.on_get = None
            for name, value in lie.items():
                setattr(http_liar.lies, name, value)

        http_liar.lies.on_get = lying
        with pytest.raises(AuthenticationError, match=told):
            client.download_file("b", "k", str(tmp_path / "f"), Config=DOWN)
        assert os.listdir(tmp_path) == []


class TestPace:
    """How many requests a download keeps in flight."""

    @staticmethod
    def pace(most: int, answered_in: float, seconds: list[float]) -> Pace:
        """A pace whose clock shows these times, one after another."""
        times = iter(seconds)
        return Pace(most, answered_in, lambda: next(times))

    @pytest.mark.parametrize(("most", "answered_in", "workers"), [(10, 0.02, 10), (10, 0.001, 3), (2, 0.001, 2)])
    def test_the_first_requests(self, most: int, answered_in: float, workers: int) -> None:
        """A distant server gets all at once, a close one a few."""
        assert self.pace(most, answered_in, [0.0]).workers == workers

    @pytest.mark.parametrize(("seconds", "workers"), [(0.1, 3), (1.0, 10)])
    def test_a_close_server_that_is_slow_gets_more(self, seconds: float, workers: int) -> None:
        """What decides is how long 32 MiB take; later moments of either kind change nothing."""
        pace = self.pace(10, 0.001, [0.0, seconds])
        for _ in range(20):
            pace.took(4 * MiB)
        assert pace.workers == workers


@pytest.mark.parametrize(
    ("options", "extra", "named"),
    [
        ({}, {}, "CRC32"),
        ({}, {"ChecksumAlgorithm": "SHA256"}, "SHA256"),
        ({"config": Config(request_checksum_calculation="when_required")}, {}, None),
    ],
    ids=["default", "caller's own", "when_required"],
)
def test_the_checksum_that_an_upload_keeps(
    http_liar: LyingS3,
    lied_to: Callable[..., Any],
    options: dict[str, Any],
    extra: dict[str, str],
    named: str | None,
) -> None:
    """As boto3's: CRC32 by default, the caller's own before it, none where the client asks for none."""
    client, asked = lied_to(http_liar, **options), []
    client.meta.events.register(
        "before-call.s3.CreateMultipartUpload",
        lambda params, **_: asked.append(params["headers"].get("x-amz-checksum-algorithm")),
    )
    client.upload_fileobj(io.BytesIO(DATA), "b", "k", ExtraArgs=extra, Config=SMALL)
    assert asked == [named]
