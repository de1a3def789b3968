"""How clients come to encrypt: sessions, and everything of boto3 that hangs on a client."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ParamValidationError, StubAssertionError, UnknownClientMethodError, WaiterError
from botocore.stub import Stubber

import s3ec
from s3ec import AesKeyring, CachingMaterialsManager, CommitmentPolicy, EncryptionClient
from s3ec.client.encryption_client import plain_view, raw_view
from s3ec.errors import ConfigurationError, S3ECError, UnsupportedOperationError

from support.lying_s3 import LyingS3

KEYRING = AesKeyring(bytes(range(32)))
CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """Closes what a test makes."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def service(session: Any, http_liar: LyingS3, opened: contextlib.ExitStack) -> Callable[..., Any]:
    """Makes clients of the session for the lying server."""

    def make(name: str = "s3") -> Any:
        return opened.enter_context(contextlib.closing(session.client(name, endpoint_url=http_liar.url)))

    return make


@pytest.fixture
def session() -> boto3.Session:
    """A plain session."""
    return boto3.Session(**CREDENTIALS)


def encrypts(client: Any, server: LyingS3) -> bool:
    """Whether what the client puts is ciphertext on the wire."""
    client.put_object(Bucket="b", Key="probe", Body=b"in the clear")
    assert client.get_object(Bucket="b", Key="probe")["Body"].read() == b"in the clear"
    return b"in the clear" not in server.state.objects["b/probe"].body


class TestInstall:
    """install and uninstall."""

    @pytest.mark.slow
    def test_from_now_on(self, http_liar: LyingS3, session: Any, service: Callable[..., Any]) -> None:
        """Clients of before stay plain, those of meanwhile keep encrypting, those of afterwards are plain."""
        before = service()
        s3ec.install(session, keyring=KEYRING)
        meanwhile = service()
        s3ec.uninstall(session)
        after = service()
        assert [encrypts(client, http_liar) for client in (before, meanwhile, after)] == [False, True, False]
        assert [isinstance(client, EncryptionClient) for client in (before, meanwhile, after)] == [False, True, False]

    def test_other_services(self, session: Any, service: Callable[..., Any]) -> None:
        """Nothing but S3 is touched."""
        s3ec.install(session, keyring=KEYRING)
        for name in ("kms", "sqs", "s3control"):
            assert not isinstance(service(name), EncryptionClient)
            assert "s3ec" not in repr(type(service(name)).__mro__)

    def test_other_sessions(self, session: Any, http_liar: LyingS3, opened: contextlib.ExitStack) -> None:
        """Nor is any other session."""
        s3ec.install(session, keyring=KEYRING)
        other = boto3.Session(**CREDENTIALS)
        client = opened.enter_context(contextlib.closing(other.client("s3", endpoint_url=http_liar.url)))
        assert not encrypts(client, http_liar)

    def test_twice(self, session: Any, service: Callable[..., Any], http_liar: LyingS3) -> None:
        """The same options twice change nothing, others are refused; uninstalling twice does nothing."""
        s3ec.install(session, keyring=KEYRING)
        s3ec.install(session, keyring=KEYRING)
        with pytest.raises(ConfigurationError, match="uninstall"):
            s3ec.install(session, keyring=KEYRING, buffer_size=5)
        s3ec.uninstall(session)
        s3ec.uninstall(session)
        s3ec.install(session, keyring=KEYRING)
        assert encrypts(service(), http_liar)

    def test_misspelt(self, session: Any) -> None:
        """A misspelt option is a TypeError that names it, and nothing is installed."""
        with pytest.raises(TypeError, match="buffersize"):
            s3ec.install(session, keyring=KEYRING, buffersize=1)
        s3ec.install(session, keyring=KEYRING)

    def test_resource(self, session: Any, http_liar: LyingS3, opened: contextlib.ExitStack, tmp_path: Path) -> None:
        """Resources go through the same client: put, get, transfers, copies, collections."""
        s3ec.install(session, keyring=KEYRING)
        resource = session.resource("s3", endpoint_url=http_liar.url)
        opened.enter_context(contextlib.closing(resource.meta.client))
        item = resource.Object("b", "k")
        item.put(Body=b"in the clear")
        assert item.get()["Body"].read() == b"in the clear"
        assert item.content_length == 12
        assert b"in the clear" not in http_liar.state.objects["b/k"].body
        (tmp_path / "f").write_bytes(b"from a file")
        resource.Bucket("b").upload_file(str(tmp_path / "f"), "l")
        target = io.BytesIO()
        resource.Bucket("b").download_fileobj("l", target)
        assert target.getvalue() == b"from a file"
        resource.Object("b", "m").copy_from(CopySource="b/k")
        assert resource.Object("b", "m").get()["Body"].read() == b"in the clear"
        item.delete()
        with pytest.raises(resource.meta.client.exceptions.NoSuchKey):
            item.get()


class TestSession:
    """s3ec.Session."""

    def test_is_a_session(self, http_liar: LyingS3, opened: contextlib.ExitStack) -> None:
        """A boto3 session whose S3 clients encrypt."""
        session = s3ec.Session(keyring=KEYRING, **CREDENTIALS)
        assert isinstance(session, boto3.Session)
        client = opened.enter_context(contextlib.closing(session.client("s3", endpoint_url=http_liar.url)))
        assert encrypts(client, http_liar)
        assert session.region_name == "us-east-1"
        s3ec.uninstall(session)
        client = opened.enter_context(contextlib.closing(session.client("s3", endpoint_url=http_liar.url)))
        assert not encrypts(client, http_liar)

    def test_misspelt(self) -> None:
        """boto3's own TypeError; and a keyring there must be."""
        with pytest.raises(TypeError, match="buffersize"):
            s3ec.Session(keyring=KEYRING, buffersize=1)
        with pytest.raises(ConfigurationError, match="exactly one"):
            s3ec.Session(**CREDENTIALS)

    def test_client_of_an_installed_session(self, http_liar: LyingS3, opened: contextlib.ExitStack) -> None:
        """EncryptionClient of a session that encrypts already takes the options given to it."""
        session = s3ec.Session(keyring=KEYRING, **CREDENTIALS)
        client = EncryptionClient(
            keyring=AesKeyring(bytes(32)), buffer_size=7, session=session, endpoint_url=http_liar.url
        )
        opened.enter_context(contextlib.closing(client))
        assert encrypts(client, http_liar)
        assert type(client).__mro__.count(EncryptionClient) == 1


class TestClient:
    """EncryptionClient itself."""

    def test_is_both(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """A boto3 client for everybody who asks, of a class that boto3 calls S3."""
        client = lied_to(http_liar)
        assert isinstance(client, EncryptionClient)
        assert isinstance(client, BaseClient)
        assert type(client).__name__ == "S3"
        assert client.meta.service_model.service_name == "s3"
        assert not isinstance(raw_view(client), EncryptionClient)

    def test_leaves_its_session_alone(self, http_liar: LyingS3, session: Any, opened: contextlib.ExitStack) -> None:
        """The session makes plain clients afterwards, also when the making failed."""
        with contextlib.closing(EncryptionClient(keyring=KEYRING, session=session, endpoint_url=http_liar.url)):
            pass
        with pytest.raises(TypeError):
            EncryptionClient(keyring=KEYRING, session=session, nonsense=1)
        client = opened.enter_context(contextlib.closing(session.client("s3", endpoint_url=http_liar.url)))
        assert not encrypts(client, http_liar)

    def test_threads(self, http_liar: LyingS3, session: Any) -> None:
        """While some threads make encrypting clients, others of the same session get plain ones."""
        found: list[tuple[bool, bool]] = []
        start = threading.Barrier(4)

        def make(wanted: bool) -> None:
            start.wait()
            for _ in range(4):
                if wanted:
                    client: Any = EncryptionClient(keyring=KEYRING, session=session, endpoint_url=http_liar.url)
                else:
                    client = session.client("s3", endpoint_url=http_liar.url)
                found.append((wanted, isinstance(client, EncryptionClient)))
                client.close()

        threads = [threading.Thread(target=make, args=(number % 2 == 0,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 16
        assert [wanted for wanted, given in found if wanted is not given] == []

    def test_two_clients_of_one_session(self, http_liar: LyingS3, session: Any) -> None:
        """Options belong to the client."""
        with (
            contextlib.closing(EncryptionClient(keyring=KEYRING, session=session, endpoint_url=http_liar.url)) as one,
            contextlib.closing(
                EncryptionClient(keyring=AesKeyring(bytes(32)), session=session, endpoint_url=http_liar.url)
            ) as other,
        ):
            one.put_object(Bucket="b", Key="k", Body=b"x")
            with pytest.raises(S3ECError):
                other.get_object(Bucket="b", Key="k")
            assert one.get_object(Bucket="b", Key="k")["Body"].read() == b"x"

    def test_view_shares_what_the_client_has(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """The raw view reads ciphertext over the same connections; a plain client is its own view."""
        client = lied_to(http_liar)
        client.put_object(Bucket="b", Key="k", Body=b"hello")
        for view in (raw_view(client), plain_view(client)):
            body = view.get_object(Bucket="b", Key="k")["Body"].read()  # type: ignore[attr-defined]  # generated
            assert body == http_liar.state.objects["b/k"].body
            assert view.meta is client.meta
            assert raw_view(raw_view(client)) is raw_view(client)
        other = boto3.client("s3", **CREDENTIALS)
        assert plain_view(other) is other
        other.close()

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({}, "exactly one"),
            ({"keyring": KEYRING, "materials_manager": CachingMaterialsManager(KEYRING)}, "exactly one"),
            ({"keyring": "alias/payroll"}, "keyring"),
            ({"materials_manager": KEYRING}, "materials_manager"),
            ({"keyring": KEYRING, "buffer_size": -1}, "buffer_size"),
            ({"keyring": KEYRING, "buffer_size": True}, "buffer_size"),
            ({"keyring": KEYRING, "verified_range_limit": 1.5}, "verified_range_limit"),
            ({"keyring": KEYRING, "commitment_policy": "REQUIRE"}, "commitment_policy"),
            ({"keyring": KEYRING, "enable_delayed_authentication": "yes"}, "enable_delayed_authentication"),
            ({"keyring": KEYRING, "instruction_file_reads": None}, "instruction_file_reads"),
            ({"keyring": KEYRING, "unencrypted_objects": "maybe"}, "unencrypted_objects"),
            ({"keyring": KEYRING, "presigned_uploads": True}, "presigned_uploads"),
            ({"keyring": KEYRING, "bind_object": True}, "bind_object"),
            (
                {
                    "keyring": KEYRING,
                    "commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
                    "algorithm_suite": s3ec.AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
                },
                "FORBID",
            ),
        ],
    )
    def test_impossible_options(self, options: dict[str, Any], text: str) -> None:
        """Options that can never work are refused when the client is made, by name."""
        with pytest.raises(ConfigurationError, match=text):
            EncryptionClient(**options, **CREDENTIALS)

    def test_misspelt_option(self) -> None:
        """A misspelt option is a TypeError, and so is what boto3 does not know."""
        with pytest.raises(TypeError, match="enable_delayed_authentification"):
            EncryptionClient(keyring=KEYRING, enable_delayed_authentification=True)
        with pytest.raises(ConfigurationError, match="keywords only"):
            EncryptionClient("b", keyring=KEYRING)


class TestOfBoto3:
    """What hangs on a client works as ever."""

    def test_paginator_and_waiter(self, make_client: Callable[..., Any], bucket: str) -> None:
        """Both go through the client; lists speak of what S3 stores."""
        client = make_client()
        for number in range(3):
            client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
        assert client.can_paginate("list_objects_v2")
        pages = list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}))
        assert [entry["Size"] for page in pages for entry in page["Contents"]] == [17, 17, 17]
        client.get_waiter("object_exists").wait(Bucket=bucket, Key="k0")
        with pytest.raises(WaiterError):
            client.get_waiter("object_exists").wait(
                Bucket=bucket, Key="absent", WaiterConfig={"Delay": 0, "MaxAttempts": 2}
            )

    def test_exceptions(self, make_client: Callable[..., Any], bucket: str) -> None:
        """S3's errors are S3's, also by the names that the client has for them."""
        client = make_client()
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket=bucket, Key="absent")
        with pytest.raises(client.exceptions.NoSuchBucket):
            client.put_object(Bucket="there-is-no-such-bucket", Key="k", Body=b"")
        for call in (client.get_object, client.put_object, client.head_object, client.copy_object):
            with pytest.raises(ParamValidationError):
                call(Bucket=bucket)
            with pytest.raises(ParamValidationError):
                call(Bucket=bucket, Key="k", Nonsense=1, CopySource="b/k")

    def test_own_errors_name_the_object(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Errors of ours say which object and version they are about."""
        http_liar.state.objects.clear()
        client = lied_to(http_liar)
        client.put_object(Bucket="b", Key="k", Body=b"x")
        http_liar.state.objects["b/k"].metadata.clear()
        with pytest.raises(S3ECError) as refusal:
            client.get_object(Bucket="b", Key="k", VersionId="v")
        assert refusal.value.location == "s3://b/k?versionId=v"

    def test_stubber(self, make_client: Callable[..., Any]) -> None:
        """Stubs of passed operations answer; what is refused is refused under a stub too."""
        client = make_client()
        with Stubber(client) as stub:
            stub.add_response("list_buckets", {"Buckets": []})

            assert client.list_buckets()["Buckets"] == []
            with pytest.raises(UnsupportedOperationError):
                client.get_object_torrent(Bucket="b", Key="k")

    def test_stubber_expects_what_the_caller_gives(self, make_client: Callable[..., Any]) -> None:
        """Expected parameters are those of the plaintext request; those of another one are an error."""
        client = make_client()
        request = {"Bucket": "b", "Key": "k", "Body": b"in the clear", "Metadata": {"a": "1"}}
        with Stubber(client) as stub:
            stub.add_response("put_object", {"ETag": '"e"'}, {**request, "EncryptionContext": {"team": "hr"}})
            stub.add_response("put_object", {"ETag": '"e"'}, {**request, "Body": b"something else"})
            assert client.put_object(**request, EncryptionContext={"team": "hr"})["ETag"] == '"e"'
            with pytest.raises(StubAssertionError, match="Body"):
                client.put_object(**request)

    def test_stubber_of_a_copy(self, make_client: Callable[..., Any]) -> None:
        """The source is headed first."""
        client = make_client()
        metadata = {"x-amz-3": "AAAA", "x-amz-c": "115", "x-amz-w": "12", "x-amz-d": "AAAA", "x-amz-i": "AAAA"}
        with Stubber(client) as stub:
            stub.add_response("head_object", {"ETag": '"e"', "ContentLength": 20, "Metadata": metadata})
            stub.add_response("copy_object", {"CopyObjectResult": {"ETag": '"f"'}})
            answer = client.copy_object(Bucket="b", Key="l", CopySource="b/k")
            assert answer["CopyObjectResult"]["ETag"] == '"f"'
            stub.assert_no_pending_responses()

    def test_events(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Handlers of the caller see ciphertext requests, and what they add arrives."""
        client = lied_to(http_liar)
        seen: list[str] = []

        def note(model: Any, params: dict[str, Any], **_: Any) -> None:
            seen.append(model.name)
            params["headers"]["x-amz-meta-added"] = "1"

        client.meta.events.register("before-call.s3.PutObject", note)
        client.put_object(Bucket="b", Key="k", Body=b"in the clear")
        assert seen == ["PutObject"]
        assert client.head_object(Bucket="b", Key="k")["Metadata"] == {"added": "1"}

    def test_closes(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """close() is the client's own, and leaves no connection open."""
        client = lied_to(http_liar)
        client.put_object(Bucket="b", Key="k", Body=b"x")
        pools = client._endpoint.http_session._manager.pools
        assert len(pools) == 1
        client.close()
        assert len(pools) == 0

    def test_repr_shows_no_key(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Neither the client nor what it holds shows a key in its repr."""
        client = lied_to(http_liar)
        assert repr(client).startswith("<")
        assert repr(bytes(range(32)))[2:-1] not in repr(vars(client))


class TestPresigning:
    """Presigned requests."""

    UPLOADS = ("put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload", "upload_part_copy")

    @pytest.mark.parametrize("method", UPLOADS)
    def test_uploads_are_refused(self, http_liar: LyingS3, lied_to: Callable[..., Any], method: str) -> None:
        """Whoever holds one would store plaintext; allowed by name they are made."""
        parameters = {"Bucket": "b", "Key": "k"}
        more: dict[str, Any] = {
            "upload_part": {"UploadId": "u", "PartNumber": 1},
            "complete_multipart_upload": {"UploadId": "u"},
            "upload_part_copy": {"UploadId": "u", "PartNumber": 1, "CopySource": "b/l"},
        }.get(method, {})
        with pytest.raises(UnsupportedOperationError, match="presigned"):
            lied_to(http_liar).generate_presigned_url(method, Params={**parameters, **more})
        url = lied_to(http_liar, presigned_uploads="allow").generate_presigned_url(method, {**parameters, **more})
        assert "Signature" in url

    def test_forms_are_refused(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """A form stores plaintext as well."""
        with pytest.raises(UnsupportedOperationError, match="POST"):
            lied_to(http_liar).generate_presigned_post("b", "k")
        form = lied_to(http_liar, presigned_uploads="allow").generate_presigned_post(
            "b", "k", Fields={"acl": "private"}
        )
        assert form["fields"]["key"] == "k"
        assert form["fields"]["acl"] == "private"

    def test_what_is_refused_anyway(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """A refused operation has no presigned way round."""
        with pytest.raises(UnsupportedOperationError, match="as the operation itself is"):
            lied_to(http_liar).generate_presigned_url("get_object_torrent", Params={"Bucket": "b", "Key": "k"})

    def test_downloads_give_ciphertext(
        self, http_liar: LyingS3, lied_to: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Allowed, without the parameters that only this client knows, and said in the log."""
        client = lied_to(http_liar)
        client.put_object(Bucket="b", Key="k", Body=b"in the clear")
        with caplog.at_level(logging.INFO, "s3ec"):
            url = client.generate_presigned_url(
                "get_object",
                Params={"Bucket": "b", "Key": "k", "EncryptionContext": {"a": "b"}, "InstructionFileSuffix": ".x"},
                ExpiresIn=60,
                HttpMethod="GET",
            )
        assert "ciphertext" in caplog.text
        assert "EncryptionContext" not in url
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - the loopback server
            assert answer.read() == http_liar.state.objects["b/k"].body

    def test_others(self, http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Requests without content and senseless names are as ever."""
        client = lied_to(http_liar)
        assert "list-type" in client.generate_presigned_url("list_objects_v2", Params={"Bucket": "b"})
        assert client.generate_presigned_url("list_buckets").startswith(http_liar.url)
        with pytest.raises(UnknownClientMethodError, match="nonsense"):
            client.generate_presigned_url("nonsense")


class _Raw(io.BytesIO):
    """What botocore reads an answer from."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """The answer in one piece."""
        yield self.read()


def test_region_redirect_keeps_encrypting(make_client: Callable[..., Any]) -> None:
    """A request that S3 sends to another region is sent there again, with the very same ciphertext."""
    client = make_client(endpoint_url=None)
    seen: list[tuple[str, bytes]] = []

    def answer(request: Any, **_: Any) -> Any:
        body = request.body
        seen.append((request.url, body.read() if hasattr(body, "read") else bytes(body)))
        if len(seen) > 1:
            return AWSResponse(request.url, 200, {"ETag": '"e"'}, _Raw())
        error = _Raw(b"<Error><Code>PermanentRedirect</Code><Message>m</Message></Error>")
        return AWSResponse(request.url, 301, {"x-amz-bucket-region": "eu-west-1"}, error)

    client.meta.events.register("before-send.s3.PutObject", answer)
    assert client.put_object(Bucket="bucket", Key="k", Body=b"in the clear")["ETag"] == '"e"'
    (first, ciphertext), (second, again) = seen
    assert "eu-west-1" not in first
    assert "eu-west-1" in second
    assert ciphertext == again
    assert b"in the clear" not in ciphertext
