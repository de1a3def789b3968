"""Copies keep an object readable; deletes take along what is provably ours, and nothing else."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from s3ec import CommitmentPolicy, EncryptionClient
from s3ec.client.calls.copies import CopySource, parse_copy_source
from s3ec.errors import (
    ConfigurationError,
    InstructionFileError,
    MalformedMetadataError,
    NotEncryptedError,
    UnsupportedOperationError,
)

from support.interference import Interference
from support.lying_s3 import LyingS3, Stored

MARKER = {"x-amz-crypto-instr-file": ""}


def keys(plain_s3: Any, bucket: str) -> list[str]:
    """The keys that are there."""
    return [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def put(client: Any, bucket: str, key: str = "k", body: bytes = b"hello", **more: Any) -> Any:
    """Puts an object."""
    return client.put_object(Bucket=bucket, Key=key, Body=body, **more)


def body_of(client: Any, bucket: str, key: str = "k", **more: Any) -> bytes:
    """The content of an object."""
    data: bytes = client.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return data


class TestCopyObject:
    """copy_object."""

    @pytest.mark.parametrize("form", ["map", "text", "slash"])
    @pytest.mark.parametrize("files", [False, True])
    def test_keeps_it_readable(self, make_client: Callable[..., Any], bucket: str, form: str, files: bool) -> None:
        """Every form of the source; content metadata goes along, in headers or in its file."""
        client = make_client(instruction_file_writes=files)
        put(client, bucket, Metadata={"mine": "1"})
        sources = {"map": {"Bucket": bucket, "Key": "k"}, "text": f"{bucket}/k", "slash": f"/{bucket}/k"}
        answer = client.copy_object(Bucket=bucket, Key="l", CopySource=sources[form])
        assert not [name for name in answer["CopyObjectResult"] if name.startswith("Checksum")]
        client.delete_object(Bucket=bucket, Key="k")
        found = client.get_object(Bucket=bucket, Key="l")
        assert (found["Body"].read(), found["Metadata"]) == (b"hello", {"mine": "1"})

    @pytest.mark.slow
    @pytest.mark.parametrize("files", [False, True])
    def test_replace(self, make_client: Callable[..., Any], bucket: str, files: bool) -> None:
        """REPLACE replaces the caller's metadata; the object stays readable, even onto itself."""
        client = make_client(instruction_file_writes=files)
        put(client, bucket, Metadata={"mine": "1"})
        arguments = {"Metadata": {"new": "2"}, "MetadataDirective": "REPLACE", "ContentType": "text/x"}
        for key in ("l", "k"):
            client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "k"}, **arguments)
            found = client.get_object(Bucket=bucket, Key=key)
            assert (found["Body"].read(), found["Metadata"]) == (b"hello", {"new": "2"})
            assert found["ContentType"] == "text/x"
        assert arguments["Metadata"] == {"new": "2"}

    def test_version(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
        """An older version is copied with its own content metadata."""
        plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client = make_client()
        first = put(client, bucket, body=b"first")["VersionId"]
        put(client, bucket, body=b"later")
        source = {"Bucket": bucket, "Key": "k", "VersionId": first}
        client.copy_object(
            Bucket=bucket, Key="l", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "2"}
        )
        assert body_of(client, bucket, "l") == b"first"
        client.copy_object(Bucket=bucket, Key="m", CopySource=f"{bucket}/k?versionId={first}")
        assert body_of(client, bucket, "m") == b"first"

    def test_pinned(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """The copy names the ETag that was looked at; the caller's conditions are checked against that one."""
        client = lied_to(http_liar)
        put(client, "b")
        etag = http_liar.state.objects["b/k"].etag
        client.copy_object(Bucket="b", Key="l", CopySource="b/k")
        client.copy_object(Bucket="b", Key="l", CopySource="b/k", CopySourceIfMatch=etag)
        with pytest.raises(ClientError) as error:
            client.copy_object(Bucket="b", Key="l", CopySource="b/k", CopySourceIfMatch='"mine"')
        assert error.value.response["Error"]["Code"] == "PreconditionFailed"
        assert error.value.operation_name == "CopyObject"
        sent = [attempt.headers for attempt in http_liar.state.attempts if "x-amz-copy-source" in attempt.headers]
        assert [headers["x-amz-copy-source-if-match"] for headers in sent] == [etag, etag]

    @pytest.mark.parametrize("way", ["copy_object", "copy", "Object.copy", "Object.copy_from"])
    @pytest.mark.parametrize("target", ["l", "k"])
    def test_unencrypted(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, way: str, target: str
    ) -> None:
        """A source that is not encrypted makes no second object in plaintext, unless the client allows such."""
        put(plain_s3, bucket)

        def copy(client: Any) -> None:
            item = boto3.resource("s3", region_name="us-east-1")
            item.meta.client = client
            source = {"Bucket": bucket, "Key": "k"}
            more = {"Metadata": {"a": "1"}, "MetadataDirective": "REPLACE"}
            {
                "copy_object": lambda: client.copy_object(Bucket=bucket, Key=target, CopySource=source, **more),
                "copy": lambda: client.copy(source, bucket, target, more),
                "Object.copy": lambda: item.Object(bucket, target).copy(source, more),
                "Object.copy_from": lambda: item.Object(bucket, target).copy_from(CopySource=source, **more),
            }[way]()

        with pytest.raises(UnsupportedOperationError, match='unencrypted_objects="allow"'):
            copy(make_client())
        assert keys(plain_s3, bucket) == ["k"]
        assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {}
        copy(make_client(unencrypted_objects="allow"))
        assert body_of(plain_s3, bucket, target) == b"hello"

    @pytest.mark.parametrize("way", ["copy_object", "copy"])
    @pytest.mark.parametrize("target", ["l", "k"])
    @pytest.mark.parametrize("suite", ["V3", "V2"])
    def test_an_instruction_file_makes_it_encrypted(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, way: str, target: str, suite: str
    ) -> None:
        """The content metadata of older formats is there alone; the file goes along, and may be copied on its own."""
        policy = {"V3": {}, "V2": {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT}}[suite]
        client = make_client(instruction_file_writes=True, **policy)
        put(client, bucket)
        source = {"Bucket": bucket, "Key": "k"}
        if way == "copy":
            client.copy(source, bucket, target, {"Metadata": {"a": "1"}, "MetadataDirective": "REPLACE"})
        else:
            client.copy_object(
                Bucket=bucket, Key=target, CopySource=source, Metadata={"a": "1"}, MetadataDirective="REPLACE"
            )
        assert body_of(client, bucket, target) == b"hello"
        client.copy({"Bucket": bucket, "Key": "k.instruction"}, bucket, "m.instruction")
        assert "m.instruction" in keys(plain_s3, bucket)

    @pytest.mark.parametrize("way", ["copy_object", "copy", "copy in parts"])
    @pytest.mark.parametrize("event", ["provide-client-params", "before-parameter-build"])
    def test_handlers_keep_content_metadata(
        self, make_client: Callable[..., Any], bucket: str, way: str, event: str
    ) -> None:
        """A handler that sets Metadata on a copy sets the caller's own."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=b"hello" * 20, Metadata={"old": "1"})

        def replace(params: dict[str, Any], **_: Any) -> None:
            params["Metadata"] = {"owner": "me"}
            if "CopySource" in params:
                params["MetadataDirective"] = "REPLACE"

        for operation in ("CopyObject", "CreateMultipartUpload"):
            client.meta.events.register(f"{event}.s3.{operation}", replace)
        source = {"Bucket": bucket, "Key": "k"}
        if way == "copy_object":
            client.copy_object(Bucket=bucket, Key="l m", CopySource=source)
        else:
            parts = TransferConfig(multipart_threshold=10 if way == "copy in parts" else 10_000)
            client.copy(source, bucket, "l m", Config=parts)
        answer = client.get_object(Bucket=bucket, Key="l m")
        assert answer["Body"].read() == b"hello" * 20
        assert answer["Metadata"] == {"owner": "me"}

    @pytest.mark.parametrize("way", ["copy_object", "copy"])
    def test_a_copy_that_loses_content_metadata_late_is_refused(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, way: str
    ) -> None:
        """What is changed after the parameters is noticed before a byte leaves."""
        client = make_client()
        put(client, bucket)

        def replace(params: dict[str, Any], **_: Any) -> None:
            params["headers"]["x-amz-metadata-directive"] = "REPLACE"

        client.meta.events.register("before-call.s3.CopyObject", replace)
        calls = {
            "copy": lambda: client.copy({"Bucket": bucket, "Key": "k"}, bucket, "l"),
            "copy_object": lambda: client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k"),
        }
        with pytest.raises(UnsupportedOperationError, match="x-amz-metadata-directive"):
            calls[way]()
        assert keys(plain_s3, bucket) == ["k"]

    def test_handlers_may_name_the_source(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
        """What a handler makes the source is what is looked at."""
        client = make_client()
        put(client, bucket, "tenant/a b")
        put(plain_s3, bucket, "plain")

        def fill(params: dict[str, Any], **_: Any) -> None:
            params.update(Bucket=bucket, Key="l", CopySource=params.pop("From", f"{bucket}/tenant/a b"))

        client.meta.events.register("provide-client-params.s3.CopyObject", fill)
        client.copy_object()
        assert body_of(client, bucket, "l") == b"hello"
        with pytest.raises(UnsupportedOperationError):
            client.copy_object(From=f"{bucket}/plain")

    def test_conditions_of_a_managed_copy(self, make_client: Callable[..., Any], bucket: str) -> None:
        """The caller's own are asked first, and are not overruled by the pin to what was looked at."""
        client = make_client()
        put(client, bucket)
        etag = client.head_object(Bucket=bucket, Key="k")["ETag"]
        source = {"Bucket": bucket, "Key": "k"}
        client.copy(source, bucket, "l", {"CopySourceIfMatch": etag})
        for condition in (
            {"CopySourceIfMatch": '"another"'},
            {"CopySourceIfNoneMatch": etag},
            {"CopySourceIfUnmodifiedSince": datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)},
        ):
            with pytest.raises(ClientError) as refusal:
                client.copy(source, bucket, "m", condition)
            assert refusal.value.response["Error"]["Code"] == "PreconditionFailed", condition

    def test_reserved_names(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Content-metadata keys of any version in the caller's metadata are refused, never merged."""
        client = lied_to(http_liar)
        for name in ("x-amz-key", "x-amz-key-v2", "x-amz-3", "X-Amz-Iv", "x-amz-crypto-instr-file"):
            with pytest.raises(ConfigurationError, match=name):
                client.copy_object(
                    Bucket="b", Key="l", CopySource="b/k", MetadataDirective="REPLACE", Metadata={name: "x"}
                )
        assert http_liar.state.requests == []

    def test_metadata_too_large(self, make_client: Callable[..., Any], bucket: str) -> None:
        """Merged metadata above S3's limit is refused before the copy, with the numbers."""
        client = make_client()
        put(client, bucket)
        with pytest.raises(ConfigurationError, match="2048"):
            client.copy_object(
                Bucket=bucket,
                Key="l",
                CopySource=f"{bucket}/k",
                MetadataDirective="REPLACE",
                Metadata={"a": "x" * 2000},
            )

    @pytest.mark.parametrize("source", ["k", "", {"Bucket": "b"}, "/k"])
    def test_senseless_source(self, http_liar: LyingS3, lied_to: Callable[..., Any], source: Any) -> None:
        """A source that names no object is refused before the wire."""
        with pytest.raises((ConfigurationError, ValueError)):
            lied_to(http_liar).copy_object(Bucket="b", Key="l", CopySource=source)
        assert http_liar.state.requests == []

    def test_access_point_source(self) -> None:
        """An access point's ARN is the bucket of its object."""
        arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/mine"
        assert parse_copy_source(f"{arn}/object/a/b") == CopySource(arn, "a/b")
        assert parse_copy_source("b/a%20b/c?versionId=v%2B1").version_id == "v+1"

    def test_bound_objects(self, make_client: Callable[..., Any], bucket: str) -> None:
        """A bound object goes under no other name; onto itself it may be copied."""
        client = make_client(bind_object=True)
        put(client, bucket)
        source = f"{bucket}/k"
        with pytest.raises(UnsupportedOperationError, match="re-encrypts"):
            client.copy_object(Bucket=bucket, Key="l", CopySource=source)
        client.copy_object(
            Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "2"}
        )
        assert body_of(client, bucket) == b"hello"

    def test_absent_source(self, make_client: Callable[..., Any], bucket: str) -> None:
        """S3's own error, as of the copy."""
        client = make_client()
        with pytest.raises(client.exceptions.NoSuchKey, match="CopyObject"):
            client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/absent")
        with pytest.raises(client.exceptions.NoSuchBucket, match="CopyObject"):
            client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}-absent/k")

    def test_another_file_of_the_users_stays_behind(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str
    ) -> None:
        """A user's own object that is merely named like an instruction file is not copied along."""
        put(plain_s3, bucket)
        put(plain_s3, bucket, "k.instruction", b"how to assemble the shelf")
        client = make_client(unencrypted_objects="allow")
        client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k")
        assert keys(plain_s3, bucket) == ["k", "k.instruction", "l"]

    def test_without_instruction_files(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Where they are switched off nothing is looked for."""
        http_liar.state.objects["b/k"] = Stored(b"open", {})
        http_liar.state.objects["b/k.instruction"] = Stored(b"{}", {})
        client = lied_to(http_liar, instruction_file_reads=False, unencrypted_objects="allow")
        client.copy_object(Bucket="b", Key="l", CopySource="b/k")
        assert [key for _, key, _ in http_liar.state.requests] == ["b/k", "b/l"]

    def test_rename_of_a_bound_object(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Other servers than AWS's would take it for a put: refused there."""
        with pytest.raises(UnsupportedOperationError):
            lied_to(http_liar)._make_api_call("RenameObject", {"Bucket": "b", "Key": "l", "RenameSource": "k"})


class TestDeletes:
    """delete_object and delete_objects."""

    @pytest.mark.parametrize("many", [False, True])
    def test_file_goes_along(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, many: bool) -> None:
        """The instruction file of an object goes with it; those of others stay."""
        writer, client = make_client(instruction_file_writes=True), make_client()
        for key in ("k", "l", "m"):
            put(writer, bucket, key)
        if many:
            client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "l"}]})
            assert keys(plain_s3, bucket) == ["m", "m.instruction"]
        else:
            client.delete_object(Bucket=bucket, Key="k")
            assert keys(plain_s3, bucket) == ["l", "l.instruction", "m", "m.instruction"]

    @pytest.mark.parametrize("many", [False, True])
    @pytest.mark.parametrize(
        "own",
        [b"how to assemble the shelf", b"", b"{}", b'{"a": 1}', b"x" * 200_000],
        ids=["text", "0", "{}", "j", "L"],
    )
    def test_a_users_own_object_survives(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, own: bytes, many: bool
    ) -> None:
        """An object that is merely named like an instruction file is nobody's instruction file."""
        client = make_client()
        put(client, bucket)
        put(plain_s3, bucket, "k.instruction", own)
        if many:
            client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
        else:
            client.delete_object(Bucket=bucket, Key="k")
        assert keys(plain_s3, bucket) == ["k.instruction"]

    def test_an_encrypted_object_of_that_name_survives(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str
    ) -> None:
        """Nor is an object that this very client wrote under such a name."""
        client = make_client()
        put(client, bucket)
        put(client, bucket, "k.instruction")
        client.delete_object(Bucket=bucket, Key="k")
        assert body_of(client, bucket, "k.instruction") == b"hello"

    def test_file_without_marker(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
        """A file of a client that writes no marker is known by its body."""
        client = make_client(instruction_file_writes=True)
        put(client, bucket)
        body = plain_s3.get_object(Bucket=bucket, Key="k.instruction")["Body"].read()
        assert json.loads(body)
        plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=body)
        client.delete_object(Bucket=bucket, Key="k")
        assert keys(plain_s3, bucket) == []

    @pytest.mark.parametrize("many", [False, True])
    def test_version_leaves_the_file(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, many: bool
    ) -> None:
        """The file is one key for all versions: deleting one version leaves it."""
        plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client = make_client(instruction_file_writes=True)
        version = put(client, bucket)["VersionId"]
        if many:
            client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
        else:
            client.delete_object(Bucket=bucket, Key="k", VersionId=version)
        assert keys(plain_s3, bucket) == ["k.instruction"]

    def test_emptying_a_bucket(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
        """Callers who name the files themselves need no further request for them."""
        client = make_client(instruction_file_writes=True)
        put(client, bucket)
        answer = client.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "k.instruction"}, {"Key": "absent"}]}
        )
        assert "Errors" not in answer
        assert keys(plain_s3, bucket) == []

    @pytest.mark.parametrize("moment", ["before the look", "after the look"])
    @pytest.mark.parametrize("operation", ["DeleteObject", "DeleteObjects"])
    def test_the_file_of_a_writer_in_between_stays(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str, moment: str, operation: str
    ) -> None:
        """Another writer puts object and file again, as soon as the object was deleted."""
        client, writer = make_client(), make_client(instruction_file_writes=True)
        put(writer, bucket)
        watch = Interference(client)

        def write() -> None:
            plain_s3.delete_object(Bucket=bucket, Key="k.instruction")
            put(writer, bucket, body=b"again")

        if moment == "before the look":
            watch.when("HeadObject", write)
        else:
            watch.when("DeleteObject", write, key="k.instruction")
        if operation == "DeleteObject":
            client.delete_object(Bucket=bucket, Key="k")
        else:
            client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
        assert body_of(client, bucket) == b"again"

    def test_a_server_that_knows_no_condition(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket: str
    ) -> None:
        """The file is deleted all the same."""
        client = make_client(instruction_file_writes=True)
        put(client, bucket)
        Interference(client).refuse_conditions_on_deletes()
        client.delete_object(Bucket=bucket, Key="k")
        assert keys(plain_s3, bucket) == []

    def test_switched_off(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """With instruction files switched off, a delete is one request."""
        client = lied_to(http_liar, instruction_file_reads=False)
        http_liar.state.objects["b/k.instruction"] = Stored(b"x", {f"x-amz-meta-{name}": "" for name in MARKER})
        client.delete_object(Bucket="b", Key="k")
        client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k"}]})
        assert [method for method, _, _ in http_liar.state.requests] == ["DELETE", "POST"]
        assert "b/k.instruction" in http_liar.state.objects

    @pytest.mark.slow
    def test_deleting_the_file_itself(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
        """The file may be deleted by name; the object then says what is missing."""
        client = make_client(instruction_file_writes=True)
        put(client, bucket)
        client.delete_object(Bucket=bucket, Key="k.instruction")
        assert keys(plain_s3, bucket) == ["k"]
        with pytest.raises(InstructionFileError, match="is not there"):
            body_of(client, bucket)


class TestInstructionFiles:
    """Reads and writes with content metadata beside the object."""

    @pytest.fixture
    def make(
        self, http_liar: LyingS3, lied_to: Callable[..., Any], _shared_session: boto3.Session
    ) -> Callable[..., EncryptionClient]:
        """Makes clients of the lying server."""

        def make(**options: Any) -> EncryptionClient:
            client: EncryptionClient = lied_to(http_liar, session=_shared_session, **options)
            return client

        return make

    def test_former_file_comes_back(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """When the object cannot be replaced, the file of the one that is there is put back."""
        client = make(instruction_file_writes=True)
        put(client, "b", body=b"first")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            put(client, "b", body=b"second", IfNoneMatch="*")
        assert body_of(client, "b") == b"first"

    def test_new_file_goes_again(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """When a new object cannot be written, its file does not stay."""
        client = make(instruction_file_writes=True)
        http_liar.state.objects["b/k"] = Stored(b"open", {})
        with pytest.raises(ClientError, match="PreconditionFailed"):
            put(client, "b", body=b"second", IfNoneMatch="*")
        assert list(http_liar.state.objects) == ["b/k"]

    def test_missing_named_file(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A suffix that the caller names must be there, even where the object has metadata of its own."""
        client = make()
        put(client, "b")
        with pytest.raises(InstructionFileError, match=r"\.other"):
            body_of(client, "b", InstructionFileSuffix=".other")

    def test_oversized_file(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """What is too large to be one is not read to its end."""
        http_liar.state.objects["b/k"] = Stored(b"open", {})
        http_liar.state.objects["b/k.instruction"] = Stored(b"x" * 2_000_000, {})
        with pytest.raises(InstructionFileError, match="larger than"):
            body_of(make(), "b")

    def test_reads_switched_off(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Switched off, an object that needs one is told from one that is not encrypted."""
        put(make(instruction_file_writes=True), "b")
        client = make(instruction_file_reads=False)
        with pytest.raises(InstructionFileError, match="instruction_file_reads=False"):
            body_of(client, "b")
        http_liar.state.objects["b/k"] = Stored(b"open", {})
        with pytest.raises(NotEncryptedError, match="instruction_file_reads=False"):
            body_of(client, "b")

    def test_suffix_on_a_write(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Other suffixes are for reads."""
        with pytest.raises(UnsupportedOperationError, match="InstructionFileSuffix"):
            put(make(instruction_file_writes=True), "b", InstructionFileSuffix=".other")
        assert http_liar.state.attempts == []


def test_damaged_metadata_is_not_copied(http_liar: LyingS3, make: Callable[..., EncryptionClient]) -> None:
    """A copy that states its metadata writes down what a HEAD said; damaged, nobody could read the copy."""
    client = make()
    client.put_object(Bucket="b", Key="k", Body=b"hello")
    http_liar.lies.replace_metadata = lambda metadata: {**metadata, "x-amz-meta-x-amz-i": "not base64!"}
    source = {"Bucket": "b", "Key": "k"}
    with pytest.raises(MalformedMetadataError):
        client.copy_object(Bucket="b", Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={})
    assert list(http_liar.state.objects) == ["b/k"]
