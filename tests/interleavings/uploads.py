"""The multipart protocol under every interleaving: what happens in one upload, and what must hold whatever happened.

The invariant: one plaintext for every counter. Of all that ever left the client, whether S3 has it or not, no two
bytes of ciphertext at one place of the object's keystream stand for different plaintext; at most one tag leaves; and
an object that is completed opens, with ``cryptography`` alone, as its parts one after another.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3ec import export_upload, resume_upload
from s3ec.client.multipart.resumed_uploads import ResumedUploads
from s3ec.errors import MultipartStateError

from interleavings.scheduler import set_everywhere
from interleavings.store import Store
from support.one_shot import COMMITTING_IV, COMMITTING_NUMBER, content_key, one_shot

__all__ = ["REFUSALS", "SCENARIOS", "SENT_AT_ONCE", "WRAPPING_KEY", "Moment", "Scenario", "Upload", "go_on"]

WRAPPING_KEY = bytes(range(32))
PLACE = {"Bucket": "b", "Key": "k"}
SENT_AT_ONCE, KEPT = 70, 21
"""Lengths: of a part that leaves when it is encrypted, and of one that may be the last and waits for the tag. Both end
amid a block."""
REFUSALS = (MultipartStateError, ClientError)
"""Ours, and S3's own."""
_LONGEST = 1024


@dataclass
class Upload:
    """One upload of one client, and the model beside it.

    Attributes:
        offered: every plaintext that was ever given under a part's number.
        accepted: the one that a call took, with the ETag that it answered.
        completed: what was asked for when a completion went well.
        saved: every state that was saved, oldest first.
    """

    client: Any
    store: Store
    id: str = ""
    offered: dict[int, list[bytes]] = field(default_factory=dict)
    accepted: dict[int, bytes] = field(default_factory=dict)
    etags: dict[int, str] = field(default_factory=dict)
    completed: bytes | None = None
    saved: list[bytes] = field(default_factory=list)

    def begin(self) -> None:
        """Create it."""
        self.id = self.client.create_multipart_upload(**PLACE)["UploadId"]

    def part(self, number: int, data: bytes) -> bool:
        """Give a part; False if it was refused."""
        self.offered.setdefault(number, []).append(data)
        try:
            answer = self.client.upload_part(**PLACE, UploadId=self.id, PartNumber=number, Body=data)
        except REFUSALS:
            return False
        assert self.accepted.setdefault(number, data) == data, f"part {number} was taken with two contents"
        self.etags[number] = answer["ETag"]
        return True

    def complete(self) -> bool:
        """Make the object of all that was accepted; False if that was refused."""
        listed = dict(sorted(self.etags.items()))
        plaintext = b"".join(self.accepted[number] for number in listed)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in listed.items()]
        try:
            self.client.complete_multipart_upload(**PLACE, UploadId=self.id, MultipartUpload={"Parts": parts})
        except REFUSALS:
            return False
        self.completed = plaintext
        return True

    def abort(self) -> None:
        """Give it up."""
        try:
            self.client.abort_multipart_upload(**PLACE, UploadId=self.id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise

    def export(self, *, keep: bool) -> bool:
        """Hand the upload over, or have every state of it saved from now on; False if that was refused."""
        try:
            if not keep:
                self.saved.append(export_upload(self.client, self.id))
            else:
                export_upload(self.client, self.id, save=self._save)
        except MultipartStateError:
            return False
        return True

    def _save(self, state: bytes) -> None:
        self.store.at_moment()  # the process may die before it is safe
        self.saved.append(state)
        self.store.at_moment()

    @cached_property
    def keystream(self) -> bytes:
        """Of the object's own key."""
        key = content_key(self.store.metadata[self.id], WRAPPING_KEY)
        return AESGCM(key).encrypt(COMMITTING_IV, bytes(_LONGEST), COMMITTING_NUMBER)[:_LONGEST]

    def check(self) -> None:
        """Raise if the invariant does not hold of what has left so far."""
        plaintext: dict[int, int] = {}
        tags = set()
        for number, body in self.store.log:
            start, data = self._read(number, body)
            for place, byte in enumerate(data, start):
                assert plaintext.setdefault(place, byte) == byte, f"two plaintexts at counter byte {place}"
            if body[len(data) :]:
                tags.add(body[len(data) :])
        assert len(tags) <= 1, "two tags left under one IV"
        for body in self.store.objects.values():
            assert self.completed is None or body == one_shot(
                self.store.metadata[self.id], WRAPPING_KEY, self.completed
            ), "the object is not that of its parts"

    def _read(self, number: int, body: bytes) -> tuple[int, bytes]:
        """Where in the keystream a body lies, and which plaintext it is: one of those that were given under its number.

        What is none of them is the tag alone.
        """
        for data in self.offered.get(number, []):
            if len(body) - len(data) in (0, 16):
                wanted = bytes(one ^ two for one, two in zip(body, data, strict=False))
                start = self.keystream.find(wanted)
                if start >= 0:
                    return start, data
        assert len(body) == 16, f"what left as part {number} is no piece of the stream under any content given for it"
        return 0, b""


@dataclass(frozen=True)
class Moment:
    """What is left of a process that dies now: what S3 received, what it has, and which states were saved."""

    received: int
    at_s3: dict[int, bytes] | None
    saved: int

    @classmethod
    def of(cls, upload: Upload) -> Moment:
        parts = upload.store.parts.get(upload.id)
        return cls(len(upload.store.log), None if parts is None else dict(parts), len(upload.saved))


def go_on(client: Any, before: Upload, moment: Moment, state: int) -> str:
    """Let another process resume a saved state, and give other bytes wherever it takes them.

    Args:
        client: of the other process.
        before: the upload of the process that died.
        moment: when.
        state: which of the saved states is brought back.

    Returns:
        "resumed", "refused", or "outside" where the invariant broke in the one way that is left to the caller: an older
        state, after which only parts left that S3 does not show.
    """
    received = before.store.log[: moment.received]
    if moment.at_s3 is None:
        return "refused"  # S3 no longer has the upload
    store = Store(metadata=before.store.metadata, parts={before.id: dict(moment.at_s3)}, log=list(received))
    store.listen(client)
    after = Upload(client, store, before.id, offered={number: list(data) for number, data in before.offered.items()})
    with pytest.MonkeyPatch.context() as patch:
        set_everywhere(patch, "resumed_uploads", ResumedUploads())  # nothing in common with the process that died
        try:
            found = resume_upload(client, before.saved[state], save=after.saved.append)
        except REFUSALS:
            assert state < moment.saved - 1, "the newest state was refused"
            return "refused"
        known = {part["PartNumber"] for part in (*found["Parts"], *found["MissingParts"])}
        _finish(after, known)
    shown = {number for number, _ in received} <= set(moment.at_s3)
    try:
        after.check()
    except AssertionError:
        if state < moment.saved - 1 and not shown:
            return "outside"
        raise
    return "resumed"


def _finish(after: Upload, known: set[int]) -> None:
    """Other bytes for every part; where they are refused, those that were given before; and the object."""
    before = {number: list(data) for number, data in after.offered.items()}
    for number in sorted(before):
        taken = after.part(number, os.urandom(SENT_AT_ONCE))
        assert not (taken and number in known), f"part {number} was known, and was taken with other bytes"
        if not taken:
            assert any(after.part(number, data) for data in before[number]) or number not in known
    assert after.complete() or not after.etags


@dataclass(frozen=True)
class Scenario:
    """What a few threads do with one upload.

    Attributes:
        threads: given the upload, what each thread does.
        before: what has happened before they begin.
        dies: whether the process may die at any moment, and another resumes what was saved.
    """

    threads: Callable[[Upload], list[Callable[[], object]]]
    before: Callable[[Upload], object] = lambda upload: None
    dies: bool = False

    @property
    def number_of_threads(self) -> int:
        """How many there are."""
        return len(self.threads(Upload(None, Store())))


def _one_number(upload: Upload) -> list[Callable[[], object]]:
    return [lambda: upload.part(1, os.urandom(SENT_AT_ONCE)), lambda: upload.part(1, os.urandom(SENT_AT_ONCE))]


def _two_parts(upload: Upload) -> None:
    upload.part(1, os.urandom(SENT_AT_ONCE))
    upload.part(2, os.urandom(KEPT))


def _part(number: int, length: int = SENT_AT_ONCE) -> Callable[[Upload], Callable[[], object]]:
    return lambda upload: lambda: upload.part(number, os.urandom(length))


def _threads(*works: Callable[[Upload], Callable[[], object]]) -> Callable[[Upload], list[Callable[[], object]]]:
    return lambda upload: [work(upload) for work in works]


def _again(upload: Upload) -> Callable[[], object]:
    return lambda: upload.part(1, upload.offered[1][0])


def _lost_and_changed(upload: Upload) -> Callable[[], object]:
    def work() -> None:
        upload.store.fails_after.add("PUT part")
        upload.part(1, os.urandom(SENT_AT_ONCE))
        upload.part(1, os.urandom(SENT_AT_ONCE))

    return work


def _fails_and_completes(upload: Upload) -> Callable[[], object]:
    def work() -> None:
        upload.store.fails_after.add("PUT part")
        if not upload.complete():
            upload.complete()

    return work


def _complete(upload: Upload) -> Callable[[], object]:
    return upload.complete


def _abort(upload: Upload) -> Callable[[], object]:
    return upload.abort


def _hand_over(upload: Upload) -> Callable[[], object]:
    return lambda: upload.export(keep=False)


def _keep(upload: Upload) -> None:
    assert upload.export(keep=True)


def _keep_two_parts(upload: Upload) -> None:
    _keep(upload)
    _two_parts(upload)


def _keep_two_sent_parts(upload: Upload) -> None:
    """The tag of these will be a part of its own."""
    _keep(upload)
    for number in (1, 2):
        upload.part(number, os.urandom(SENT_AT_ONCE))


SCENARIOS: dict[str, Scenario] = {
    "two parts": Scenario(_threads(_part(1), _part(2))),
    "three parts, the last one kept": Scenario(_threads(_part(2), _part(1), _part(3, KEPT))),
    "other bytes for one part": Scenario(_one_number),
    "other bytes for a part that waits": Scenario(_threads(_part(2), _part(2), _part(1))),
    "the same part again, and other bytes": Scenario(_threads(_again, _part(1)), before=_two_parts),
    "an answer lost, then other bytes": Scenario(_threads(_lost_and_changed, _part(2))),
    "abort amid parts": Scenario(_threads(_part(1), _part(2), _abort)),
    "complete twice": Scenario(_threads(_complete, _complete), before=_two_parts),
    "complete, and other bytes": Scenario(_threads(_complete, _part(2, KEPT)), before=_two_parts),
    "complete, and one more part": Scenario(_threads(_complete, _part(3)), before=_two_parts),
    "complete, and abort": Scenario(_threads(_complete, _abort), before=_two_parts),
    "complete twice where S3 fails": Scenario(_threads(_fails_and_completes, _complete), before=_two_parts),
    "hand over amid parts": Scenario(_threads(_part(1), _part(2), _hand_over), dies=True),
    "die amid parts": Scenario(_threads(_part(1), _part(2)), before=_keep, dies=True),
    "die amid other bytes for one part": Scenario(_one_number, before=_keep, dies=True),
    "die while completing": Scenario(_threads(_complete, _part(3)), before=_keep_two_parts, dies=True),
    "die while the tag leaves": Scenario(_threads(_complete, _part(3)), before=_keep_two_sent_parts, dies=True),
}
