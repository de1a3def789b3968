"""Answers that are none, over real sockets, to the asynchronous client: as `tests/test_transport.py` has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError
from lies.server import Server, running
from lies.world import PROFILES, World

import s3ec.aio
from s3ec import AesKeyring, KmsKeyring
from s3ec.aio.soundness import make_sound
from s3ec.errors import KeyringError
from s3ec.transport import LONGEST_ANSWER, UnreadableAnswerError

PLACE = {"Bucket": "bucket", "Key": "k"}
Ask = Callable[[Callable[[Any], Awaitable[Any]]], Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that says what a test wants."""
    with running() as here:
        yield here


@pytest.fixture
def ask(server: Server, tmp_path: Path, aio_session: Any) -> Iterator[Ask]:
    """Makes one call with an encrypting client of it."""
    arguments = World(server, PROFILES[0], tmp_path).arguments()
    arguments["config"] = AioConfig(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=5)

    async def call(act: Callable[[Any], Awaitable[Any]]) -> Any:
        async with s3ec.aio.EncryptionClient(keyring=AesKeyring(bytes(32)), session=aio_session, **arguments) as client:
            return await act(client)

    yield lambda act: asyncio.run(call(act))
    server.tell = None
    server.hang_up()


@pytest.mark.parametrize(
    "body",
    [
        b"<ListBucketResult><MaxKeys>many</MaxKeys></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>k</Key><LastModified>soon</LastModified></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>k</Key><ETag>1</ETag><ETag>2</ETag></Contents></ListBucketResult>",
    ],
)
def test_lists(server: Server, ask: Ask, body: bytes) -> None:
    """What the parser runs into has a name, which is botocore's too."""
    server.say(body)
    with pytest.raises(UnreadableAnswerError):
        ask(lambda s3: s3.list_objects_v2(Bucket="bucket"))


def test_a_refused_read_with_a_checksum(server: Server, ask: Ask) -> None:
    """aiobotocore wraps the text of the error in a checksum's body, and then cannot parse it."""
    headers = [("x-amz-checksum-crc32", "AAAAAA==")]
    server.say(b"<Error><Code>NoSuchKey</Code></Error>", 404, headers=headers)
    with pytest.raises((UnreadableAnswerError, ClientError)):
        ask(lambda s3: s3.get_object(**PLACE))


@pytest.mark.parametrize("status", [200, 500])
def test_endless_documents(server: Server, ask: Ask, status: int) -> None:
    """A list or an error that never ends is given up, long before the server would."""
    server.flooded = False
    server.say(b"<ListBucketResult>", status, endless=True)
    with pytest.raises(UnreadableAnswerError, match=f"over {LONGEST_ANSWER:,} bytes"):
        ask(lambda s3: s3.list_objects_v2(Bucket="bucket"))
    assert not server.flooded


def test_endless_refusals_of_content(server: Server, ask: Ask) -> None:
    """The same where content was asked for, and an error came."""
    server.flooded = False
    server.say(b"<Error>", 500, endless=True)
    with pytest.raises(UnreadableAnswerError, match=f"over {LONGEST_ANSWER:,} bytes"):
        ask(lambda s3: s3.get_object(**PLACE))
    assert not server.flooded


def test_connections_come_back(server: Server, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that breaks off in the text of an error keeps none, as long as anyone keeps the error."""
    monkeypatch.setattr("s3ec.aio.soundness.LONGEST_ANSWER", 100_000)
    kept: list[BaseException] = []

    async def fail(s3: Any) -> None:
        for _ in range(15):  # the pool has ten
            with pytest.raises((BotoCoreError, UnreadableAnswerError)) as caught:
                await asyncio.wait_for(s3.get_object(**PLACE), 60)
            kept.append(caught.value)

    server.say(b"<Error><Code>InternalError</Code></Error>", 500, cut=10, reset=True)
    ask(fail)
    server.say(b"<Error>", 500, endless=True)
    ask(fail)
    assert len(kept) == 30


@pytest.mark.parametrize("operation", ["get_object", "list_objects_v2"])
@pytest.mark.parametrize(
    ("more", "error"),
    [({"cut": 10}, ConnectionClosedError), ({"cut": 10, "reset": True}, BotoCoreError)],
    ids=["ended", "reset"],
)
def test_cut_errors(server: Server, ask: Ask, operation: str, more: Any, error: type[Exception]) -> None:
    """An error whose text is cut off is an error of botocore's, as for an answer whose headers are cut."""
    server.say(b"<Error><Code>InternalError</Code></Error>", 500, **more)
    place = PLACE if operation == "get_object" else {"Bucket": "bucket"}
    with pytest.raises(error):
        ask(lambda s3: getattr(s3, operation)(**place))


def test_stalls(server: Server, ask: Ask) -> None:
    """An error whose text does not come is a time-out."""
    server.say(b"<Error><Code>InternalError</Code></Error>", 500, cut=10, stall=True)
    with pytest.raises(ReadTimeoutError):
        ask(lambda s3: s3.get_object(**PLACE))


# aiobotocore leaves the connection of an answer that it could not read to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("document", [b"null", b"[]", b"{", b"7"])
def test_kms(server: Server, tmp_path: Path, aio_session: Any, document: bytes) -> None:
    """An answer of KMS that is none is a keyring's error, and no object is stored."""
    arguments = World(server, PROFILES[0], tmp_path).arguments()
    arguments["config"] = AioConfig(retries={"total_max_attempts": 1})
    server.cloud.objects.clear()
    server.say(document)

    async def put() -> None:
        kms = KmsKeyring("alias/key", endpoint_url=server.url)
        async with s3ec.aio.EncryptionClient(keyring=kms, session=aio_session, **arguments) as client:
            await client.put_object(**PLACE, Body=b"plaintext")

    with pytest.raises(KeyringError):
        asyncio.run(put())
    assert not server.cloud.objects


def test_without_it(server: Server, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiobotocore alone raises whatever its parser runs into: these tests can fail."""
    monkeypatch.setattr("s3ec.aio.client.make_sound", lambda client: None)
    server.say(b"<ListBucketResult><MaxKeys>many</MaxKeys></ListBucketResult>")
    with pytest.raises(ValueError, match="invalid literal"):
        ask(lambda s3: s3.list_objects_v2(Bucket="bucket"))


def test_what_is_not_aiobotocores() -> None:
    """A client that is made otherwise stays as it is."""
    client = SimpleNamespace(_endpoint=SimpleNamespace())
    make_sound(client)
    make_sound(SimpleNamespace())
    assert vars(client._endpoint) == {}
