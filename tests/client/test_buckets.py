"""Server-side encryption of buckets, and of objects that are already there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from s3ec.client.server_side.rules import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.client.tools.buckets import (
    ServerSideState,
    change_server_side_encryption,
    get_default_encryption,
    require_encryption,
    server_side_state,
    set_default_encryption,
    upload_policy,
)
from s3ec.errors import ConfigurationError, UnsupportedOperationError

ARN = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
OTHER_ARN = "arn:aws:kms:us-east-1:111122223333:key/99999999-2222-3333-4444-555555555555"
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


class Wire:
    """The requests that a client sends, as ``(operation, request)``."""

    def __init__(self, client: Any) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.answer: Callable[[str, Any], tuple[int, dict[str, str], bytes] | None] = lambda operation, request: None
        client.meta.events.register("before-send.s3", self._record)

    def _record(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        self.sent.append((operation, request))
        answer = self.answer(operation, request)
        if answer is None:
            return None
        status, headers, body = answer
        return AWSResponse(request.url, status, headers, _Raw(body))

    @property
    def operations(self) -> list[str]:
        """The names of what was sent."""
        return [operation for operation, _ in self.sent]


class _Raw:
    """The part of an HTTP response that botocore reads."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self) -> Iterator[bytes]:
        yield self.body


@pytest.fixture
def wire(plain_s3: Any) -> Wire:
    """Everything that `plain_s3` sends."""
    return Wire(plain_s3)


@pytest.fixture
def aws_s3() -> Iterator[tuple[Any, Wire]]:
    """A client whose endpoint is one of AWS's, and the script that answers it: nothing leaves this process."""
    with contextlib.closing(
        boto3.client("s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")
    ) as client:
        wire = Wire(client)
        wire.answer = lambda operation, request: (500, {}, b"")
        yield client, wire


@pytest.mark.parametrize(
    "mode",
    [
        SseS3(),
        SseKms(bucket_key=False),
        SseKms(ARN, bucket_key=True),
        SseKms("alias/a", bucket_key=False),
        DsseKms(ARN),
    ],
)
def test_bucket_default_comes_back(plain_s3: Any, bucket: str, mode: ServerSideMode) -> None:
    """What is set as a bucket's default is what is read."""
    assert get_default_encryption(plain_s3, Bucket=bucket) in {None, SseS3()}
    set_default_encryption(plain_s3, Bucket=bucket, mode=mode)
    assert get_default_encryption(plain_s3, Bucket=bucket) == mode


@pytest.mark.parametrize("mode", [SseC(bytes(32)), SseKms(context={"a": "b"}), DsseKms(context={"a": "b"})])
def test_a_default_that_s3_cannot_have_is_refused(plain_s3: Any, bucket: str, wire: Wire, mode: ServerSideMode) -> None:
    """SSE-C and encryption contexts are of single requests; nothing is sent."""
    with pytest.raises(ConfigurationError, match="default"):
        set_default_encryption(plain_s3, Bucket=bucket, mode=mode)
    assert not wire.sent


def test_a_new_default_keeps_sse_c_blocked(aws_s3: tuple[Any, Wire]) -> None:
    """The call replaces the whole configuration, so what blocks SSE-C is carried over, or changed when asked."""
    client, wire = aws_s3
    rule = client.meta.service_model.shape_for("ServerSideEncryptionRule")
    if "BlockedEncryptionTypes" not in rule.members:
        pytest.skip("the installed botocore does not know BlockedEncryptionTypes")
    blocked = (
        b'<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>'
        b"<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
        b"<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
        b"</Rule></ServerSideEncryptionConfiguration>"
    )
    wire.answer = lambda operation, request: (200, {}, blocked if operation == "GetBucketEncryption" else b"")
    set_default_encryption(client, Bucket="b", mode=SseKms(ARN))
    assert b"<EncryptionType>SSE-C</EncryptionType>" in wire.sent[-1][1].body
    set_default_encryption(client, Bucket="b", mode=SseKms(ARN), block_sse_c=False)
    assert b"<EncryptionType>NONE</EncryptionType>" in wire.sent[-1][1].body


def test_a_default_of_another_service_is_no_mode(aws_s3: tuple[Any, Wire]) -> None:
    """A default that no mode can express is an error and not "none"."""
    client, wire = aws_s3
    body = (
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:fsx"
        b"</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    wire.answer = lambda operation, request: (200, {}, body)
    with pytest.raises(UnsupportedOperationError, match="aws:fsx"):
        get_default_encryption(client, Bucket="b")


def test_errors_of_s3_surface_as_they_are(plain_s3: Any) -> None:
    """A bucket that is not there is S3's own error."""
    with pytest.raises(ClientError, match="NoSuchBucket"):
        get_default_encryption(plain_s3, Bucket="no-such-bucket-of-ours")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        require_encryption(plain_s3, Bucket="no-such-bucket-of-ours", mode=SseS3())


def conditions(policy: dict[str, Any]) -> list[Any]:
    """The conditions of a policy's statements."""
    return [statement["Condition"] for statement in policy["Statement"]]


def test_upload_policy_denies_what_does_not_name_the_mode() -> None:
    """Each mode has its header, and a key its own statement."""
    header = "s3:x-amz-server-side-encryption"
    assert conditions(upload_policy(Bucket="b", mode=SseS3())) == [{"StringNotEquals": {header: "AES256"}}]
    assert conditions(upload_policy(Bucket="b", mode=SseKms())) == [{"StringNotEquals": {header: "aws:kms"}}]
    assert conditions(upload_policy(Bucket="b", mode=DsseKms(ARN))) == [
        {"StringNotEquals": {header: "aws:kms:dsse"}},
        {"StringNotEquals": {f"{header}-aws-kms-key-id": ARN}},
    ]
    assert conditions(upload_policy(Bucket="b", mode=SseC(bytes(32)))) == [
        {"Null": {f"{header}-customer-algorithm": "true"}}
    ]
    statement = upload_policy(Bucket="b", mode=SseS3(), partition="aws-cn")["Statement"][0]
    assert (statement["Effect"], statement["Action"], statement["Principal"]) == ("Deny", "s3:PutObject", "*")
    assert statement["Resource"] == "arn:aws-cn:s3:::b/*"


def test_upload_policy_can_deny_plain_http() -> None:
    """Insecure transport is denied for the bucket and everything in it."""
    statement = upload_policy(Bucket="b", mode=SseS3(), require_secure_transport=True)["Statement"][-1]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Action"] == "s3:*"
    assert statement["Resource"] == ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]


def test_upload_policy_takes_keys_by_arn_only() -> None:
    """Policies compare keys as text, so that an alias would deny what names the same key otherwise."""
    with pytest.raises(ConfigurationError, match="ARN"):
        upload_policy(Bucket="b", mode=SseKms("alias/a"))


def test_require_encryption_leaves_other_statements_alone(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """Statements of others stay, ours are replaced, and a second call with the same wish writes nothing."""
    other = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    # One statement may stand without a list.
    plain_s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Id": "I", "Statement": other})
    )
    require_encryption(plain_s3, Bucket=bucket, mode=SseKms(ARN), require_secure_transport=True)
    require_encryption(plain_s3, Bucket=bucket, mode=SseS3())
    policy = json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Id"] == "I"
    assert [statement["Sid"] for statement in policy["Statement"]] == [
        "Theirs",
        "S3ecRequireSecureTransport",
        "S3ecRequireServerSideEncryption",
    ]
    assert policy["Statement"][0] == other
    writes = wire.operations.count("PutBucketPolicy")
    assert require_encryption(plain_s3, Bucket=bucket, mode=SseS3()) == policy
    assert wire.operations.count("PutBucketPolicy") == writes


def test_require_encryption_starts_a_policy(plain_s3: Any, bucket: str) -> None:
    """A bucket without a policy gets one."""
    policy = require_encryption(plain_s3, Bucket=bucket, mode=DsseKms())
    assert json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({}, ServerSideState(None)),
        ({"ServerSideEncryption": "AES256"}, ServerSideState("SSE-S3")),
        (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN, "BucketKeyEnabled": True},
            ServerSideState("SSE-KMS", ARN, bucket_key=True),
        ),
        ({"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": ARN}, ServerSideState("DSSE-KMS", ARN)),
        ({"ServerSideEncryption": "aws:backup"}, ServerSideState("aws:backup")),
        ({"SSECustomerAlgorithm": "AES256", "SSECustomerKeyMD5": "m"}, ServerSideState("SSE-C", customer_key_md5="m")),
    ],
)
def test_state_is_read_off_an_answer(answer: dict[str, Any], state: ServerSideState) -> None:
    """Every mode has its name, and S3's own words are passed on."""
    assert server_side_state(answer) == state


PART = 5 * 1024**2
CONTENT = bytes(range(256)) * 20481


def put(client: Any, bucket: str, body: bytes = b"content" * 1000, **more: Any) -> dict[str, Any]:
    """An object with something of everything that a copy could lose."""
    answer: dict[str, Any] = client.put_object(
        Bucket=bucket,
        Key="k",
        Body=body,
        Metadata={"x-amz-c": "115", "own": "value"},
        CacheControl="no-cache",
        ContentType="text/x-test",
        ContentDisposition="inline",
        Tagging="a=1&b=x%20%2B%3D",
        StorageClass="STANDARD_IA",
        **more,
    )
    return answer


def assert_kept(client: Any, bucket: str, body: bytes = b"content" * 1000, **named: Any) -> None:
    """Nothing of `put` is lost."""
    answer = client.get_object(Bucket=bucket, Key="k", **named)
    assert answer["Body"].read() == body
    assert answer["Metadata"] == {"x-amz-c": "115", "own": "value"}
    assert (answer["CacheControl"], answer["ContentType"], answer["ContentDisposition"]) == (
        "no-cache",
        "text/x-test",
        "inline",
    )
    assert answer["StorageClass"] == "STANDARD_IA"
    tags = client.get_object_tagging(Bucket=bucket, Key="k", **named)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "b": "x +="}


@pytest.mark.parametrize("mode", [SseKms(ARN), SseKms(ARN, context={"a": "b"}, bucket_key=True), DsseKms(ARN)])
@pytest.mark.parametrize("copy_limit", [5 * 1024**3, PART])
def test_change_keeps_everything(plain_s3: Any, bucket: str, mode: ServerSideMode, copy_limit: int) -> None:
    """Content, metadata, content headers, tags and storage class are kept, copied whole or in parts."""
    put(plain_s3, bucket, CONTENT, ServerSideEncryption="AES256")
    change = change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=mode, copy_limit=copy_limit)
    assert change.method == ("copy" if copy_limit > PART else "multipart-copy")
    assert change.before == ServerSideState("SSE-S3")
    assert change.after.name == ("DSSE-KMS" if isinstance(mode, DsseKms) else "SSE-KMS")
    assert change.etag == plain_s3.head_object(Bucket=bucket, Key="k")["ETag"]
    assert_kept(plain_s3, bucket, CONTENT)


def test_what_is_so_already_is_left_alone(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """An object that provably has the mode is not touched; one that may have another key is."""
    put(plain_s3, bucket, ServerSideEncryption="aws:kms", SSEKMSKeyId=ARN)
    wire.sent.clear()
    for mode in (SseKms(ARN), SseKms(ARN, bucket_key=False)):
        assert change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=mode).method == "none"
    assert set(wire.operations) == {"HeadObject"}
    for mode in (SseKms(), SseKms(ARN, context={"a": "b"}), SseKms(ARN, bucket_key=True), SseKms(OTHER_ARN)):
        assert change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=mode).method == "copy"


def test_change_keeps_who_may_read(plain_s3: Any, bucket: str) -> None:
    """Grants to others than the owner come along with the copy."""
    put(plain_s3, bucket)
    owner = plain_s3.get_object_acl(Bucket=bucket, Key="k")["Owner"]["ID"]
    plain_s3.put_object_acl(
        Bucket=bucket,
        Key="k",
        GrantFullControl=f'id="{owner}"',
        GrantRead=f'uri="{ALL_USERS}"',
        GrantReadACP='id="abc"',
    )
    before = plain_s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert len(before) == 3
    change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN))
    after = plain_s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert sorted(map(repr, after)) == sorted(map(repr, before))


def test_the_owners_own_grant_is_not_repeated(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """Buckets without access control lists refuse any; a list that says nothing is therefore not sent."""
    put(plain_s3, bucket)
    change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN))
    copied = next(request for operation, request in wire.sent if operation == "CopyObject")
    assert not [name for name in copied.headers if name.startswith("x-amz-grant")]


def test_an_unreadable_acl_stops_the_change(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """Who may not read the list would lose it unseen: S3's refusal surfaces, unless the caller gives the list up."""
    put(plain_s3, bucket)
    denied = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    wire.answer = lambda operation, request: (403, {}, denied) if operation == "GetObjectAcl" else None
    with pytest.raises(ClientError, match="AccessDenied"):
        change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN))
    assert "CopyObject" not in wire.operations
    assert (
        change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN), keep_acl=False).method
        == "copy"
    )
    wire.answer = lambda operation, request: (
        (400, {}, denied.replace(b"AccessDenied", b"AccessControlListNotSupported"))
        if operation == "GetObjectAcl"
        else None
    )
    assert change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=DsseKms(ARN)).method == "copy"


def test_a_copy_is_pinned_to_what_was_seen(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """Source and target are both bound to the ETag, so that a write in between ends in 412 and not in a lost update."""
    etag = put(plain_s3, bucket)["ETag"]
    change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN))
    headers = next(request.headers for operation, request in wire.sent if operation == "CopyObject")
    assert headers["x-amz-copy-source-if-match"].decode() == etag
    if "IfMatch" in plain_s3.meta.service_model.operation_model("CopyObject").input_shape.members:
        assert headers["If-Match"].decode() == etag


@pytest.mark.slow
def test_a_failed_copy_in_parts_leaves_no_upload(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """Parts without an end are billed and invisible: the upload is aborted and the object stays."""
    put(plain_s3, bucket)
    wire.answer = lambda operation, request: (
        (412, {}, b"<Error><Code>PreconditionFailed</Code><Message>changed</Message></Error>")
        if operation == "UploadPartCopy"
        else None
    )
    with pytest.raises(ClientError, match="PreconditionFailed"):
        change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN), copy_limit=3000)
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
    assert_kept(plain_s3, bucket)


def test_metadata_without_a_header_stops_a_copy_in_parts(aws_s3: tuple[Any, Wire]) -> None:
    """What HEAD cannot show a copy in parts cannot set again."""
    client, wire = aws_s3
    head = {
        "ETag": '"e"',
        "Content-Length": "7000",
        "x-amz-missing-meta": "2",
        "x-amz-server-side-encryption": "AES256",
    }
    wire.answer = lambda operation, request: (200, head, b"")
    with pytest.raises(UnsupportedOperationError, match="2 metadata entries"):
        change_server_side_encryption(client, Bucket="b", Key="k", mode=DsseKms(ARN), copy_limit=3000, keep_acl=False)
    assert wire.operations == ["HeadObject"]


@pytest.mark.parametrize(("code", "kept_going"), [(b"NotImplemented", True), (b"AccessDenied", False)])
def test_unreadable_tags_stop_a_copy_in_parts(
    plain_s3: Any, bucket: str, wire: Wire, code: bytes, kept_going: bool
) -> None:
    """Tags that may not be read would be lost unseen; a server without tags has none to lose."""
    put(plain_s3, bucket, CONTENT)
    wire.answer = lambda operation, request: (
        (400, {}, b"<Error><Code>" + code + b"</Code></Error>") if operation == "GetObjectTagging" else None
    )
    with contextlib.nullcontext() if kept_going else pytest.raises(ClientError, match="AccessDenied"):
        change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN), copy_limit=PART)
    assert ("UploadPartCopy" in wire.operations) is kept_going


def test_an_object_without_checksum_is_copied_without(aws_s3: tuple[Any, Wire]) -> None:
    """An object from before S3 kept checksums gets S3's own default."""
    client, wire = aws_s3
    head = {"ETag": '"e"', "Content-Length": "7000", "x-amz-server-side-encryption": "AES256"}
    wire.answer = lambda operation, request: (
        (200, head, b"")
        if operation == "HeadObject"
        else (200, {}, b"<Tagging><TagSet/></Tagging>")
        if operation == "GetObjectTagging"
        else (400, {}, b"<Error><Code>Stop</Code></Error>")
    )
    with pytest.raises(ClientError, match="Stop"):
        change_server_side_encryption(client, Bucket="b", Key="k", mode=DsseKms(ARN), copy_limit=3000, keep_acl=False)
    assert "x-amz-checksum-algorithm" not in dict(wire.sent)["CreateMultipartUpload"].headers


def test_an_object_in_parts_keeps_its_checksum_on_aws(aws_s3: tuple[Any, Wire]) -> None:
    """S3 computes the checksum again while it copies, in the kind that the object had."""
    client, wire = aws_s3
    head = {
        "ETag": '"e"',
        "Content-Length": "7000",
        "x-amz-checksum-crc32c": "AAAAAA==",
        "x-amz-checksum-type": "FULL_OBJECT",
        "x-amz-server-side-encryption": "AES256",
    }
    answers = {
        "HeadObject": (200, head, b""),
        "GetObjectTagging": (200, {}, b"<Tagging><TagSet/></Tagging>"),
        "CreateMultipartUpload": (
            200,
            {},
            b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        "UploadPartCopy": (
            200,
            {},
            b"<CopyPartResult><ETag>p</ETag><ChecksumCRC32C>c</ChecksumCRC32C></CopyPartResult>",
        ),
        "CompleteMultipartUpload": (200, {}, b"<CompleteMultipartUploadResult/>"),
    }
    wire.answer = lambda operation, request: answers[operation]
    # The script keeps answering the old mode, which is noticed.
    with pytest.raises(UnsupportedOperationError, match="reports SSE-S3"):
        change_server_side_encryption(
            client, Bucket="b", Key="k", mode=SseC(bytes(32)), copy_limit=3000, keep_acl=False
        )
    sent = dict(wire.sent)
    assert sent["CreateMultipartUpload"].headers["x-amz-checksum-algorithm"] == b"CRC32C"
    assert b"<ChecksumCRC32C>c</ChecksumCRC32C>" in sent["CompleteMultipartUpload"].body
    if "IfMatch" in client.meta.service_model.operation_model("CompleteMultipartUpload").input_shape.members:
        assert sent["CompleteMultipartUpload"].headers["If-Match"] == b'"e"'
    assert "x-amz-server-side-encryption-customer-key" in sent["CompleteMultipartUpload"].headers
    assert "x-amz-server-side-encryption-customer-key" in sent["UploadPartCopy"].headers


@pytest.fixture
def versioned(plain_s3: Any, bucket: str) -> str:
    """A bucket that keeps versions."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def test_the_current_version_may_be_named(plain_s3: Any, versioned: str) -> None:
    """The copy becomes a new version; the one before stays as it was."""
    version = put(plain_s3, versioned, ServerSideEncryption="AES256")["VersionId"]
    change = change_server_side_encryption(plain_s3, Bucket=versioned, Key="k", mode=SseKms(ARN), VersionId=version)
    assert change.version_id not in {None, version}
    assert server_side_state(plain_s3.head_object(Bucket=versioned, Key="k", VersionId=version)).name == "SSE-S3"
    assert server_side_state(plain_s3.head_object(Bucket=versioned, Key="k")).name == "SSE-KMS"
    assert_kept(plain_s3, versioned)


def test_an_old_version_is_not_brought_back(plain_s3: Any, versioned: str, wire: Wire) -> None:
    """A copy of an old version would become the current content: refused, and nothing is written."""
    old = put(plain_s3, versioned, ServerSideEncryption="AES256")["VersionId"]
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"newer")
    wire.sent.clear()
    with pytest.raises(UnsupportedOperationError, match="not the current one"):
        change_server_side_encryption(plain_s3, Bucket=versioned, Key="k", mode=SseKms(ARN), VersionId=old)
    plain_s3.delete_object(Bucket=versioned, Key="k")
    with pytest.raises(UnsupportedOperationError, match="not the current one"):
        change_server_side_encryption(plain_s3, Bucket=versioned, Key="k", mode=SseKms(ARN), VersionId=old)
    assert set(wire.operations) == {"HeadObject", "DeleteObject"}


def test_a_refused_look_at_the_current_version_surfaces(plain_s3: Any, versioned: str, wire: Wire) -> None:
    """Only 404 means that another version, or none, is current; a refusal is S3's own error."""
    version = put(plain_s3, versioned, ServerSideEncryption="AES256")["VersionId"]
    wire.answer = lambda operation, request: (
        (403, {}, b"") if operation == "HeadObject" and "versionId" not in request.url else None
    )
    with pytest.raises(ClientError, match="403"):
        change_server_side_encryption(plain_s3, Bucket=versioned, Key="k", mode=SseKms(ARN), VersionId=version)
    assert "CopyObject" not in wire.operations


@pytest.mark.parametrize(("until", "kept"), [("2999-01-01T00:00:00Z", True), ("2020-01-01T00:00:00Z", False)])
def test_object_lock_and_redirect_come_along(aws_s3: tuple[Any, Wire], until: str, kept: bool) -> None:
    """The copy is locked as the object was, but for a retention that has run out: S3 refuses dates in the past."""
    client, wire = aws_s3
    head = {
        "ETag": '"e"',
        "Content-Length": "7",
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": until,
        "x-amz-object-lock-legal-hold": "ON",
        "x-amz-website-redirect-location": "/elsewhere",
        "x-amz-server-side-encryption": "aws:kms:dsse",
    }
    copied = b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"
    wire.answer = lambda operation, request: (200, head, copied if operation == "CopyObject" else b"")
    change_server_side_encryption(client, Bucket="b", Key="k", mode=DsseKms(ARN), keep_acl=False)
    headers = dict(wire.sent)["CopyObject"].headers
    assert ("x-amz-object-lock-mode" in headers) is kept
    assert ("x-amz-object-lock-retain-until-date" in headers) is kept
    assert headers["x-amz-object-lock-legal-hold"] == b"ON"
    assert headers["x-amz-website-redirect-location"] == b"/elsewhere"


def test_update_is_kept_from_servers_that_do_not_know_it(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """Such a server takes UpdateObjectEncryption for a PutObject and overwrites the content: it is never sent there."""
    put(plain_s3, bucket, ServerSideEncryption="AES256")
    change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseKms(ARN))
    assert "UpdateObjectEncryption" not in wire.operations
    assert_kept(plain_s3, bucket)


KMS_HEAD = {"ETag": '"e"', "Content-Length": "7", "x-amz-version-id": "v", "x-amz-server-side-encryption": "aws:kms"}


def test_update_moves_no_data_on_aws(aws_s3: tuple[Any, Wire]) -> None:
    """On AWS the data key is wrapped again, for the very version that was looked at."""
    client, wire = aws_s3
    _skip_without_update(client)
    states = iter([{**KMS_HEAD, "x-amz-server-side-encryption": "AES256"}, KMS_HEAD])
    wire.answer = lambda operation, request: (200, next(states) if operation == "HeadObject" else {}, b"")
    change = change_server_side_encryption(client, Bucket="b", Key="k", mode=SseKms(ARN, bucket_key=True))
    assert change.method == "update"
    assert wire.operations == ["HeadObject", "UpdateObjectEncryption", "HeadObject"]
    request = dict(wire.sent)["UpdateObjectEncryption"]
    assert "versionId=v" in request.url
    assert ARN.encode() in request.body
    assert b"<BucketKeyEnabled>true</BucketKeyEnabled>" in request.body


@pytest.mark.parametrize(
    ("on_aws", "update", "sent"), [(True, False, "CopyObject"), (False, True, "UpdateObjectEncryption")]
)
def test_the_caller_decides_about_the_update(
    aws_s3: tuple[Any, Wire], plain_s3: Any, wire: Wire, on_aws: bool, update: bool, sent: str
) -> None:
    """It is left out on AWS, or used on another server that knows it, where the caller says so."""
    client, script = aws_s3 if on_aws else (plain_s3, wire)
    _skip_without_update(client)
    script.answer = lambda operation, request: (
        (200, KMS_HEAD, b"") if operation == "HeadObject" else (409, {}, b"<Error><Code>Stop</Code></Error>")
    )
    with pytest.raises(ClientError, match="Stop"):
        change_server_side_encryption(client, Bucket="b", Key="k", mode=SseKms(ARN), keep_acl=False, update=update)
    assert script.operations == ["HeadObject", sent]


@pytest.mark.parametrize(
    ("same_key", "outcome"), [(True, contextlib.nullcontext()), (False, pytest.raises(UnsupportedOperationError))]
)
def test_the_customer_key_is_confirmed_by_its_digest(aws_s3: tuple[Any, Wire], same_key: bool, outcome: Any) -> None:
    """SSE-C alone is not a proof: the answer must name the key that was given."""
    client, wire = aws_s3
    mode = SseC(bytes(32))
    prefix = "x-amz-server-side-encryption-customer"
    shown = mode.key_md5 if same_key else "AAAAAAAAAAAAAAAAAAAAAA=="
    after = {"ETag": '"e"', "Content-Length": "7", f"{prefix}-algorithm": "AES256", f"{prefix}-key-MD5": shown}
    states = iter([KMS_HEAD, after])
    copied = b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"
    wire.answer = lambda operation, request: (
        (200, next(states), b"") if operation == "HeadObject" else (200, {}, copied)
    )
    with outcome:
        change = change_server_side_encryption(client, Bucket="b", Key="k", mode=mode, keep_acl=False)
        assert change.after == ServerSideState("SSE-C", customer_key_md5=mode.key_md5)


@pytest.mark.parametrize(
    "mode", [SseKms(), SseKms("alias/a"), SseKms(ARN, context={"a": "b"}), DsseKms(ARN), SseS3(), SseC(bytes(32))]
)
def test_update_is_asked_only_for_what_it_knows(aws_s3: tuple[Any, Wire], mode: ServerSideMode) -> None:
    """UpdateObjectEncryption takes SSE-KMS with a key ARN; everything else is a copy."""
    client, wire = aws_s3
    wire.answer = lambda operation, request: (
        (200, KMS_HEAD, b"") if operation == "HeadObject" else (409, {}, b"<Error><Code>Stop</Code></Error>")
    )
    with pytest.raises(ClientError, match="Stop"):
        change_server_side_encryption(client, Bucket="b", Key="k", mode=mode, keep_acl=False)
    assert wire.operations == ["HeadObject", "CopyObject"]


def test_a_refused_update_becomes_a_copy(aws_s3: tuple[Any, Wire]) -> None:
    """Where S3 says that this object or key cannot be updated the copy is tried; other errors surface."""
    client, wire = aws_s3
    _skip_without_update(client)
    codes = iter([b"InvalidRequest", b"Stop", b"KMS.DisabledException"])
    wire.answer = lambda operation, request: (
        (200, KMS_HEAD, b"")
        if operation == "HeadObject"
        else (400, {}, b"<Error><Code>" + next(codes) + b"</Code></Error>")
    )
    with pytest.raises(ClientError, match="Stop"):
        change_server_side_encryption(client, Bucket="b", Key="k", mode=SseKms(ARN), keep_acl=False)
    assert wire.operations == ["HeadObject", "UpdateObjectEncryption", "CopyObject"]
    wire.sent.clear()
    with pytest.raises(ClientError, match="DisabledException"):
        change_server_side_encryption(client, Bucket="b", Key="k", mode=SseKms(ARN), keep_acl=False)
    assert wire.operations == ["HeadObject", "UpdateObjectEncryption"]


def test_a_customer_key_stays_off_plain_http(plain_s3: Any, bucket: str, wire: Wire) -> None:
    """Neither the object's key of now nor its new one is sent over http."""
    put(plain_s3, bucket)
    wire.sent.clear()
    with pytest.raises(ConfigurationError, match="plain http"):
        change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseS3(), customer_key=SseC(bytes(32)))
    assert not wire.sent
    with pytest.raises(ConfigurationError, match="plain http"):
        change_server_side_encryption(plain_s3, Bucket=bucket, Key="k", mode=SseC(bytes(32)))
    assert "CopyObject" not in wire.operations


def _skip_without_update(client: Any) -> None:
    if not hasattr(client, "update_object_encryption"):
        pytest.skip("the installed botocore does not know UpdateObjectEncryption")
