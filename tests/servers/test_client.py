"""The encrypting client on MinIO over https, where signatures, checksums, conditions and SSE-C are really checked."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

import s3ec
from s3ec import AesKeyring, CommitmentPolicy, DsseKms, SseC, SseKms, SseS3
from s3ec.client.server_side import rules as server_side
from s3ec.client.server_side.rules import ServerSideMode
from s3ec.errors import ConfigurationError, S3ECError, SourceChangedError

from support.servers import MINIO_KMS_KEY, Server

pytestmark = pytest.mark.server

KEY = SseC(bytes(range(32)))
OTHER_KEY = SseC(bytes(32))
CONTENT = b"what nobody but the client may read " * 3000
MODES = [None, SseS3(), SseKms(), SseKms(MINIO_KMS_KEY, context={"team": "hr"}), KEY]
MODE_IDS = ["none", "s3", "kms", "kms-context", "customer"]

Make = Callable[..., Any]


def key_of(mode: ServerSideMode | None) -> dict[str, Any]:
    """What a plain client must send to read an object of this mode."""
    return mode.parameters() if isinstance(mode, SseC) else {}


def status_of(raised: pytest.ExceptionInfo[ClientError]) -> int:
    """The HTTP status of an error."""
    status: int = raised.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def assert_hidden(server: Server, stored: bytes) -> None:
    """The disk holds neither the plaintext nor, under a server-side mode, what was sent."""
    assert not server.disk_contains(CONTENT[:36])
    assert not server.disk_contains(stored[:64])


@pytest.mark.parametrize("mode", MODES, ids=MODE_IDS)
@pytest.mark.parametrize("instruction_file", [False, True], ids=["metadata", "instruction-file"])
def test_a_default_mode_serves_every_call(
    minio: Server, client_for: Make, plain: Make, new_bucket: Make, mode: Any, instruction_file: bool
) -> None:
    """Put, head, get, copy, inspect and delete work with each mode as the client's default, and both layers are on."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=mode, instruction_file_writes=instruction_file)
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT, Metadata={"own": "v"}, ContentType="text/x-test")
    head = client.head_object(**named)
    assert (head["ContentLength"], head["Metadata"], head["ContentType"]) == (len(CONTENT), {"own": "v"}, "text/x-test")
    assert client.get_object(**named)["Body"].read() == CONTENT
    client.copy_object(Bucket=bucket, Key="c", CopySource=named, MetadataDirective="REPLACE", Metadata={"new": "w"})
    copied = client.get_object(Bucket=bucket, Key="c")
    assert (copied["Body"].read(), copied["Metadata"]) == (CONTENT, {"new": "w"})
    assert_sse(client.head_object(**named), mode)
    assert s3ec.inspect(client, **named, **key_of(mode)).format == "V3"
    stored = plain(minio).get_object(**named, **key_of(mode))["Body"].read()
    assert len(stored) == len(CONTENT) + 16
    if mode is not None:
        assert_hidden(minio, stored)
    client.delete_object(**named)
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "c"}]})
    left = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert left == []


def assert_sse(head: dict[str, Any], mode: ServerSideMode | None) -> None:
    """The server says that the object is in this mode."""
    wanted = {} if mode is None else mode.parameters()
    assert head.get("ServerSideEncryption") == wanted.get("ServerSideEncryption")
    assert head.get("SSECustomerKeyMD5") == wanted.get("SSECustomerKeyMD5")


@pytest.mark.parametrize("default", [None, SseKms(), OTHER_KEY], ids=["none", "kms", "customer"])
@pytest.mark.parametrize(
    "mode", [SseS3(), SseKms(MINIO_KMS_KEY, context={"a": "b"}), KEY], ids=["s3", "kms", "customer"]
)
def test_a_mode_of_the_request_wins(
    minio: Server, client_for: Make, new_bucket: Make, default: Any, mode: ServerSideMode
) -> None:
    """A mode given by boto3's own parameters is used whatever the default is, raw SSE-C keys included."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=default, instruction_file_reads=False)
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY.key} if mode is KEY else mode.parameters()
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT, **own)
    reader = client_for(minio)
    read = {"Bucket": bucket, "Key": "k", **(own if mode is KEY else {})}
    assert_sse(reader.head_object(**read), mode)
    assert reader.get_object(**read)["Body"].read() == CONTENT


def test_copies_change_the_mode(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """A copy reads with the source's SSE-C key and writes in another mode, with new metadata and still decryptable."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    source = {"Bucket": bucket, "Key": "k"}
    client.put_object(**source, Body=CONTENT, Metadata={"own": "v"}, **KEY.parameters())
    with_key = {"CopySource": source, **KEY.parameters("CopySourceSSECustomer")}
    for mode in (SseS3(), SseKms(), OTHER_KEY, KEY):
        for directive in ({}, {"MetadataDirective": "REPLACE", "Metadata": {"new": "w"}}):
            client.copy_object(Bucket=bucket, Key="c", **with_key, **mode.parameters(), **directive)
            answer = client.get_object(Bucket=bucket, Key="c", **key_of(mode))
            assert answer["Body"].read() == CONTENT
            assert answer["Metadata"] == directive.get("Metadata", {"own": "v"})
            assert_sse(answer, mode)


def test_a_wrong_customer_key_is_the_servers_own_error(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """Another key gives S3's 403, no key its 400, unwrapped."""
    bucket = new_bucket(minio)
    client_for(minio, server_side_encryption=KEY).put_object(Bucket=bucket, Key="k", Body=CONTENT)
    for default, status in ((OTHER_KEY, 403), (None, 400)):
        client = client_for(minio, server_side_encryption=default)
        for call in (client.get_object, client.head_object):
            with pytest.raises(ClientError) as raised:
                call(Bucket=bucket, Key="k")
            assert status_of(raised) == status


def test_a_customer_key_never_goes_over_http(minio_http: Server, client_for: Make, new_bucket: Make) -> None:
    """Over http an SSE-C key is refused by the client: the server, which would refuse it too, never sees it."""
    bucket = new_bucket(minio_http)
    sent: list[str] = []
    for client, own in (
        (client_for(minio_http, server_side_encryption=KEY), {}),
        (client_for(minio_http), KEY.parameters()),
    ):
        client.meta.events.register("before-send.s3", lambda event_name, **_: sent.append(event_name))
        for call, body in ((client.put_object, {"Body": CONTENT}), (client.get_object, {}), (client.head_object, {})):
            with pytest.raises(ConfigurationError, match="plain http"):
                call(Bucket=bucket, Key="k", **body, **own)
    assert not sent


def test_every_format_is_stored_and_read(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """Committing and older objects, empty ones and ones of a single byte, pass a server that checks what it gets."""
    bucket = new_bucket(minio)
    older = client_for(minio, commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    newer = client_for(minio, commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT)
    for writer, name in ((older, "V2"), (newer, "V3")):
        for body in (b"", b"x", CONTENT):
            writer.put_object(Bucket=bucket, Key="k", Body=body)
            answer = newer.get_object(Bucket=bucket, Key="k")
            assert answer["Body"].read() == body
            assert answer["ResponseMetadata"]["ClientSideEncryption"]["format"] == name


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_of_what_the_server_gets(
    minio: Server, client_for: Make, plain: Make, new_bucket: Make, algorithm: str
) -> None:
    """Each checksum algorithm passes a server that verifies it, and answers give the caller none of the ciphertext."""
    if algorithm in {"CRC32C", "CRC64NVME"}:
        pytest.importorskip("awscrt", reason="botocore needs awscrt for this checksum")
    bucket = new_bucket(minio)
    client = client_for(minio)
    put = client.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(CONTENT), ChecksumAlgorithm=algorithm)
    answer = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert answer["Body"].read() == CONTENT
    for response in (put, answer, client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")):
        assert not [name for name in response if name.startswith("Checksum")]
    stored = plain(minio).head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert f"Checksum{algorithm}" in stored


def test_checksums_of_the_plaintext_are_verified_here(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """What the caller says about the plaintext is checked against it, and not sent for the ciphertext."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    sha256 = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(CONTENT, usedforsecurity=False).digest()).decode()
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT, ChecksumSHA256=sha256)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT, ContentMD5=md5, ContentLength=len(CONTENT))
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == CONTENT
    for wrong in ({"ChecksumSHA256": sha256}, {"ContentMD5": md5}):
        with pytest.raises(SourceChangedError):
            client.put_object(Bucket=bucket, Key="other", Body=b"other " + CONTENT, **wrong)
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_conditional_writes_are_the_servers_own(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """IfNoneMatch and IfMatch are obeyed and surface as S3's 412; ETags work on reads as well."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    named = {"Bucket": bucket, "Key": "k"}
    first = client.put_object(**named, Body=b"first", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed") as raised:
        client.put_object(**named, Body=b"second", IfNoneMatch="*")
    assert status_of(raised) == 412
    second = client.put_object(**named, Body=b"second", IfMatch=first)["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(**named, Body=b"third", IfMatch=first)
    assert client.get_object(**named, IfMatch=second)["Body"].read() == b"second"
    with pytest.raises(ClientError) as raised:
        client.get_object(**named, IfNoneMatch=second)
    assert status_of(raised) == 304
    with pytest.raises(ClientError) as raised:
        client.head_object(**named, IfMatch=first)
    assert status_of(raised) == 412
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.copy_object(Bucket=bucket, Key="c", CopySource=named, CopySourceIfMatch=first)


@pytest.mark.parametrize("mode", [SseKms(), KEY], ids=["kms", "customer"])
def test_versions_are_read_copied_and_deleted(minio: Server, client_for: Make, new_bucket: Make, mode: Any) -> None:
    """Each version opens by its ID, a copy takes the version named, and deleting one leaves the others."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=mode)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    named = {"Bucket": bucket, "Key": "k"}
    versions = [client.put_object(**named, Body=b"%d" % number * 1000)["VersionId"] for number in range(3)]
    for number, version in enumerate(versions):
        assert client.get_object(**named, VersionId=version)["Body"].read() == b"%d" % number * 1000
        assert client.head_object(**named, VersionId=version)["ContentLength"] == 1000
    client.copy_object(Bucket=bucket, Key="c", CopySource={**named, "VersionId": versions[1]})
    assert client.get_object(Bucket=bucket, Key="c")["Body"].read() == b"1" * 1000
    client.delete_object(**named, VersionId=versions[2])
    assert client.get_object(**named)["Body"].read() == b"1" * 1000
    client.delete_object(**named)
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(**named)
    assert client.get_object(**named, VersionId=versions[0])["Body"].read() == b"0" * 1000


def test_the_metadata_limit_is_said_before_the_wire(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """Metadata that cannot fit is refused with the numbers and nothing is sent; MinIO's own tighter limit surfaces."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    sent: list[str] = []
    client.meta.events.register("before-send.s3", lambda event_name, **_: sent.append(event_name))
    with pytest.raises(ConfigurationError, match="2048"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"own": "v" * 2000})
    assert not sent
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"own": "v" * 1000})
    # It counts the prefix of each header too, so that less fits there than on AWS.
    own = sum(len(name) + len(value) for name, value in stored_metadata(client, bucket).items()) - 1003
    with pytest.raises(ClientError, match="MetadataTooLarge"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"own": "v" * (2048 - own - 3)})


def stored_metadata(client: Any, bucket: str) -> dict[str, str]:
    """All user metadata as the server has it."""
    metadata: dict[str, str] = s3ec.client.encryption_client.raw_view(client).head_object(Bucket=bucket, Key="k")[
        "Metadata"
    ]
    return metadata


@pytest.mark.parametrize("mode", [None, SseKms(), KEY], ids=["none", "kms", "customer"])
def test_change_keeps_client_side_encryption(minio: Server, client_for: Make, new_bucket: Make, mode: Any) -> None:
    """The server-side mode of an encrypted object changes in place; it opens as before, with its own metadata."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT, Metadata={"own": "v"}, **(mode.parameters() if mode else {}))
    for target in (SseS3(), OTHER_KEY):
        change = s3ec.change_server_side_encryption(
            client, **named, mode=target, customer_key=mode if isinstance(mode, SseC) else None
        )
        assert change.method == "copy"
        answer = client.get_object(**named, **key_of(target))
        assert (answer["Body"].read(), answer["Metadata"]) == (CONTENT, {"own": "v"})
        mode = target


def test_change_minds_no_default(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """Under an SSE-C default objects change into its key and out of it, by the keys that the call names alone."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=KEY)
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT, ServerSideEncryption="AES256")
    change = s3ec.change_server_side_encryption(client, **named, mode=KEY)
    assert (change.before.name, change.after.name) == ("SSE-S3", "SSE-C")
    assert client.get_object(**named)["Body"].read() == CONTENT
    change = s3ec.change_server_side_encryption(client, **named, mode=SseKms(), customer_key=KEY)
    assert (change.before.name, change.after.name) == ("SSE-C", "SSE-KMS")
    assert client_for(minio).get_object(**named)["Body"].read() == CONTENT


@pytest.mark.parametrize("mode", [SseKms(), KEY], ids=["kms", "customer"])
def test_instruction_files_follow_the_mode_of_the_request(
    minio: Server, client_for: Make, plain: Make, new_bucket: Make, mode: ServerSideMode
) -> None:
    """The file beside an object is stored, read and copied in the object's own mode."""
    bucket = new_bucket(minio)
    client = client_for(minio, instruction_file_writes=True)
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT, **mode.parameters())
    assert_sse(plain(minio).head_object(Bucket=bucket, Key="k.instruction", **key_of(mode)), mode)
    assert client.get_object(**named, **key_of(mode))["Body"].read() == CONTENT
    inspected = s3ec.inspect(client, **named, **key_of(mode))
    assert (inspected.format, inspected.metadata_location) == ("V3", "instruction_file")
    source_key = mode.parameters("CopySourceSSECustomer") if isinstance(mode, SseC) else {}
    client.copy_object(Bucket=bucket, Key="c", CopySource=named, **source_key, **OTHER_KEY.parameters())
    assert_sse(plain(minio).head_object(Bucket=bucket, Key="c.instruction", **OTHER_KEY.parameters()), OTHER_KEY)
    assert client.get_object(Bucket=bucket, Key="c", **OTHER_KEY.parameters())["Body"].read() == CONTENT
    client.copy(named, bucket, "m", ExtraArgs={**source_key, **OTHER_KEY.parameters()})
    assert client.get_object(Bucket=bucket, Key="m", **OTHER_KEY.parameters())["Body"].read() == CONTENT
    # Overwritten, it is one request, and the file is left as it is.
    client.put_object(**named, Body=b"new", **mode.parameters())
    assert client.get_object(**named, **key_of(mode))["Body"].read() == b"new"
    assert s3ec.inspect(client, **named, **key_of(mode)).metadata_location == "metadata"


def test_a_failed_put_leaves_the_former_object_readable(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """A condition that fails leaves the file of the object that is there."""
    bucket = new_bucket(minio)
    client = client_for(minio, instruction_file_writes=True, server_side_encryption=KEY)
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(**named, Body=b"other", IfNoneMatch="*")
    assert client.get_object(**named)["Body"].read() == CONTENT


@pytest.mark.parametrize("mode", [SseKms(), KEY], ids=["kms", "customer"])
def test_sessions_and_resources_use_the_mode(minio: Server, new_bucket: Make, mode: ServerSideMode) -> None:
    """Clients and resources of an encrypting session store and read in its default mode."""
    bucket = new_bucket(minio)
    arguments = minio.arguments()
    session = s3ec.Session(keyring=AesKeyring(b"k" * 32), server_side_encryption=mode)
    thing = session.resource("s3", **arguments).Object(bucket, "k")
    thing.put(Body=CONTENT)
    thing.upload_fileobj(io.BytesIO(CONTENT))
    assert thing.get()["Body"].read() == CONTENT
    assert thing.content_length == len(CONTENT)
    client = session.client("s3", **arguments)
    assert_sse(client.head_object(Bucket=bucket, Key="k"), mode)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == ["k"]
    client.get_waiter("object_exists").wait(Bucket=bucket, Key="k")
    thing.delete()
    client.close()


def test_copies_between_clients_of_different_modes(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """A managed copy reads by the source client's key and writes in its own client's mode."""
    bucket = new_bucket(minio)
    source, target = (client_for(minio, server_side_encryption=mode) for mode in (KEY, OTHER_KEY))
    named = {"Bucket": bucket, "Key": "k"}
    source.put_object(**named, Body=CONTENT, Metadata={"own": "v"})
    extra = KEY.parameters("CopySourceSSECustomer")
    target.copy(named, bucket, "c", ExtraArgs=extra, SourceClient=source)
    answer = target.get_object(Bucket=bucket, Key="c")
    assert (answer["Body"].read(), answer["Metadata"]) == (CONTENT, {"own": "v"})


@pytest.mark.parametrize("mode", [None, SseKms(), KEY], ids=["none", "kms", "customer"])
def test_ranges_and_files_are_served(minio: Server, client_for: Make, new_bucket: Make, mode: Any) -> None:
    """Every form of a range, 416 past the end, and a seekable file give the plaintext's own bytes and figures."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=mode)
    content = bytes(range(256)) * 2000
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=content)
    for text, part in {
        "bytes=0-0": content[:1],
        "bytes=100000-200000": content[100000:200001],
        "bytes=511990-": content[511990:],
        "bytes=511990-999999": content[511990:],
        "bytes=-17": content[-17:],
        "bytes=0-": content,
    }.items():
        answer = client.get_object(**named, Range=text)
        assert answer["Body"].read() == part
        assert answer["ContentLength"] == len(part)
        assert answer["ContentRange"].endswith(f"/{len(content)}")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    with pytest.raises(ClientError) as raised:
        client.get_object(**named, Range=f"bytes={len(content)}-")
    assert status_of(raised) == 416
    with s3ec.open(client, **named) as file:
        file.seek(-1000, io.SEEK_END)
        assert file.read() == content[-1000:]
        file.seek(12345)
        assert file.read(100) == content[12345:12445]


def test_tampering_on_the_server_is_noticed(minio: Server, client_for: Make, plain: Make, new_bucket: Make) -> None:
    """A flipped byte, a cut end and swapped bodies are refused, whatever the server itself believes."""
    bucket = new_bucket(minio)
    client, storage = client_for(minio), plain(minio)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    answer = storage.get_object(Bucket=bucket, Key="k")
    stored = answer["Body"].read()
    for body in (stored[:-1], bytes([stored[0] ^ 1]) + stored[1:], b"", stored[:-1] + bytes([stored[-1] ^ 1])):
        storage.put_object(Bucket=bucket, Key="k", Body=body, Metadata=answer["Metadata"])
        with pytest.raises(S3ECError):
            client.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_a_presigned_download_gives_ciphertext(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """The URL's signature holds on a server that checks it, and its holder gets what is stored."""
    bucket = new_bucket(minio)
    client = client_for(minio)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    answer = URLLib3Session(verify=str(minio.certificate)).send(AWSRequest("GET", url).prepare())
    assert answer.status_code == 200
    assert len(answer.content) == len(CONTENT) + 16
    assert CONTENT[:36] not in answer.content


def test_the_rules_are_those_of_the_client(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """A warning tells of a copy in SSE-S3, whose mode MinIO carries out and leaves out of its answer."""
    bucket = new_bucket(minio)
    client = client_for(minio, server_side_encryption=SseS3())
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT)
    answer = client.copy_object(Bucket=bucket, Key="c", CopySource=named)
    asked = {"Bucket": bucket, "Key": "c", "ServerSideEncryption": "AES256"}
    assert not server_side.warn_unless_confirmed("CopyObject", asked, answer)
    assert client.head_object(Bucket=bucket, Key="c")["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize("mode", [SseS3(), SseKms(), DsseKms()], ids=["s3", "kms", "dsse"])
def test_a_lying_server_gets_no_plaintext(
    liar: Server, client_for: Make, new_bucket: Make, caplog: pytest.LogCaptureFixture, mode: ServerSideMode
) -> None:
    """Where a server accepts a mode and stores what it was sent, that is ciphertext, and the log tells of it."""
    bucket = new_bucket(liar)
    client = client_for(liar, server_side_encryption=mode)
    with caplog.at_level("WARNING", "s3ec"):
        client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    assert "not confirmed" in caplog.text
    assert not liar.disk_contains(CONTENT[:36])
    assert s3ec.inspect(client, Bucket=bucket, Key="k").server_side_encryption.name is None
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == CONTENT


def test_bucket_keys_and_dsse_through_the_client(localstack: Server, client_for: Make, new_bucket: Make) -> None:
    """What MinIO lacks: the answers for a put, a copy and an upload in parts name DSSE-KMS, or the bucket key."""
    bucket = new_bucket(localstack)
    with contextlib.closing(boto3.client("kms", **localstack.arguments())) as keys:
        arn = keys.create_key()["KeyMetadata"]["Arn"]
    for mode, name in ((DsseKms(arn), "DSSE-KMS"), (SseKms(arn, bucket_key=True), "SSE-KMS")):
        client = client_for(localstack, server_side_encryption=mode)
        named = {"Bucket": bucket, "Key": "k"}
        client.put_object(**named, Body=CONTENT)
        client.copy_object(Bucket=bucket, Key="c", CopySource=named)
        upload = client.create_multipart_upload(Bucket=bucket, Key="m")
        place = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
        part = client.upload_part(**place, PartNumber=1, Body=CONTENT)
        listed = [{"PartNumber": 1, "ETag": part["ETag"]}]
        client.complete_multipart_upload(**place, MultipartUpload={"Parts": listed})
        for key in ("k", "c", "m"):
            found = s3ec.inspect(client, Bucket=bucket, Key=key)
            assert (found.server_side_encryption.name, found.format) == (name, "V3")
            assert found.server_side_encryption.bucket_key is (name == "SSE-KMS")
            assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == CONTENT
