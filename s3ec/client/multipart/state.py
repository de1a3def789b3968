"""One multipart upload while it lives: parts in any order from any thread become one sound object or a clear error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from s3ec import forks
from s3ec.algorithms import BLOCK_LENGTH
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.sources import Source
from s3ec.client.calls.together import for_each
from s3ec.client.multipart.checksum import FullObjectChecksum
from s3ec.client.multipart.ledger import Ledger, PartListError, PartRecord
from s3ec.client.multipart.requests import (
    LAST_PART_NUMBER,
    MAXIMUM_PART_LENGTH,
    MINIMUM_PART_LENGTH,
    EncryptedUpload,
    recorded_part,
    without_checksums,
)
from s3ec.client.multipart.snapshot import SnapshotKeeper, UploadSnapshot, ledger_of, take_snapshot
from s3ec.client.multipart.storage import PartContent, PartMemory, PartSpool
from s3ec.client.multipart.turnstile import Turnstile
from s3ec.errors import MultipartStateError, ObjectTooLargeError

__all__ = ["UploadState"]

_SENDERS = 8


class UploadState:
    """The state of one upload.

    Attributes:
        upload: its requests.
    """

    def __init__(self, upload: EncryptedUpload, snapshot: UploadSnapshot | None = None) -> None:
        """Begin, or go on from where another process was."""
        options = upload.wire.options
        self.upload = upload
        self._buffer_size = options.buffer_size
        self._spool = PartSpool(options.spool_directory)
        self._memory = PartMemory(options.buffer_size)
        self._ledger = Ledger() if snapshot is None else ledger_of(snapshot)
        # A checksum over the plaintext cannot be taken up in the middle.
        self._checksum = FullObjectChecksum({} if snapshot else upload.request)
        self._turnstile = Turnstile(
            upload.cipher,
            self._ledger,
            self._memory,
            state=snapshot.stream if snapshot else None,
            observe=self._checksum.observe,
        )
        self._keeper = SnapshotKeeper(self._ledger, self._turnstile)
        self._tag_part: PartRecord | None = None
        self._completed_with: list[Mapping[str, Any]] | None = None
        self._completing: threading.Lock
        forks.make_in_each_process(self, _completing=threading.Lock)

    # Parts.

    def upload_part(
        self,
        number: int,
        source: Source,
        claims: PlaintextClaims,
        given: Mapping[str, Any],
        upload: EncryptedUpload,
    ) -> dict[str, Any]:
        """Encrypt a part in its turn and send it, or keep it until that can be done.

        Args:
            number: its part number.
            source: its plaintext.
            claims: what the caller says about it. The checksums that it takes may be listed again when the upload is
                completed.
            given: the caller's own parameters for S3.
            upload: the same upload, through the client that is called.

        Returns:
            S3's answer, or one with a stand-in ETag for a part that S3 gets later; checksums are the plaintext's.

        Raises:
            MultipartStateError, ObjectTooLargeError, SourceChangedError: before a byte of it leaves.
        """
        with self._turnstile.arriving(number):
            content = self._read(number, source, claims)
            record, ready = self._admit(number, *content)
        checksums = claims.checksums()
        record.checksums.update(checksums)
        if ready is None or self._hold(record, ready):
            _report_sent(source, record.length)
            return {**upload.answer(record.stand_in_etag()), **checksums}
        return {**self._send(record, ready, source, given, upload), **checksums}

    def _read(self, number: int, source: Source, claims: PlaintextClaims) -> tuple[PartContent, bytes]:
        if source.length is not None:
            _check_part_length(number, source.length)
            with self._turnstile.condition:
                self._ledger.check_room(number, source.length)
        mac = self._ledger.mac_for(number)
        length = 0

        def observe(chunk: memoryview) -> None:
            nonlocal length
            length += len(chunk)
            _check_part_length(number, length)  # a stream may never end
            mac.update(chunk)
            claims.update(chunk)

        content = PartContent.read_from(
            source, self._spool, memory_limit=self._buffer_size, observe=observe, check=claims.check
        )
        return content, mac.digest()

    def _admit(self, number: int, content: PartContent, mac: bytes) -> tuple[PartRecord, PartContent | None]:
        """Enter a part and have it encrypted: the content comes back as ciphertext, or None where it was kept."""
        try:
            while True:
                with self._turnstile.condition:
                    self._turnstile.check_open()
                    record, new = self._ledger.enter(number, content.length, mac)
                if new:
                    return record, self._first_time(record, content)
                if self._turnstile.wait_until_settled(record):
                    return record, self._again(record, content)
        except BaseException:
            content.close()
            raise

    def _first_time(self, record: PartRecord, content: PartContent) -> PartContent | None:
        try:
            return content if self._turnstile.encrypt(record, content) else None
        except BaseException:
            with self._turnstile.condition:
                if record.offset is None:
                    self._ledger.drop(record)
                self._turnstile.condition.notify_all()
            raise

    def _again(self, record: PartRecord, content: PartContent) -> PartContent | None:
        """Encrypt the same bytes once more: the same ciphertext, by counter mode at the same place."""
        if record.content is not None or record.offset is None:
            content.close()
            return None
        skipped = record.offset % BLOCK_LENGTH
        encryptor = self.upload.cipher.encryptor_at(record.offset - skipped)
        encryptor.update(bytes(skipped))
        content.encrypt(encryptor)
        return content

    def _hold(self, record: PartRecord, content: PartContent) -> bool:
        """Keep the ciphertext of what may be the last part, where the tag belongs, or could only be that."""
        if content.length >= MINIMUM_PART_LENGTH and record.number != LAST_PART_NUMBER:
            return False
        self._memory.keep(content, encrypted=True)
        with self._turnstile.condition:
            if record.content is None:
                record.content = content
            elif record.content is not content:
                content.close()
        return True

    def _send(
        self,
        record: PartRecord,
        content: PartContent,
        source: Source | None,
        given: Mapping[str, Any],
        upload: EncryptedUpload,
    ) -> dict[str, Any]:
        try:
            with record.sending:
                self._keeper.ensure(min(record.number, self._turnstile.passed))
                answer = upload.send(record.number, content.body(source), given)
                record.record(recorded_part(record.number, answer))
                record.has_tag = content.ciphertext_length > content.length
        finally:
            if content is not record.content:
                content.close()
        return without_checksums(answer)

    # The end.

    def complete(
        self,
        parts: list[Mapping[str, Any]],
        claims: Mapping[str, str],
        length: int | None,
        given: Mapping[str, Any],
        upload: EncryptedUpload,
    ) -> dict[str, Any]:
        """Make the object; after a failure of S3 this may be called again, and sends nothing twice.

        So it may with the same list once the object is made: S3 says again what it said, or that the upload is gone.

        Args:
            parts: the caller's list.
            claims: the caller's checksums of the whole plaintext.
            length: what the caller says the plaintext's length is, or None.
            given: the caller's own parameters for S3.
            upload: the same upload, through the client that is called.

        Raises:
            MultipartStateError, ConfigurationError: the list or the claims cannot be right; nothing is sealed yet.
            SourceChangedError: a checksum is not that of the plaintext.
            botocore.exceptions.ClientError: as S3 answers.
        """
        with self._completing:
            if self._completed_with is not None:
                if parts != self._completed_with:
                    raise PartListError("NoSuchUpload", "the upload was completed with another list of parts")
                return upload.complete(self._sent_parts(), given, again=True)
            with self._turnstile.condition:
                self._turnstile.check_open()
                self._ledger.check_list(parts)
                self._check_length(length)
                self._checksum.check_claims(claims)
                self._ledger.sealed = bool(parts)
            if not parts:
                return upload.complete([], given)  # S3 says why not
            self._turnstile.encrypt_rest()
            self._checksum.compare(claims)
            self._place_tag(self._turnstile.finish())
            self._send_held(upload)
            response = upload.complete(self._sent_parts(), given)
            self._completed_with = parts
            self.close("the upload is completed")
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
        content = PartContent(self._spool)
        content.append_tag(tag)
        self._tag_part = PartRecord(last.number + 1, 0, b"", offset=self._ledger.length, content=content)

    def _sent_parts(self) -> list[dict[str, Any]]:
        records = [*self._ledger, *([self._tag_part] if self._tag_part else [])]
        if lost := [str(record.number) for record in records if record.sent is None]:
            # Whatever the reason: without it the object would not open.
            raise MultipartStateError(f"S3 does not have part {', '.join(lost)}; give it again, with the same bytes")
        return [record.sent for record in records if record.sent is not None]

    def _send_held(self, upload: EncryptedUpload) -> None:
        records = [*self._ledger, *([self._tag_part] if self._tag_part else [])]
        held = [(record, record.content) for record in records if record.sent is None and record.content is not None]
        for_each(lambda each: self._send(*each, None, {}, upload), held, _SENDERS)

    def close(self, reason: str) -> None:
        """Drop everything that is kept here."""
        self._turnstile.close(reason)
        self._spool.close()
        with self._turnstile.condition:
            for record in self._ledger:
                record.content = None

    # Continuing elsewhere.

    def hand_over(self) -> UploadSnapshot:
        """The state, and the end of the upload in this process."""
        return take_snapshot(
            self._ledger, self._turnstile, close="the upload was exported and goes on where its state is resumed"
        )

    def keep_saved(self, save: Callable[[UploadSnapshot], None]) -> None:
        """Have the state saved, now and before each further part leaves; see `SnapshotKeeper.begin`."""
        self._keeper.begin(save)

    def give_way(self, taken: UploadSnapshot) -> bool:
        """End the upload here, where another client of this process resumes it; see `SnapshotKeeper.give_way`."""
        reason = "the upload was resumed by another client of this process, and goes on there"
        given = self._keeper.give_way(taken, reason)
        if given:
            self.close(reason)
        return given

    def restore(self, number: int, part: dict[str, Any], *, has_tag: bool) -> None:
        """S3 has a part that an earlier process sent."""
        record = self._ledger.get(number)
        if record is not None:
            record.record({name: value for name, value in part.items() if name != "Size"})
            record.has_tag = has_tag


def _check_part_length(number: int, length: int) -> None:
    if length > MAXIMUM_PART_LENGTH:
        raise ObjectTooLargeError(f"part {number} is larger than the {MAXIMUM_PART_LENGTH} bytes that S3 takes")


def _report_sent(source: Source, length: int) -> None:
    """Count a part that is kept as sent, as s3transfer would have counted it on its way."""
    if source.rewindable:
        source.rewind()
    source.signal("signal_transferring")
    source.report_position(length)
    source.signal("signal_not_transferring")
