"""KMS requests beside botocore's way: the same answers, and nobody who listens, patches or traces notices."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FunctionType, SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import botocore
import pytest
from botocore import handlers
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSHTTPSConnectionPool, AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.endpoint import Endpoint
from botocore.exceptions import ClientError, NoCredentialsError
from moto.core.models import botocore_stubber

from s3ec.client.calls.shortcuts import kms as shortcut
from s3ec.client.calls.shortcuts import way
from s3ec.client.calls.shortcuts.kms import KmsRequests
from s3ec.errors import KeyringError, KeyUnwrapError
from s3ec.exchanges.signature import signed
from s3ec.keyrings import KmsKeyring

from support.keyrings import COMMITTING, read_back, write_request

CONTEXT = {"tenant": "blue"}


@pytest.fixture
def kms(kms: Any) -> Any:
    """A client as it is where moto has not been imported, which listens to every request of the process."""
    return _unmocked(kms)


def _unmocked(client: Any) -> Any:
    client.meta.events.unregister("before-send", botocore_stubber)
    return client


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that were sent directly."""
    sent: list[str] = []
    send = shortcut._Operation.send

    def noting(operation: Any, parameters: Any) -> Any:
        sent.append(operation._model.name)
        return send(operation, parameters)

    monkeypatch.setattr(shortcut._Operation, "send", noting)
    return sent


def _round_trip(client: Any, kms_key: str) -> None:
    keyring = KmsKeyring(kms_key, client=client)
    written = keyring.on_encrypt(write_request(COMMITTING, encryption_context=CONTEXT))
    assert keyring.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key


def test_the_answer_is_the_clients(kms: Any, kms_key: str, direct: list[str]) -> None:
    """Names, values and their types; what differs is of the single request."""
    requests = KmsRequests(kms)
    made = requests.call("generate_data_key", {"KeyId": kms_key, "KeySpec": "AES_256", "EncryptionContext": CONTEXT})
    usual = kms.generate_data_key(KeyId=kms_key, KeySpec="AES_256", EncryptionContext=CONTEXT)
    assert {name: type(value) for name, value in made.items()} == {n: type(v) for n, v in usual.items()}
    parameters = {"CiphertextBlob": made["CiphertextBlob"], "KeyId": kms_key, "EncryptionContext": CONTEXT}
    opened, usual = requests.call("decrypt", parameters), kms.decrypt(**parameters)
    assert opened["Plaintext"] == made["Plaintext"]
    assert opened["ResponseMetadata"].keys() == usual["ResponseMetadata"].keys()
    assert {**opened, "ResponseMetadata": 0} == {**usual, "ResponseMetadata": 0}
    assert direct == ["GenerateDataKey", "Decrypt"]


@pytest.mark.parametrize("environment", [{}, {"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": "Root=1"}], ids=str)
def test_the_request_is_the_clients(
    direct: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that botocore sends but the numbering of its attempts; signed for the same day, region and service."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with _scripted([_ANSWER] * 2) as (url, seen):
        client = _client(url)
        parameters = {"KeyId": "k", "KeySpec": "AES_256", "EncryptionContext": CONTEXT, "GrantTokens": ["t"]}
        client.generate_data_key(**parameters)
        KmsRequests(client).call("generate_data_key", parameters)
    (usual, usual_body), (ours, our_body) = seen
    assert ("x-amzn-trace-id" in ours) == bool(environment)
    assert our_body == usual_body
    for headers in (usual, ours):
        assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=testing/")
        words = [word for word in headers["user-agent"].split() if not word.startswith("m/")]
        headers["user-agent"] = " ".join(words)
        headers["authorization"] = headers["authorization"].partition(", Signature=")[0]
        del headers["x-amz-date"]
    for name in ("amz-sdk-invocation-id", "amz-sdk-request"):
        usual.pop(name)
    assert ours == usual
    assert direct == ["GenerateDataKey"]


PLACES: dict[str, dict[str, Any]] = {
    "a region": {"region_name": "eu-west-3"},
    "another partition": {"region_name": "cn-north-1"},
    "FIPS": {"region_name": "us-gov-west-1", "config": Config(use_fips_endpoint=True)},
    "FIPS, IPv6": {"region_name": "us-east-1", "config": Config(use_fips_endpoint=True, use_dualstack_endpoint=True)},
    "FIPS, the old way": {"region_name": "fips-us-west-2"},
    "private": {"region_name": "us-east-1", "endpoint_url": "https://vpce-1.kms.eu-west-1.vpce.amazonaws.com/base"},
    "unsigned": {"region_name": "us-east-1", "config": Config(signature_version=botocore.UNSIGNED)},
}


@pytest.mark.parametrize("place", PLACES)
def test_where_requests_go(place: str, direct: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The address, and the region and service that they are signed for, on AWS's own endpoints of all kinds."""
    credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = _unmocked(boto3.client("kms", **credentials, **PLACES[place]))
    sent: list[tuple[str, str]] = []

    def send(_: object, request: Any) -> AWSResponse:
        authorization = request.headers.get("Authorization") or b""
        sent.append((request.url, bytes(authorization).decode().partition(", SignedHeaders=")[0]))
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda: iter([b"{}"])))

    monkeypatch.setattr(type(client._endpoint.http_session), "send", send)
    client.decrypt(CiphertextBlob=b"x")
    KmsRequests(client).call("decrypt", {"CiphertextBlob": b"x"})
    assert sent[0] == sent[1]
    assert direct == ["Decrypt"]


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that went by the client's own signer and pool, of those that did not go through the client."""
    seen: list[str] = []
    by_the_pool = shortcut._Operation._by_the_pool

    def note(operation: Any, request_dict: dict[str, Any]) -> dict[str, Any]:
        seen.append(operation._model.name)
        return by_the_pool(operation, request_dict)

    monkeypatch.setattr(shortcut._Operation, "_by_the_pool", note)
    return seen


def test_a_connection_is_kept(direct: list[str], pooled: list[str]) -> None:
    """An ordinary client's requests go by one connection of ours, and not by the client's pool."""
    with _scripted([_ANSWER] * 3) as (url, seen):
        client = _client(url)
        requests = KmsRequests(client)
        for _ in range(3):
            requests.call("generate_data_key", {"KeyId": "k", "KeySpec": "AES_256"})
        assert len(requests._connections._idle) == 1
        assert [len(idle) for idle in requests._connections._idle.values()] == [1]
        assert not client._endpoint.http_session._manager.pools.keys()
    assert (len(seen), direct, pooled) == (3, ["GenerateDataKey"] * 3, [])


OTHER_WAYS: dict[str, dict[str, Any]] = {
    "a proxy": {"config": Config(proxies={"http": "http://127.0.0.1:9"})},
    "another signature": {"config": Config(signature_version="v4a")},
    "keepalive": {"config": Config(tcp_keepalive=True)},
    "a path": {"endpoint_url": "http://127.0.0.1:9/base"},
    "no verification": {"endpoint_url": "https://127.0.0.1:9", "verify": False},
    "authorities that are not there": {"endpoint_url": "https://127.0.0.1:9", "verify": "/nowhere.pem"},
    "a certificate": {"endpoint_url": "https://127.0.0.1:9", "config": Config(client_cert="/nowhere.pem")},
}


@pytest.mark.parametrize("options", OTHER_WAYS)
def test_other_ways_are_the_clients(options: str) -> None:
    """What is not an ordinary connection and signature is left to the client's own."""
    chosen = {"endpoint_url": "http://127.0.0.1:9", **OTHER_WAYS[options]}
    credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = _unmocked(boto3.client("kms", region_name="us-east-1", **credentials, **chosen))
    operation = shortcut._Operation.of(client, "decrypt")
    assert operation is None or operation._way is None


@pytest.mark.parametrize("place", ["urlopen", "ConnectionCls"])
def test_who_watches_connections_sees_them(
    place: str, direct: list[str], pooled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracers and recorders stand before urllib3: the client's pool is used then."""
    real = getattr(AWSHTTPSConnectionPool, place)
    watching: Any = lambda *args, **more: real(*args, **more)  # noqa: E731 - a function of this module
    if place == "ConnectionCls":
        watching = type("Recorded", (AWSHTTPSConnectionPool.ConnectionCls,), {"__module__": "recorder"})
    monkeypatch.setattr(AWSHTTPSConnectionPool, place, watching)
    with _scripted([_ANSWER]) as (url, _):
        KmsRequests(_client(url)).call("generate_data_key", {"KeyId": "k", "KeySpec": "AES_256"})
    assert (direct, pooled) == (["GenerateDataKey"], ["GenerateDataKey"])


def test_the_signature_is_that_of_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signature Version 4 for KMS, compared with botocore's for the same request at the same second."""
    by = Credentials("AKIDEXAMPLE", "secret/+", "token").get_frozen_credentials()
    headers = {
        "host": "kms.eu-west-1.amazonaws.com",
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "TrentService.Decrypt",
    }
    request = AWSRequest("POST", "https://kms.eu-west-1.amazonaws.com/", data=b"{}", headers=headers)
    SigV4Auth(by, "kms", "eu-west-1").add_auth(request)
    moment = time.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    monkeypatch.setattr("s3ec.exchanges.signature.time.gmtime", lambda: moment)
    sent = signed("POST", "/", "", headers, b"{}", region="eu-west-1", by=by, service="kms")
    assert sent["authorization"] == request.headers["Authorization"]
    assert "x-amz-content-sha256" not in sent


@pytest.mark.parametrize("event", way.EVENTS)
def test_who_listens_is_heard(kms: Any, kms_key: str, direct: list[str], event: str) -> None:
    """A handler that comes gets every call from then on, and when it has gone requests are direct again."""
    heard: list[str] = []

    def listen(event_name: str, **_: Any) -> None:
        heard.append(event_name)

    keyring = KmsKeyring(kms_key, client=kms)
    written = keyring.on_encrypt(write_request(COMMITTING))
    assert direct == ["GenerateDataKey"]
    kms.meta.events.register(f"{event}.kms", listen)
    if event == "after-call-error":
        with (
            mock.patch.object(type(kms._endpoint), "make_request", side_effect=NoCredentialsError),
            pytest.raises(KeyringError),
        ):
            keyring.on_decrypt(read_back(written))
    else:
        keyring.on_decrypt(read_back(written))
    assert set(heard) <= {f"{event}.kms.Decrypt", f"{event}.kms"}
    assert heard
    kms.meta.events.unregister(f"{event}.kms", listen)
    keyring.on_decrypt(read_back(written))
    assert direct == ["GenerateDataKey", "Decrypt"]


def _patched_class(client: Any) -> Any:
    return mock.patch.object(BaseClient, "_make_api_call", autospec=True, side_effect=BaseClient._make_api_call)


def _patched_object(client: Any) -> Any:
    return mock.patch.object(client, "_make_api_call", wraps=client._make_api_call)


def _patched_method(client: Any) -> Any:
    return mock.patch.object(client, "generate_data_key", wraps=client.generate_data_key)


def _patched_method_of_class(client: Any) -> Any:
    method = type(client).generate_data_key
    return mock.patch.object(type(client), "generate_data_key", autospec=True, side_effect=method)


def _patched_endpoint(_: Any) -> Any:
    return mock.patch.object(Endpoint, "make_request", autospec=True, side_effect=Endpoint.make_request)


def _patched_object_of_endpoint(client: Any) -> Any:
    return mock.patch.object(client._endpoint, "_send", wraps=client._endpoint._send)


def _patched_sending(_: Any) -> Any:
    return mock.patch.object(Endpoint, "_send", autospec=True, side_effect=Endpoint._send)


PATCHES = [
    _patched_class,
    _patched_object,
    _patched_method,
    _patched_method_of_class,
    _patched_endpoint,
    _patched_object_of_endpoint,
    _patched_sending,
]


@pytest.mark.parametrize("patch", PATCHES)
def test_who_patches_is_heard(kms: Any, kms_key: str, direct: list[str], patch: Callable[[Any], Any]) -> None:
    """As tracers do, and tests."""
    keyring = KmsKeyring(kms_key, client=kms)
    with patch(kms) as patched:
        keyring.on_encrypt(write_request(COMMITTING))
    assert patched.call_count == 1
    assert direct == []


class _Proxy:
    """A wrapper as the wrapt package makes them, for most tracers: it even pretends to be of the class it wraps."""

    def __init__(self, wrapped: Any, calls: list[object]) -> None:
        self.__dict__.update(wrapped=wrapped, calls=calls)

    @property
    def __class__(self) -> type:  # type: ignore[override]  # the pretence
        return type(self.__dict__["wrapped"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["wrapped"], name)

    def __get__(self, instance: Any, owner: type) -> Any:
        bound = self.__dict__["wrapped"].__get__(instance, owner)

        def call(*arguments: Any, **more: Any) -> Any:
            self.__dict__["calls"].append(arguments)
            return bound(*arguments, **more)

        return self if instance is None else call


def test_a_proxy_is_no_botocore(kms: Any, kms_key: str, direct: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says of itself."""
    calls: list[object] = []
    proxy = _Proxy(BaseClient._make_api_call, calls)
    assert isinstance(proxy, FunctionType)
    assert proxy.__globals__["__name__"].startswith("botocore")
    monkeypatch.setattr(BaseClient, "_make_api_call", proxy)
    _round_trip(kms, kms_key)
    assert len(calls) == 2
    assert direct == []


def test_a_wrapper_is_no_botocore(kms: Any, kms_key: str, direct: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorator takes on all names of what it decorates."""
    calls: list[str] = []
    original = BaseClient._make_api_call

    @functools.wraps(original)
    def wrapper(self: Any, operation_name: str, parameters: Any) -> Any:
        calls.append(operation_name)
        return original(self, operation_name, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", wrapper)
    _round_trip(kms, kms_key)
    assert calls == ["GenerateDataKey", "Decrypt"]
    assert direct == []


@pytest.mark.parametrize("log", ["botocore", "botocore.endpoint", "botocore.hooks", "botocore.regions"])
def test_logs_are_botocores(
    kms: Any, kms_key: str, direct: list[str], caplog: pytest.LogCaptureFixture, log: str
) -> None:
    """A log of requests is complete, also of one part of botocore."""
    with caplog.at_level(logging.DEBUG, log):
        _round_trip(kms, kms_key)
    assert len(caplog.records) >= 2
    assert direct == []


def test_a_handler_in_disguise(kms: Any, kms_key: str, direct: list[str]) -> None:
    """A handler of one's own that took on the names of botocore's."""
    heard: list[str] = []

    @functools.wraps(handlers.add_recursion_detection_header)
    def handler(event_name: str, **_: Any) -> None:
        heard.append(event_name)

    kms.meta.events.register("before-call.kms", handler)
    _round_trip(kms, kms_key)
    assert len(heard) == 2
    assert direct == []


def test_what_botocore_refuses_is_refused(kms: Any, kms_key: str) -> None:
    """Values that JSON would take, and KMS's API does not."""
    keyring = KmsKeyring(kms_key, client=kms, grant_tokens=[""])
    with pytest.raises(KeyringError, match="GrantTokens"):
        keyring.on_encrypt(write_request(COMMITTING))
    keyring = KmsKeyring(kms_key, client=kms)
    for context in ({"a": 1}, {"a": b"x"}, {1: "x"}):
        with pytest.raises(KeyringError, match="Invalid type"):
            keyring.on_encrypt(write_request(COMMITTING, encryption_context=context))


def test_a_user_agent_that_is_set_late(direct: list[str]) -> None:
    """As some libraries do with a client that they are given."""
    with _scripted([_ANSWER] * 2) as (url, seen):
        client = _client(url)
        requests = KmsRequests(client)
        requests.call("decrypt", {"CiphertextBlob": b"x"})
        client.meta.config.user_agent_extra = "late/1.0"
        requests.call("decrypt", {"CiphertextBlob": b"x"})
    assert [headers["user-agent"].endswith("late/1.0") for headers, _ in seen] == [False, True]
    assert direct == ["Decrypt"] * 2


def test_another_kind_of_client(kms: Any, kms_key: str, direct: list[str]) -> None:
    """Whatever has the methods is a client."""

    class Client:
        def __getattr__(self, name: str) -> Any:
            return getattr(kms, name)

    _round_trip(Client(), kms_key)
    assert direct == []


def test_a_botocore_that_is_made_otherwise(
    kms: Any, kms_key: str, direct: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a part is missing, the client is asked."""
    resolve = BaseClient._resolve_endpoint_ruleset
    monkeypatch.delattr(BaseClient, "_resolve_endpoint_ruleset")
    assert shortcut._Operation.of(kms, "decrypt") is None
    monkeypatch.setattr(
        BaseClient, "_resolve_endpoint_ruleset", lambda *_, **__: ("https://kms.example", {"x": ["y"]}, {}), False
    )
    assert shortcut._Operation.of(kms, "decrypt") is None
    monkeypatch.setattr(BaseClient, "_resolve_endpoint_ruleset", resolve)
    assert shortcut._Operation.of(kms, "no_such_method") is None


def test_no_is_asked_for_once(kms: Any, kms_key: str) -> None:
    """A refusal costs one request, and is raised as the client raises it."""
    keyring = KmsKeyring(kms_key, client=kms)
    written = keyring.on_encrypt(write_request(COMMITTING, encryption_context=CONTEXT))
    parameters = {"CiphertextBlob": written.encrypted_data_key.ciphertext, "EncryptionContext": {"tenant": "red"}}
    with pytest.raises(ClientError) as usual:
        kms.decrypt(**parameters)
    sessions = type(kms._endpoint.http_session)
    with mock.patch.object(sessions, "send", autospec=True, side_effect=sessions.send) as send:
        with pytest.raises(ClientError) as direct:
            KmsRequests(kms).call("decrypt", parameters)
        assert send.call_count == 1
    assert type(direct.value) is type(usual.value)
    assert str(direct.value) == str(usual.value)
    with pytest.raises(KeyUnwrapError):
        keyring.on_decrypt(read_back(written, description={"tenant": "red"}))


# A KMS that answers as it is told.

_ANSWER = (200, {"KeyId": "k", "Plaintext": "AAAA", "CiphertextBlob": "AAAA"})


def _client(url: str, **options: Any) -> Any:
    credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return _unmocked(boto3.client("kms", endpoint_url=url, region_name="us-east-1", **credentials, **options))


@contextlib.contextmanager
def _scripted(answers: list[Any]) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Gives each answer once, in order: status and JSON, text that is not JSON, or None for a connection that ends."""
    seen: list[tuple[dict[str, str], bytes]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
            answer = left.pop(0)
            if answer is None:
                self.close_connection = True
                return
            status, content = answer
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


TROUBLE = {
    "500": (500, {"__type": "KMSInternalException"}),
    "503 without JSON": (503, "down for maintenance"),
    "throttling": (400, {"__type": "ThrottlingException", "message": "slow down"}),
    "expired": (403, {"__type": "RequestExpired"}),
    "cut": None,
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_is_botocores(direct: list[str], trouble: str) -> None:
    """What is neither yes nor no is asked for again through the client, which answers with its own retries."""
    with _scripted([TROUBLE[trouble], _ANSWER]) as (url, seen):
        answer = KmsRequests(_client(url)).call("generate_data_key", {"KeyId": "k", "KeySpec": "AES_256"})
    assert answer["CiphertextBlob"] == b"\0\0\0"
    assert direct == ["GenerateDataKey"]
    assert ["amz-sdk-request" in headers for headers, _ in seen] == [False, True]


def test_after_trouble_the_client_is_asked(direct: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that slows its callers down must not be asked twice as often."""
    now = time.monotonic()
    with _scripted([TROUBLE["throttling"], *[_ANSWER] * 3]) as (url, seen):
        requests = KmsRequests(_client(url))
        for later in (0.0, 0.0, 31.0):
            monkeypatch.setattr(time, "monotonic", lambda later=later: now + later)
            requests.call("decrypt", {"CiphertextBlob": b"x"})
    assert ["amz-sdk-request" in headers for headers, _ in seen] == [False, True, True, False]
    assert len(direct) == 2


def test_who_allows_one_attempt_gets_one(direct: list[str]) -> None:
    """The direct one would be a second."""
    with _scripted([TROUBLE["500"]]) as (url, seen):
        client = _client(url, config=Config(retries={"total_max_attempts": 1}))
        with pytest.raises(ClientError):
            KmsRequests(client).call("decrypt", {"CiphertextBlob": b"x"})
    assert len(seen) == 1
    assert direct == []


def test_nonsense_is_what_botocore_makes_of_it() -> None:
    """No key, hence an error of the keyring."""
    with _scripted([(200, "{ no json")] * 3) as (url, _):
        client = _client(url)
        usual = client.decrypt(CiphertextBlob=b"x")
        answer = KmsRequests(client).call("decrypt", {"CiphertextBlob": b"x"})
        with pytest.raises(KeyringError, match="without a data key"):
            KmsKeyring("k", client=client).on_encrypt(write_request(COMMITTING))
    assert {**answer, "ResponseMetadata": 0} == {**usual, "ResponseMetadata": 0}


def test_lasting_trouble_is_raised_by_botocore() -> None:
    """After as many attempts as the client is configured for, besides the direct one."""
    client_of_two = {"config": Config(retries={"total_max_attempts": 2, "mode": "standard"})}
    with _scripted([TROUBLE["500"]] * 3) as (url, seen):
        with pytest.raises(ClientError) as error:
            KmsRequests(_client(url, **client_of_two)).call("decrypt", {"CiphertextBlob": b"x"})
        assert len(seen) == 3
    assert error.value.response["ResponseMetadata"]["RetryAttempts"] == 1


def test_nobody_to_ask(kms_key: str) -> None:
    """An endpoint where nobody listens, and a client without credentials: botocore's own errors."""
    with _scripted([]) as (url, _):
        pass
    with pytest.raises(KeyringError, match="Could not connect"):
        _round_trip(_client(url, config=Config(retries={"total_max_attempts": 1})), kms_key)
    with (
        mock.patch("botocore.signers.RequestSigner.sign", side_effect=NoCredentialsError),
        pytest.raises(NoCredentialsError),
    ):
        KmsRequests(_client(url)).call("decrypt", {"CiphertextBlob": b"x"})
