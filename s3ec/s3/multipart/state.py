"""One multipart upload while it lives: parts in any order from anywhere become one sound object or a clear error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from s3ec.algorithms import BLOCK_LENGTH
from s3ec.errors import MultipartStateError, ObjectTooLargeError
from s3ec.s3.flow import Flow, RefusedError, Wait, together, work
from s3ec.s3.flow import take_in as taken_in
from s3ec.s3.multipart.ledger import Ledger, PartListError, PartRecord
from s3ec.s3.multipart.requests import (
    LAST_PART_NUMBER,
    MAXIMUM_PART_LENGTH,
    MINIMUM_PART_LENGTH,
    EncryptedUpload,
    complete_upload,
    recorded_part,
    send_part,
    without_checksums,
)
from s3ec.s3.multipart.room import PartContent, Room
from s3ec.s3.multipart.snapshot import SnapshotKeeper, UploadSnapshot, ledger_of, take_snapshot
from s3ec.s3.multipart.turnstile import Turnstile
from s3ec.s3.put_object import Plaintext
from s3ec.s3.surroundings import Surroundings

__all__ = ["Claims", "FullChecksum", "GivenPart", "UploadState"]

_SENDERS = 8


class Claims(Protocol):
    """What the caller says about a part's plaintext."""

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        ...

    def check(self) -> None:
        """Refuse what is not as they say."""
        ...

    def checksums(self) -> dict[str, str]:
        """The checksums of all that passed, by the request member's name."""
        ...


class FullChecksum(Protocol):
    """The checksum of all plaintext that the caller may check at the end."""

    @property
    def observe(self) -> Callable[[memoryview], object] | None:
        """What has to see the plaintext, in order; None where nothing is computed."""
        ...

    def check_claims(self, claims: Mapping[str, str]) -> None:
        """Refuse what could not be verified."""
        ...

    def compare(self, claims: Mapping[str, str]) -> None:
        """Refuse what is not as they say."""
        ...


@dataclass(frozen=True, slots=True)
class GivenPart:
    """What became of a part.

    Attributes:
        answer: S3's, without its checksums; None for a part that S3 gets later.
        etag: for the caller to list; a stand-in for a part that S3 gets later.
        length: bytes of plaintext.
        checksums: the plaintext's, as far as they were asked for.
    """

    answer: dict[str, Any] | None
    etag: str
    length: int
    checksums: dict[str, str]


class UploadState:
    """The state of one upload.

    Attributes:
        upload: what every request of it needs.
    """

    def __init__(
        self, upload: EncryptedUpload, room: Room, checksum: FullChecksum, snapshot: UploadSnapshot | None = None
    ) -> None:
        """Begin, or go on from where another process was.

        Args:
            upload: as it was created.
            room: for its parts.
            checksum: of the whole plaintext.
            snapshot: where another process was.
        """
        self.upload = upload
        self._room = room
        self._ledger = Ledger() if snapshot is None else ledger_of(snapshot)
        self._checksum = checksum
        self._turnstile = Turnstile(
            upload.cipher,
            self._ledger,
            room,
            state=snapshot.stream if snapshot else None,
            observe=checksum.observe,
        )
        self._keeper = SnapshotKeeper(self._ledger, self._turnstile)
        self._tag_part: PartRecord | None = None
        self._completed_with: list[Mapping[str, Any]] | None = None
        self._completing = False

    # Parts.

    def upload_part(
        self,
        s3: Surroundings,
        number: int,
        source: Plaintext,
        claims: Claims,
        given: Mapping[str, Any],
        *,
        own: bool = False,
    ) -> Flow[GivenPart]:
        """Encrypt a part in its turn and send it, or keep it until that can be done.

        Args:
            s3: the client.
            number: its part number.
            source: its plaintext.
            claims: what the caller says about it. The checksums that it takes may be listed again when the upload is
                completed.
            given: the caller's own parameters for S3.
            own: True for a part that the caller did not give with this operation.

        Raises:
            MultipartStateError, ObjectTooLargeError, SourceChangedError: before a byte of it leaves.
        """
        step = self._turnstile.step
        yield from step(lambda: self._begin_part(number, source.length))
        try:
            content, mac = yield from self._read(number, source, claims)
            length = content.length
            record, ready = yield from self._admit(number, content, mac)
        finally:
            yield from step(lambda: self._turnstile.arrived(number))
        checksums = claims.checksums()
        record.checksums.update(checksums)
        if ready is None or (yield from self._hold(record, ready)):
            return GivenPart(None, record.stand_in_etag(), length, checksums)
        answer = yield from self._send(s3, record, ready, source, given, own=own)
        return GivenPart(answer, answer["ETag"], length, checksums)

    def _begin_part(self, number: int, length: int | None) -> None:
        self._turnstile.check_open()
        if length is not None:
            _check_part_length(number, length)
            self._ledger.check_room(number, length)
        self._turnstile.arrive(number)

    def _read(self, number: int, source: Plaintext, claims: Claims) -> Flow[tuple[PartContent, bytes]]:
        mac = self._ledger.mac_for(number)
        length = 0

        def observe(chunk: memoryview) -> None:
            nonlocal length
            length += len(chunk)
            _check_part_length(number, length)  # a stream may never end
            mac.update(chunk)
            claims.update(chunk)

        content: PartContent = yield from taken_in(self._room, source, observe=observe, check=claims.check)
        return content, mac.digest()

    def _admit(self, number: int, content: PartContent, mac: bytes) -> Flow[tuple[PartRecord, PartContent | None]]:
        """Enter a part and have it encrypted: the content comes back as ciphertext, or None where it was kept."""

        def enter() -> tuple[PartRecord, bool]:
            self._turnstile.check_open()
            return self._ledger.enter(number, content.length, mac)

        try:
            while True:
                record, new = yield from self._turnstile.step(enter)
                if new:
                    return record, (yield from self._first_time(record, content))
                if (yield from self._turnstile.step(partial(self._turnstile.settled, record))):
                    return record, (yield from self._again(record, content))
        except BaseException:
            content.close()
            raise

    def _first_time(self, record: PartRecord, content: PartContent) -> Flow[PartContent | None]:
        try:
            return content if (yield from self._turnstile.encrypt(record, content)) else None
        except BaseException:
            yield from self._turnstile.step(lambda: self._drop_unless_encrypted(record))
            raise

    def _drop_unless_encrypted(self, record: PartRecord) -> None:
        if record.offset is None:
            self._ledger.drop(record)

    def _again(self, record: PartRecord, content: PartContent) -> Flow[PartContent | None]:
        """Encrypt the same bytes once more: the same ciphertext, by counter mode at the same place."""
        if record.content is not None or record.offset is None:
            content.close()
            return None
        skipped = record.offset % BLOCK_LENGTH
        encryptor = self.upload.cipher.encryptor_at(record.offset - skipped)
        encryptor.update(bytes(skipped))
        yield from work(lambda: content.encrypt(encryptor))
        return content

    def _hold(self, record: PartRecord, content: PartContent) -> Flow[bool]:
        """Keep the ciphertext of what may be the last part, where the tag belongs, or could only be that."""
        if content.length >= MINIMUM_PART_LENGTH and record.number != LAST_PART_NUMBER:
            return False

        def hold() -> None:
            if record.content is None:
                record.content = content

        try:
            yield from work(lambda: self._room.keep(content, encrypted=True))
            yield from self._turnstile.step(hold)
        finally:
            if record.content is not content:
                content.close()
        return True

    def _send(
        self,
        s3: Surroundings,
        record: PartRecord,
        content: PartContent,
        source: Plaintext | None,
        given: Mapping[str, Any],
        *,
        own: bool,
    ) -> Flow[dict[str, Any]]:
        try:
            yield from self._turnstile.step(lambda: _begin_sending(record))
            try:
                yield from self._keeper.ensure(min(record.number, self._turnstile.passed))
                body = content.body(source)
                answer = yield from send_part(s3, self.upload, record.number, body, given, own=own)
                record.record(recorded_part(record.number, answer))
                record.has_tag = content.ciphertext_length > content.length
            finally:
                yield from self._turnstile.step(lambda: _end_sending(record))
        finally:
            if content is not record.content:
                content.close()
        return without_checksums(answer)

    # The end.

    def complete(
        self,
        s3: Surroundings,
        parts: list[Mapping[str, Any]],
        claims: Mapping[str, str],
        length: int | None,
        given: Mapping[str, Any],
    ) -> Flow[dict[str, Any]]:
        """Make the object; after a failure of S3 this may be called again, and sends nothing twice.

        So it may with the same list once the object is made: S3 says again what it said, or that the upload is gone.

        Args:
            s3: the client.
            parts: the caller's list.
            claims: the caller's checksums of the whole plaintext.
            length: what the caller says the plaintext's length is, or None.
            given: the caller's own parameters for S3.

        Raises:
            MultipartStateError, ConfigurationError: the list or the claims cannot be right; nothing is sealed yet.
            SourceChangedError: a checksum is not that of the plaintext.
            RefusedError: as S3 answers.
        """
        yield from self._turnstile.step(self._begin_completing)
        try:
            return (yield from self._complete(s3, parts, claims, length, given))
        finally:
            yield from self._turnstile.step(self._end_completing)

    def _begin_completing(self) -> Wait | None:
        if self._completing:
            self._turnstile.check_process()
            return Wait()
        self._completing = True
        return None

    def _end_completing(self) -> None:
        self._completing = False

    def _complete(
        self,
        s3: Surroundings,
        parts: list[Mapping[str, Any]],
        claims: Mapping[str, str],
        length: int | None,
        given: Mapping[str, Any],
    ) -> Flow[dict[str, Any]]:
        if self._completed_with is not None:
            if parts != self._completed_with:
                raise PartListError("NoSuchUpload", "the upload was completed with another list of parts")
            return (yield from complete_upload(s3, self.upload, self._sent_parts(), given, again=True))

        def seal() -> None:
            self._turnstile.check_open()
            self._ledger.check_list(parts)
            self._check_length(length)
            self._checksum.check_claims(claims)
            self._ledger.sealed = bool(parts)

        yield from self._turnstile.step(seal)
        if not parts:
            return (yield from complete_upload(s3, self.upload, [], given))  # S3 says why not
        yield from self._turnstile.encrypt_rest()
        self._checksum.compare(claims)
        self._place_tag((yield from self._turnstile.finish()))
        yield from self._send_held(s3)
        response = yield from complete_upload(s3, self.upload, self._sent_parts(), given)
        self._completed_with = parts
        yield from self.close("the upload is completed")
        return response

    def _check_length(self, length: int | None) -> None:
        if length is not None and length != self._ledger.length:
            raise MultipartStateError(
                f"MpuObjectSize says {length} bytes, and the parts given have {self._ledger.length} together"
            )

    def _place_tag(self, tag: bytes) -> None:
        """The tag follows the last part that is still here, or goes as a part of its own."""
        last = list(self._ledger)[-1]
        if last.has_tag or self._tag_part is not None:
            return
        if last.content is not None:
            last.content.append_tag(tag)
            last.has_tag = True
            return
        content = self._room.empty()
        content.append_tag(tag)
        self._tag_part = PartRecord(last.number + 1, 0, b"", offset=self._ledger.length, content=content)

    def _all_records(self) -> Iterator[PartRecord]:
        yield from self._ledger
        if self._tag_part is not None:
            yield self._tag_part

    def _sent_parts(self) -> list[dict[str, Any]]:
        records = list(self._all_records())
        if lost := [str(record.number) for record in records if record.sent is None]:
            # Whatever the reason: without it the object would not open.
            raise MultipartStateError(f"S3 does not have part {', '.join(lost)}; give it again, with the same bytes")
        return [record.sent for record in records if record.sent is not None]

    def _send_held(self, s3: Surroundings) -> Flow[None]:
        held = [
            self._send(s3, record, record.content, None, {}, own=True)
            for record in self._all_records()
            if record.sent is None and record.content is not None
        ]
        yield from together(held, at_once=_SENDERS)

    def close(self, reason: str) -> Flow[None]:
        """Drop everything that is kept here."""

        def drop() -> None:
            self._turnstile.close(reason)
            for record in self._ledger:
                record.content = None

        yield from self._turnstile.step(drop)
        self._room.close()

    def closed_where_gone(self, flow: Flow[dict[str, Any]], forget: Callable[[], object]) -> Flow[dict[str, Any]]:
        """Carry a request out, and let go of the upload if S3 says that it no longer has it.

        Args:
            flow: a request about this upload.
            forget: lets the client forget it.
        """
        try:
            return (yield from flow)
        except RefusedError as refused:
            if refused.code == "NoSuchUpload":
                forget()
                yield from self.close("S3 no longer has the upload")
            raise

    # Continuing elsewhere.

    def hand_over(self) -> Flow[UploadSnapshot]:
        """The state, and the end of the upload in this process."""
        return take_snapshot(
            self._ledger, self._turnstile, close="the upload was exported and goes on where its state is resumed"
        )

    def keep_saved(self, save: Callable[[UploadSnapshot], object]) -> Flow[None]:
        """Have the state saved, now and before each further part leaves; see `SnapshotKeeper.begin`."""
        return self._keeper.begin(save)

    def give_way(self, taken: UploadSnapshot) -> Flow[bool]:
        """End the upload here, where another client of this process resumes it; see `SnapshotKeeper.give_way`."""
        reason = "the upload was resumed by another client of this process, and goes on there"
        given = yield from self._keeper.give_way(taken, reason)
        if given:
            yield from self.close(reason)
        return given

    def restore(self, number: int, part: dict[str, Any], *, has_tag: bool) -> None:
        """S3 has a part that an earlier process sent."""
        record = self._ledger.get(number)
        if record is not None:
            record.record({name: value for name, value in part.items() if name != "Size"})
            record.has_tag = has_tag


def _begin_sending(record: PartRecord) -> Wait | None:
    if record.sending:
        return Wait()
    record.sending = True
    return None


def _end_sending(record: PartRecord) -> None:
    record.sending = False


def _check_part_length(number: int, length: int) -> None:
    if length > MAXIMUM_PART_LENGTH:
        raise ObjectTooLargeError(f"part {number} is larger than the {MAXIMUM_PART_LENGTH} bytes that S3 takes")
