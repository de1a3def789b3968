"""A process forked amid everything: the child waits for nothing of its parent, and shares no keystream with it."""

from __future__ import annotations

import ast
import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import s3ec
from s3ec import AesKeyring, CachingMaterialsManager, EncryptionClient, KmsKeyring, forks
from s3ec.errors import MultipartStateError
from s3ec.materials import EncryptionMaterials, EncryptionMaterialsRequest

from support.forking import in_child
from support.lying_s3 import LyingS3

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks"),
    # What this is about: Python says so at each fork beside threads.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

PATIENCE = 90  # seconds
WRAPPING_KEY = bytes(range(32))
CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


class Busy:
    """Threads that stand still in the middle of their work while the test forks."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self._process = os.getpid()
        self._threads: list[threading.Thread] = []

    def pause(self, reached: threading.Event) -> None:
        """Called in the middle of the work; goes through in a child."""
        reached.set()
        if os.getpid() == self._process:
            assert self.go_on.wait(PATIENCE)

    def start(self, work: Callable[[], object], reached: threading.Event) -> None:
        """Run a thread until it has reached its middle."""
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()
        assert reached.wait(PATIENCE)

    def hold(self, lock: Any) -> None:
        """Have a thread hold a lock."""
        reached = threading.Event()

        def work() -> None:
            with lock:
                self.pause(reached)

        self.start(work, reached)

    def make(self, session: boto3.Session, service: str, work: Callable[[], object]) -> None:
        """Have a thread stand still while it makes a client of a session."""
        reached = threading.Event()
        session.events.register(f"creating-client-class.{service}", lambda **_: self.pause(reached))
        self.start(work, reached)

    def end(self) -> None:
        """Let all of them end."""
        self.go_on.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.fixture
def busy() -> Iterator[Busy]:
    """Threads to be busy."""
    threads = Busy()
    yield threads
    threads.end()


class Slow(AesKeyring):
    """A keyring that stands still in the middle of a call."""

    __slots__ = ("pause",)
    pause: Callable[[], None]

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Stand still, then answer."""
        self.pause()
        return super().on_encrypt(request)


def hold_all_locks(busy: Busy) -> None:
    """Have threads hold every registered lock that is free."""
    for owner, parts in list(forks._owners.items()):
        for lock in [getattr(owner, name) for name in parts]:
            if hasattr(lock, "acquire") and lock.acquire(blocking=False):
                lock.release()
                busy.hold(lock)


@pytest.fixture
def client(http_liar: LyingS3) -> Iterator[Any]:
    """A client of the lying server."""
    with contextlib.closing(EncryptionClient(keyring=AesKeyring(WRAPPING_KEY), **http_liar.arguments())) as made:
        yield made


def test_amid_everything(http_liar: LyingS3, client: Any, busy: Busy) -> None:
    """Threads make clients, fill caches, verify ranges, upload and hold locks; a child forked then does it all."""
    arguments = http_liar.arguments()
    client.put_object(Bucket="b", Key="ranged", Body=bytes(200_000))
    part = {"Bucket": "b", "Key": "parts"}
    part["UploadId"] = client.create_multipart_upload(**part)["UploadId"]
    client.upload_part(**part, PartNumber=1, Body=b"x" * 100)

    shared, filling, verifying = boto3.Session(**CREDENTIALS), threading.Event(), threading.Event()
    slow = Slow(WRAPPING_KEY)
    slow.pause = lambda: busy.pause(filling)
    caching = EncryptionClient(materials_manager=CachingMaterialsManager(slow), **arguments)

    def make() -> Any:
        return EncryptionClient(keyring=AesKeyring(WRAPPING_KEY), session=shared, **arguments)

    def read_range() -> bytes:
        return client.get_object(Bucket="b", Key="ranged", Range="bytes=10-19")["Body"].read()

    def verify(request: Any, **_: Any) -> None:
        if "Range" not in request.headers:
            busy.pause(verifying)

    client.meta.events.register("before-send.s3.GetObject", verify)
    busy.start(lambda: caching.put_object(Bucket="b", Key="cached", Body=b"x"), filling)
    busy.start(read_range, verifying)
    busy.make(shared, "s3", make)
    hold_all_locks(busy)

    def everything() -> None:
        make().put_object(Bucket="b", Key="new", Body=b"x")
        caching.put_object(Bucket="b", Key="cached", Body=b"y")
        assert read_range() == bytes(10)
        with pytest.raises(MultipartStateError, match="forked"):
            client.upload_part(**part, PartNumber=2, Body=b"y")
        with pytest.raises(MultipartStateError, match="forked"):
            client.complete_multipart_upload(**part, MultipartUpload={"Parts": []})
        other = {"Bucket": "b", "Key": "others"}
        other["UploadId"] = client.create_multipart_upload(**other)["UploadId"]
        client.upload_part(**other, PartNumber=1, Body=b"z")
        client.abort_multipart_upload(**other)

    assert in_child(everything) == 0
    assert http_liar.state.objects["b/new"].metadata["x-amz-meta-x-amz-c"] == "115"
    busy.end()
    caching.close()


def test_a_plain_client_of_the_child_stays_plain(busy: Busy) -> None:
    """The hook of a client that a thread of the parent was making has no effect in the child, whatever its threads."""
    shared = boto3.Session(**CREDENTIALS)
    keyring = AesKeyring(WRAPPING_KEY)
    busy.make(shared, "s3", lambda: EncryptionClient(keyring=keyring, session=shared).close())

    def both() -> None:
        kinds = []

        def look() -> None:
            kinds.append(isinstance(shared.client("s3"), EncryptionClient))
            kinds.append(isinstance(EncryptionClient(keyring=keyring, session=shared), EncryptionClient))

        for _ in range(8):  # names of threads are given again, those of the parent's too
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        assert kinds == [False, True] * 8

    assert in_child(both) == 0


def test_a_kms_client_being_made(aws: dict[str, Any], kms_key: str, bucket: str, busy: Busy) -> None:
    """A keyring shared with the child makes its client there."""
    shared = boto3.Session(**CREDENTIALS)
    keyring = KmsKeyring(kms_key, session=shared, endpoint_url=aws["endpoint_url"])
    with contextlib.closing(EncryptionClient(keyring=keyring, **aws)) as client:
        busy.make(shared, "kms", lambda: client.put_object(Bucket=bucket, Key="parent", Body=b"x"))
        assert in_child(lambda: client.put_object(Bucket=bucket, Key="child", Body=b"x")) == 0
        assert client.head_object(Bucket=bucket, Key="child")["ContentLength"] == 1
        busy.end()


def test_a_child_begins_with_an_empty_cache(http_liar: LyingS3) -> None:
    """What is kept may be used a limited number of times; parent and child do not share the right to."""
    manager = CachingMaterialsManager(AesKeyring(WRAPPING_KEY), max_messages=10)
    with contextlib.closing(EncryptionClient(materials_manager=manager, **http_liar.arguments())) as client:
        client.put_object(Bucket="b", Key="parent", Body=b"x")
        assert in_child(lambda: client.put_object(Bucket="b", Key="child", Body=b"x")) == 0
        client.put_object(Bucket="b", Key="again", Body=b"x")
    wrapped = [
        http_liar.state.objects[f"b/{key}"].metadata["x-amz-meta-x-amz-3"] for key in ("parent", "child", "again")
    ]
    assert wrapped[0] == wrapped[2] != wrapped[1]


@pytest.mark.slow
def test_nothing_is_kept_alive() -> None:
    """What is registered goes when its owner goes."""
    before = len(forks._owners)
    managers = [CachingMaterialsManager(AesKeyring(WRAPPING_KEY)) for _ in range(5)]
    assert len(forks._owners) == before + 10
    del managers
    gc.collect()
    assert len(forks._owners) <= before


# Made for one call, and left when it ends; `PartRecord.sending` lies behind `Turnstile.check_open`.
OF_ONE_CALL = {
    ("downloads.py", "Event"),
    ("uploads.py", "Event"),
    ("caching.py", "Event"),
    ("verified_ranges.py", "Lock"),
}


def test_every_lock_is_registered() -> None:
    """No long-lived object of client and keyrings makes a lock by itself."""
    package = Path(s3ec.__file__).parent
    found = {
        (path.name, node.func.attr)
        for folder in ("client", "keyrings")
        for path in (package / folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier"}
    }
    assert found <= OF_ONE_CALL
