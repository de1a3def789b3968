"""What reads ask of S3 and of the keyring: no more than plain boto3 would, and nothing before it must be."""

from __future__ import annotations

import io
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import ClientError

import s3ec
from s3ec import AesKeyring, CommitmentPolicy
from s3ec.client.calls import verified_ranges
from s3ec.client.calls.verified_ranges import VerifiedTable
from s3ec.client.transfers import download_targets
from s3ec.errors import AuthenticationError, KeyringError, NotEncryptedError, S3ECError
from s3ec.s3.range_header import parse_content_range

from support.cbc import cbc_object, cbc_options
from support.counting import CountingManager
from support.lying_s3 import LyingS3, Stored

KiB = 1024
MiB = 1024 * KiB
DATA = random.Random(11).randbytes(200_000)
IN_PARTS = TransferConfig(multipart_threshold=64 * KiB, multipart_chunksize=64 * KiB)


def _downloaded(client: Any, place: dict[str, str], config: TransferConfig | None) -> bytes:
    target = io.BytesIO()
    client.download_fileobj(place["Bucket"], place["Key"], target, Config=config)
    return target.getvalue()


def _opened(client: Any, place: dict[str, str]) -> bytes:
    with s3ec.open(client, **place) as file:
        file.seek(100)
        return file.read(50)


DOORS: dict[str, Callable[[Any, dict[str, str]], object]] = {
    "get_object": lambda client, place: client.get_object(**place)["Body"].read(),
    "head_object": lambda client, place: client.head_object(**place),
    "head of a range": lambda client, place: client.head_object(**place, Range="bytes=5-9"),
    "range": lambda client, place: client.get_object(**place, Range="bytes=5-9")["Body"].read(),
    "suffix": lambda client, place: client.get_object(**place, Range="bytes=-5")["Body"].read(),
    "whole range": lambda client, place: client.get_object(**place, Range="bytes=0-")["Body"].read(),
    "part": lambda client, place: client.get_object(**place, PartNumber=1)["Body"].read(),
    "download": lambda client, place: _downloaded(client, place, None),
    "download in parts": lambda client, place: _downloaded(client, place, IN_PARTS),
    "open": _opened,
    "inspect": lambda client, place: s3ec.inspect(client, **place),
    "waiter": lambda client, place: client.get_waiter("object_exists").wait(**place),
}


def _iam(request: Any, **_: Any) -> AWSResponse | None:
    """Refuse what names a version: that takes s3:GetObjectVersion, which s3:GetObject does not include."""
    if "versionId=" not in request.url:
        return None
    body = b"<Error><Code>AccessDenied</Code><Message>s3:GetObjectVersion</Message></Error>"
    raw = SimpleNamespace(stream=lambda: iter([body]))
    return AWSResponse(request.url, 403, HeadersDict({"Content-Length": str(len(body))}), raw)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"instruction_file_writes": True}, {"buffer_size": 0}], ids=str)
def test_no_door_names_a_version(
    make_client: Callable[..., Any], plain_s3: Any, bucket: str, options: dict[str, Any]
) -> None:
    """In a bucket with versions the caller's own permission, s3:GetObject, is enough."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client = make_client(**options)
    client.put_object(Bucket=bucket, Key="k", Body=DATA)
    client.meta.events.register_first("before-send.s3", _iam)
    for door in DOORS.values():
        door(client, {"Bucket": bucket, "Key": "k"})
    with pytest.raises(ClientError, match="AccessDenied"):
        client.get_object(Bucket=bucket, Key="k", VersionId="null", Range="bytes=5-9")


@pytest.mark.slow
def test_no_door_names_a_version_of_unencrypted_objects(
    make_client: Callable[..., Any], plain_s3: Any, bucket: str
) -> None:
    """Nor for what is read as it is."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    plain_s3.put_object(Bucket=bucket, Key="k", Body=DATA)
    client = make_client(unencrypted_objects="allow")
    client.meta.events.register_first("before-send.s3", _iam)
    for door in DOORS.values():
        door(client, {"Bucket": bucket, "Key": "k"})


def test_cbc_names_no_version(http_liar: LyingS3, make: Callable[..., Any]) -> None:
    """Every request but the first is pinned by its ETag alone, though the server tells a version."""
    stored = cbc_object(DATA)
    http_liar.state.objects["b/k"] = Stored(stored.body, {**stored.metadata, "x-amz-version-id": "v1"})
    client = make(**cbc_options(enable_unauthenticated_ranges=True))
    client.meta.events.register_first("before-send.s3", _iam)
    assert client.get_object(Bucket="b", Key="k", Range="bytes=5-9")["Body"].read() == DATA[5:10]
    assert _downloaded(client, {"Bucket": "b", "Key": "k"}, IN_PARTS) == DATA


@pytest.mark.parametrize("may_read_versions", [True, False])
def test_an_open_file_of_a_replaced_object(
    make_client: Callable[..., Any], plain_s3: Any, bucket: str, *, may_read_versions: bool
) -> None:
    """The former version is read on where the caller may; else the error is the 412, not the lack of a permission."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client = make_client(buffer_size=0)
    client.put_object(Bucket=bucket, Key="k", Body=DATA)
    if not may_read_versions:
        client.meta.events.register_first("before-send.s3", _iam)
    with s3ec.open(client, Bucket=bucket, Key="k", read_ahead=100) as file:
        assert file.read(5) == DATA[:5]
        client.put_object(Bucket=bucket, Key="k", Body=DATA[::-1])
        file.seek(70_000)
        if may_read_versions:
            assert file.read(500) == DATA[70_000:70_500]
        else:
            with pytest.raises(ClientError, match="PreconditionFailed"):
                file.read(500)


class TestReplaced:
    """Whoever gave no condition never hears of one."""

    @pytest.mark.parametrize("header", [None, "bytes=5-9", "bytes=400000-"])
    def test_unencrypted(self, http_liar: LyingS3, make: Callable[..., Any], header: str | None) -> None:
        """Of the replacement, what plain boto3 would give."""
        client = make(unencrypted_objects="allow")
        client.put_object(Bucket="b", Key="new", Body=DATA)
        http_liar.state.objects["b/k"] = Stored(b"open as it is", {})

        def replace(_: int) -> None:
            # Between the first look and what is pinned to it.
            if http_liar.state.requests[-1] == ("GET", "b/k.instruction", None):
                http_liar.state.objects["b/k"] = http_liar.state.objects["b/new"]

        http_liar.lies.on_get = replace
        ranged = {} if header is None else {"Range": header}
        if header == "bytes=400000-":
            with pytest.raises(ClientError, match="InvalidRange"):
                client.get_object(Bucket="b", Key="k", **ranged)
            return
        answer = client.get_object(Bucket="b", Key="k", **ranged)
        body = answer["Body"].read()
        assert body == (b"open as it is" if header is None else DATA[5:10])
        assert (answer["ResponseMetadata"]["ClientSideEncryption"]["format"] is None) is (header is None)

    @pytest.mark.parametrize("config", [None, IN_PARTS], ids=["whole", "parts"])
    @pytest.mark.parametrize("to_file", [True, False])
    def test_unencrypted_downloads(
        self,
        http_liar: LyingS3,
        make: Callable[..., Any],
        tmp_path: Path,
        config: TransferConfig | None,
        *,
        to_file: bool,
    ) -> None:
        """What turns into an encrypted object is decrypted, and never delivered as the ciphertext that it is."""
        client = make(unencrypted_objects="allow")
        client.put_object(Bucket="b", Key="new", Body=DATA)
        http_liar.state.objects["b/k"] = Stored(DATA[::-1], {})
        looked = "b/k.instruction"

        def replace(_: int) -> None:
            # At what comes after the first look.
            names = [name for _, name, _ in http_liar.state.requests]
            if looked in names and names[-1] == "b/k":
                http_liar.state.objects["b/k"] = http_liar.state.objects["b/new"]

        http_liar.lies.on_get = replace
        target = io.BytesIO()
        if to_file:
            client.download_file("b", "k", str(tmp_path / "f"), Config=config)
        else:
            client.download_fileobj("b", "k", target, Config=config)
        assert ((tmp_path / "f").read_bytes() if to_file else target.getvalue()) == DATA

    def test_part(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A part is read again, too."""
        client = make()
        for key, body in (("new", DATA[::-1]), ("k", DATA)):
            client.put_object(Bucket="b", Key=key, Body=body)
            http_liar.state.objects[f"b/{key}"].part_sizes = (100_000, 100_016)
        http_liar.state.gets = 0

        def replace(number: int) -> None:
            if number == 2:
                http_liar.state.objects["b/k"] = http_liar.state.objects["b/new"]

        http_liar.lies.on_get = replace
        answer = client.get_object(Bucket="b", Key="k", PartNumber=2)
        assert answer["Body"].read() == DATA[::-1][100_000:]

    @pytest.mark.parametrize("condition", ["IfMatch", "IfUnmodifiedSince"])
    def test_a_condition_of_ones_own(self, make_client: Callable[..., Any], bucket: str, condition: str) -> None:
        """S3's 412 stays where it was asked for."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=DATA)
        given = {"IfMatch": '"other"', "IfUnmodifiedSince": "2001-01-01"}[condition]
        for more in ({}, {"Range": "bytes=1-2"}, {"PartNumber": 1}):
            with pytest.raises(ClientError) as error:
                client.get_object(Bucket=bucket, Key="k", **{condition: given}, **more)
            assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


class TestOpenedKeys:
    """Ranges keep the opened key of an object that was authenticated, and forget it at its age."""

    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """A clock of one's own, in seconds, for the tables of new clients."""
        seconds = [1000.0]

        def table() -> VerifiedTable:
            return VerifiedTable(clock=lambda: seconds[0])

        monkeypatch.setattr("s3ec.client.calls.ranges.VerifiedTable", table)
        return seconds

    @pytest.mark.slow
    def test_one_call_for_many_ranges(
        self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager
    ) -> None:
        """A hundred ranges of an object cost the keyring one call, without any cache of data keys."""
        client = make()
        client.put_object(Bucket="b", Key="k", Body=DATA)
        counting.decryptions = 0
        for first in range(0, 100_000, 1000):
            body = client.get_object(Bucket="b", Key="k", Range=f"bytes={first}-{first + 9}")["Body"]
            assert body.read() == DATA[first : first + 10]
        assert counting.decryptions == 1

    def test_forgotten_at_its_age(
        self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager, now: list[float]
    ) -> None:
        """After five minutes the keyring is asked again, and not the object: the MACs are still of what verified."""
        client = make()
        client.put_object(Bucket="b", Key="k", Body=DATA)
        client.put_object(Bucket="b", Key="other", Body=DATA)

        def read() -> bytes:
            body: bytes = client.get_object(Bucket="b", Key="k", Range="bytes=5-9")["Body"].read()
            return body

        counting.decryptions = 0
        assert read() == DATA[5:10]
        now[0] += verified_ranges.MAX_KEY_AGE - 1
        assert read() == DATA[5:10]
        assert counting.decryptions == 1
        now[0] += 1
        # Whatever is asked for, old keys go.
        client.get_object(Bucket="b", Key="other", Range="bytes=5-9")
        assert counting.decryptions == 2
        ciphers = [entry.verified.cipher for entry in client._s3ec_ranges._table._entries.values()]
        assert [cipher is None for cipher in ciphers] == [True, False]
        http_liar.state.requests.clear()
        assert read() == DATA[5:10]
        assert counting.decryptions == 3
        assert [header for _, _, header in http_liar.state.requests] == ["bytes=0-65551"]

    @pytest.mark.parametrize(
        ("options", "ranges"),
        [
            pytest.param({}, [{"Range": "bytes=5-9"}, {"Range": "bytes=-7"}, {"Range": "bytes=0-"}], id="verified"),
            pytest.param({}, [{"Range": "bytes=0-"}, {"Range": "bytes=5-9"}], id="the whole as a range first"),
            pytest.param({}, [{"PartNumber": 1}, {"Range": "bytes=5-9"}], id="the only part first"),
            pytest.param(
                {"enable_unauthenticated_ranges": True},
                [{"Range": "bytes=5-9"}, {"Range": "bytes=100000-"}, {"Range": "bytes=-7"}, {"Range": "bytes=0-"}],
                id="unverified by opt-in",
            ),
        ],
    )
    def test_the_second_range_of_any_kind_asks_nobody(
        self,
        http_liar: LyingS3,
        make: Callable[..., Any],
        counting: CountingManager,
        now: list[float],
        options: dict[str, Any],
        ranges: list[dict[str, Any]],
    ) -> None:
        """One call of the keyring for all forms of ranges, and one more once the key was forgotten."""
        client = make(**options)
        client.put_object(Bucket="b", Key="k", Body=DATA)
        counting.decryptions = 0
        for number in (1, 2):
            for asked in ranges * 2:
                answer = client.get_object(Bucket="b", Key="k", **asked)
                span = parse_content_range(answer.get("ContentRange", f"bytes 0-{len(DATA) - 1}/{len(DATA)}"))
                assert answer["Body"].read() == DATA[span.first : span.last + 1]
            assert counting.decryptions == number
            now[0] += verified_ranges.MAX_KEY_AGE

    def test_no_key_is_kept_of_what_does_not_verify(
        self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager
    ) -> None:
        """A range of a damaged object fails each time as the first time, and its key is not kept."""
        client = make()
        client.put_object(Bucket="b", Key="k", Body=DATA)
        stored = http_liar.state.objects["b/k"]
        http_liar.state.objects["b/k"] = Stored(bytes([stored.body[0] ^ 1]) + stored.body[1:], stored.metadata)
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                client.get_object(Bucket="b", Key="k", Range="bytes=5-9")
        table = client._s3ec_ranges._table
        assert not table._opened
        assert not table._entries

    def test_a_kept_key_opens_nothing_else(
        self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager
    ) -> None:
        """Another object under the same name has other metadata: the keyring is asked for its key."""
        client = make(enable_unauthenticated_ranges=True)
        for number, data in enumerate((DATA, DATA[::-1]), 1):
            client.put_object(Bucket="b", Key="k", Body=data)
            for _ in range(2):
                assert client.get_object(Bucket="b", Key="k", Range="bytes=5-9")["Body"].read() == data[5:10]
            assert counting.decryptions == number

    def test_access_that_was_taken_away(self, make: Callable[..., Any], now: list[float]) -> None:
        """Ends at the age, for ranges as for a cache."""

        class Revoked(CountingManager):
            revoked = False

            def decrypt_materials(self, request: Any) -> Any:
                if self.revoked:
                    raise KeyringError("access denied")
                return super().decrypt_materials(request)

        manager = Revoked(s3ec.keyrings.DefaultMaterialsManager(AesKeyring(bytes(32))))
        client = make(materials_manager=manager)
        client.put_object(Bucket="b", Key="k", Body=DATA)
        place = {"Bucket": "b", "Key": "k", "Range": "bytes=5-9"}
        assert client.get_object(**place)["Body"].read() == DATA[5:10]
        manager.revoked = True
        assert client.get_object(**place)["Body"].read() == DATA[5:10]
        now[0] += verified_ranges.MAX_KEY_AGE
        with pytest.raises(KeyringError, match="access denied"):
            client.get_object(**place)

    def test_never_for_another_object_or_context(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, kms: Any, kms_key: str
    ) -> None:
        """Another version, ETag or encryption context goes through the gate and to the keyring like the first."""
        plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        calls: list[str] = []
        kms.meta.events.register("before-call.kms.Decrypt", lambda **_: calls.append("Decrypt"))
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=DATA, EncryptionContext={"team": "hr"})
        place = {"Bucket": bucket, "Key": "k", "Range": "bytes=5-9"}
        for _ in range(3):
            client.get_object(**place, EncryptionContext={"team": "hr"})
        assert len(calls) == 1
        with pytest.raises(KeyringError):
            client.get_object(**place, EncryptionContext={"team": "it"})
        with pytest.raises(KeyringError):
            client.get_object(**place)
        assert len(calls) == 1
        # The same content under the same ETag, but other metadata: another object.
        version = client.put_object(Bucket=bucket, Key="k", Body=DATA, EncryptionContext={"team": "it"})["VersionId"]
        for named in ({}, {"VersionId": version}, {}):
            client.get_object(**place, **named, EncryptionContext={"team": "it"})
        assert len(calls) == 3


class TestRefusedByLength:
    """Lengths that headers state, and that no object of ours can have, are refused before any key is touched."""

    @pytest.mark.parametrize("door", ["get_object", "range", "whole range", "download", "open"])
    @pytest.mark.parametrize("kind", ["V3", "V2"])
    @pytest.mark.parametrize("left", [0, 5, 15])
    def test_shorter_than_a_tag(
        self,
        http_liar: LyingS3,
        make: Callable[..., Any],
        counting: CountingManager,
        door: str,
        kind: str,
        left: int,
    ) -> None:
        """AES-GCM content ends with its tag."""
        policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
        client = make(**({"commitment_policy": policy} if kind == "V2" else {}))
        client.put_object(Bucket="b", Key="k", Body=DATA)
        http_liar.state.objects["b/k"].body = DATA[:left]
        with pytest.raises(AuthenticationError, match=r"cut off.*s3://b/k"):
            DOORS[door](client, {"Bucket": "b", "Key": "k"})
        assert counting.decryptions == 0

    @pytest.mark.parametrize("door", ["get_object", "range", "whole range", "download"])
    @pytest.mark.parametrize("left", [0, 17])
    def test_no_whole_blocks(self, http_liar: LyingS3, make: Callable[..., Any], door: str, left: int) -> None:
        """AES-CBC content fills its blocks, at least one where it is padded."""
        options = cbc_options(enable_unauthenticated_ranges=True)
        manager = CountingManager(s3ec.keyrings.DefaultMaterialsManager(options.pop("keyring")))  # type: ignore[arg-type]
        client = make(materials_manager=manager, **options)
        stored = cbc_object(DATA)
        http_liar.state.objects["b/k"] = Stored(stored.body[:left], stored.metadata)
        with pytest.raises(S3ECError):
            DOORS[door](client, {"Bucket": "b", "Key": "k"})
        assert manager.calls == 0


@pytest.mark.parametrize("value", [None, "9" * 5000, "five", "5"])
def test_a_presigned_answer(http_liar: LyingS3, make: Callable[..., Any], value: str | None) -> None:
    """Raw answers are looked at in the same way."""
    client = make()
    client.put_object(Bucket="b", Key="k", Body=DATA)
    url = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    keyring = AesKeyring(bytes(range(32)))
    assert s3ec.decrypt_presigned(url, keyring=keyring).read() == DATA
    if value is None:
        http_liar.lies.without = ("Content-Length",)
    else:
        http_liar.lies.headers = {"Content-Length": value}
    with pytest.raises(AuthenticationError):
        s3ec.decrypt_presigned(url, keyring=keyring)


class TestNamesTooLong:
    """An instruction file whose name cannot exist is not there."""

    @pytest.mark.parametrize("key", ["k" * 1013, "ä" * 510 + "kk", "k" * 1024])
    @pytest.mark.parametrize("door", ["get_object", "range", "download", "open", "inspect"])
    def test_is_not_asked_for(self, http_liar: LyingS3, make: Callable[..., Any], key: str, door: str) -> None:
        """An object near the limit is read as what it is."""
        http_liar.state.objects[f"b/{key}"] = Stored(DATA, {})
        DOORS[door](make(unencrypted_objects="allow"), {"Bucket": "b", "Key": key})
        assert not [name for _, name, _ in http_liar.state.requests if name.endswith("instruction")]
        if door != "inspect":
            with pytest.raises(NotEncryptedError):
                DOORS[door](make(), {"Bucket": "b", "Key": key})

    def test_up_to_the_limit_it_is(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """One of 1024 bytes can be there."""
        client = make(instruction_file_writes=True)
        key = "k" * 1012
        client.put_object(Bucket="b", Key=key, Body=DATA)
        assert DOORS["get_object"](client, {"Bucket": "b", "Key": key}) == DATA

    @pytest.mark.parametrize("code", ["KeyTooLongError", "XMinioInvalidObjectName"])
    def test_a_server_with_a_limit_of_its_own(self, http_liar: LyingS3, make: Callable[..., Any], code: str) -> None:
        """Says so by a code, and that is absence."""
        http_liar.state.objects["b/k"] = Stored(DATA, {})
        client = make(unencrypted_objects="allow")

        def refuse(request: Any, **_: Any) -> AWSResponse | None:
            if not request.url.endswith("k.instruction"):
                return None
            body = f"<Error><Code>{code}</Code><Message>too long</Message></Error>".encode()
            raw = SimpleNamespace(stream=lambda: iter([body]))
            return AWSResponse(request.url, 400, HeadersDict({"Content-Length": str(len(body))}), raw)

        client.meta.events.register_first("before-send.s3", refuse)
        for door in ("get_object", "range", "download"):
            DOORS[door](client, {"Bucket": "b", "Key": "k"})


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
class TestTemporaryFiles:
    """A download's temporary file holds plaintext that is not verified yet."""

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    @pytest.mark.parametrize("tells", [True, False])
    def test_is_the_owners_from_its_birth(
        self, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, *, tells: bool
    ) -> None:
        """Between its first moment and the end nobody else can open it; then it has the mode that boto3's would."""
        client = make()
        client.put_object(Bucket="b", Key="k", Body=DATA)
        born: list[int] = []
        real = os.open

        def spying(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
            descriptor = real(path, flags, mode, **more)
            if str(path).startswith(str(tmp_path)) and flags & os.O_CREAT:
                born.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return descriptor

        monkeypatch.setattr("os.open", spying)
        if not tells:
            # As on systems that do not tell a process its umask.
            monkeypatch.setattr(download_targets, "_UMASK", download_targets.re.compile("never"))
        former = os.umask(umask)
        try:
            client.download_file("b", "k", str(tmp_path / "f"))
        finally:
            os.umask(former)
        assert born == [0o600]
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~umask

    def test_a_file_system_without_modes(
        self, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Mounted buckets and shares refuse chmod; the content is there all the same."""
        client = make()
        client.put_object(Bucket="b", Key="k", Body=DATA)

        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(1, "Operation not permitted")

        for name in ("chmod", "fchmod"):
            monkeypatch.setattr(f"os.{name}", refuse)
        client.download_file("b", "k", str(tmp_path / "f"))
        assert (tmp_path / "f").read_bytes() == DATA
        assert os.listdir(tmp_path) == ["f"]
