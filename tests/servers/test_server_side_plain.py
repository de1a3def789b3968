"""What real servers make of the server-side rules: a plain boto3 client sends exactly what `apply` gives it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from s3ec import DsseKms, SseC, SseKms, SseS3
from s3ec.client.server_side import rules as server_side
from s3ec.client.server_side.presigned import post_policy
from s3ec.client.tools.buckets import (
    change_server_side_encryption,
    get_default_encryption,
    server_side_state,
    set_default_encryption,
    upload_policy,
)
from s3ec.errors import UnsupportedOperationError

from support.servers import MINIO_KMS_KEY, SECRET_KEY, Server

KEY = SseC(bytes(range(32)))
OTHER_KEY = SseC(bytes(32))
CONTENT = b"a plaintext that is easily found on a disk " * 500
PART = 5 * 1024**2
# MinIO's own form of a key ARN.
MINIO_KMS_ARN = f"arn:aws:kms:{MINIO_KMS_KEY}"

pytestmark = pytest.mark.server

Clients = Callable[[Server], Any]
Buckets = Callable[..., str]


def send(client: Any, mode: Any, operation_name: str, **parameters: Any) -> Any:
    """One request of a plain client under a default mode, as the encrypting client sends it."""
    ready = server_side.apply(operation_name, parameters, mode, secure=client.meta.endpoint_url.startswith("https"))
    return client._make_api_call(operation_name, ready)


@pytest.mark.parametrize(
    "mode",
    [
        SseS3(),
        SseKms(),
        SseKms(MINIO_KMS_KEY, context={"team": "hr", "größe": "漢"}),
        SseKms(MINIO_KMS_ARN, bucket_key=True),
        KEY,
    ],
    ids=["s3", "kms", "kms-context", "kms-arn", "customer"],
)
def test_minio_encrypts_every_mode(minio: Server, plain: Clients, new_bucket: Buckets, mode: Any) -> None:
    """Put, head, get, copy, delete and a whole multipart upload pass; the disk holds no plaintext."""
    client, bucket = plain(minio), new_bucket(minio)
    named = {"Bucket": bucket, "Key": "k"}
    answer = send(client, mode, "PutObject", **named, Body=CONTENT)
    assert server_side.warn_unless_confirmed("PutObject", {**named, **mode.parameters()}, answer)
    head = send(client, mode, "HeadObject", **named)
    assert server_side_state(head).name == ("SSE-C" if isinstance(mode, SseC) else server_side_state(answer).name)
    assert send(client, mode, "GetObject", **named)["Body"].read() == CONTENT
    send(client, mode, "CopyObject", Bucket=bucket, Key="c", CopySource=named)
    assert send(client, mode, "GetObject", Bucket=bucket, Key="c")["Body"].read() == CONTENT
    place = {"Bucket": bucket, "Key": "m"}
    upload = {**place, "UploadId": send(client, mode, "CreateMultipartUpload", **place)["UploadId"]}
    part = send(client, mode, "UploadPart", **upload, PartNumber=1, Body=CONTENT)
    assert len(send(client, mode, "ListParts", **upload)["Parts"]) == 1
    send(
        client, mode, "CompleteMultipartUpload", **upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]},
    )  # fmt: skip
    assert send(client, mode, "GetObject", **place)["Body"].read() == CONTENT
    attributes = send(client, mode, "GetObjectAttributes", **place, ObjectAttributes=["ObjectSize"])
    assert attributes["ObjectSize"] == len(CONTENT)
    assert not minio.disk_contains(CONTENT[:40])
    send(client, mode, "DeleteObject", **named)


def test_the_disk_shows_what_is_not_encrypted(minio: Server, plain: Clients, new_bucket: Buckets) -> None:
    """The look at the disk can fail: without a mode the same content lies there as it is."""
    client, bucket = plain(minio), new_bucket(minio)
    content = b"this one is stored without any mode " * 500
    client.put_object(Bucket=bucket, Key="k", Body=content)
    assert minio.disk_contains(content[:30])


def test_a_wrong_customer_key_opens_nothing(minio: Server, plain: Clients, new_bucket: Buckets) -> None:
    """Another key is 403, no key 400, for GET and HEAD."""
    client, bucket = plain(minio), new_bucket(minio)
    send(client, KEY, "PutObject", Bucket=bucket, Key="k", Body=CONTENT)
    for operation_name in ("GetObject", "HeadObject"):
        for mode, status in ((OTHER_KEY, 403), (None, 400)):
            with pytest.raises(ClientError) as raised:
                send(client, mode, operation_name, Bucket=bucket, Key="k")
            assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_the_servers_refuse_what_we_refuse_first(
    minio: Server, minio_http: Server, plain: Clients, new_bucket: Buckets
) -> None:
    """What `check` refuses is refused by a real server as well: a mode on a read, and a customer key over http."""
    client, bucket = plain(minio), new_bucket(minio)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT)

    def add_mode(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["x-amz-server-side-encryption"] = "AES256"

    client.meta.events.register("before-call.s3.GetObject", add_mode)
    with pytest.raises(ClientError) as raised:
        client.get_object(Bucket=bucket, Key="k")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    over_http = plain(minio_http)
    with pytest.raises(ClientError) as raised:
        over_http.put_object(Bucket=new_bucket(minio_http), Key="k", Body=CONTENT, **KEY.parameters())
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_the_context_is_stored_with_the_object(minio: Server, plain: Clients, new_bucket: Buckets) -> None:
    """The encryption context of SSE-KMS arrives as the map that was given."""
    client, bucket = plain(minio), new_bucket(minio)
    send(client, SseKms(context={"team": "hr", "b": "größe"}), "PutObject", Bucket=bucket, Key="k", Body=CONTENT)
    headers = client.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    context = server_side.requested_mode(
        {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": headers["x-amz-server-side-encryption-context"]}
    )
    assert isinstance(context, SseKms)
    assert context.context == {"team": "hr", "b": "größe"}


@pytest.mark.parametrize("mode", [SseS3(), SseKms(MINIO_KMS_KEY, bucket_key=False)])
def test_bucket_default_on_minio(minio: Server, plain: Clients, new_bucket: Buckets, mode: Any) -> None:
    """A bucket's default is set, read, and used for an object that names no mode."""
    client, bucket = plain(minio), new_bucket(minio)
    assert get_default_encryption(client, Bucket=bucket) is None
    set_default_encryption(client, Bucket=bucket, mode=mode)
    found = get_default_encryption(client, Bucket=bucket)
    assert type(found) is type(mode)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    wanted = "SSE-S3" if isinstance(mode, SseS3) else "SSE-KMS"
    assert server_side_state(client.head_object(Bucket=bucket, Key="k")).name == wanted


@pytest.mark.parametrize(
    ("mode", "others"),
    [
        (SseS3(), [None, SseKms(), KEY]),
        (SseKms(), [None, SseS3(), KEY]),
        (SseKms(MINIO_KMS_ARN), [None, SseS3(), SseKms(), KEY]),
        (KEY, [None, SseS3(), SseKms()]),
    ],
    ids=["s3", "kms", "kms-key", "customer"],
)
def test_the_policy_denies_other_uploads(
    minio: Server, plain: Clients, new_bucket: Buckets, mode: Any, others: list[Any]
) -> None:
    """Under the policy an upload in the mode passes and every other one is 403.

    MinIO's root user stands above bucket policies, so that the same statements bind a role's session here.
    """
    bucket = new_bucket(minio)
    denied = upload_policy(Bucket=bucket, mode=mode)["Statement"]
    for statement in denied:
        # A session's policy speaks of its own principal.
        del statement["Principal"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::*"]}
    session_policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed, *denied]})
    sts = boto3.client("sts", **minio.arguments())
    arn = "arn:aws:iam::111122223333:role/uploads"
    role = sts.assume_role(RoleArn=arn, RoleSessionName="uploads", Policy=session_policy)["Credentials"]
    arguments = {
        **minio.arguments(),
        "aws_access_key_id": role["AccessKeyId"],
        "aws_secret_access_key": role["SecretAccessKey"],
        "aws_session_token": role["SessionToken"],
    }
    client = boto3.client("s3", **arguments)
    send(client, mode, "PutObject", Bucket=bucket, Key="k", Body=CONTENT)
    for other in others:
        with pytest.raises(ClientError, match="AccessDenied"):
            send(client, other, "PutObject", Bucket=bucket, Key="denied", Body=CONTENT)


def test_a_post_form_is_bound_to_the_mode(minio: Server, plain: Clients, new_bucket: Buckets) -> None:
    """A browser's form stores in the mode that it was made for, and only with the mode's fields."""
    client, bucket = plain(minio), new_bucket(minio)
    for mode, name in ((SseS3(), "SSE-S3"), (SseKms(MINIO_KMS_KEY, context={"a": "b"}), "SSE-KMS"), (KEY, "SSE-C")):
        fields, conditions = post_policy(mode)
        form = client.generate_presigned_post(bucket, "k", Fields=fields, Conditions=conditions)
        if mode is KEY:
            form["fields"]["x-amz-server-side-encryption-customer-key"] = KEY.parameters()["SSECustomerKey"]
        for dropped, status in (("x-amz-server-side-encryption", 403), (None, 204)):
            kept = {
                field: value for field, value in form["fields"].items() if not (dropped and field.startswith(dropped))
            }
            body = "".join(
                f'--B\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
                for field, value in kept.items()
            )
            body += '--B\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ncontent\r\n--B--\r\n'
            headers = {"Content-Type": "multipart/form-data; boundary=B"}
            request = AWSRequest("POST", form["url"], headers=headers, data=body.encode()).prepare()
            assert URLLib3Session(verify=str(minio.certificate)).send(request).status_code == status
        head = send(client, mode if isinstance(mode, SseC) else None, "HeadObject", Bucket=bucket, Key="k")
        assert server_side_state(head).name == name


@pytest.mark.parametrize("versioned", [False, True], ids=["plain-bucket", "versioned"])
def test_an_object_goes_through_all_modes(minio: Server, plain: Clients, new_bucket: Buckets, versioned: bool) -> None:
    """Content, metadata, headers and tags are the same after every change; the disk shows nothing in the end."""
    client, bucket = plain(minio), new_bucket(minio)
    if versioned:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    content = b"goes through every mode there is " * 400
    client.put_object(
        Bucket=bucket, Key="k", Body=content, Metadata={"own": "v"}, CacheControl="no-cache", Tagging="a=b",
        **OTHER_KEY.parameters(),
    )  # fmt: skip
    held: Any = OTHER_KEY
    for mode in (SseS3(), SseKms(MINIO_KMS_ARN), SseKms(context={"a": "b"}), KEY, OTHER_KEY, SseS3()):
        change = change_server_side_encryption(
            client, Bucket=bucket, Key="k", mode=mode, customer_key=held if isinstance(held, SseC) else None
        )
        assert change.method == "copy"
        assert (change.version_id is not None) is versioned
        held = mode
        answer = send(client, held if isinstance(held, SseC) else None, "GetObject", Bucket=bucket, Key="k")
        assert answer["Body"].read() == content
        assert (answer["Metadata"], answer["CacheControl"], answer["TagCount"]) == ({"own": "v"}, "no-cache", 1)
        assert server_side_state(answer) == change.after
    assert not minio.disk_contains(content[:30])


@pytest.mark.parametrize("held", [None, OTHER_KEY], ids=["from-none", "from-customer"])
@pytest.mark.parametrize("mode", [SseS3(), SseKms(MINIO_KMS_KEY), KEY], ids=["s3", "kms", "customer"])
def test_a_large_object_is_changed_in_parts(
    minio: Server, plain: Clients, new_bucket: Buckets, mode: Any, held: SseC | None
) -> None:
    """A copy in parts keeps content, metadata, headers and tags as well."""
    client, bucket = plain(minio), new_bucket(minio)
    content = bytes(range(256)) * 30000
    send(
        client,
        held,
        "PutObject",
        Bucket=bucket,
        Key="k",
        Body=content,
        Metadata={"own": "v"},
        ContentType="text/x-test",
        Tagging="a=b%20%2B",
    )
    change = change_server_side_encryption(
        client, Bucket=bucket, Key="k", mode=mode, customer_key=held, copy_limit=PART
    )
    assert change.method == "multipart-copy"
    answer = send(client, mode if isinstance(mode, SseC) else None, "GetObject", Bucket=bucket, Key="k")
    assert answer["Body"].read() == content
    assert (answer["Metadata"], answer["ContentType"], answer["TagCount"]) == ({"own": "v"}, "text/x-test", 1)


@pytest.mark.parametrize("copy_limit", [PART, 5 * 1024**3], ids=["in-parts", "whole"])
def test_a_write_in_between_is_not_lost(minio: Server, plain: Clients, new_bucket: Buckets, copy_limit: int) -> None:
    """Whoever writes between the look and the copy keeps the object: the change ends in 412."""
    client, writer, bucket = plain(minio), plain(minio), new_bucket(minio)
    client.put_object(Bucket=bucket, Key="k", Body=bytes(PART + 1))

    def write(**_: Any) -> None:
        writer.put_object(Bucket=bucket, Key="k", Body=b"newer")

    event = "CompleteMultipartUpload" if copy_limit == PART else "CopyObject"
    client.meta.events.register(f"before-send.s3.{event}", write)
    with pytest.raises(ClientError) as raised:
        change_server_side_encryption(client, Bucket=bucket, Key="k", mode=SseS3(), copy_limit=copy_limit)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert writer.get_object(Bucket=bucket, Key="k")["Body"].read() == b"newer"
    assert "Uploads" not in writer.list_multipart_uploads(Bucket=bucket, Prefix="k")


def test_locked_objects_stay_locked(minio: Server, plain: Clients, new_bucket: Buckets) -> None:
    """The version that a change makes has the retention and the legal hold of the one before."""
    client, bucket = plain(minio), new_bucket(minio, ObjectLockEnabledForBucket=True)
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)
    client.put_object(
        Bucket=bucket, Key="k", Body=CONTENT, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON",
    )  # fmt: skip
    change_server_side_encryption(client, Bucket=bucket, Key="k", mode=SseKms(MINIO_KMS_KEY))
    head = client.head_object(Bucket=bucket, Key="k")
    assert (head["ObjectLockMode"], head["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert head["ObjectLockRetainUntilDate"] == until


def test_a_mode_that_the_server_lacks_is_its_own_error(minio: Server, plain: Clients, new_bucket: Buckets) -> None:
    """MinIO has no DSSE-KMS and says so; the object stays as it was."""
    client, bucket = plain(minio), new_bucket(minio)
    client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    with pytest.raises(ClientError, match="InvalidArgument"):
        change_server_side_encryption(client, Bucket=bucket, Key="k", mode=DsseKms())
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == CONTENT


@pytest.mark.parametrize("name", ["minio", "liar", "localstack"])
@pytest.mark.parametrize(
    ("operation_name", "members"),
    [
        ("UpdateObjectEncryption", {"ObjectEncryption": {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:1:key/k"}}}),
        ("DeleteObjectAnnotation", {"AnnotationName": "n"}),
        ("RenameObject", {"RenameSource": "other"}),
    ],
)
def test_operations_that_destroy_what_they_meet(
    request: pytest.FixtureRequest,
    plain: Clients,
    client_for: Clients,
    new_bucket: Buckets,
    name: str,
    operation_name: str,
    members: dict[str, Any],
) -> None:
    """Why these go to AWS only: servers that do not know them take them for a put or a delete of the object."""
    server: Server = request.getfixturevalue(name)
    client, bucket = plain(server), new_bucket(server)
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT)
    with pytest.raises(UnsupportedOperationError, match="not AWS's"):
        client_for(server)._make_api_call(operation_name, {**named, **members})
    assert client.get_object(**named)["Body"].read() == CONTENT
    # LocalStack alone knows enough of RenameObject to say that it cannot.
    with contextlib.suppress(ClientError):
        client._make_api_call(operation_name, {**named, **members})
        with contextlib.suppress(client.exceptions.NoSuchKey):
            assert client.get_object(**named)["Body"].read() != CONTENT, "it knows the operation: allow it there"


@pytest.mark.parametrize("name", ["minio", "liar", "localstack"])
def test_a_change_never_sends_an_update_there(
    request: pytest.FixtureRequest, plain: Clients, new_bucket: Buckets, name: str
) -> None:
    """The change of an object's mode copies on every server but AWS's own, whatever the mode."""
    server: Server = request.getfixturevalue(name)
    client, bucket = plain(server), new_bucket(server)
    arn = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
    named = {"Bucket": bucket, "Key": "k"}
    client.put_object(**named, Body=CONTENT)
    sent: list[str] = []
    client.meta.events.register("before-send.s3", lambda event_name, **_: sent.append(event_name))
    with pytest.raises((ClientError, UnsupportedOperationError)):
        change_server_side_encryption(client, **named, mode=SseKms(arn))
    assert not [event for event in sent if "UpdateObjectEncryption" in event]
    assert client.get_object(**named)["Body"].read() == CONTENT


def test_localstack_knows_dsse_and_bucket_keys(localstack: Server, plain: Clients, new_bucket: Buckets) -> None:
    """What MinIO lacks: DSSE-KMS, bucket keys, SSE-S3 as every bucket's default, and a key that must exist."""
    client, bucket = plain(localstack), new_bucket(localstack)
    kms = boto3.client("kms", **localstack.arguments())
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    assert get_default_encryption(client, Bucket=bucket) == SseS3()
    put = send(client, SseKms(arn, bucket_key=True), "PutObject", Bucket=bucket, Key="k", Body=CONTENT)
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"], put["BucketKeyEnabled"]) == ("aws:kms", arn, True)
    put = send(client, DsseKms(arn), "PutObject", Bucket=bucket, Key="d", Body=CONTENT)
    assert put["ServerSideEncryption"] == "aws:kms:dsse"
    change = change_server_side_encryption(client, Bucket=bucket, Key="k", mode=DsseKms(arn))
    assert (change.before.name, change.before.bucket_key, change.after.name) == ("SSE-KMS", True, "DSSE-KMS")
    set_default_encryption(client, Bucket=bucket, mode=SseKms(arn, bucket_key=True))
    assert get_default_encryption(client, Bucket=bucket) == SseKms(arn, bucket_key=True)
    # With a key it refuses DSSE-KMS as a default, which AWS takes.
    set_default_encryption(client, Bucket=bucket, mode=DsseKms())
    assert get_default_encryption(client, Bucket=bucket) == DsseKms()
    with pytest.raises(ClientError, match=r"KMS\.NotFoundException"):
        send(client, SseKms(arn[:-4] + "0000"), "PutObject", Bucket=bucket, Key="n", Body=CONTENT)


@pytest.mark.parametrize("mode", [SseS3(), SseKms(), DsseKms()], ids=["s3", "kms", "dsse"])
def test_a_lying_server_is_noticed(
    liar: Server, plain: Clients, new_bucket: Buckets, caplog: pytest.LogCaptureFixture, mode: Any
) -> None:
    """Versitygw accepts every mode and stores the content as it came: the put is warned about, the change fails."""
    client, bucket = plain(liar), new_bucket(liar)
    named = {"Bucket": bucket, "Key": "k"}
    answer = send(client, mode, "PutObject", **named, Body=CONTENT)
    assert liar.disk_contains(CONTENT[:40])
    with caplog.at_level(logging.WARNING, "s3ec"):
        assert not server_side.warn_unless_confirmed("PutObject", {**named, **mode.parameters()}, answer)
    assert "not confirmed" in caplog.text
    with pytest.raises((ClientError, UnsupportedOperationError)):
        change_server_side_encryption(client, **named, mode=mode)
    assert client.get_object(**named)["Body"].read() == CONTENT
    assert SECRET_KEY not in caplog.text
