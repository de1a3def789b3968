"""Answers that are none, over real sockets: each ends in an error that has a name, and in bounded memory."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp
from lies import honest
from lies.alterations import with_body
from lies.honest import Answer, Request
from lies.server import Server, running
from lies.world import PROFILES, World, waiting

import s3ec
from s3ec import EncryptionClient, dates, transport
from s3ec.errors import AuthenticationError, S3ECError
from s3ec.migrate import Connection
from s3ec.transport import UnreadableAnswerError, make_sound

PLACE = {"Bucket": "bucket", "Key": "k"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that says what a test wants."""
    with running() as here:
        yield here


@pytest.fixture
def say(server: Server) -> Iterator[Callable[..., None]]:
    """Makes it answer everything in one way."""
    yield server.say
    server.tell = None
    server.hang_up()


@pytest.fixture
def s3(server: Server, tmp_path: Any) -> Iterator[EncryptionClient]:
    """An encrypting client of it."""
    world = World(server, PROFILES[0], tmp_path)
    yield world.client(config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
    world.close()


class TestUnreadable:
    """What botocore's parser runs into has a name."""

    @pytest.mark.parametrize(
        "body",
        [
            b"<ListBucketResult><MaxKeys>many</MaxKeys></ListBucketResult>",
            b"<ListBucketResult><Contents><Size>1</Size><Size>2</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><Key>k</Key><LastModified>soon</LastModified></Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><LastModified>99999999999999999999</LastModified></Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><Key>k</Key><ETag>1</ETag><ETag>2</ETag></Contents></ListBucketResult>",
            b"<ListBucketResult><EncodingType>url</EncodingType><Contents><Size>1</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><EncodingType>url</EncodingType><Prefix>a</Prefix><Prefix>b</Prefix></ListBucketResult>",
        ],
    )
    def test_lists(self, say: Callable[..., None], s3: EncryptionClient, body: bytes) -> None:
        """A number of letters, two of them, a date that is none, a row without its key, no XML at all."""
        say(body)
        with pytest.raises(UnreadableAnswerError) as caught:
            s3.list_objects_v2(Bucket="bucket")
        assert isinstance(caught.value, S3ECError)
        assert isinstance(caught.value, ResponseParserError)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("body", [b"<html><body>It works!", b"\xff\xfe", b"<a>" * 20_000])
    def test_no_xml(self, say: Callable[..., None], s3: EncryptionClient, body: bytes) -> None:
        """botocore has an error of its own where it looks for errors in an answer of 200."""
        say(body)
        with pytest.raises((UnreadableAnswerError, ClientError)):
            s3.list_objects_v2(Bucket="bucket")

    @pytest.mark.parametrize(
        ("operation", "document", "name"),
        [
            ("list_objects_v2", "ListBucketResult", "NextContinuationToken"),
            ("list_object_versions", "ListVersionsResult", "NextKeyMarker"),
            ("list_parts", "ListPartsResult", "NextPartNumberMarker"),
        ],
    )
    def test_more_without_where(
        self, say: Callable[..., None], s3: EncryptionClient, operation: str, document: str, name: str
    ) -> None:
        """A list that goes on, and does not say where, is not a whole list; botocore takes it for one."""
        place = {**PLACE, "UploadId": "u"} if operation == "list_parts" else {"Bucket": "bucket"}
        rows = "<IsTruncated>true</IsTruncated>"
        say(f"<{document}>{rows}<{name}>7</{name}></{document}>".encode())
        assert getattr(s3, operation)(**place)["IsTruncated"]
        say(f"<{document}>{rows}</{document}>".encode())
        with pytest.raises(UnreadableAnswerError, match=name):
            getattr(s3, operation)(**place)

    def test_headers(self, say: Callable[..., None], s3: EncryptionClient) -> None:
        """A date of a header is a date."""
        say(headers=[("ETag", '"e"'), ("Last-Modified", "yesterday\x85")])
        with pytest.raises(UnreadableAnswerError, match="cannot be read as an answer"):
            s3.get_object(**PLACE)

    def test_refusals(self, say: Callable[..., None], s3: EncryptionClient) -> None:
        """An error code is a text."""
        say(b"<Error><Code>One</Code><Code>Two</Code></Error>", 403)
        with pytest.raises(UnreadableAnswerError, match="no error code"):
            s3.list_objects_v2(Bucket="bucket")

    def test_plain_clients_of_jobs(self, server: Server, say: Callable[..., None]) -> None:
        """Bucket jobs and commands have the same."""
        say(b"<ListBucketResult><MaxKeys>many</MaxKeys></ListBucketResult>")
        connection = Connection(endpoint_url=server.url, region_name="us-east-1", max_attempts=1)
        with contextlib.closing(connection.client("s3", _session())) as plain, pytest.raises(UnreadableAnswerError):
            plain.list_objects_v2(Bucket="bucket")

    def test_survives_a_process(self) -> None:
        """The error comes out of a worker process as it went in."""
        error = pickle.loads(pickle.dumps(UnreadableAnswerError("text")))  # noqa: S301 - our own bytes
        assert (type(error), str(error)) == (UnreadableAnswerError, "text")

    def test_what_is_not_botocores(self) -> None:
        """A client that is made otherwise is left as it is."""
        make_sound(object())

    def test_others_clients_are_left_alone(self, server: Server, say: Callable[..., None], s3: Any) -> None:
        """What s3ec does for its own clients, nobody else's has."""
        say(b"<ListBucketResult><MaxKeys>many</MaxKeys></ListBucketResult>")
        plain = _session().client("s3", endpoint_url=server.url, config=s3.meta.config)
        with contextlib.closing(plain), pytest.raises(ValueError, match="many"):
            plain.list_objects_v2(Bucket="bucket")

    def test_a_list_in_a_refusal(self, say: Callable[..., None], s3: EncryptionClient) -> None:
        """A refusal is S3's own error, whatever lies in its text."""
        text = b"<EncodingType>url</EncodingType><Contents><Size>1</Size></Contents><Prefix></Prefix>"
        say(b"<ListBucketResult>" + text + b"</ListBucketResult>", 412)
        with pytest.raises(ClientError):
            s3.list_objects_v2(Bucket="bucket")


def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="lies", aws_secret_access_key="lies", region_name="us-east-1")


class TestEndless:
    """Answers that are not content end somewhere."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "LONGEST_ANSWER", 1024 * 1024)

    @pytest.mark.parametrize("status", [200, 500])
    def test_documents(self, server: Server, say: Callable[..., None], s3: EncryptionClient, status: int) -> None:
        """Neither a list nor a refusal is read until memory ends."""
        say(b"<", status, endless=True)
        with pytest.raises(UnreadableAnswerError, match="is not content"):
            s3.list_objects_v2(Bucket="bucket")
        assert not server.flooded

    def test_refused_content(self, server: Server, say: Callable[..., None], s3: EncryptionClient) -> None:
        """The text of a refusal is not content, though content was asked for."""
        say(b"<Error>", 403, endless=True)
        with pytest.raises(UnreadableAnswerError, match="is not content"):
            s3.get_object(**PLACE)
        assert not server.flooded

    def test_content_has_no_such_limit(self, server: Server, s3: EncryptionClient) -> None:
        """An object may be longer."""
        s3.put_object(**PLACE, Body=bytes(3 * 1024 * 1024))
        assert len(s3.get_object(**PLACE)["Body"].read()) == 3 * 1024 * 1024


class TestCutErrors:
    """The connection may end in the text of an error, too."""

    @pytest.mark.parametrize("more", [{"reset": True}, {"stall": True}])
    @pytest.mark.parametrize("operation", ["get_object", "list_objects_v2"])
    def test_cut(self, server: Server, say: Callable[..., None], tmp_path: Any, operation: str, more: Any) -> None:
        """It is botocore's error for a lost connection, whatever was asked for."""
        say(b"<Error><Code>InternalError</Code></Error>", 500, cut=20, **more)
        place = {name: PLACE[name] for name in (("Bucket", "Key") if operation == "get_object" else ("Bucket",))}
        world = World(server, PROFILES[0], tmp_path)
        with waiting(0.3), contextlib.closing(world), pytest.raises((BotoCoreError, ClientError)):
            getattr(world.client(), operation)(**place)


@pytest.mark.parametrize("more", [{"reset": True}, {"stall": True}])
def test_presigned_downloads(server: Server, say: Callable[..., None], s3: Any, tmp_path: Any, more: Any) -> None:
    """Content that is cut off comes with an error that has a name there, too."""
    s3.put_object(**PLACE, Body=bytes(3000))
    url = s3.generate_presigned_url("get_object", Params=PLACE)
    server.tell = lambda request, number, ask: dataclasses.replace(ask(), cut=1000, **more)
    options = {"keyring": World(server, PROFILES[0], tmp_path).keyring()}
    with waiting(0.3), pytest.raises((BotoCoreError, S3ECError)):
        s3ec.decrypt_presigned(url, **options).read()


def _copy(s3: EncryptionClient) -> None:
    s3.copy(PLACE, "bucket", "copy")


def _upload(s3: EncryptionClient) -> None:
    upload = s3.create_multipart_upload(**PLACE)["UploadId"]
    place = {**PLACE, "UploadId": upload}
    etags = [s3.upload_part(**place, PartNumber=number, Body=bytes(5 * 2**20))["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})


class TestLacking:
    """What nobody can go on without is missed at once."""

    @pytest.mark.parametrize(
        ("operation", "header"), [("PUT part", "ETag"), ("POST object?uploads", "UploadId"), ("HEAD", "Content-Length")]
    )
    def test_lacking(self, server: Server, s3: EncryptionClient, operation: str, header: str) -> None:
        """An upload without a name, a part without its ETag, a source without a length."""
        s3.put_object(**PLACE, Body=b"x")

        def tell(request: Request, number: int, ask: Callable[[], Answer]) -> Answer:
            answer = ask()
            if honest.operation(request) != operation:
                return answer
            answer.headers = [each for each in answer.headers if each[0] != header]
            return with_body(answer, answer.body.replace(b"UploadId>", b"Nothing>")) if answer.body else answer

        server.tell = tell
        try:
            with pytest.raises((UnreadableAnswerError, AuthenticationError)):
                _copy(s3) if operation == "HEAD" else _upload(s3)
        finally:
            server.tell = None


@pytest.mark.parametrize(
    "text", ["2026-09-21T14:13:20.000Z", "2026-09-21T14:13:20Z", "Mon, 21 Sep 2026 14:13:20 GMT", 1_790_000_000]
)
def test_dates_of_lists_are_those_of_botocore(text: object) -> None:
    """Of every form: what is not a list's own is left to botocore."""
    client = Connection(region_name="us-east-1").client("s3")
    read = client._endpoint._response_parser_factory.create_parser("rest-xml")._parser._timestamp_parser
    assert read is dates.parse_date
    assert read(text) == parse_timestamp(text)


@pytest.mark.parametrize("text", ["2026-13-21T14:13:20.000Z", "2026-02-30T00:00:00Z", "soon"])
def test_dates_that_are_none(text: str) -> None:
    """An error as botocore's parser has it, which `make_sound` gives a name."""
    with pytest.raises(ValueError):  # noqa: PT011  # whichever words
        dates.parse_date(text)
