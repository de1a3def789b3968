"""Bodies that arrive while a service is asked for their key: the same bytes, errors and ends as without."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody

from s3ec import AesKeyring, CachingMaterialsManager
from s3ec.client.bodies import arriving as module
from s3ec.client.bodies.arriving import ArrivingBody, arriving
from s3ec.errors import AuthenticationError, KeyringError
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.materials import DecryptionMaterials, DecryptionMaterialsRequest, KeyringCapabilities

from support.lying_s3 import LyingS3

MIB = 1024 * 1024
PATIENT = 60.0  # seconds for what happens at once, on a machine that has much else to do
NAMED = {"Bucket": "b", "Key": "k"}


class Service(AesKeyring):
    """A keyring that looks like one that asks a service; a test says when it answers."""

    def __init__(self) -> None:
        super().__init__(bytes(32))
        self.answer: Callable[[], None] = lambda: None

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Those of the key, and a context that is bound."""
        return dataclasses.replace(super().capabilities, binds_encryption_context=True)

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Answer when it is time."""
        self.answer()
        return super().on_decrypt(request)


@pytest.fixture
def service() -> Service:
    """A service that answers at once."""
    return Service()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read ahead is read at once."""
    monkeypatch.setattr(module, "_PATIENCE", 0.0)


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once something of a connection's body was read ahead."""
    event = threading.Event()
    read = StreamingBody.read

    def note(self: Any, amt: int | None = None) -> bytes:
        data = read(self, amt)
        if threading.current_thread().name == "s3ec-arriving":
            event.set()
        return data

    monkeypatch.setattr(StreamingBody, "read", note)
    return event


@pytest.mark.parametrize("size", [64 * 1024, MIB - 1, MIB, MIB + 1, 3 * MIB + 5])
@pytest.mark.parametrize("options", [{}, {"buffer_size": 1}, {"enable_delayed_authentication": True}])
def test_the_same_bytes(
    http_liar: LyingS3,
    lied_to: Callable[..., Any],
    service: Service,
    arrived: threading.Event,
    size: int,
    options: dict[str, Any],
) -> None:
    """The body has come before the key, however it is received and however it is read."""
    body = os.urandom(size)
    client = lied_to(http_liar, keyring=service, **options)
    client.put_object(**NAMED, Body=body)

    def answer() -> None:
        assert arrived.wait(PATIENT), "nothing of the body came before the key"

    service.answer = answer
    assert client.get_object(**NAMED)["Body"].read() == body
    arrived.clear()
    read = client.get_object(**NAMED)["Body"].read
    assert b"".join(iter(lambda: read(100_000), b"")) == body
    assert client.get_object(**NAMED, Range="bytes=5-")["Body"].read() == body[5:]


def test_altered_and_cut_off(http_liar: LyingS3, lied_to: Callable[..., Any], service: Service) -> None:
    """What does not verify is not handed out, whoever read it."""
    client = lied_to(http_liar, keyring=service)
    client.put_object(**NAMED, Body=bytes(MIB))
    stored = http_liar.state.objects["b/k"]
    stored.body = stored.body[:-1] + bytes([stored.body[-1] ^ 1])
    with pytest.raises(AuthenticationError):
        client.get_object(**NAMED)["Body"].read()


class Slow:
    """A body of a connection on which nothing comes until a test lets it."""

    def __init__(self, data: bytes = b"", error: Exception | None = None) -> None:
        self.begun, self.free, self.closed = threading.Event(), threading.Event(), threading.Event()
        self._data = data
        self._error = error

    def read(self, size: int) -> bytes:
        self.begun.set()
        assert self.free.wait(PATIENT)
        if self._error is not None:
            raise self._error
        data, self._data = self._data[:size], self._data[size:]
        return data

    def close(self) -> None:
        self.closed.set()


def _arriving(body: Slow, service: Service, length: int = 100_000) -> Any:
    return arriving(body, length, DefaultMaterialsManager(service))


def test_a_refusal_does_not_wait_for_the_body(
    http_liar: LyingS3, lied_to: Callable[..., Any], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS says no while nothing comes: the error is raised, and the connection closed when it can be."""
    client = lied_to(http_liar, keyring=service)
    client.put_object(**NAMED, Body=bytes(MIB))
    slow = Slow(bytes(10))

    def give(body: Any, length: int, manager: Any) -> Any:
        body.close()
        return arriving(slow, length, manager)

    monkeypatch.setattr("s3ec.client.calls.wire.arriving", give)

    def refuse() -> None:
        assert slow.begun.wait(PATIENT)
        raise KeyringError("KMS says no")

    service.answer = refuse
    with pytest.raises(KeyringError, match="says no"):
        client.get_object(**NAMED)
    assert not slow.closed.is_set()
    slow.free.set()
    assert slow.closed.wait(PATIENT)


def test_an_error_of_the_connection_is_raised_where_it_is_read(service: Service) -> None:
    """Once, and by its own name; then the body is what it is."""
    error = ReadTimeoutError(endpoint_url="https://s3")
    slow = Slow(error=error)
    slow.free.set()
    body = _arriving(slow, service)
    for _ in range(2):
        with pytest.raises(ReadTimeoutError) as raised:
            body.read(10)
        assert raised.value is error
    body.close()
    assert slow.closed.is_set()


def test_a_key_that_comes_at_once_leaves_the_body_alone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread ends without having read, and so it does for a body that is closed."""
    monkeypatch.setattr(module, "_PATIENCE", PATIENT)
    slow = Slow(b"content")
    slow.free.set()
    body = _arriving(slow, service)
    assert not slow.begun.is_set()
    assert body.read(7) == b"content"
    unread = Slow()
    closed = _arriving(unread, service)
    closed.close()
    assert unread.closed.wait(PATIENT)
    assert not unread.begun.is_set()


def test_nothing_is_read_ahead_where_nobody_is_asked(service: Service) -> None:
    """A cache, and a keyring of this process, answer before a thread would."""
    body = Slow()
    for manager in (CachingMaterialsManager(service), DefaultMaterialsManager(AesKeyring(bytes(32)))):
        assert arriving(body, 100_000, manager) is body


def test_threads_have_a_limit(service: Service) -> None:
    """Bodies beyond it stay as they are; one that has come makes room."""
    slow = [Slow() for _ in range(module._AT_ONCE)]
    bodies = [_arriving(body, service) for body in slow]
    more = Slow()
    try:
        assert all(isinstance(body, ArrivingBody) for body in bodies)
        assert _arriving(more, service) is more
    finally:
        for body in slow:
            body.free.set()
        for body in bodies:
            body.read(1)
    more.free.set()
    again = _arriving(more, service)
    assert isinstance(again, ArrivingBody)
    again.read(1)


def test_without_threads(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python starts none at its end; the body is read as always, and the room is free again."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    body = Slow()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(module._AT_ONCE + 1):
            assert _arriving(body, service) is body
    body.free.set()
    with contextlib.closing(_arriving(body, service)) as ahead:
        assert isinstance(ahead, ArrivingBody)
        ahead.read(1)


def test_in_a_forked_child(service: Service) -> None:
    """A child has its own room and no such thread: the parent's body ends there with an error, and never hangs."""
    slow = Slow()
    body = _arriving(slow, service)
    assert slow.begun.wait(PATIENT)
    child = os.fork()
    if child == 0:
        try:
            body.read(1)
        except Exception as error:  # noqa: BLE001 - the child's exit status is all that it can say
            os._exit(7 if type(error).__name__ == "IncompleteReadError" else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    slow.free.set()
    assert body.read(1) == b""
