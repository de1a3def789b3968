"""One client for buckets with rules: each call goes to the key of its bucket, past all keys, or nowhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

import s3ec
from s3ec.errors import ConfigurationError, EncryptionContextMismatchError, S3ECError, UnsupportedOperationError
from s3ec.rules.ruled_client import RuledClient
from s3ec.run import everywhere

from support import aws as support_aws

SECRET = b"what only its owner should read"
MIB = 1024 * 1024
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)


@pytest.fixture
def buckets(plain_s3: Any) -> Iterator[dict[str, str]]:
    """Buckets by what becomes of them; no rule names the one called ``unnamed``."""
    named = {role: support_aws.new_bucket_name() for role in ("first", "second", "plain", "refused", "unnamed")}
    for name in named.values():
        plain_s3.create_bucket(Bucket=name)
    yield named
    for name in named.values():
        support_aws.empty_bucket(plain_s3, name)


@pytest.fixture
def make(
    buckets: dict[str, str],
    kms_key: str,
    endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., boto3.Session]:
    """Makes a session whose clients follow the rules of a file."""
    (tmp_path / "wrapping.key").write_bytes(bytes(range(32)))
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    def made(extra: str = "") -> boto3.Session:
        file = tmp_path / "s3ec.toml"
        file.write_text(
            f'[[bucket]]\nmatch = "{buckets["first"]}"\nkms_key = "{kms_key}"\ncontext = {{ team = "hr" }}\n{extra}\n'
            f'[[bucket]]\nmatch = "{buckets["second"]}"\naes_key_file = "wrapping.key"\n'
            f'[[bucket]]\nmatch = "{buckets["plain"]}"\nmode = "plain"\n'
            f'[[bucket]]\nmatch = "{buckets["refused"]}"\nmode = "refuse"\n',
            "utf-8",
        )
        monkeypatch.setattr(everywhere._state, "installed", everywhere.Source(None, str(file)))
        session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
        everywhere.hook_session(session._session)
        return session

    return made


@pytest.fixture
def client(make: Callable[..., boto3.Session]) -> Iterator[Any]:
    """A client of such a session."""
    made = make().client("s3")
    yield made
    made.close()


@pytest.fixture
def plain_s3(aws: dict[str, Any]) -> Iterator[Any]:
    """A plain client that believes moto's bytes, not its checksums of copies in parts."""
    client = boto3.client("s3", config=Config(response_checksum_validation="when_required"), **aws)
    yield client
    client.close()


def stored(plain_s3: Any, bucket: str, key: str) -> tuple[bytes, dict[str, str]]:
    """What S3 has."""
    answer = plain_s3.get_object(Bucket=bucket, Key=key)
    return answer["Body"].read(), answer["Metadata"]


@pytest.mark.slow
def test_each_bucket_by_its_rule(client: Any, buckets: dict[str, str], plain_s3: Any) -> None:
    """Two keys and none, through one client."""
    assert s3ec.is_encrypting(client)
    for role in ("first", "second", "plain"):
        client.put_object(Bucket=buckets[role], Key="k", Body=SECRET)
        assert client.get_object(Bucket=buckets[role], Key="k")["Body"].read() == SECRET
        assert client.head_object(Bucket=buckets[role], Key="k")["ContentLength"] == len(SECRET)
        content, metadata = stored(plain_s3, buckets[role], "k")
        assert (content == SECRET) is (role == "plain")
        assert ("x-amz-3" in metadata) is (role != "plain")


@pytest.mark.slow
def test_context_of_the_rule(client: Any, buckets: dict[str, str], make_client: Callable[..., Any]) -> None:
    """It is given to what is written, however it is written, and asserted of what is read."""
    bucket, own = buckets["first"], make_client()
    client.put_object(Bucket=bucket, Key="put", Body=SECRET)
    client.upload_fileobj(io.BytesIO(SECRET), bucket, "upload")
    for key in ("put", "upload"):
        answer = own.get_object(Bucket=bucket, Key=key, EncryptionContext={"team": "hr"})
        assert answer["Body"].read() == SECRET
    own.put_object(Bucket=bucket, Key="other", Body=SECRET, EncryptionContext={"team": "it"})
    with pytest.raises(EncryptionContextMismatchError):
        client.get_object(Bucket=bucket, Key="other")
    with pytest.raises(EncryptionContextMismatchError):
        client.download_fileobj(bucket, "other", io.BytesIO())
    assert client.get_object(Bucket=bucket, Key="other", EncryptionContext={"team": "it"})["Body"].read() == SECRET


@pytest.mark.parametrize("role", ["refused", "unnamed"])
@pytest.mark.parametrize(
    "call",
    [
        lambda s3, bucket: s3.put_object(Bucket=bucket, Key="k", Body=SECRET),
        lambda s3, bucket: s3.get_object(Bucket=bucket, Key="k"),
        lambda s3, bucket: s3.list_objects_v2(Bucket=bucket),
        lambda s3, bucket: s3.head_bucket(Bucket=bucket),
        lambda s3, bucket: s3.delete_bucket(Bucket=bucket),
        lambda s3, bucket: s3.upload_fileobj(io.BytesIO(SECRET), bucket, "k"),
        lambda s3, bucket: s3.download_fileobj(bucket, "k", io.BytesIO()),
        lambda s3, bucket: s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}),
        lambda s3, bucket: s3.generate_presigned_post(bucket, "k"),
        lambda s3, bucket: s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "c"),
        lambda s3, bucket: s3ec.open(s3, Bucket=bucket, Key="k"),
        lambda s3, bucket: s3ec.presigned_upload(s3, Bucket=bucket, Key="k"),
        lambda s3, bucket: next(iter(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))),
    ],
)
def test_nothing_is_sent_to_other_buckets(
    client: Any, buckets: dict[str, str], role: str, call: Callable[[Any, str], Any]
) -> None:
    """Not even a question."""
    sent: list[str] = []
    client.meta.events.register_first("before-send.s3", lambda request, **_: sent.append(request.url))
    with pytest.raises(ConfigurationError, match="refused by|no rule names"):
        call(client, buckets[role])
    assert sent == []


def test_copies_into_refused_buckets(client: Any, buckets: dict[str, str]) -> None:
    """A copy names two buckets, and both must have a rule."""
    client.put_object(Bucket=buckets["first"], Key="k", Body=SECRET)
    for source, target in (("first", "unnamed"), ("unnamed", "first"), ("plain", "refused")):
        with pytest.raises(ConfigurationError):
            client.copy_object(Bucket=buckets[target], Key="c", CopySource={"Bucket": buckets[source], "Key": "k"})
        with pytest.raises(ConfigurationError):
            client.copy({"Bucket": buckets[source], "Key": "k"}, buckets[target], "c")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["first", "second"])
@pytest.mark.parametrize("source", ["first", "second", "plain"])
@pytest.mark.parametrize("size", [100, 11 * MIB])
def test_copies(client: Any, buckets: dict[str, str], plain_s3: Any, source: str, target: str, size: int) -> None:
    """Whatever the keys and the size, the copy opens by the rule of its own bucket."""
    content = bytes(range(256)) * (size // 256) + SECRET
    client.upload_fileobj(
        io.BytesIO(content),
        buckets[source],
        "k",
        ExtraArgs={"Metadata": {"a": "b"}, "ContentType": "text/x", "Tagging": "t=1"},
        Config=IN_PARTS,
    )
    place = {"Bucket": buckets[source], "Key": "k"}
    client.copy(place, buckets[target], "managed", Config=IN_PARTS)
    answer = client.copy_object(Bucket=buckets[target], Key="copied", CopySource=place)
    assert answer["CopyObjectResult"]["ETag"]
    for key in ("managed", "copied"):
        got = client.get_object(Bucket=buckets[target], Key=key)
        assert got["Body"].read() == content
        assert SECRET not in stored(plain_s3, buckets[target], key)[0]
    assert (got["Metadata"], got["ContentType"], got["TagCount"]) == ({"a": "b"}, "text/x", 1)


@pytest.mark.slow
def test_copies_keep_what_the_caller_replaces(client: Any, buckets: dict[str, str]) -> None:
    """Directives and conditions are S3's."""
    client.put_object(Bucket=buckets["plain"], Key="k", Body=SECRET, Metadata={"a": "b"}, Tagging="t=1")
    place = {"Bucket": buckets["plain"], "Key": "k"}
    target = {"Bucket": buckets["first"], "Key": "c", "CopySource": place}
    client.copy_object(**target, MetadataDirective="REPLACE", Metadata={"c": "d"}, TaggingDirective="REPLACE")
    got = client.get_object(Bucket=buckets["first"], Key="c")
    assert (got["Body"].read(), got["Metadata"], got.get("TagCount")) == (SECRET, {"c": "d"}, None)
    with pytest.raises(ClientError) as caught:
        client.copy_object(**target, CopySourceIfMatch='"other"')
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(ClientError) as caught:
        client.copy_object(**{**target, "CopySource": {**place, "Key": "absent"}})
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"


@pytest.mark.slow
def test_no_ciphertext_among_plain_objects(client: Any, buckets: dict[str, str]) -> None:
    """A reader there expects plaintext; and plaintext of an encrypted bucket is not stored by a mere copy."""
    client.put_object(Bucket=buckets["first"], Key="k", Body=SECRET)
    place = {"Bucket": buckets["first"], "Key": "k"}
    with pytest.raises(UnsupportedOperationError, match="leaves the other plain"):
        client.copy_object(Bucket=buckets["plain"], Key="c", CopySource=place)
    with pytest.raises(UnsupportedOperationError, match="leaves the other plain"):
        client.copy(place, buckets["plain"], "c")


@pytest.mark.slow
def test_parts_of_copies(client: Any, buckets: dict[str, str]) -> None:
    """A part is a range of an object under another key; a wrong range is S3's error."""
    content = bytes(range(256)) * 64
    client.put_object(Bucket=buckets["second"], Key="k", Body=content)
    target = {"Bucket": buckets["first"], "Key": "c"}
    place = {"Bucket": buckets["second"], "Key": "k"}
    upload = client.create_multipart_upload(**target)["UploadId"]
    part = client.upload_part_copy(
        **target, UploadId=upload, PartNumber=1, CopySource=place, CopySourceRange="bytes=10-99"
    )
    with pytest.raises(ClientError):
        client.upload_part_copy(
            **target, UploadId=upload, PartNumber=2, CopySource=place, CopySourceRange="bytes=0-999999"
        )
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    client.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": parts})
    assert client.get_object(**target)["Body"].read() == content[10:100]


def test_handlers_do_not_turn_plain_requests_to_other_buckets(
    client: Any, buckets: dict[str, str], plain_s3: Any
) -> None:
    """Each way for a handler to name another bucket than the one that was judged."""

    def elsewhere(params: dict[str, Any], **_: Any) -> None:
        params["Bucket"] = buckets["first"]

    for event in ("provide-client-params.s3.PutObject", "before-parameter-build.s3.PutObject"):
        client.meta.events.register(event, elsewhere, unique_id="elsewhere")
        for named in ({"Bucket": buckets["plain"]}, {}):
            with pytest.raises((UnsupportedOperationError, ParamValidationError)):
                client.put_object(**named, Key="k", Body=SECRET)
        client.meta.events.unregister(event, unique_id="elsewhere")
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=buckets["first"])


@pytest.mark.slow
def test_sizes_in_listings(make: Callable[..., boto3.Session], buckets: dict[str, str], plain_s3: Any) -> None:
    """Of plaintext where every object is encrypted; as they are in a plain bucket, and where that was asked for."""
    bucket, plain = buckets["first"], buckets["plain"]
    client = make().client("s3")
    for name in (bucket, plain):
        client.put_object(Bucket=name, Key="k", Body=SECRET)
        client.put_object(Bucket=name, Key="empty", Body=b"")
        for pages in ("list_objects_v2", "list_objects"):
            (page,) = client.get_paginator(pages).paginate(Bucket=name)
            assert {row["Key"]: row["Size"] for row in page["Contents"]} == {"k": len(SECRET), "empty": 0}
        (page,) = client.get_paginator("list_object_versions").paginate(Bucket=name)
        assert {row["Key"]: row["Size"] for row in page["Versions"]} == {"k": len(SECRET), "empty": 0}
    plain_s3.put_object(Bucket=bucket, Key="marker/", Body=b"")
    assert client.list_objects_v2(Bucket=bucket, Prefix="marker/")["Contents"][0]["Size"] == 0
    stored_sizes = make('sizes = "stored"').client("s3")
    assert stored_sizes.list_objects_v2(Bucket=bucket, Prefix="k")["Contents"][0]["Size"] == len(SECRET) + 16


@pytest.mark.slow
def test_instruction_files_are_no_objects(
    make: Callable[..., boto3.Session], buckets: dict[str, str], plain_s3: Any
) -> None:
    """They are left out of listings; an object that merely has such a name is not."""
    client, bucket = make("instruction_file_writes = true").client("s3"), buckets["first"]
    client.put_object(Bucket=bucket, Key="k", Body=SECRET)
    client.put_object(Bucket=bucket, Key="user.instruction", Body=SECRET)
    assert {row["Key"] for row in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]} >= {"k", "k.instruction"}
    answer = client.list_objects_v2(Bucket=bucket)
    assert [row["Key"] for row in answer["Contents"]] == ["k", "user.instruction"]
    assert answer["KeyCount"] == 2


def test_resources_and_files(make: Callable[..., boto3.Session], buckets: dict[str, str], plain_s3: Any) -> None:
    """What stands on a client: resources, `s3ec.open`, `s3ec.inspect`."""
    session = make()
    s3 = session.resource("s3")
    s3.Object(buckets["first"], "k").put(Body=SECRET)
    s3.Bucket(buckets["plain"]).upload_fileobj(io.BytesIO(SECRET), "k")
    assert s3.Object(buckets["first"], "k").get()["Body"].read() == SECRET
    assert SECRET not in stored(plain_s3, buckets["first"], "k")[0]
    assert stored(plain_s3, buckets["plain"], "k")[0] == SECRET
    client = s3.meta.client
    with s3ec.open(client, Bucket=buckets["first"], Key="k", EncryptionContext={"team": "hr"}) as file:
        assert file.read() == SECRET
    with pytest.raises(ConfigurationError, match="is plain"):
        s3ec.open(client, Bucket=buckets["plain"], Key="k")
    assert s3ec.inspect(client, Bucket=buckets["first"], Key="k").format == "V3"


def test_presigned(client: Any, buckets: dict[str, str]) -> None:
    """An upload is refused where objects are encrypted, and boto3's own where they are not."""
    put = {"Key": "k"}
    with pytest.raises(UnsupportedOperationError):
        client.generate_presigned_url("put_object", {"Bucket": buckets["first"], **put})
    with pytest.raises(UnsupportedOperationError):
        client.generate_presigned_post(buckets["first"], "k")
    assert buckets["plain"] in client.generate_presigned_url("put_object", {"Bucket": buckets["plain"], **put})
    assert client.generate_presigned_post(buckets["plain"], "k")["fields"]["key"] == "k"
    assert buckets["first"] in client.generate_presigned_url("get_object", {"Bucket": buckets["first"], **put})


def test_options_given_in_code_win(make: Callable[..., boto3.Session], buckets: dict[str, str], plain_s3: Any) -> None:
    """A program that uses s3ec itself keeps its own keys and buckets, also on a session that follows rules."""
    session, keyring = make(), s3ec.AesKeyring(bytes(32))
    own = s3ec.EncryptionClient(keyring=keyring, session=session)
    assert not isinstance(own, RuledClient)
    own.put_object(Bucket=buckets["unnamed"], Key="k", Body=SECRET)
    assert own.get_object(Bucket=buckets["unnamed"], Key="k")["Body"].read() == SECRET
    s3ec.install(session, keyring=keyring)
    installed = session.client("s3")
    assert not isinstance(installed, RuledClient)
    assert installed.get_object(Bucket=buckets["unnamed"], Key="k")["Body"].read() == SECRET
    s3ec.uninstall(session)
    assert isinstance(session.client("s3"), RuledClient)


def test_handlers_of_answers_see_plaintext(client: Any, buckets: dict[str, str]) -> None:
    """One that reads the body, as the AWS CLI does, gets what the caller would have got; of ranges too."""
    bucket, seen = buckets["first"], []
    client.put_object(Bucket=bucket, Key="k", Body=SECRET)
    client.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: seen.append(parsed.pop("Body").read()))
    for _ in range(2):
        assert "Body" not in client.get_object(Bucket=bucket, Key="k")
        assert "Body" not in client.get_object(Bucket=bucket, Key="k", Range="bytes=5-8")
    assert seen == [SECRET, SECRET[5:9]] * 2


def test_lists_of_buckets(client: Any, buckets: dict[str, str]) -> None:
    """They name no bucket, and carry nothing of objects."""
    assert {each["Name"] for each in client.list_buckets()["Buckets"]} >= set(buckets.values())
    with pytest.raises(S3ECError):
        client.write_get_object_response(RequestRoute="r", RequestToken="t", Body=SECRET)


def test_repr(client: Any) -> None:
    """It says by which rules."""
    assert "by the rules of" in repr(client)
    assert repr(client).endswith("s3ec.toml>")


def test_context_of_the_rule_in_open_files(
    client: Any, buckets: dict[str, str], make_client: Callable[..., Any]
) -> None:
    """`s3ec.open` asserts it, as get_object does; who gives one asserts that."""
    place = {"Bucket": buckets["first"], "Key": "k"}
    client.put_object(**place, Body=SECRET)
    with s3ec.open(client, **place) as file:
        assert file.read() == SECRET
    with pytest.raises(EncryptionContextMismatchError):
        s3ec.open(client, **place, EncryptionContext={"team": "it"})
    make_client().put_object(**place, Body=SECRET, EncryptionContext={"team": "it"})
    with pytest.raises(EncryptionContextMismatchError):
        s3ec.open(client, **place)


def test_context_of_the_rule_in_presigned_uploads(client: Any, buckets: dict[str, str]) -> None:
    """What is sent through one can be read by the same client."""
    place = {"Bucket": buckets["first"], "Key": "k"}
    s3ec.presigned_upload(client, **place).send(SECRET)
    with client.get_object(**place)["Body"] as body:
        assert body.read() == SECRET
