"""Uploads that go on in another process: what was sent stays, what is missing follows, no counter is used twice."""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import s3ec
from s3ec import AesKeyring, CommitmentPolicy, KmsKeyring, SseC, UploadStateFile, export_upload, resume_upload
from s3ec.client.multipart import storage as multipart_storage
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    KeyringError,
    MalformedMetadataError,
    MultipartStateError,
    S3ECError,
)
from s3ec.s3.multipart import state as multipart_state
from s3ec.s3.multipart import turnstile as multipart_turnstile

from support.counting import CountingManager
from support.forking import forks, refused_in_child
from support.lying_s3 import LyingS3
from support.one_shot import check_wire, one_shot, opened, sent_parts

WRAPPING_KEY = bytes(range(32))
PLACE = {"Bucket": "b", "Key": "k"}


class Cut(BaseException):
    """The process dies."""


class Saved:
    """A store for the newest state."""

    def __init__(self) -> None:
        self.states: list[bytes] = []

    def __call__(self, state: bytes) -> None:
        """Keep a state."""
        self.states.append(state)

    @property
    def newest(self) -> bytes:
        """The one to resume."""
        return self.states[-1]


class Run:
    """What one process does with an upload."""

    def __init__(self, client: Any, server: LyingS3, upload_id: str) -> None:
        self.client, self.server, self.id = client, server, upload_id

    def part(self, number: int, data: Any) -> str:
        """Give one part."""
        answer = self.client.upload_part(**PLACE, UploadId=self.id, PartNumber=number, Body=data)
        etag: str = answer["ETag"]
        return etag

    def dies_in_part(self, number: int, data: bytes) -> None:
        """Give one part and die when S3 has it, or half of it: before anybody here hears of it."""
        with self._dies("after-call.s3.UploadPart"):
            self.part(number, data)

    def dies_in_completion(self, etags: dict[int, str]) -> None:
        """Send all that is left to send, and die before S3 hears that this is all."""
        with self._dies("before-call.s3.CompleteMultipartUpload"):
            self.complete(etags)

    @contextlib.contextmanager
    def _dies(self, event: str) -> Iterator[None]:
        def die(**_: Any) -> None:
            raise Cut

        self.client.meta.events.register(event, die, unique_id="die")
        with pytest.raises(Cut):
            yield
        self.client.meta.events.unregister(event, unique_id="die")

    def complete(self, etags: dict[int, str]) -> None:
        """Put the parts together."""
        parts = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
        self.client.complete_multipart_upload(**PLACE, UploadId=self.id, MultipartUpload={"Parts": parts})


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 64)
    monkeypatch.setattr(multipart_storage, "CHUNK_SIZE", 48)
    monkeypatch.setattr(multipart_turnstile, "_PATIENCE", 0.02)


@pytest.fixture
def begin(http_liar: LyingS3, lied_to: Callable[..., Any]) -> Callable[..., Run]:
    """Begins an upload, in another client than the one that goes on."""
    made: dict[str, Any] = {}

    def start(**options: Any) -> Run:
        client = made.get(repr(options)) or lied_to(http_liar, **options)
        made[repr(options)] = client
        return Run(client, http_liar, client.create_multipart_upload(**PLACE, Metadata={"mine": "yes"})["UploadId"])

    return start


@pytest.fixture
def resume(http_liar: LyingS3, lied_to: Callable[..., Any]) -> Callable[..., tuple[Run, dict[str, Any]]]:
    """Goes on with a state in a client that knows nothing of the upload yet."""
    made: dict[str, Any] = {}

    def go_on(state: bytes, save: Callable[[bytes], None] | None = None, **options: Any) -> tuple[Run, dict[str, Any]]:
        client = made.get(repr(options)) or lied_to(http_liar, **options)
        made[repr(options)] = client
        for upload_id in list(client._s3ec_uploads._states):
            client._s3ec_uploads.forget(upload_id)
        found = resume_upload(client, state, save=save or Saved())
        return Run(client, http_liar, found["UploadId"]), found

    return go_on


def stored_is(server: LyingS3, plaintext: bytes, client: Any) -> None:
    """The object is what one call of AES-GCM gives, and both s3ec and cryptography alone read it."""
    stored = server.state.objects["b/k"]
    assert stored.body == one_shot(stored.metadata, WRAPPING_KEY, plaintext)
    assert opened(stored.metadata, WRAPPING_KEY, stored.body) == plaintext
    answer = client.get_object(**PLACE)
    assert answer["Body"].read() == plaintext
    assert answer["Metadata"] == {"mine": "yes"}


@pytest.mark.parametrize("sizes", [(64, 80, 96, 10), (65, 79, 131, 64), (64, 64, 64, 64), (101, 0, 203, 1)], ids=str)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_crash_costs_what_was_under_way(
    begin: Callable[..., Run],
    resume: Callable[..., tuple[Run, dict[str, Any]]],
    http_liar: LyingS3,
    sizes: tuple[int, ...],
    cut: int,
) -> None:
    """After a crash S3 keeps its parts, the rest follows from another client, and the object is as if nothing was."""
    parts = {number: os.urandom(size) for number, size in enumerate(sizes, start=1)}
    saved, run = Saved(), begin()
    metadata = http_liar.state.uploads[run.id][1]
    export_upload(run.client, run.id, save=saved)
    for number in range(1, cut + 1):
        run.part(number, parts[number])
    before = {number for number, _ in sent_parts(http_liar.state, run.id)}
    again, found = resume(saved.newest)
    assert found["Bucket"] == "b"
    assert found["Key"] == "k"
    assert {part["PartNumber"] for part in found["Parts"]} == before
    assert all(part["Size"] == len(parts[part["PartNumber"]]) for part in found["Parts"])
    etags = {part["PartNumber"]: part["ETag"] for part in found["Parts"]}
    for number in parts.keys() - etags.keys():
        etags[number] = again.part(number, parts[number])
    again.complete(etags)
    stored_is(http_liar, b"".join(parts.values()), again.client)
    check_wire(http_liar.state, run.id, metadata, WRAPPING_KEY, parts)
    numbers = [number for number, _ in sent_parts(http_liar.state, run.id)]
    assert len(numbers) == len(set(numbers)), "no part was sent twice"


def test_a_part_that_may_have_left(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """The state knows a part before its first byte leaves: one that S3 lost takes the same bytes and no others."""
    saved, run = Saved(), begin()
    export_upload(run.client, run.id, save=saved)
    first, second = os.urandom(100), os.urandom(100)
    etag = run.part(1, first)
    run.dies_in_part(2, second)
    del http_liar.state.uploads[run.id][2][2]  # half of it arrived, and S3 shows none of it
    again, found = resume(saved.newest)
    assert [part["PartNumber"] for part in found["Parts"]] == [1]
    assert found["MissingParts"] == [{"PartNumber": 2, "Size": 100}]
    with pytest.raises(MultipartStateError, match="part 2 was given before with other bytes"):
        again.part(2, os.urandom(100))
    with pytest.raises(MultipartStateError):
        again.complete({1: etag})
    again.complete({1: etag, 2: again.part(2, second)})
    sent = [body for number, body in sent_parts(http_liar.state, run.id) if number == 2]
    assert sent[0] == sent[1]
    stored_is(http_liar, first + second, again.client)


def test_a_part_of_another_length(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """What S3 has under a part's number and is not that part counts as missing."""
    run = begin()
    run.part(1, b"1" * 100)
    http_liar.state.uploads[run.id][2][1] = b"something else"
    again, found = resume(export_upload(run.client, run.id))
    assert found["Parts"] == []
    assert found["MissingParts"] == [{"PartNumber": 1, "Size": 100}]
    again.complete({1: again.part(1, b"1" * 100)})
    stored_is(http_liar, b"1" * 100, again.client)


def test_a_part_that_arrived_unheard(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """A part that S3 took, though nobody was left to hear it, is not sent again."""
    saved, run = Saved(), begin()
    export_upload(run.client, run.id, save=saved)
    run.dies_in_part(1, b"1" * 100)
    again, found = resume(saved.newest)
    assert [part["PartNumber"] for part in found["Parts"]] == [1]
    again.complete({1: found["Parts"][0]["ETag"]})
    stored_is(http_liar, b"1" * 100, again.client)


def test_nothing_leaves_before_it_is_saved(begin: Callable[..., Run], http_liar: LyingS3) -> None:
    """Where the state cannot be saved, the part does not leave; saved later, the same bytes may."""
    failing = iter([False, True, False])
    saved, run = Saved(), begin()

    def save(state: bytes) -> None:
        if next(failing):
            raise OSError("the disk is full")
        saved(state)

    export_upload(run.client, run.id, save=save)
    data = os.urandom(100)
    with pytest.raises(OSError, match="the disk is full"):
        run.part(1, data)
    assert sent_parts(http_liar.state, run.id) == []
    with pytest.raises(MultipartStateError, match="other bytes"):
        run.part(1, os.urandom(100))
    assert run.part(1, data)
    assert len(sent_parts(http_liar.state, run.id)) == 1


def test_the_tag_counts_as_a_part(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """A completion that dies leaves a state that takes no further part: a second tag would give the hash key away."""
    saved, run = Saved(), begin()
    export_upload(run.client, run.id, save=saved)
    data = os.urandom(100)
    etags = {1: run.part(1, data)}

    run.dies_in_completion(etags)
    again, found = resume(saved.newest)
    with pytest.raises(MultipartStateError, match="part 2 comes after the upload was completed"):
        again.part(2, os.urandom(100))
    again.complete({part["PartNumber"]: part["ETag"] for part in found["Parts"]})
    tags = {body for number, body in sent_parts(http_liar.state, run.id) if number == 2}
    assert len(tags) == 1
    stored_is(http_liar, data, again.client)


@pytest.mark.parametrize("size", [10, 100], ids=["short last part", "long last part"])
def test_a_completion_that_dies_after_all_was_sent(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3, size: int
) -> None:
    """The last part with the tag behind it is known as sent, and sent again it gets its tag back."""
    for send_again in (False, True):
        http_liar.state.attempts.clear()
        saved, run = Saved(), begin()
        export_upload(run.client, run.id, save=saved)
        first, last = os.urandom(70), os.urandom(size)
        etags = {2: run.part(2, last), 1: run.part(1, first)}  # the later one waits, so that it takes the tag

        run.dies_in_completion(etags)
        again, found = resume(saved.newest)
        etags = {part["PartNumber"]: part["ETag"] for part in found["Parts"]}
        assert sorted(etags) == [1, 2]
        if send_again:
            etags[2] = again.part(2, last)
        again.complete(etags)
        stored_is(http_liar, first + last, again.client)


def test_an_old_state_is_noticed(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """A part at S3 that the state does not know proves that it is not the newest: refused before any encryption."""
    saved, run = Saved(), begin()
    export_upload(run.client, run.id, save=saved)
    run.part(1, os.urandom(100))
    run.part(2, os.urandom(100))
    http_liar.state.page = 1  # so that all pages must be read
    with pytest.raises(MultipartStateError, match="S3 has the parts 2, which this state does not know"):
        resume(saved.states[1])
    resume(saved.newest)


def test_hand_over(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """Exported without a store, the upload leaves this client: nothing more is encrypted for it here."""
    run = begin()
    first = os.urandom(100)
    run.part(1, first)
    waiting = os.urandom(100)
    run.part(3, waiting)
    state = export_upload(run.client, run.id)
    for call in (lambda: run.part(2, b"x" * 100), lambda: export_upload(run.client, run.id)):
        with pytest.raises(MultipartStateError, match="did not begin"):
            call()
    again, found = resume(state)
    assert [part["PartNumber"] for part in found["Parts"]] == [1]
    # Part 3 waited for part 2 and was never encrypted, so it may even come back changed.
    etags = {1: found["Parts"][0]["ETag"], 2: again.part(2, b"2" * 64), 3: again.part(3, b"3" * 64)}
    again.complete(etags)
    stored_is(http_liar, first + b"2" * 64 + b"3" * 64, again.client)


def test_hand_over_under_way(begin: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that waits for its turn while the upload is handed over gets an error: it is not in the state."""
    monkeypatch.setattr(multipart_turnstile, "_PATIENCE", 60)
    run, waiting = begin(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            waiting.set()
            return super().read(size)

    state = run.client._s3ec_uploads.find(run.id)
    with ThreadPoolExecutor(1) as pool:
        part = pool.submit(run.part, 2, Slow(os.urandom(100)))
        waiting.wait()
        assert run.client._s3ec_wire.run(state.hand_over()).parts == ()
        with pytest.raises(MultipartStateError, match="goes on where its state is resumed"):
            part.result()
    with pytest.raises(MultipartStateError, match="goes on where its state is resumed"):
        run.part(1, b"1" * 64)


def test_from_hand_to_hand(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """Every part by another client, at lengths that are not whole blocks: still one stream."""
    run = begin()
    metadata = http_liar.state.uploads[run.id][1]
    state = export_upload(run.client, run.id)
    parts = {number: os.urandom(size) for number, size in enumerate((65, 79, 64, 129, 71), start=1)}
    etags: dict[int, str] = {}
    for number, data in parts.items():
        run, found = resume(state)
        etags = {part["PartNumber"]: part["ETag"] for part in found["Parts"]}
        etags[number] = run.part(number, data)
        state = export_upload(run.client, run.id)
    run, found = resume(state)
    run.complete({part["PartNumber"]: part["ETag"] for part in found["Parts"]})
    stored_is(http_liar, b"".join(parts.values()), run.client)
    check_wire(http_liar.state, run.id, metadata, WRAPPING_KEY, parts)


def test_the_client_that_has_it(begin: Callable[..., Run]) -> None:
    """A client does not take over its own upload: there would be two states of it."""
    saved, run = Saved(), begin()
    state = export_upload(run.client, run.id, save=saved)
    assert state == saved.newest
    with pytest.raises(MultipartStateError, match="has the upload already"):
        resume_upload(run.client, state, save=saved)


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 2])
def test_one_state_twice_at_once(
    begin: Callable[..., Run], http_liar: LyingS3, lied_to: Callable[..., Any], clients: int
) -> None:
    """Of two threads one goes on with a state, on one client or on two; the next one may when it has let go."""
    run = begin()
    state = export_upload(run.client, run.id)
    made = [lied_to(http_liar) for _ in range(clients)]
    barrier = threading.Barrier(2)

    def meet(state: bytes) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(1)

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(resume_upload, client, state, save=meet) for client in (made[0], made[-1])]
    assert [type(each.exception()) for each in both if each.exception()] == [MultipartStateError]
    [owner] = [client for client in made if run.id in client._s3ec_uploads]
    for client in made:
        with pytest.raises(MultipartStateError, match="already"):
            resume_upload(client, state, save=Saved())
    state = export_upload(owner, run.id)
    resume_upload(made[-1], state, save=Saved())


class TestState:
    """The sealed state itself."""

    def test_no_key_in_it(self, begin: Callable[..., Run], counting: CountingManager) -> None:
        """Neither the content key nor anything of the upload's inside can be read without the keyring."""
        run = begin()
        run.part(1, b"plaintext" * 20)
        upload = run.client._s3ec_uploads.find(run.id)
        secrets = [
            upload.upload.cipher.key.reveal(),
            upload._ledger.mac_key.reveal(),
            b"plaintext",
            b"upload-1",
            b"mac_key",
        ]
        state = export_upload(run.client, run.id)
        assert counting.encryptions == 2
        assert not [secret for secret in secrets if secret in state]
        assert str(upload.upload.cipher.key) not in repr(upload.upload)

    def test_altered(self, begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]]) -> None:
        """A flipped bit anywhere is noticed, by an error of ours."""
        run = begin()
        run.part(1, os.urandom(100))
        state = export_upload(run.client, run.id)
        for place in [*range(0, len(state), 61), len(state) - 1]:
            altered = state[:place] + bytes([state[place] ^ 1]) + state[place + 1 :]
            with pytest.raises(S3ECError):
                resume(altered)
        with pytest.raises(AuthenticationError):
            resume(state[:-1])
        for nothing in (b"", b"{}", state[:30]):
            with pytest.raises(MalformedMetadataError):
                resume(nothing)

    def test_another_keyring(self, begin: Callable[..., Run], http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """Without the key that wrapped it a state does not open."""
        run = begin()
        state = export_upload(run.client, run.id)
        other = lied_to(http_liar, keyring=AesKeyring(os.urandom(32)))
        with pytest.raises(KeyringError):
            resume_upload(other, state, save=Saved())

    @pytest.mark.parametrize("policy", list(CommitmentPolicy), ids=lambda policy: policy.name)
    def test_an_object_is_no_state(
        self,
        begin: Callable[..., Run],
        resume: Callable[..., tuple[Run, dict[str, Any]]],
        http_liar: LyingS3,
        policy: CommitmentPolicy,
    ) -> None:
        """Ciphertext that the same keyring made of an attacker's content never passes for a state."""
        run = begin(commitment_policy=policy)
        state = export_upload(run.client, run.id)
        magic = state[: state.index(b"\n") + 1]
        run.client.put_object(Bucket="b", Key="forged", Body=b'{"request":{}}')
        stored = http_liar.state.objects["b/forged"]
        fields = {name.removeprefix("x-amz-meta-"): value for name, value in stored.metadata.items()}
        nonce = base64.b64decode(fields["x-amz-iv"]) if "x-amz-iv" in fields else b"\1" * 12
        header = json.dumps(fields).encode()
        forged = magic + len(header).to_bytes(4, "big") + header + nonce + stored.body
        with pytest.raises(AuthenticationError):
            resume(forged, commitment_policy=policy)

    def test_it_stays_small(self, begin: Callable[..., Run]) -> None:
        """A state grows by some forty bytes for each part, not by the plaintext."""
        sizes = []
        for count in (1, 21):
            run = begin()
            for number in range(1, count + 1):
                run.part(number, os.urandom(1000))
            sizes.append(len(export_upload(run.client, run.id)))
        assert (sizes[1] - sizes[0]) / 20 < 50


def test_plain_gcm(begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]]) -> None:
    """The same for content without commitment (V2), whose IV is random and which has no additional data."""
    policy = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT}
    saved, run = Saved(), begin(**policy)
    export_upload(run.client, run.id, save=saved)
    data = os.urandom(165)
    run.part(1, data[:65])
    again, found = resume(saved.newest, **policy)
    again.complete({1: found["Parts"][0]["ETag"], 2: again.part(2, data[65:])})
    answer = again.client.get_object(**PLACE)
    assert answer["Body"].read() == data
    assert answer["ResponseMetadata"]["ClientSideEncryption"]["format"] == "V2"


def test_instruction_file(begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]]) -> None:
    """The instruction file travels with the state and is written with the object."""
    run = begin(instruction_file_writes=True)
    run.part(1, b"1" * 64)
    again, found = resume(export_upload(run.client, run.id))
    again.complete({1: found["Parts"][0]["ETag"]})
    assert "b/k.instruction" in run.server.state.objects
    assert again.client.get_object(**PLACE)["Body"].read() == b"1" * 64


def test_an_upload_that_is_gone(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """S3's own error says that the upload was aborted meanwhile."""
    run = begin()
    state = export_upload(run.client, run.id)
    http_liar.state.uploads.clear()
    with pytest.raises(ClientError, match="NoSuchUpload"):
        resume(state)


class TestCustomerKeys:
    """SSE-C: no state holds the key."""

    @pytest.fixture
    def liar(self, certificate: tuple[str, str]) -> Any:
        """Over https alone."""
        from support.lying_s3 import lying_s3

        with lying_s3(certificate=certificate[0], key_file=certificate[1]) as server:
            yield server

    def _headers(self, server: LyingS3) -> list[str | None]:
        name = "x-amz-server-side-encryption-customer-key-MD5"
        return [attempt.headers.get(name) for attempt in server.state.attempts]

    def test_given_on_the_request(self, liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """A key that the creating request named is S3's to want with every part; to resume it must be given again."""
        key = os.urandom(32)
        given = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
        client = lied_to(liar, server_side_encryption=s3ec.SseS3())
        upload_id = client.create_multipart_upload(**PLACE, **given)["UploadId"]
        with pytest.raises(client.exceptions.from_code("InvalidRequest"), match="must include the appropriate"):
            Run(client, liar, upload_id).part(1, b"1" * 64)
        client.upload_part(**PLACE, UploadId=upload_id, PartNumber=1, Body=b"1" * 64, **given)
        state = export_upload(client, upload_id)
        assert key not in state
        other = lied_to(liar)
        with pytest.raises(ConfigurationError, match="no state holds"):
            resume_upload(other, state, save=Saved())
        with pytest.raises(ConfigurationError, match="takes no Bucket"):
            resume_upload(other, state, save=Saved(), Bucket="elsewhere")
        found = resume_upload(other, state, save=Saved(), **given)
        again = Run(other, liar, upload_id)
        again.complete({1: found["Parts"][0]["ETag"], 2: again.part(2, b"2" * 64)})
        assert set(self._headers(liar)) == {SseC(key).key_md5}
        assert len(self._headers(liar)) == 4

    def test_default_of_another_client(self, liar: LyingS3, lied_to: Callable[..., Any]) -> None:
        """The mode is the upload's: a client with SSE-C as its default does not force it upon this one."""
        client = lied_to(liar)
        upload_id = client.create_multipart_upload(**PLACE)["UploadId"]
        state = export_upload(client, upload_id)
        other = lied_to(liar, server_side_encryption=SseC(os.urandom(32)))
        resume_upload(other, state, save=Saved())
        again = Run(other, liar, upload_id)
        again.complete({1: again.part(1, b"1" * 64)})
        assert set(self._headers(liar)) == {None}


class TestBesideTheOneThatBegan:
    """A client that saves its states may still be there when another of its process goes on from one."""

    def test_who_resumes_has_it(
        self, begin: Callable[..., Run], lied_to: Callable[..., Any], http_liar: LyingS3
    ) -> None:
        """The client before encrypts nothing more: its next part would lie where the other's does."""
        saved, run = Saved(), begin()
        export_upload(run.client, run.id, save=saved)
        other = Run(lied_to(http_liar), http_liar, run.id)
        resume_upload(other.client, saved.newest, save=Saved())
        with pytest.raises(MultipartStateError, match="resumed by another client"):
            run.part(1, b"1" * 64)
        other.part(1, b"2" * 64)
        assert len(http_liar.state.bodies("PUT")) == 1

    def test_an_older_state(self, begin: Callable[..., Run], lied_to: Callable[..., Any], http_liar: LyingS3) -> None:
        """It is refused though S3 does not show the part that left since, and the client before goes on."""
        saved, run = Saved(), begin()
        export_upload(run.client, run.id, save=saved)
        run.part(1, b"1" * 64)
        http_liar.state.uploads[run.id][2].clear()  # half of it was sent
        other = lied_to(http_liar)
        with pytest.raises(MultipartStateError, match="not the newest"):
            resume_upload(other, saved.states[0], save=Saved())
        run.part(2, b"2" * 64)
        resume_upload(other, saved.newest, save=Saved())


class TestStateFile:
    """The file for a state."""

    def test_it_holds_the_newest(self, tmp_path: Path) -> None:
        """Saved, read, replaced, removed; nothing else is left in the folder but the lock."""
        path = tmp_path / "upload"
        with UploadStateFile(path) as state:
            assert not state.exists()
            for blob in (b"one", b"two"):
                state.save(blob)
                assert state.read() == blob
            assert path.stat().st_mode & 0o077 == 0
            assert {child.name for child in tmp_path.iterdir()} == {"upload", "upload.lock"}
        with UploadStateFile(path) as state:
            assert state.exists()
            state.remove()
            assert not state.exists()

    def test_outside_of_its_lock(self, tmp_path: Path) -> None:
        """Nothing is saved without the lock."""
        with pytest.raises(MultipartStateError, match="under its lock"):
            UploadStateFile(tmp_path / "upload").save(b"state")

    @forks
    @pytest.mark.parametrize("use", [lambda s: s.read(), lambda s: s.save(b"child"), lambda s: s.remove()])
    def test_a_forked_process(self, tmp_path: Path, use: Callable[[UploadStateFile], Any]) -> None:
        """A forked process shares the lock, so it is refused by its number."""
        with UploadStateFile(tmp_path / "upload") as state:
            state.save(b"parent")
            assert refused_in_child(lambda: use(state), MultipartStateError)
            assert state.read() == b"parent"

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])  # noqa: S301
    def test_a_copy_has_no_lock(self, tmp_path: Path, copied: Callable[[Any], Any]) -> None:
        """Copies and pickles lock for themselves, and so find it locked."""
        with UploadStateFile(tmp_path / "upload") as state:
            other = copied(state)
            with pytest.raises(MultipartStateError, match="under its lock"):
                other.save(b"state")
            with pytest.raises(MultipartStateError, match="another process goes on"), other:
                pass

    def test_a_failure_leaves_the_former_state(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever goes wrong while saving, the former state is whole and no half of the new one lies about."""

        def fail(descriptor: int) -> None:
            raise OSError(f"no room for {descriptor}")

        with UploadStateFile(tmp_path / "upload") as state:
            state.save(b"former")
            monkeypatch.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="no room"):
                state.save(b"new")
            assert state.read() == b"former"
            assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.slow
    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        """A second process is refused while the first one lives, killed or not; then it may."""
        path = tmp_path / "upload"
        script = textwrap.dedent(f"""
            import sys, time
            from s3ec import UploadStateFile
            with UploadStateFile({str(path)!r}):
                print("locked", flush=True)
                time.sleep(600)
        """)
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            with pytest.raises(MultipartStateError, match="another process goes on"), UploadStateFile(path):
                pass
        finally:
            process.kill()
            process.communicate()
        with UploadStateFile(path) as state:
            state.save(b"mine now")


def test_with_kms(
    make_client: Callable[..., Any], bucket: str, kms_key: str, kms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a KMS keyring the state is bound to the object's encryption context, and its key is one more data key."""
    monkeypatch.undo()  # this server knows what a small part is
    contexts: list[dict[str, str]] = []
    kms.meta.events.register(
        "before-parameter-build.kms.*", lambda params, **_: contexts.append(params["EncryptionContext"])
    )
    options = {"keyring": KmsKeyring(kms_key, client=kms)}
    first, second = make_client(**options), make_client(**options)
    place = {"Bucket": bucket, "Key": "k"}
    upload_id = first.create_multipart_upload(**place, EncryptionContext={"team": "hr"})["UploadId"]
    etag = first.upload_part(**place, UploadId=upload_id, PartNumber=1, Body=b"1" * 64)["ETag"]
    resume_upload(second, export_upload(first, upload_id), save=Saved())
    etag = second.upload_part(**place, UploadId=upload_id, PartNumber=1, Body=b"1" * 64)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    second.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload=parts)
    assert second.get_object(**place, EncryptionContext={"team": "hr"})["Body"].read() == b"1" * 64
    assert [context["team"] for context in contexts] == ["hr"] * len(contexts)
    assert len(contexts) == 6  # object, state; state, object, state of the second client; the read


@pytest.mark.slow
def test_every_cut_of_every_order(
    begin: Callable[..., Run], resume: Callable[..., tuple[Run, dict[str, Any]]], http_liar: LyingS3
) -> None:
    """Three parts in every order, cut after each: the resumed upload always ends as the same object."""
    parts = {1: os.urandom(70), 2: os.urandom(91), 3: os.urandom(13)}
    for order in itertools.permutations(parts):
        for cut in range(len(order) + 1):
            http_liar.state.attempts.clear()
            saved, run = Saved(), begin()
            export_upload(run.client, run.id, save=saved)
            for number in order[:cut]:
                run.part(number, parts[number])
            again, found = resume(saved.newest)
            etags = {part["PartNumber"]: part["ETag"] for part in found["Parts"]}
            for number in order:
                etags.setdefault(number, "")
                etags[number] = etags[number] or again.part(number, parts[number])
            again.complete(etags)
            stored_is(http_liar, b"".join(parts.values()), again.client)
