"""Several data keys asked for at once: each is checked and fails as if it were alone, and nobody's KMS is passed by."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from moto.core.models import botocore_stubber

from s3ec.client.calls.shortcuts import way
from s3ec.client.calls.shortcuts.kms import KmsRequests
from s3ec.errors import KeyringError
from s3ec.exchanges import signature
from s3ec.keyrings import KmsKeyring, PrefetchingMaterialsManager
from s3ec.materials import EncryptionMaterials, EncryptionMaterialsRequest
from s3ec.secrets import Secret

from support.forking import forks, in_child
from support.keyrings import Clock, write_request

ASKED = {"KeyId": "k", "KeySpec": "AES_256"}
Answer = tuple[int, dict[str, Any]]
REFUSED: Answer = (400, {"__type": "AccessDeniedException", "message": "no"})
THROTTLED: Answer = (400, {"__type": "ThrottlingException", "message": "slow down"})


class Kms:
    """A KMS that makes another key for each request, and answers when and as it is told."""

    url = ""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.most = 0
        self.connections = 0
        self.answer: Callable[[int], Answer | None] = lambda number: (200, self.key(number))
        self._lock = threading.Lock()
        self.open = 0
        self._numbers = itertools.count(1)

    @staticmethod
    def key(number: int) -> dict[str, Any]:
        """The answer with the key of this number."""
        plain, wrapped = number.to_bytes(32, "big"), b"wrapped-%d" % number
        return {
            "KeyId": "arn:aws:kms:us-east-1:111122223333:key/k",
            "Plaintext": base64.b64encode(plain).decode(),
            "CiphertextBlob": base64.b64encode(wrapped).decode(),
        }

    def ask(self, headers: dict[str, str], body: bytes) -> Answer | None:
        """Note a request, and answer it; None cuts the connection."""
        with self._lock:
            self.seen.append((headers, json.loads(body)))
            number = next(self._numbers)
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            return self.answer(number)
        finally:
            with self._lock:
                self.open -= 1

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """While it can be reached."""
        this = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                this.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = this.ask({name.lower(): value for name, value in self.headers.items()}, body)
                if answer is None:
                    self.close_connection = True
                    return
                status, content = answer
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def handle(self) -> None:
                # A client that drops a flight does not wait for its answers.
                with contextlib.suppress(ConnectionError):
                    super().handle()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def client(self, **options: Any) -> Any:
        """A client of it, as it is where moto has not been imported."""
        credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        client = boto3.client("kms", endpoint_url=self.url, region_name="us-east-1", **credentials, **options)
        client.meta.events.unregister("before-send", botocore_stubber)
        return client

    @property
    def by_botocore(self) -> list[bool]:
        """For each request whether botocore itself has sent it, which numbers its attempts."""
        return ["amz-sdk-request" in headers for headers, _ in self.seen]


@pytest.fixture
def kms() -> Iterator[Kms]:
    """The KMS, which can be reached."""
    kms = Kms()
    with kms.serving():
        yield kms


def plain(answer: Any) -> int:
    """The number of a key."""
    return int.from_bytes(answer["Plaintext"], "big")


def test_all_are_sent_before_the_first_answer(kms: Kms) -> None:
    """KMS answers none before it has all; each answer is given once, and the connections are kept."""
    together = threading.Barrier(3)

    def answer(number: int) -> Answer:
        together.wait(30)
        return 200, kms.key(number)

    kms.answer = answer
    requests = KmsRequests(kms.client())
    for _ in range(2):
        begun = requests.begin("generate_data_key", [ASKED] * 3)
        assert begun is not None
        assert len({plain(read()) for read in begun}) == 3
    assert kms.connections == 3
    assert kms.by_botocore == [False] * 6


def test_the_same_request_is_signed_once(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one is another one, of another body."""
    signed: list[bytes] = []

    def noting(*args: Any, **more: Any) -> dict[str, str]:
        signed.append(args[4])
        return signature.signed(*args, **more)

    monkeypatch.setattr(way, "signed", noting)
    other = {**ASKED, "EncryptionContext": {"a": "b"}, "GrantTokens": ["t"]}
    begun = KmsRequests(kms.client()).begin("generate_data_key", [ASKED, other, ASKED])
    assert begun is not None
    answers = [read() for read in begun]
    sent = [kms.seen[plain(answer) - 1] for answer in answers]
    assert [body for _, body in sent] == [ASKED, other, ASKED]
    assert sent[0][0] == sent[2][0]
    assert len(signed) == 2
    assert sent[0][0]["authorization"] != sent[1][0]["authorization"]


@pytest.mark.parametrize("trouble", [THROTTLED, (500, {"__type": "KMSInternalException"}), None], ids=str)
def test_trouble_with_one_is_botocores(kms: Kms, trouble: Answer | None) -> None:
    """That one is asked again by the client, the others are what they are, and for a while only the client asks."""
    kms.answer = lambda number: trouble if number == 2 else (200, kms.key(number))
    requests = KmsRequests(kms.client())
    begun = requests.begin("generate_data_key", [ASKED] * 3)
    assert begun is not None
    assert {plain(read()) for read in begun} == {1, 3, 4}
    assert sorted(kms.by_botocore) == [False, False, False, True]
    assert requests.begin("generate_data_key", [ASKED]) is None
    assert len(kms.seen) == 4


def test_nobody_there_is_botocores() -> None:
    """A connection that cannot be made is trouble too."""
    kms = Kms()
    with kms.serving():
        pass
    requests = KmsRequests(kms.client(config=Config(retries={"total_max_attempts": 2})))
    begun = requests.begin("generate_data_key", [ASKED] * 2)
    assert begun is not None
    for read in begun:
        with pytest.raises(Exception, match="Could not connect"):
            read()


def test_no_is_of_one(kms: Kms) -> None:
    """It is raised where it is read, once, and the next is read none the less."""
    kms.answer = lambda number: REFUSED if number == 1 else (200, kms.key(number))
    begun = KmsRequests(kms.client()).begin("generate_data_key", [ASKED] * 2)
    assert begun is not None
    found = []
    for read in begun:
        try:
            found.append(plain(read()))
        except ClientError as error:
            found.append(error.response["Error"]["Code"])
    assert sorted(found, key=str) == [2, "AccessDeniedException"]
    assert kms.by_botocore == [False, False]


def test_what_is_not_read_takes_its_connection_along(kms: Kms) -> None:
    """Its answer would be taken for the next one's."""
    requests = KmsRequests(kms.client())
    begun = requests.begin("generate_data_key", [ASKED] * 2)
    assert begun is not None
    read = begun.pop()
    del begun
    assert read()["Plaintext"]
    assert [len(idle) for idle in requests._connections._idle.values()] == [1]
    answers = [requests.call("generate_data_key", ASKED) for _ in range(3)]
    assert [plain(answer) for answer in answers] == [3, 4, 5]


def _listened_to(client: Any, _: pytest.MonkeyPatch) -> Any:
    client.meta.events.register("before-send.kms", lambda **_: None)
    return client


def _patched(client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(client, "generate_data_key", client.generate_data_key)
    return client


def _watched(client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    urlopen: Any = AWSHTTPSConnectionPool.urlopen
    monkeypatch.setattr(AWSHTTPSConnectionPool, "urlopen", lambda *args, **more: urlopen(*args, **more))
    return client


def _without_credentials(client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def fail(_: object) -> None:
        raise CredentialRetrievalError(provider="p", error_msg="e")

    monkeypatch.setattr(Credentials, "get_frozen_credentials", fail)
    return client


def _of_another_kind(client: Any, _: pytest.MonkeyPatch) -> Any:
    class Client:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

    return Client()


UNUSUAL = [_listened_to, _patched, _watched, _without_credentials, _of_another_kind]


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_other_clients_make_one_call_at_a_time(
    kms: Kms, unusual: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent, and each is asked in the client's own way."""
    client = unusual(kms.client(), monkeypatch)
    assert KmsRequests(client).begin("generate_data_key", [ASKED] * 2) is None
    assert KmsKeyring("k", client=client).begin_encrypting([write_request()]) is None
    assert kms.seen == []


@pytest.mark.parametrize(
    "options", [{"proxies": {"http": "http://127.0.0.1:9"}}, {"retries": {"total_max_attempts": 1}}]
)
def test_other_ways_make_one_call_at_a_time(kms: Kms, options: dict[str, Any]) -> None:
    """By a proxy, or with one attempt, of which ours would be another."""
    assert KmsRequests(kms.client(config=Config(**options))).begin("generate_data_key", [ASKED]) is None
    assert kms.seen == []


# Keyrings.


def test_the_materials_are_those_of_one_call(kms: Kms) -> None:
    """Request, context and tokens as `on_encrypt` sends and gives them; no two share anything."""
    keyring = KmsKeyring("k", client=kms.client(), grant_tokens=["t"])
    requests = [write_request(encryption_context=context) for context in ({"a": "1", "b": "2"}, {})]
    begun = keyring.begin_encrypting([requests[0], requests[1], requests[0]])
    assert begun is not None
    made = [read() for read in begun]
    alone = [keyring.on_encrypt(request) for request in requests]
    assert [list(each.description.items()) for each in made] == [
        list(alone[number].description.items()) for number in (0, 1, 0)
    ]
    assert made[0].description is not made[2].description
    assert len({each.plaintext_data_key for each in made}) == 3
    for each in made:
        number = int.from_bytes(each.plaintext_data_key, "big")
        assert each.encrypted_data_key.ciphertext == b"wrapped-%d" % number
        assert each.encrypted_data_key.wrapping_algorithm is alone[0].encrypted_data_key.wrapping_algorithm
        assert kms.seen[number - 1][1] == {**ASKED, "EncryptionContext": each.description, "GrantTokens": ["t"]}
    assert sorted(map(str, (body for _, body in kms.seen[:3]))) == sorted(
        str(kms.seen[number][1]) for number in (3, 4, 3)
    )


WRONG: dict[str, Answer] = {
    "another key": (200, {**Kms.key(7), "KeyId": "arn:aws:kms:us-east-1:111122223333:key/other"}),
    "a short key": (200, {**Kms.key(7), "Plaintext": "AAAA"}),
    "no key": (200, {}),
    "no wrapped key": (200, {**Kms.key(7), "CiphertextBlob": ""}),
    "no object": (200, ["no"]),  # type: ignore[dict-item]  # as it may come
    "a refusal": REFUSED,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_answer_is_checked(kms: Kms, wrong: str) -> None:
    """As one that comes alone, and the one beside it is good."""
    kms.answer = lambda number: WRONG[wrong] if number == 1 else (200, kms.key(number))
    begun = KmsKeyring("k", client=kms.client()).begin_encrypting([write_request()] * 2)
    assert begun is not None
    found: list[Any] = []
    for read in begun:
        try:
            found.append(read().plaintext_data_key)
        except KeyringError as error:
            found.append(str(error))
    assert (2).to_bytes(32, "big") in found
    (said,) = [each for each in found if isinstance(each, str)]
    kms.answer = lambda _: WRONG[wrong]
    with pytest.raises(KeyringError) as alone:
        KmsKeyring("k", client=kms.client()).on_encrypt(write_request())
    assert said == str(alone.value)


# Managers.


def settle(manager: PrefetchingMaterialsManager) -> None:
    """Wait until nothing is being asked for."""
    while manager._running:
        time.sleep(0.001)


def take(manager: PrefetchingMaterialsManager, count: int, **changes: Any) -> list[EncryptionMaterials]:
    """Materials for objects one after the other, each when all is ready that was ordered for the one before."""
    taken = []
    for _ in range(count):
        taken.append(manager.get_encryption_materials(write_request(**changes)))
        settle(manager)
    return taken


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that were started for calls made ahead."""
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def noting(thread: threading.Thread) -> None:
        if thread.name == "s3ec-prefetch":
            threads.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noting)
    return threads


def test_keys_are_ordered_in_few_flights(kms: Kms, started: list[threading.Thread]) -> None:
    """One thread asks for all of them; it is not begun for each object, and few keys are asked for in vain."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()))
    taken = take(manager, 100)
    assert len({materials.plaintext_data_key for materials in taken}) == 100
    assert 100 <= len(kms.seen) <= 132
    assert len(started) < 20
    assert kms.most <= 8


@pytest.mark.parametrize("size", [1, 2, 4, 8, 32])
def test_the_pool_is_never_below_what_a_flight_brings(kms: Kms, size: int) -> None:
    """Of a small one each key that is missing is ordered at once; of a large one, when a flight is missing."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=size)
    take(manager, 40)
    (pool,) = manager._pools.values()
    for _ in range(2 * size):
        take(manager, 1)
        assert size - len(pool.ready) < max(1, min(8, size // 4))
    assert kms.by_botocore == [False] * len(kms.seen)


def listen(**_: Any) -> None:
    """Somebody who listens, so that calls are made one at a time."""


@pytest.fixture
def gate(kms: Kms) -> threading.Event:
    """KMS answers while this is set, as it is."""
    gate = threading.Event()
    gate.set()

    def answer(number: int) -> Answer:
        assert gate.wait(60)
        return 200, kms.key(number)

    kms.answer = answer
    return gate


def until(reached: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("before", [False, True], ids=["several", "one"])
@pytest.mark.parametrize("after", [False, True], ids=["several", "one"])
def test_never_more_calls_than_allowed(kms: Kms, gate: threading.Event, before: bool, after: bool) -> None:
    """By one thread or by several, nor when that changes; and no key is given twice."""
    client = kms.client()
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=client), threads=3, size=24)
    if before:
        client.meta.events.register("before-call.kms", listen)
    taken = take(manager, 30)
    gate.clear()
    for _ in range(12):
        taken.append(manager.get_encryption_materials(write_request()))
    until(lambda: kms.open == 3)
    if before is not after:
        change = client.meta.events.register if after else client.meta.events.unregister
        change("before-call.kms", listen)
    for _ in range(6):
        taken.append(manager.get_encryption_materials(write_request()))
    assert manager._running == (3 if before else 1)
    later = threading.Event()

    def answer_later(number: int) -> Answer:
        assert later.wait(60)
        return 200, kms.key(number)

    kms.answer = answer_later
    gate.set()
    until(lambda: manager._at_once == (1 if after else 3))
    taken.append(manager.get_encryption_materials(write_request()))
    if after:
        until(lambda: manager._running == 3)
    later.set()
    settle(manager)
    assert kms.most == 3
    taken += take(manager, 40)
    assert kms.most == 3
    assert len({materials.plaintext_data_key for materials in taken}) == 89
    (pool,) = manager._pools.values()
    assert pool.ordered == 0


def test_a_thread_too_many_ends(kms: Kms) -> None:
    """One makes all calls, once it can make several: those that made one each leave it what is ordered."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=32)
    take(manager, 8)
    (pool,) = manager._pools.values()
    before = len(kms.seen)
    pool.ordered, manager._running = 3, 2
    manager._orders.extend([pool] * 3)
    manager._work()
    assert (manager._running, len(manager._orders), len(kms.seen)) == (1, 3, before)
    manager._work()
    assert (manager._running, len(manager._orders), len(kms.seen)) == (0, 0, before + 3)


@pytest.mark.parametrize(
    ("ready", "ordered", "taken", "more"),
    [(8, 0, 6, 0), (5, 8, 10, 0), (0, 8, 6, 0), (7, 0, 6, 3), (4, 4, 9, 8), (0, 0, 2, 2), (0, 0, 1, 0), (32, 0, 99, 0)],
)
def test_a_flight_is_awaited_while_enough_is_ready(
    kms: Kms, gate: threading.Event, ready: int, ordered: int, taken: int, more: int
) -> None:
    """Eight, of 32, may be missing while there are eight, or will be."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()))
    take(manager, 1)
    (pool,) = manager._pools.values()
    gate.clear()
    pool.ready.extend([(float("inf"), Secret(manager._keyring))] * ready)  # never looked at
    pool.ordered, pool.taken = ordered, taken
    manager._order(pool)
    assert pool.ordered == ordered + more
    gate.set()
    settle(manager)


def test_kinds_share_a_flight(kms: Kms, gate: threading.Event) -> None:
    """Each object gets a key of its own kind."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=4)
    for kind in "abc":
        take(manager, 8, encryption_context={"kind": kind})
    gate.clear()
    manager.get_encryption_materials(write_request(encryption_context={"kind": "a"}))
    until(lambda: kms.open == 1)
    for kind in "bcbc":
        manager.get_encryption_materials(write_request(encryption_context={"kind": kind}))
    gate.set()
    settle(manager)
    for kind in "abc" * 4:
        (materials,) = take(manager, 1, encryption_context={"kind": kind})
        number = int.from_bytes(materials.plaintext_data_key, "big")
        assert kms.seen[number - 1][1]["EncryptionContext"] == materials.description
        assert materials.description["kind"] == kind


@pytest.mark.parametrize("fault", [REFUSED, (200, {}), (200, {**Kms.key(7), "KeyId": "k2"})], ids=str)
def test_a_failure_in_a_flight_is_not_reported(kms: Kms, fault: Answer) -> None:
    """It ends the flight, and what is ordered; the next object that finds nothing asks for itself."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=8)
    take(manager, 8)
    kms.answer = lambda _: fault
    before = len(kms.seen)
    take(manager, 7)
    assert before < len(kms.seen) <= before + 8
    (pool,) = manager._pools.values()
    assert not pool.ready
    assert pool.ordered == 0
    with pytest.raises(KeyringError):
        manager.get_encryption_materials(write_request())
    kms.answer = lambda number: (200, kms.key(number))
    assert len({materials.plaintext_data_key for materials in take(manager, 20)}) == 20
    assert manager._running == 0


def test_trouble_in_a_flight_is_botocores(kms: Kms) -> None:
    """KMS slows its callers down: the client asks again, and from then on for one key at a time."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=8)
    taken = take(manager, 8)
    before = len(kms.seen)
    kms.answer = lambda number: THROTTLED if number == before + 1 else (200, kms.key(number))
    taken += take(manager, 8)
    assert len({materials.plaintext_data_key for materials in taken}) == 16
    # The flight's two, whichever of them is seen after botocore's first.
    assert kms.by_botocore[before:].count(False) == 2
    (pool,) = manager._pools.values()
    assert len(pool.ready) == 8


def one_flight(kms: Kms, manager: PrefetchingMaterialsManager) -> list[EncryptionMaterials]:
    """Take as many objects as it takes until keys are ordered, all of whose requests are there in the end."""
    (pool,) = manager._pools.values()
    taken = []
    while not pool.ordered:
        taken.append(manager.get_encryption_materials(write_request()))
    until(lambda: kms.open == pool.ordered > 1)
    return taken


def test_what_arrives_after_close_is_forgotten(kms: Kms, gate: threading.Event) -> None:
    """Of the whole flight."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=8, threads=4)
    take(manager, 8)
    gate.clear()
    one_flight(kms, manager)
    (pool,) = manager._pools.values()
    ready, before = len(pool.ready), len(kms.seen)
    manager.close()
    gate.set()
    settle(manager)
    assert len(pool.ready) == ready
    assert len(kms.seen) == before


def test_age_counts_from_before_a_flight(kms: Kms, gate: threading.Event) -> None:
    """However long the answers take."""
    clock = Clock()
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=8, max_age=10, clock=clock)
    take(manager, 8)
    gate.clear()
    one_flight(kms, manager)
    clock.now += 10
    gate.set()
    settle(manager)
    (pool,) = manager._pools.values()
    assert len(pool.ready) == 8
    before = len(kms.seen)
    number = int.from_bytes(take(manager, 1)[0].plaintext_data_key, "big")
    assert number > before


@forks
def test_a_forked_child_does_not_read_the_flight(kms: Kms, gate: threading.Event) -> None:
    """Its keys are the parent's; the child asks for its own, on connections of its own."""
    manager = PrefetchingMaterialsManager(KmsKeyring("k", client=kms.client()), size=8)
    taken = take(manager, 8)
    gate.clear()
    taken += one_flight(kms, manager)
    before = len(kms.seen)

    def take_others() -> None:
        # The server is the parent's, and answers once its gate is open.
        numbers = [int.from_bytes(materials.plaintext_data_key, "big") for materials in take(manager, 4)]
        assert min(numbers) > before

    opening = threading.Timer(0.2, gate.set)
    opening.start()
    assert in_child(take_others) == 0
    opening.join()
    settle(manager)
    (pool,) = manager._pools.values()
    assert len(pool.ready) == 8
    taken += take(manager, 8)
    assert len({materials.plaintext_data_key for materials in taken}) == len(taken)


class _Logged:
    """A keyring before another one, whose members it has."""

    def __init__(self, keyring: KmsKeyring) -> None:
        self._keyring = keyring
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keyring, name)

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        self.asked += 1
        return self._keyring.on_encrypt(request)


class _Derived(KmsKeyring):
    asked = 0

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        self.asked += 1
        return super().on_encrypt(request)


@pytest.mark.parametrize("derived", [False, True])
def test_a_keyring_of_somebodys_own_is_asked(kms: Kms, derived: bool) -> None:
    """What it does for each data key, it does for each."""
    keyring: Any = _Derived("k", client=kms.client()) if derived else _Logged(KmsKeyring("k", client=kms.client()))
    take(PrefetchingMaterialsManager(keyring, size=4), 20)
    assert keyring.asked == len(kms.seen) == 24
