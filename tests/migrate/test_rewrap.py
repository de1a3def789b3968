"""Another key or context, without a byte of content read or changed."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from s3ec import AesKeyring, KmsKeyring
from s3ec.algorithms import CommitmentPolicy
from s3ec.errors import S3ECError
from s3ec.migrate import (
    Action,
    KeyringSpec,
    Location,
    MigrationContext,
    MigrationSettings,
    Result,
    SkipReason,
    Task,
    migrate_one,
)
from s3ec.migrate.steps import copying

from .conftest import Step
from support.aws import client_arguments, create_kms_key, keep_versions

POLICIES = {"V3": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT}


@pytest.fixture
def other_key(aws: dict[str, Any]) -> str:
    """ARN of a second KMS key."""
    return create_kms_key(aws)


def _stored(plain_s3: Any, bucket: str, key: str = "k") -> tuple[bytes, dict[str, str]]:
    answer = plain_s3.get_object(Bucket=bucket, Key=key)
    return answer["Body"].read(), answer["Metadata"]


_KEY_NAMES = ("KeyId", "SourceKeyId", "DestinationKeyId")


def _multi_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """KMS as AWS has it: a multi-Region key has one id everywhere, and its ARN is known in the ARN's Region alone."""
    make = KeyringSpec.kms_client
    multi_region: set[str] = set()

    def client(spec: KeyringSpec, *arguments: Any) -> Any:
        made = make(spec, *arguments)

        def ask(params: dict[str, Any], **_: Any) -> None:
            for name in params.keys() & set(_KEY_NAMES):
                if params[name].startswith("arn:") and params[name].split(":")[3] != made.meta.region_name:
                    answer: Any = {"Error": {"Code": "NotFoundException", "Message": f"Invalid arn {params[name]}"}}
                    raise ClientError(answer, "ReEncrypt")
                if "mrk-" in params[name]:
                    params[name] = params[name].replace("mrk-", "")
                    multi_region.add(params[name].rpartition("/")[2])

        def told(parsed: dict[str, Any], **_: Any) -> None:
            for name in parsed.keys() & set(_KEY_NAMES):
                if parsed[name].rpartition("/")[2] in multi_region:
                    parsed[name] = parsed[name].replace(":key/", ":key/mrk-")

        made.meta.events.register("provide-client-params.kms", lambda params, **_: ask(params))
        made.meta.events.register("after-call.kms", told)
        return made

    monkeypatch.setattr(KeyringSpec, "kms_client", client)


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("context", [None, {"team": "hr"}], ids=["same context", "new context"])
def test_a_replica_of_a_multi_region_key(
    pinned: bool, context: dict[str, str] | None, step: Step, bucket: str, plain_s3: Any, endpoint: str,
    make_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A replica is the same key in another Region: it opens what the primary wrapped, and a new context is written."""
    there = boto3.client("kms", **{**client_arguments(endpoint), "region_name": "eu-west-1"})
    key = there.create_key()["KeyMetadata"]["Arn"]
    make_client(keyring=KmsKeyring(key, client=there)).put_object(Bucket=bucket, Key="k", Body=b"content")
    before = _stored(plain_s3, bucket)
    _multi_region(monkeypatch)
    replica = key.replace(":key/", ":key/mrk-")
    primary = replica.replace("eu-west-1", "us-east-1")
    outcome = step(
        "k",
        action=Action.REWRAP,
        keyring=KeyringSpec(kind="kms", key_id=replica),
        source_keyring=KeyringSpec(kind="kms", key_id=primary) if pinned else None,
        encryption_context=context,
        read_back=True,
    )
    assert (outcome.message, outcome.result) == ("", Result.ALREADY if context is None else Result.DONE)
    more = {} if context is None else {"EncryptionContext": context}
    reader = make_client(keyring=KmsKeyring(key, client=there))
    assert reader.get_object(Bucket=bucket, Key="k", **more)["Body"].read() == b"content"
    assert (_stored(plain_s3, bucket) == before) is (context is None)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_key_in_another_region(
    dry_run: bool, step: Step, bucket: str, plain_s3: Any, endpoint: str, make_client: Callable[..., Any],
    kms_key: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """ReEncrypt works within one Region: between two the data key is opened in the one and wrapped in the other."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"content")
    body, before = _stored(plain_s3, bucket)
    there = boto3.client("kms", **{**client_arguments(endpoint), "region_name": "eu-west-1"})
    key = there.create_key()["KeyMetadata"]["Arn"]
    _multi_region(monkeypatch)
    spec, pinned = KeyringSpec(kind="kms", key_id=key), KeyringSpec(kind="kms", key_id=kms_key)
    changes = {"action": Action.REWRAP, "keyring": spec, "source_keyring": pinned, "dry_run": dry_run}
    assert (outcome := step("k", **changes)).result is (Result.PLANNED if dry_run else Result.DONE), outcome.message
    if dry_run:
        assert _stored(plain_s3, bucket) == (body, before)
        return
    assert _stored(plain_s3, bucket)[0] == body
    reader = make_client(keyring=KmsKeyring(key, client=there))
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"
    assert step("k", **changes).result is Result.ALREADY


@pytest.mark.parametrize("stored_format", ["V2", "V3"])
def test_another_kms_key(
    stored_format: str,
    step: Step,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    other_key: str,
    kms: Any,
) -> None:
    """The wrapped key is another, the content the same; the new key opens it, and the old one does not."""
    from s3ec import KmsKeyring

    writer = make_client(commitment_policy=POLICIES[stored_format])
    writer.put_object(
        Bucket=bucket, Key="k", Body=b"text", EncryptionContext={"a": "b"}, Metadata={"x": "y"}, ContentType="text/x"
    )
    body, before = _stored(plain_s3, bucket)
    spec = KeyringSpec(kind="kms", key_id=other_key)
    outcome = step("k", action=Action.REWRAP, keyring=spec)
    assert outcome.result is Result.DONE, outcome.message
    assert outcome.kms_calls == 1
    assert _stored(plain_s3, bucket)[0] == body
    assert _stored(plain_s3, bucket)[1] != before
    reader = make_client(
        keyring=KmsKeyring(other_key, client=kms), commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
    )
    answer = reader.get_object(Bucket=bucket, Key="k", EncryptionContext={"a": "b"})
    assert (answer["Body"].read(), answer["Metadata"], answer["ContentType"]) == (b"text", {"x": "y"}, "text/x")
    old = make_client(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT)
    with pytest.raises(S3ECError):
        old.get_object(Bucket=bucket, Key="k", EncryptionContext={"a": "b"})
    assert step("k", action=Action.REWRAP, keyring=spec).result is Result.ALREADY


@pytest.mark.parametrize("member", ["KeyId", "SourceKeyId"])
def test_kms_names_another_key(
    member: str, step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any], other_key: str, kms_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What KMS wrapped under another key than was asked for, or opened with another, is not written."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"text")
    before = _stored(plain_s3, bucket)
    make = KeyringSpec.kms_client

    def forging(spec: KeyringSpec, *arguments: Any) -> Any:
        made = make(spec, *arguments)
        foreign = {member: f"{kms_key[:-4]}0000"}
        made.meta.events.register("after-call.kms.ReEncrypt", lambda parsed, **_: parsed.update(foreign))
        return made

    monkeypatch.setattr(KeyringSpec, "kms_client", forging)
    spec, source = KeyringSpec(kind="kms", key_id=other_key), KeyringSpec(kind="kms", key_id=kms_key)
    outcome = step("k", action=Action.REWRAP, keyring=spec, source_keyring=source)
    assert outcome.result is Result.FAILED
    assert "answered re_encrypt with the key" in outcome.message
    assert _stored(plain_s3, bucket) == before


def test_with_a_pinned_source_key_the_destinations_key_is_tried_first(
    step: Step, bucket: str, make_client: Callable[..., Any], other_key: str, kms_key: str
) -> None:
    """The pinned key cannot open what a killed run has rewrapped already; the destination's can, and that is enough."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"text")
    changes = {
        "action": Action.REWRAP,
        "keyring": KeyringSpec(kind="kms", key_id=other_key),
        "source_keyring": KeyringSpec(kind="kms", key_id=kms_key),
    }
    assert step("k", **changes).result is Result.DONE
    again = step("k", **changes)
    assert (again.result, again.kms_calls) == (Result.ALREADY, 1)


def test_another_context(step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any], kms_key: str) -> None:
    """The same key with another context: readers give the new one from then on."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"text", EncryptionContext={"a": "b"})
    changes = {"action": Action.REWRAP, "encryption_context": {"team": "hr"}}
    assert step("k", **changes).result is Result.DONE
    answer = make_client().get_object(Bucket=bucket, Key="k", EncryptionContext={"team": "hr"})
    assert answer["Body"].read() == b"text"
    assert step("k", **changes).result is Result.ALREADY


@pytest.mark.slow
def test_raw_key_to_kms_and_back(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any], tmp_path: Path, kms_key: str
) -> None:
    """Data keys move between raw keys and KMS; the commitment still holds."""
    secret = os.urandom(32)
    path = tmp_path / "key"
    path.write_bytes(secret)
    raw = KeyringSpec(kind="aes-file", path=str(path), material_description={"id": "7"})
    in_kms = KeyringSpec(kind="kms", key_id=kms_key)
    make_client(keyring=AesKeyring(secret)).put_object(Bucket=bucket, Key="k", Body=b"text")
    body, _ = _stored(plain_s3, bucket)
    to_kms = {"action": Action.REWRAP, "keyring": in_kms, "source_keyring": raw, "read_back": True}
    assert step("k", **to_kms).result is Result.DONE
    assert make_client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
    to_raw = {"action": Action.REWRAP, "keyring": raw, "source_keyring": in_kms}
    assert step("k", **to_raw).result is Result.DONE
    assert step("k", **to_raw).result is Result.ALREADY
    assert make_client(keyring=AesKeyring(secret)).get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
    assert _stored(plain_s3, bucket)[0] == body


@pytest.mark.slow
def test_raw_key_to_another_raw_key(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any], tmp_path: Path
) -> None:
    """AES to AES, and from there to RSA."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from s3ec import RsaKeyring

    specs = []
    for number in range(2):
        path = tmp_path / str(number)
        path.write_bytes(bytes([number]) * 32)
        specs.append(KeyringSpec(kind="aes-file", path=str(path)))
    make_client(keyring=AesKeyring(bytes(32))).put_object(Bucket=bucket, Key="k", Body=b"text")
    assert step("k", action=Action.REWRAP, keyring=specs[1], source_keyring=specs[0]).result is Result.DONE
    reader = make_client(keyring=AesKeyring(bytes([1]) * 32))
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
    pair = rsa.generate_private_key(65537, 2048)
    public = tmp_path / "public.pem"
    public.write_bytes(
        pair.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    to_rsa = KeyringSpec(kind="rsa-file", public_key_path=str(public))
    assert step("k", action=Action.REWRAP, keyring=to_rsa, source_keyring=specs[1]).result is Result.DONE
    reader = make_client(keyring=RsaKeyring(private_key=pair))
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"


@pytest.mark.slow
def test_only_the_instruction_file_is_replaced(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any], other_key: str, kms: Any
) -> None:
    """Where the wrapped key lies in a file, the object keeps its time, version and metadata."""
    from s3ec import KmsKeyring

    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"text")
    step("k", instruction_file="always")
    before = plain_s3.head_object(Bucket=bucket, Key="k")
    spec = KeyringSpec(kind="kms", key_id=other_key)
    outcome = step("k", action=Action.REWRAP, keyring=spec)
    assert outcome.result is Result.DONE, outcome.message
    assert "copy_object" not in outcome.requests
    # A summary counts notes: one that names the object's own values would be a line for each object.
    assert outcome.notes == ("only the instruction file was replaced",)
    after = plain_s3.head_object(Bucket=bucket, Key="k")
    assert (after["LastModified"], after["Metadata"]) == (before["LastModified"], before["Metadata"])
    reader = make_client(keyring=KmsKeyring(other_key, client=kms))
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"text"
    assert step("k", action=Action.REWRAP, keyring=spec).result is Result.ALREADY


@pytest.mark.slow
def test_large_objects_are_copied_in_parts(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any], other_key: str, kms: Any
) -> None:
    """Above CopyObject's limit the copy goes in parts, and the object is as readable as before."""
    from s3ec import KmsKeyring

    body = os.urandom(11 * 2**20)
    make_client().put_object(Bucket=bucket, Key="k", Body=body, Tagging="a=b", Metadata={"x": "y"})
    spec = KeyringSpec(kind="kms", key_id=other_key)
    outcome = step("k", action=Action.REWRAP, keyring=spec, copy_limit=5 * 2**20)
    assert outcome.result is Result.DONE, outcome.message
    assert outcome.requests["upload_part_copy"] == 3
    answer = make_client(keyring=KmsKeyring(other_key, client=kms)).get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == body
    assert answer["Metadata"] == {"x": "y"}
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_the_version_that_was_read_is_copied_and_a_writer_in_between_stands_again(
    step: Step,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    other_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Moto ignores the condition of a copy, as other servers may: the lost update is noticed and taken back."""
    keep_versions(plain_s3, bucket)
    make_client().put_object(Bucket=bucket, Key="k", Body=b"old")
    copy_once = copying._copy_once

    def late(*arguments: Any) -> Any:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new")
        return copy_once(*arguments)

    monkeypatch.setattr(copying, "_copy_once", late)
    outcome = step("k", action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=other_key))
    assert outcome.result is Result.CHANGED
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


def test_a_rewrap_by_somebody_else_is_noticed_though_the_etag_is_the_same(
    step: Step,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    other_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A metadata copy keeps the ETag; the wrapped key is looked at again right before ours is written."""
    from s3ec.migrate.steps import rewrap as module

    make_client().put_object(Bucket=bucket, Key="k", Body=b"text")
    real = module.rewrapped

    def late(*arguments: Any) -> Any:
        new = real(*arguments)
        metadata = {**plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"], "theirs": "1"}
        plain_s3.copy_object(
            Bucket=bucket,
            Key="k",
            CopySource={"Bucket": bucket, "Key": "k"},
            MetadataDirective="REPLACE",
            Metadata=metadata,
        )
        return new

    monkeypatch.setattr(module, "rewrapped", late)
    outcome = step("k", action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=other_key))
    assert outcome.result is Result.CHANGED
    assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]["theirs"] == "1"


@pytest.mark.slow
def test_tags_are_kept_though_the_headers_count_none(
    settings: Callable[..., MigrationSettings],
    open_context: Callable[..., MigrationContext],
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    other_key: str,
) -> None:
    """A HEAD that says nothing of tags, as older SDKs show it, does not mean that there are none."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"text", Tagging="a=b")
    job = settings(action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=other_key), trust_tag_count=True)
    context = open_context(job)
    context.s3.meta.events.register("after-call.s3.HeadObject", lambda parsed, **_: parsed.pop("TagCount", None))
    assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.DONE
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_everything_that_hangs_on_an_object_stays_with_it(
    settings: Callable[..., MigrationSettings],
    open_context: Callable[..., MigrationContext],
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    other_key: str,
) -> None:
    """A copy that replaces metadata forgets what it is not told again: headers, class, tags, grants, mode and locks."""
    locked = bucket + "-locked"
    plain_s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    properties: dict[str, Any] = {
        "CacheControl": "max-age=60",
        "ContentDisposition": "inline",
        "ContentLanguage": "de",
        "ContentType": "text/plain",
        "Expires": datetime.datetime(2039, 1, 1, tzinfo=datetime.timezone.utc),
        "WebsiteRedirectLocation": "/elsewhere",
        "StorageClass": "STANDARD_IA",
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "some-key",
        "BucketKeyEnabled": True,
        "ObjectLockMode": "GOVERNANCE",
        "ObjectLockRetainUntilDate": datetime.datetime(2050, 1, 1, tzinfo=datetime.timezone.utc),
        "ObjectLockLegalHoldStatus": "ON",
    }
    make_client().put_object(
        Bucket=locked, Key="k", Body=b"text", Metadata={"x": "y"}, Tagging="a=b", ACL="authenticated-read", **properties
    )
    grants = plain_s3.get_object_acl(Bucket=locked, Key="k")["Grants"]
    spec = KeyringSpec(kind="kms", key_id=other_key)
    context = open_context(settings(action=Action.REWRAP, source=Location(bucket=locked), keyring=spec))
    # Moto wants of a copy what S3 wants of an upload alone: a checksum of the body where a lock is set.
    digest = {"Content-MD5": base64.b64encode(hashlib.md5(b"", usedforsecurity=False).digest()).decode()}
    context.s3.meta.events.register("before-call.s3.CopyObject", lambda params, **_: params["headers"].update(digest))
    outcome = migrate_one(Task(bucket=locked, key="k"), context=context)
    assert outcome.result is Result.DONE, outcome.message
    head = plain_s3.head_object(Bucket=locked, Key="k")
    assert head["VersionId"] == outcome.version_out != outcome.version_in
    assert {name: head.get(name) for name in properties} == properties
    assert head["Metadata"]["x"] == "y"
    assert plain_s3.get_object_tagging(Bucket=locked, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert len(grants) == 2
    assert plain_s3.get_object_acl(Bucket=locked, Key="k")["Grants"] == grants


def test_what_does_not_open_when_it_is_read_back_is_a_failure(
    settings: Callable[..., MigrationSettings],
    open_context: Callable[..., MigrationContext],
    bucket: str,
    make_client: Callable[..., Any],
    other_key: str,
) -> None:
    """The option authenticates the whole object with the new key: a byte that S3 has changed is found."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"text")
    context = open_context(
        settings(action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=other_key), read_back=True)
    )

    def change(parsed: dict[str, Any], **_: Any) -> None:
        body = bytearray(parsed["Body"].read())
        body[0] ^= 1
        parsed["Body"] = StreamingBody(io.BytesIO(bytes(body)), len(body))

    context.s3.meta.events.register("after-call.s3.GetObject", change)
    outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
    assert (outcome.result, outcome.error) == (Result.FAILED, "AuthenticationError")


def test_what_readers_refuse_is_not_opened(
    step: Step,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even to see whether it has the key already that it is to get."""
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    spec = KeyringSpec(kind="aes-file", path=str(path))
    policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    make_client(keyring=AesKeyring(bytes(32)), commitment_policy=policy).put_object(Bucket=bucket, Key="k", Body=b"x")
    body, metadata = _stored(plain_s3, bucket)
    metadata["x-amz-iv"] = base64.b64encode(bytes(12)).decode()
    plain_s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata=metadata)
    monkeypatch.setattr(AesKeyring, "on_decrypt", lambda *_: pytest.fail("a key was touched"))
    outcome = step("k", action=Action.REWRAP, keyring=spec)
    assert (outcome.result, outcome.error) == (Result.SKIPPED, "MalformedMetadataError")


def test_plaintext_is_not_rewrapped(step: Step, bucket: str, plain_s3: Any) -> None:
    """A rewrap leaves plaintext alone and says so."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    outcome = step("k", action=Action.REWRAP)
    assert outcome.reason is SkipReason.NOT_ENCRYPTED


def test_a_dry_run_rewraps_nothing(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any], other_key: str
) -> None:
    """It says that it would, and leaves the object."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"x")
    before = _stored(plain_s3, bucket)
    outcome = step("k", action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=other_key), dry_run=True)
    assert outcome.result is Result.PLANNED
    assert _stored(plain_s3, bucket) == before
