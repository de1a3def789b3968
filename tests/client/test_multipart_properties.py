"""Any interleaving of parts, repeats and failures: the object in the order of its parts, or an error of ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from s3ec import AesKeyring, EncryptionClient
from s3ec.client.multipart import storage as multipart_storage
from s3ec.errors import MultipartStateError
from s3ec.s3.multipart import state as multipart_state
from s3ec.s3.multipart import turnstile as multipart_turnstile

from support.lying_s3 import LyingS3, lying_s3
from support.one_shot import check_wire, one_shot, sent_parts

WRAPPING_KEY = bytes(range(32))
PLACE = {"Bucket": "b", "Key": "k"}

numbers = st.integers(min_value=1, max_value=6)
# Short ones are held back, long ones are sent.
bodies = st.one_of(st.binary(max_size=70), st.binary(min_size=64, max_size=150))


@pytest.fixture(scope="module")
def server() -> Iterator[LyingS3]:
    """One server for all examples."""
    with lying_s3() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: LyingS3) -> Iterator[EncryptionClient]:
    """One client, in whose small memory half of the parts that wait find no room."""
    arguments = server.arguments(config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20))
    made = EncryptionClient(keyring=AesKeyring(WRAPPING_KEY), buffer_size=100, **arguments)
    with contextlib.closing(made), pytest.MonkeyPatch.context() as patch:
        # Bytes do what megabytes would, and nobody waits long for a part that does not come.
        patch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 64)
        patch.setattr(multipart_storage, "CHUNK_SIZE", 48)
        patch.setattr(multipart_turnstile, "_PATIENCE", 0.001)
        yield made


class Interleavings(RuleBasedStateMachine):
    """One upload at a time, with a model that is a dict."""

    client: Any
    server: LyingS3

    @initialize()
    def begin(self) -> None:
        """Begin an upload."""
        self.server.state.objects.clear()
        self.server.state.attempts.clear()
        self.id = self.client.create_multipart_upload(**PLACE)["UploadId"]
        self.metadata = self.server.state.uploads[self.id][1]
        self.given: dict[int, bytes] = {}
        self.etags: dict[int, str] = {}
        self.sealed = False

    def _part(self, number: int, data: bytes) -> None:
        answer = self.client.upload_part(**PLACE, UploadId=self.id, PartNumber=number, Body=data)
        self.etags[number] = answer["ETag"]

    @rule(number=numbers, data=bodies)
    def give(self, number: int, data: bytes) -> None:
        """A part, the same one again, or the same number with other bytes."""
        known = self.given.get(number)
        if known not in (None, data) or (self.sealed and known is None):
            with pytest.raises(MultipartStateError):
                self._part(number, data)
            return
        self.given[number] = data
        self._part(number, data)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def give_again(self, data: st.DataObject) -> None:
        """A part that was given, with the same bytes."""
        number = data.draw(st.sampled_from(sorted(self.given)))
        self._part(number, self.given[number])

    @rule(number=numbers, data=bodies)
    def give_to_a_failing_server(self, number: int, data: bytes) -> None:
        """S3 loses a part, if it is one that goes out at once."""
        if self.sealed or self.given.get(number, data) != data:
            return
        self.server.lies.fail_after_body = 1
        self.given[number] = data
        with contextlib.suppress(ClientError):
            self._part(number, data)
        self.server.lies.fail_after_body = 0

    @rule(missing=numbers)
    def complete_without_a_part(self, missing: int) -> None:
        """A list that lacks a part is refused."""
        listed = [number for number in sorted(self.etags) if number != missing]
        if listed == sorted(self.given):
            return
        with pytest.raises(MultipartStateError):
            self._complete(listed)

    @rule()
    def complete_on_a_failing_server(self) -> None:
        """S3 fails somewhere in the completion; the list is final from then on."""
        if not self.given or self.etags.keys() != self.given.keys():
            return
        self.server.lies.fail_after_body = 1
        with pytest.raises(ClientError):
            self._complete(sorted(self.etags))
        self.sealed = True

    @rule()
    def complete(self) -> None:
        """The object is what one call of AES-GCM makes of the parts in order."""
        if not self.given or self.etags.keys() != self.given.keys():
            return
        self._complete(sorted(self.etags))
        plaintext = b"".join(self.given[number] for number in sorted(self.given))
        stored = self.server.state.objects["b/k"]
        assert stored.body == one_shot(stored.metadata, WRAPPING_KEY, plaintext)
        assert self.client.get_object(**PLACE)["Body"].read() == plaintext
        self.one_stream()
        self.begin()

    def _complete(self, listed: list[int]) -> None:
        parts = [{"PartNumber": number, "ETag": self.etags[number]} for number in listed]
        self.client.complete_multipart_upload(**PLACE, UploadId=self.id, MultipartUpload={"Parts": parts})

    @rule()
    def abort(self) -> None:
        """Give up and begin again."""
        self.client.abort_multipart_upload(**PLACE, UploadId=self.id)
        with pytest.raises(MultipartStateError):
            self._part(1, b"too late")
        self.begin()

    @invariant()
    def one_stream(self) -> None:
        """Whatever arrived so far is a piece of one stream over the parts."""
        if hasattr(self, "given") and sent_parts(self.server.state, self.id):
            check_wire(self.server.state, self.id, self.metadata, WRAPPING_KEY, self.given)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "id"):
            self.client.abort_multipart_upload(**PLACE, UploadId=self.id)


@pytest.mark.slow
def test_interleavings(client: EncryptionClient, server: LyingS3) -> None:
    """Parts in any order, repeated, lost, completed wrongly and rightly: no broken object, no two plaintexts."""
    Interleavings.client, Interleavings.server = client, server
    run_state_machine_as_test(
        Interleavings,
        settings=settings(max_examples=max(settings().max_examples // 3, 10), stateful_step_count=25),
    )


@pytest.mark.slow
@given(data=st.data(), sizes=st.lists(st.integers(min_value=0, max_value=200), min_size=1, max_size=12))
def test_threads(client: EncryptionClient, server: LyingS3, data: st.DataObject, sizes: list[int]) -> None:
    """Parts and their repeats from several threads at once, in any order: the same object as from one."""
    server.state.attempts.clear()
    parts = {number: os.urandom(size) for number, size in enumerate(sizes, start=1)}
    order = data.draw(st.permutations([*parts, *data.draw(st.lists(st.sampled_from(sorted(parts)), max_size=4))]))
    upload_id = client.create_multipart_upload(**PLACE)["UploadId"]
    metadata = server.state.uploads[upload_id][1]

    def give(number: int) -> dict[str, Any]:
        answer = client.upload_part(**PLACE, UploadId=upload_id, PartNumber=number, Body=parts[number])
        return {"PartNumber": number, "ETag": answer["ETag"]}

    with ThreadPoolExecutor(5) as pool:
        listed = {part["PartNumber"]: part for part in pool.map(give, order)}
    client.complete_multipart_upload(
        **PLACE, UploadId=upload_id, MultipartUpload={"Parts": [listed[number] for number in sorted(listed)]}
    )
    stored = server.state.objects["b/k"]
    assert stored.body == one_shot(stored.metadata, WRAPPING_KEY, b"".join(parts[number] for number in sorted(parts)))
    check_wire(server.state, upload_id, metadata, WRAPPING_KEY, parts)
