"""Large puts are encrypted while they arrive: nothing of them is kept, and their sender sends them again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from s3ec import AesKeyring, EncryptionClient
from s3ec.client.bodies.ciphertext import PassingBody
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.sources import PassedOn, open_source
from s3ec.client.calls.framing import end_retries_of_passing
from s3ec.serve import ServeSettings
from s3ec.serve.assembly import make_server
from s3ec.serve.doors import Door, OneDoor
from s3ec.serve.memory import Seats
from s3ec.serve.refusals import refusal_of

from support.lying_s3 import LyingS3, lying_s3
from support.serving import CREDENTIALS, Raw, converse, running, status_and_code

KEY = bytes(range(32))
CONTENT = os.urandom(1024) * (3 * 1024 + 5)


@pytest.fixture(scope="module")
def endpoint_of_liar() -> Iterator[tuple[LyingS3, str, EncryptionClient]]:
    """A server that lies, an endpoint in front of it, and its client; any spool would fail."""
    settings = ServeSettings(credentials=CREDENTIALS, port=0)
    nowhere = str(Path(__file__) / "nowhere")
    with (
        lying_s3() as liar,
        contextlib.closing(
            EncryptionClient(
                keyring=AesKeyring(KEY), buffer_size=settings.buffer_size, spool_directory=nowhere, **liar.arguments()
            )
        ) as client,
    ):
        session = boto3.Session("lying", "lying", region_name="us-east-1")
        with running(make_server(settings, session, client, OneDoor(Door(client)))) as server:
            yield liar, server.url, client


@pytest.fixture
def liar(endpoint_of_liar: tuple[LyingS3, str, EncryptionClient]) -> LyingS3:
    """The server that lies, which has seen nothing yet."""
    state = endpoint_of_liar[0].state
    state.objects.clear()
    state.attempts.clear()
    return endpoint_of_liar[0]


@pytest.fixture
def put(endpoint_of_liar: tuple[LyingS3, str, EncryptionClient]) -> Callable[..., None]:
    """Puts ``b/k`` through the endpoint, in so many attempts at most."""

    def send(attempts: int, **more: Any) -> None:
        config = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
        with contextlib.closing(
            boto3.client(
                "s3",
                endpoint_url=endpoint_of_liar[1],
                aws_access_key_id=CREDENTIALS.access_key,
                aws_secret_access_key=CREDENTIALS.secret_key,
                region_name="us-east-1",
                config=config,
            )
        ) as client:
            client.put_object(Bucket="b", Key="k", Body=CONTENT, **more)

    return send


def opened(liar: LyingS3, client: EncryptionClient) -> bytes:
    """What the client reads under ``b/k``."""
    body: bytes = client.get_object(Bucket="b", Key="k")["Body"].read()
    return body


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_nothing_is_kept(endpoint_of_liar: Any, liar: LyingS3, put: Any, algorithm: str):
    """The checksum of the ciphertext comes behind it, over http too, so that it is read once."""
    put(1, ChecksumAlgorithm=algorithm)
    assert len(liar.state.bodies()) == 1
    headers = {name.lower(): value for name, value in liar.state.attempts[0].headers.items()}
    assert headers["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert headers["x-amz-trailer"] == f"x-amz-checksum-{algorithm.lower()}"
    assert headers["x-amz-decoded-content-length"] == str(len(CONTENT) + 16)
    assert opened(liar, endpoint_of_liar[2]) == CONTENT


@pytest.mark.slow
def test_s3_that_refuses_before_the_body_is_asked_again_by_its_sender(endpoint_of_liar: Any, liar: LyingS3, put: Any):
    """botocore has read the body all the same."""
    liar.lies.fail_before_body = 1
    with pytest.raises(ClientError) as caught:
        put(1)
    assert caught.value.response["Error"]["Code"] == "SlowDown"
    assert liar.state.bodies() == []
    liar.lies.fail_before_body = 1
    put(2)
    assert len(liar.state.bodies()) == 1
    assert opened(liar, endpoint_of_liar[2]) == CONTENT


def test_a_bucket_in_another_region_is_found_by_the_second_sending():
    """botocore has learned by then where it is, and no client follows a redirection from here."""
    source = open_source(PassedOn(io.BytesIO(CONTENT).readinto, len(CONTENT)), len(CONTENT))
    body = PassingBody(source, _Plain(), PlaintextClaims(None, {}))  # type: ignore[arg-type]  # any cipher will do
    answered = SimpleNamespace(status_code=301), {"Error": {"Code": "PermanentRedirect"}, "ResponseMetadata": {}}
    request = {"body": body, "context": {"s3_redirect": {"redirected": True}}}
    operation = SimpleNamespace(name="PutObject")
    end_retries_of_passing(request, answered, operation, None)
    body.read(1)
    with pytest.raises(ClientError) as caught:
        end_retries_of_passing(request, answered, operation, None)
    assert refusal_of(caught.value).status == 503
    with pytest.raises(ClientError, match="PermanentRedirect"):
        end_retries_of_passing({**request, "context": {}}, answered, operation, None)
    with pytest.raises(EndpointConnectionError):
        end_retries_of_passing(request, None, operation, EndpointConnectionError(endpoint_url="x"))


@pytest.mark.slow
def test_an_error_behind_the_body_goes_to_its_sender(endpoint_of_liar: Any, liar: LyingS3, put: Any):
    """Who has the body, and sends it again."""
    liar.lies.fail_after_body = 1
    with pytest.raises(ClientError) as caught:
        put(1)
    assert caught.value.response["Error"]["Code"] == "InternalError"
    assert len(liar.state.bodies()) == 1
    assert liar.state.objects == {}
    liar.lies.fail_after_body = 1
    put(2)
    first, second = liar.state.bodies()[1:]
    assert first != second, "a second sending has a key of its own"
    assert opened(liar, endpoint_of_liar[2]) == CONTENT


@pytest.mark.parametrize("mode", ["hash", "short"])
def test_a_body_that_is_not_what_was_signed_never_ends_at_s3(endpoint_of_liar: Any, liar: LyingS3, mode: str):
    """S3 has got most of it by then, and never all of it."""
    claimed = hashlib.sha256(CONTENT + (b"!" if mode == "hash" else b"")).hexdigest()
    raw = Raw(endpoint_of_liar[1], "PUT", "/b/k", claimed)
    body = CONTENT if mode == "hash" else CONTENT[:-10]
    head = raw.head("Connection: close", f"Content-Length: {len(CONTENT)}")
    answer = converse(endpoint_of_liar[1], head, body, end=mode == "short")
    wanted = "XAmzContentSHA256Mismatch" if mode == "hash" else "IncompleteBody"
    assert status_and_code(answer) == (400, wanted)
    assert liar.state.bodies() == []
    assert liar.state.objects == {}


def test_without_checksums_a_body_is_read_twice_and_so_it_is_kept(liar: LyingS3, tmp_path: Path):
    """To be signed first: the spool is of ciphertext."""
    settings = ServeSettings(credentials=CREDENTIALS, port=0)
    config = Config(request_checksum_calculation="when_required")
    with (
        contextlib.closing(
            EncryptionClient(
                keyring=AesKeyring(KEY),
                buffer_size=settings.buffer_size,
                spool_directory=str(tmp_path),
                **liar.arguments(config=config),
            )  # fmt: skip
        ) as client,
        running(
            make_server(settings, boto3.Session("l", "l", region_name="us-east-1"), client, OneDoor(Door(client)))
        ) as server,
    ):
        raw = Raw(server.url, "PUT", "/b/k", "UNSIGNED-PAYLOAD")
        head = raw.head("Connection: close", f"Content-Length: {len(CONTENT)}")
        assert status_and_code(converse(server.url, head, CONTENT)) == (200, "")
        assert opened(liar, client) == CONTENT


def test_two_requests_at_a_time_have_room(endpoint_of_liar: Any):
    """The third has its share; a seat is free again when its request is over."""
    settings = ServeSettings(credentials=CREDENTIALS)
    client, seats = endpoint_of_liar[2], Seats(settings)
    small = settings.buffer_size - 1
    with ExitStack() as first, ExitStack() as second:
        assert seats.client_for(client, small, first) is client
        views = [seats.client_for(client, None, stack) for stack in (first, second)]
        assert [view._s3ec_wire.options.buffer_size for view in views] == [settings.roomy_buffer_size] * 2
        assert views[0]._s3ec_uploads is client._s3ec_uploads
        assert seats.client_for(client, None, ExitStack()) is client
        second.close()
        assert seats.client_for(client, None, second) is views[0]
    of_its_own = EncryptionClient(keyring=AesKeyring(KEY), buffer_size=5, region_name="us-east-1")
    with contextlib.closing(of_its_own), ExitStack() as stack:
        assert seats.client_for(of_its_own, None, stack) is of_its_own


def test_what_all_may_keep_is_within_the_limit():
    """Every seat taken, and every share."""
    for limit, requests in ((512, 16), (16, 16), (64, 1), (4096, 50)):
        chosen = ServeSettings(credentials=CREDENTIALS, memory_limit=limit * 1024 * 1024, max_requests=requests)
        shares = max(requests - 2, 0) * chosen.buffer_size + min(requests, 2) * chosen.roomy_buffer_size
        assert shares <= chosen.memory_limit


def test_a_passing_body_is_never_rewound():
    """Under one key and counter it must not be encrypted a second time."""
    source = open_source(PassedOn(io.BytesIO(CONTENT).readinto, len(CONTENT)), len(CONTENT))
    body = PassingBody(source, _Plain(), PlaintextClaims(None, {}))  # type: ignore[arg-type]  # any cipher will do
    assert body.seek(0, 2) == len(CONTENT) + 16
    assert body.seek(0) == 0
    first = body.read(10)
    assert len(first) == 10
    for place in ((0, 0), (0, 2), (5, 0)):
        with pytest.raises(io.UnsupportedOperation):
            body.seek(*place)
    assert body.seek(10) == 10
    assert len(body.read()) == len(CONTENT) + 6


class _Plain:
    """A cipher that changes nothing."""

    def encryptor(self) -> _Plain:
        return self

    def update_into(self, data: Any, room: Any) -> int:
        room[: len(data)] = data
        return len(data)

    def finalize(self) -> bytes:
        return bytes(16)
