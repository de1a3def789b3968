"""Transfers, multipart uploads and managed copies on MinIO over https, in every server-side mode."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from s3transfer.exceptions import S3DownloadFailedError

import s3ec
from s3ec import SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError, MultipartStateError, S3ECError

from support.servers import MINIO_KMS_KEY, Server

pytestmark = pytest.mark.server

MIB = 1024 * 1024
KEY = SseC(bytes(range(32)))
OTHER_KEY = SseC(bytes(32))
CONFIG = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
CONTENT = random.Random(1).randbytes(12 * MIB + 7)
MODES = [None, SseS3(), SseKms(MINIO_KMS_KEY, context={"team": "hr"}, bucket_key=True), KEY]
MODE_IDS = ["none", "s3", "kms", "customer"]

Make = Callable[..., Any]


def key_of(mode: Any) -> dict[str, Any]:
    """What a request about an object of this mode must carry when it is not the client's default."""
    return mode.parameters() if isinstance(mode, SseC) else {}


def assert_mode(head: dict[str, Any], mode: Any) -> None:
    """The server says that the object is in this mode."""
    wanted = {} if mode is None else mode.parameters()
    assert head.get("ServerSideEncryption") == wanted.get("ServerSideEncryption")
    assert head.get("SSECustomerKeyMD5") == wanted.get("SSECustomerKeyMD5")


@pytest.mark.parametrize("mode", MODES, ids=MODE_IDS)
@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 16, 5 * MIB, len(CONTENT)])
def test_managed_transfers(
    minio: Server, client_for: Make, new_bucket: Make, tmp_path: Path, mode: Any, size: int
) -> None:
    """Files of every size go up and come down, whole or in parts, with exact progress, in each mode as the default."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=mode)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT[:size])
    sent: list[int] = []
    received: list[int] = []
    client.upload_file(
        str(source), bucket, "k", ExtraArgs={"Metadata": {"own": "v"}}, Callback=sent.append, Config=CONFIG
    )
    head = client.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["Metadata"]) == (size, {"own": "v"})
    assert_mode(head, mode)
    client.download_file(bucket, "k", str(target), Callback=received.append, Config=CONFIG)
    assert target.read_bytes() == CONTENT[:size]
    assert (sum(sent), sum(received)) == (size, size)
    buffer = io.BytesIO()
    client.download_fileobj(bucket, "k", buffer, Config=CONFIG)
    assert buffer.getvalue() == CONTENT[:size]


@pytest.mark.parametrize(
    "mode", [SseS3(), SseKms(MINIO_KMS_KEY, context={"a": "b"}), KEY], ids=["s3", "kms", "customer"]
)
def test_extra_args_name_the_mode(minio: Server, client_for: Make, new_bucket: Make, mode: Any) -> None:
    """A mode in ExtraArgs wins over the default, for the whole of an upload in parts and of its download."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=SseKms() if mode is not KEY else OTHER_KEY)
    client.upload_fileobj(io.BytesIO(CONTENT), bucket, "k", ExtraArgs=mode.parameters(), Config=CONFIG)
    reader = client_for(minio)
    assert_mode(reader.head_object(Bucket=bucket, Key="k", **key_of(mode)), mode)
    buffer = io.BytesIO()
    reader.download_fileobj(bucket, "k", buffer, ExtraArgs=key_of(mode), Config=CONFIG)
    assert buffer.getvalue() == CONTENT


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("mode", [None, KEY], ids=["none", "customer"])
def test_checksums_of_uploads_in_parts(
    minio: Server, client_for: Make, new_bucket: Make, algorithm: str, mode: Any
) -> None:
    """Every part, the tag's part and the completion carry the checksum asked for, of what the server gets."""
    if algorithm in {"CRC32C", "CRC64NVME"}:
        pytest.importorskip("awscrt", reason="botocore needs awscrt for this checksum")
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=mode)
    extra = {"ChecksumAlgorithm": algorithm}
    client.upload_fileobj(io.BytesIO(CONTENT), bucket, "k", ExtraArgs=extra, Config=CONFIG)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == CONTENT


@pytest.mark.parametrize("mode", MODES, ids=MODE_IDS)
@pytest.mark.parametrize("checksum", [None, "SHA256"])
def test_low_level_parts_in_any_order(
    minio: Server, client_for: Make, new_bucket: Make, mode: Any, checksum: str | None
) -> None:
    """Parts of unequal sizes from several threads, one of them twice, make the object in the order of their numbers."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=mode)
    place = {"Bucket": bucket, "Key": "k"}
    asked = {"ChecksumAlgorithm": checksum} if checksum else {}
    upload = {**place, "UploadId": client.create_multipart_upload(**place, **asked, Metadata={"own": "v"})["UploadId"]}
    bounds = [0, 5 * MIB + 3, 10 * MIB + 4, len(CONTENT)]
    bodies = {number: CONTENT[bounds[number - 1] : bounds[number]] for number in (1, 2, 3)}

    def send(number: int) -> dict[str, Any]:
        answer = client.upload_part(**upload, PartNumber=number, Body=bodies[number], **asked)
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

    with ThreadPoolExecutor(3) as threads:
        sent = {part["PartNumber"]: part for part in threads.map(send, [3, 1, 2, 1])}
    client.list_parts(**upload)
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [sent[number] for number in sorted(sent)]})
    answer = client.get_object(**place)
    assert (answer["Body"].read(), answer["Metadata"]) == (CONTENT, {"own": "v"})
    assert_mode(client.head_object(**place), mode)


@pytest.mark.parametrize("own", [SseKms(), KEY], ids=["kms", "customer"])
def test_an_upload_keeps_the_mode_that_it_was_created_in(
    minio: Server, client_for: Make, new_bucket: Make, own: Any
) -> None:
    """Under an SSE-C default, the parts of an upload in another mode carry that mode's key and not the default's."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=OTHER_KEY)
    place = {"Bucket": bucket, "Key": "k"}
    upload = {**place, "UploadId": client.create_multipart_upload(**place, **own.parameters())["UploadId"]}
    parts = []
    for number, body in enumerate((CONTENT[: 6 * MIB], CONTENT[6 * MIB :]), start=1):
        answer = client.upload_part(**upload, PartNumber=number, Body=body, **key_of(own))
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **key_of(own))
    reader = client_for(minio)
    answer = reader.get_object(**place, **key_of(own))
    assert answer["Body"].read() == CONTENT
    assert_mode(answer, own)


def test_an_aborted_or_incomplete_upload_leaves_nothing(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """A missing part and another body for a part already sent are refused; after the abort nothing is there."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    place = {"Bucket": bucket, "Key": "k"}
    upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
    first = client.upload_part(**upload, PartNumber=1, Body=CONTENT[: 5 * MIB])
    third = client.upload_part(**upload, PartNumber=3, Body=CONTENT[5 * MIB :])
    with pytest.raises(S3ECError):
        client.upload_part(**upload, PartNumber=1, Body=CONTENT[1 : 5 * MIB + 1])
    listed = [{"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 3, "ETag": third.get("ETag", "e")}]
    with pytest.raises((MultipartStateError, ClientError)):
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [listed[0]]})
    client.abort_multipart_upload(**upload)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket, Prefix="k")
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    with pytest.raises((MultipartStateError, ClientError)):
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})


def test_completion_obeys_conditions(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """IfNoneMatch and IfMatch on the completion are S3's own 412, and the object that was there stays."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    place = {"Bucket": bucket, "Key": "k"}
    etag = client.put_object(**place, Body=b"there")["ETag"]
    for condition, status in (({"IfNoneMatch": "*"}, 412), ({"IfMatch": '"0"'}, 412), ({"IfMatch": etag}, 200)):
        upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
        part = client.upload_part(**upload, PartNumber=1, Body=CONTENT)
        complete = {**upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}, **condition}
        if status == 200:
            client.complete_multipart_upload(**complete)
            continue
        with pytest.raises(ClientError) as raised:
            client.complete_multipart_upload(**complete)
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert client.get_object(**place)["Body"].read() == b"there"
        client.abort_multipart_upload(**upload)
    assert client.get_object(**place)["Body"].read() == CONTENT


@pytest.mark.parametrize("mode", MODES, ids=MODE_IDS)
@pytest.mark.parametrize("size", [1000, len(CONTENT)], ids=["whole", "in-parts"])
@pytest.mark.parametrize(
    "directive", [{}, {"MetadataDirective": "REPLACE", "Metadata": {"new": "w"}}], ids=["", "replace"]
)
def test_managed_copies(
    minio: Server, client_for: Make, new_bucket: Make, mode: Any, size: int, directive: dict[str, Any]
) -> None:
    """A managed copy, whole or in parts, opens afterwards and is stored in the client's mode."""
    bucket, other = new_bucket(minio), new_bucket(minio)
    client = client_for(minio, server_side_encryption=mode)
    client.upload_fileobj(
        io.BytesIO(CONTENT[:size]), bucket, "k", ExtraArgs={"Metadata": {"own": "v"}, "ContentType": "text/x-test"},
        Config=CONFIG,
    )  # fmt: skip
    client.copy({"Bucket": bucket, "Key": "k"}, other, "c", ExtraArgs=dict(directive), Config=CONFIG)
    answer = client.get_object(Bucket=other, Key="c")
    assert answer["Body"].read() == CONTENT[:size]
    assert answer["Metadata"] == directive.get("Metadata", {"own": "v"})
    assert_mode(answer, mode)


@pytest.mark.parametrize("size", [1000, len(CONTENT)], ids=["whole", "in-parts"])
@pytest.mark.parametrize("mode", [SseS3(), SseKms(), OTHER_KEY], ids=["s3", "kms", "customer"])
def test_managed_copies_between_keys(minio: Server, client_for: Make, new_bucket: Make, size: int, mode: Any) -> None:
    """ExtraArgs name the source's SSE-C key and the target's mode, as with plain boto3."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    client.upload_fileobj(io.BytesIO(CONTENT[:size]), bucket, "k", ExtraArgs=KEY.parameters(), Config=CONFIG)
    extra = {**KEY.parameters("CopySourceSSECustomer"), **mode.parameters()}
    client.copy({"Bucket": bucket, "Key": "k"}, bucket, "c", ExtraArgs=extra, Config=CONFIG)
    answer = client.get_object(Bucket=bucket, Key="c", **key_of(mode))
    assert answer["Body"].read() == CONTENT[:size]
    assert_mode(answer, mode)


def test_bad_modes_stop_transfers_before_the_wire(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """ExtraArgs with a bad combination send nothing: no upload is begun, no copy made."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    sent: list[str] = []
    client.meta.events.register("before-send.s3", lambda event_name, **_: sent.append(event_name))
    for bad in ({"SSEKMSKeyId": "k"}, {"ServerSideEncryption": "aws:kms", **KEY.parameters()}):
        for size in (10, len(CONTENT)):
            with pytest.raises(ConfigurationError):
                client.upload_fileobj(io.BytesIO(CONTENT[:size]), bucket, "u", ExtraArgs=bad, Config=CONFIG)
        with pytest.raises(ConfigurationError):
            client.copy({"Bucket": bucket, "Key": "k"}, bucket, "c", ExtraArgs=bad, Config=CONFIG)
    assert not sent


def test_a_download_of_a_tampered_object_leaves_no_file(
    minio: Server, client_for: Make, plain: Make, new_bucket: Make, tmp_path: Path
) -> None:
    """A byte flipped on the server leaves neither the file nor a temporary one."""
    bucket = new_bucket(minio)
    client, storage = client_for(minio), plain(minio)
    client.upload_fileobj(io.BytesIO(CONTENT), bucket, "k", Config=CONFIG)
    stored = storage.get_object(Bucket=bucket, Key="k")
    body = bytearray(stored["Body"].read())
    body[7 * MIB] ^= 1
    storage.put_object(Bucket=bucket, Key="k", Body=bytes(body), Metadata=stored["Metadata"])
    with pytest.raises(S3ECError):
        client.download_file(bucket, "k", str(tmp_path / "target"), Config=CONFIG)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", MODES, ids=MODE_IDS)
@pytest.mark.parametrize("checksum", [None, "SHA256"])
def test_an_upload_goes_on_in_another_client(
    minio: Server, client_for: Make, new_bucket: Make, tmp_path: Path, mode: Any, checksum: str | None
) -> None:
    """What one client began another one ends from the sealed state, in its mode and with the checksums asked for."""
    bucket = new_bucket(minio)
    place = {"Bucket": bucket, "Key": "k"}
    asked = {"ChecksumAlgorithm": checksum} if checksum else {}
    client = client_for(minio)
    own = {} if mode is None else mode.parameters()
    with s3ec.UploadStateFile(tmp_path / "state") as state:
        upload_id = client.create_multipart_upload(**place, **asked, **own)["UploadId"]
        s3ec.export_upload(client, upload_id, save=state.save)
        client.upload_part(**place, UploadId=upload_id, PartNumber=1, Body=CONTENT[: 5 * MIB], **asked, **key_of(mode))
    another = client_for(minio, server_side_encryption=SseS3())
    with s3ec.UploadStateFile(tmp_path / "state") as state:
        upload = s3ec.resume_upload(another, state.read(), save=state.save, **key_of(mode))
        assert [part["Size"] for part in upload["Parts"]] == [5 * MIB]
        place["UploadId"] = upload["UploadId"]
        answer = another.upload_part(**place, PartNumber=2, Body=CONTENT[5 * MIB :], **asked, **key_of(mode))
        parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in upload["Parts"]]
        parts.append({"PartNumber": 2, "ETag": answer["ETag"]})
        another.complete_multipart_upload(**place, MultipartUpload={"Parts": parts}, **key_of(mode))
    answer = client.get_object(Bucket=bucket, Key="k", **key_of(mode))
    assert answer["Body"].read() == CONTENT
    assert_mode(answer, mode)


@pytest.mark.parametrize("numbers", [(2,), (3,), (2, 6), (3, 6)], ids=str)
def test_an_object_replaced_during_a_download(
    minio: Server, client_for: Make, new_bucket: Make, tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    """Somebody's put between two ranged requests is noticed: the file is the new object's, whole, or there is none."""
    bucket = new_bucket(minio)
    client, writer = client_for(minio), client_for(minio)
    writer.upload_fileobj(io.BytesIO(CONTENT), bucket, "k", Config=CONFIG)
    seen: list[str] = []

    def replace(event_name: str, **_: Any) -> None:
        seen.append(event_name)
        if len(seen) in numbers:
            writer.upload_fileobj(io.BytesIO(CONTENT[::-1]), bucket, "k", Config=CONFIG)

    client.meta.events.register("before-send.s3.GetObject", replace)
    one_by_one = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=1)
    target = tmp_path / "target"
    if len(numbers) == 1:  # begun again, once
        client.download_file(bucket, "k", str(target), Config=one_by_one)
        assert target.read_bytes() == CONTENT[::-1]
    else:
        with pytest.raises((S3ECError, ClientError, S3DownloadFailedError)):
            client.download_file(bucket, "k", str(target), Config=one_by_one)
        assert not list(tmp_path.iterdir())
    assert len(seen) >= numbers[-1]


def test_an_open_file_stays_with_its_object(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """What is read from an open file is of the object that was opened, or an error; never of one that came later."""
    bucket = new_bucket(minio)
    client = client_for(minio, buffer_size=MIB)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    with s3ec.open(client, Bucket=bucket, Key="k") as file:
        file.seek(3 * MIB)
        assert file.read(1000) == CONTENT[3 * MIB : 3 * MIB + 1000]
        client.put_object(Bucket=bucket, Key="k", Body=CONTENT[::-1])
        file.seek(9 * MIB)
        with pytest.raises((S3ECError, ClientError)):
            file.read(1000)


def test_a_verified_range_of_a_replaced_object(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """After a replacement a range is of the new object, whole and verified again."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    named = {"Bucket": bucket, "Key": "k"}
    for body in (CONTENT, CONTENT[::-1]):
        client.put_object(**named, Body=body)
        answer = client.get_object(**named, Range=f"bytes={7 * MIB}-{7 * MIB + 999}")
        assert answer["Body"].read() == body[7 * MIB : 7 * MIB + 1000]
