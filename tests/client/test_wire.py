"""The wire between handlers and botocore, without a server: what is sent, which way, and which error comes out."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from s3ec import AesKeyring, EncryptionClient, SseKms
from s3ec.client.calls import wire as wires
from s3ec.client.calls.handlers import Heard
from s3ec.client.calls.seals import Seal, SealedBytes
from s3ec.client.calls.wire import OwnErrorFirst, Wire
from s3ec.errors import AuthenticationError, ConfigurationError, SourceChangedError
from s3ec.s3 import flow

PLACE = {"Bucket": "b", "Key": "k"}
SENT = {"ResponseMetadata": {"HTTPStatusCode": 200}, "ServerSideEncryption": "aws:kms"}


class Line:
    """Writes down what would be sent, and answers, or raises."""

    def __init__(self) -> None:
        self.plain: list[tuple[str, dict[str, Any]]] = []
        self.as_it_is: list[tuple[str, dict[str, Any], Heard | None, Seal | None]] = []
        self.error: BaseException | None = None
        self.answer: Mapping[str, Any] = SENT

    def _end(self) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return dict(self.answer)

    def send(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """As botocore's own method, whose handlers edit what they are given."""
        self.plain.append((operation, dict(parameters)))
        parameters["Bucket"] = "edited"
        return self._end()

    def send_as_it_is(
        self, operation: str, parameters: dict[str, Any], heard: Heard | None, seal: Seal | None
    ) -> dict[str, Any]:
        """What handlers do not change any more."""
        self.as_it_is.append((operation, dict(parameters), heard, seal))
        return self._end()


@pytest.fixture(scope="module")
def client() -> Iterator[EncryptionClient]:
    """A client that never connects."""
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    made = EncryptionClient(session=session, keyring=AesKeyring(bytes(32)), server_side_encryption=SseKms("key"))
    with contextlib.closing(made):
        yield made


@pytest.fixture
def line() -> Line:
    """The network."""
    return Line()


@pytest.fixture
def wire(client: EncryptionClient, line: Line) -> Wire:
    """The client's own wire, with the network replaced."""
    return dataclasses.replace(client._s3ec_wire, send=line.send, send_as_it_is=line.send_as_it_is)


def _heard(client: EncryptionClient, operation: str) -> Heard:
    return Heard(client, operation, dict(PLACE))


def test_a_call_of_the_clients_own_goes_the_plain_way(wire: Wire, line: Line) -> None:
    """With the server-side default, on a copy: what botocore's handlers edit is not the caller's dict."""
    parameters = dict(PLACE)
    assert wire.call("PutObject", parameters)["ServerSideEncryption"] == "aws:kms"
    ((operation, sent),) = line.plain
    assert (operation, parameters, line.as_it_is) == ("PutObject", PLACE, [])
    assert sent == {**PLACE, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"}


def test_reads_name_no_mode(wire: Wire, line: Line) -> None:
    """S3 refuses server-side headers on GET and HEAD."""
    wire.call("GetObject", PLACE)
    assert line.plain == [("GetObject", PLACE)]


def test_a_mode_that_s3_would_refuse_is_refused_before_it_is_sent(wire: Wire, line: Line) -> None:
    """Nothing leaves."""
    with pytest.raises(ConfigurationError):
        wire.call("PutObject", {**PLACE, "ServerSideEncryption": "aws:kms:dsse", "BucketKeyEnabled": True})
    with pytest.raises(ConfigurationError):
        wire.store("PutObject", {**PLACE, "ServerSideEncryption": "nonsense"}, None)
    assert (line.plain, line.as_it_is) == ([], [])


def test_what_handlers_have_heard_is_sent_as_they_left_it_once(
    client: EncryptionClient, wire: Wire, line: Line
) -> None:
    """The request itself goes with what they keep of it; a second one, or one of another kind, is not theirs."""
    heard = _heard(client, "GetObject")
    after = wire.after(heard)
    after.call("HeadObject", PLACE)
    after.call("GetObject", PLACE)
    after.call("GetObject", PLACE)
    assert [(operation, seen) for operation, _, seen, _ in line.as_it_is] == [
        ("HeadObject", None), ("GetObject", heard), ("GetObject", None),
    ]  # fmt: skip
    assert (heard.used, line.plain, wire.heard) == (True, [], None)


@pytest.mark.parametrize("own", [True, False])
def test_what_was_encrypted_here_is_sealed(own: bool, client: EncryptionClient, wire: Wire, line: Line) -> None:
    """Body and metadata may not be changed afterwards; what is ours alone is not shown to the caller's handlers."""
    heard = _heard(client, "PutObject")
    effect = flow.Store("PutObject", {**PLACE, "Body": b"ciphertext"}, own=own)
    wire.after(heard).perform(effect)
    ((operation, sent, seen, seal),) = line.as_it_is
    assert (operation, seen) == ("PutObject", None if own else heard)
    assert isinstance(sent["Body"], SealedBytes)
    assert isinstance(seal, Seal)
    assert effect.parameters["Body"] == b"ciphertext"


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_server_that_does_not_confirm_the_mode_is_warned_about(
    confirmed: bool, wire: Wire, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    """Both ways of sending look at the answer."""
    line.answer = SENT if confirmed else {}
    with caplog.at_level(logging.WARNING, logger="s3ec"):
        wire.call("PutObject", PLACE)
        wire.store("PutObject", PLACE, None)
    assert len(caplog.records) == (0 if confirmed else 2)


OWN = SourceChangedError("the source gave other bytes the second time")


class _Failed:
    """A body whose ``read`` has failed."""

    failure = OWN

    def read(self, size: int = -1) -> bytes:
        raise AssertionError(size)


def _caused() -> HTTPClientError:
    error = ConnectionClosedError(endpoint_url="http://127.0.0.1")
    error.__cause__ = OWN
    return error


@pytest.mark.parametrize(
    ("error", "body", "raised"),
    [
        (HTTPClientError(error=OWN), None, SourceChangedError),
        (_caused(), None, SourceChangedError),
        (RuntimeError("the native signer has lost it"), _Failed(), SourceChangedError),
        (ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), None, ClientError),
        (HTTPClientError(error=OSError("reset")), None, HTTPClientError),
        (AuthenticationError("tampered"), None, AuthenticationError),
        (KeyboardInterrupt(), None, KeyboardInterrupt),
    ],
    ids=["wrapped", "caused", "lost", "service", "network", "ours", "interrupted"],
)
def test_an_error_of_ours_comes_out_as_itself(error: BaseException, body: Any, raised: type[BaseException]) -> None:
    """Whatever the transport made of it; any other error is the one that it was."""
    with pytest.raises(raised) as caught, OwnErrorFirst(body):
        raise error
    assert caught.value is (OWN if raised is SourceChangedError else error)
    if raised is SourceChangedError:
        assert caught.value.__suppress_context__  # the transport's frames hold the body


def test_every_effect_of_a_flow_can_be_carried_out() -> None:
    """A new kind of effect is a failing test, and not a flow that ends in the middle."""
    assert set(typing.get_args(flow.Effect)) == wires._PERFORM.keys()


def test_a_flow_is_run_to_its_end(wire: Wire, line: Line) -> None:
    """Its calls go over this wire, in order, and errors reach it where it asked."""

    def two() -> flow.Flow[str]:
        first = yield flow.Call("HeadObject", PLACE)
        line.error = ClientError({"Error": {"Code": "404"}}, "HeadObject")
        try:
            yield flow.Call("HeadObject", PLACE)
        except flow.RefusedError:
            return str(first["ServerSideEncryption"])
        raise AssertionError("no error")

    assert wire.run(two()) == "aws:kms"
    assert [operation for operation, _ in line.plain] == ["HeadObject", "HeadObject"]
