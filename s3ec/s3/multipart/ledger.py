"""The ledger of an upload: which plaintext was given for which part, so that no counter ever meets a second one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.crypto import random
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import ConfigurationError, MultipartStateError, ObjectTooLargeError
from s3ec.s3.multipart.room import PartContent
from s3ec.secrets import Secret

__all__ = ["Ledger", "PartListError", "PartMac", "PartRecord", "without_quotes"]

_CHUNK_BITS = 32  # a part has far fewer chunks


class PartListError(MultipartStateError):
    """A list of parts that S3 has an error code for.

    Attributes:
        code: S3's, as in "Error responses" of its API reference.
    """

    def __init__(self, code: str, message: str) -> None:
        """Take S3's code and the text."""
        super().__init__(message)
        self.code = code


class PartMac:
    """A keyed MAC over one part's plaintext, taken chunk by chunk as it is read."""

    def __init__(self, mac: ChunkMac, number: int) -> None:
        """Take the upload's MAC and the part number."""
        self._mac = mac
        self._base = number << _CHUNK_BITS
        self._tags: list[bytes] = []

    def update(self, chunk: memoryview) -> None:
        """Take the next chunk; all but the last have the same length."""
        self._tags.append(self._mac.of(self._base + len(self._tags) + 1, chunk))

    def digest(self) -> bytes:
        """16 bytes over all chunks."""
        return self._mac.of(self._base, b"".join(self._tags))


@dataclass(slots=True, eq=False)
class PartRecord:
    """What is known of one part.

    Attributes:
        number: its part number.
        length: bytes of plaintext.
        mac: MAC of the plaintext.
        offset: where it lies in the plaintext of the object; None until it is encrypted.
        content: what is kept of it here: plaintext that waits for its turn, or ciphertext that waits for the end.
        sent: what ``complete_multipart_upload`` has to say about it; None until S3 has it.
        etags: every ETag that the caller was given for it.
        checksums: the caller's own checksums of the plaintext that were verified.
        has_tag: True if the object's tag follows its ciphertext.
        sending: True while a flow sends it; only one at a time does, so that the answer kept is that of the last
            ciphertext that S3 received.
    """

    number: int
    length: int
    mac: bytes = field(repr=False)
    offset: int | None = None
    content: PartContent | None = None
    sent: dict[str, Any] | None = None
    etags: set[str] = field(default_factory=set)
    checksums: dict[str, str] = field(default_factory=dict)
    has_tag: bool = False
    sending: bool = False

    @property
    def waits(self) -> bool:
        """True if its plaintext is kept until the parts before it are encrypted."""
        return self.offset is None and self.content is not None

    def stand_in_etag(self) -> str:
        """An ETag for a part that S3 does not have yet; the real one takes its place when the upload is completed."""
        etag = f'"{secrets.token_hex(16)}"'
        self.etags.add(without_quotes(etag))
        return etag

    def record(self, part: dict[str, Any]) -> None:
        """S3 has the part."""
        self.sent = part
        self.etags.add(without_quotes(part["ETag"]))


class Ledger:
    """The parts of one upload, entered and looked up in steps of the upload's state alone.

    Attributes:
        mac_key: key of the MACs.
        length: bytes of plaintext of all parts together.
        sealed: True from the moment that the list of parts is final.
    """

    def __init__(self, mac_key: Secret[bytes] | None = None) -> None:
        """Start empty, with a key for the MACs or that of an earlier ledger."""
        self.mac_key = Secret(random.data_key()) if mac_key is None else mac_key
        self._mac = ChunkMac(self.mac_key)
        self._records: dict[int, PartRecord] = {}
        self.length = 0
        self.sealed = False

    def __iter__(self) -> Iterator[PartRecord]:
        """In the order of the part numbers."""
        return iter([self._records[number] for number in sorted(self._records)])

    def get(self, number: int) -> PartRecord | None:
        """The record of a part."""
        return self._records.get(number)

    def mac_for(self, number: int) -> PartMac:
        """A fresh MAC for a part."""
        return PartMac(self._mac, number)

    def check_room(self, number: int, length: int) -> None:
        """Refuse a part with which the object would be larger than one GCM stream may be.

        Raises:
            ObjectTooLargeError: before any of it is encrypted.
        """
        known = self._records.get(number)
        total = self.length + (0 if known else length)
        if total > GCM_MAX_PLAINTEXT_LENGTH:
            raise ObjectTooLargeError(
                f"with part {number} the object would have {total} bytes, more than the {GCM_MAX_PLAINTEXT_LENGTH} "
                "that one key may encrypt (AES-GCM, 2^36 - 32); split the data into several objects"
            )

    def enter(self, number: int, length: int, mac: bytes) -> tuple[PartRecord, bool]:
        """Enter a part, or find it entered with the same bytes.

        Returns:
            The record, and True if it is new.

        Raises:
            MultipartStateError: a new part after the end; or other bytes than the first time. Encrypted at the same
                place they and the first ones would give each other away, so not a byte of them leaves, even where the
                first attempt failed.
            ObjectTooLargeError: see `check_room`.
        """
        known = self._records.get(number)
        if known is None:
            if self.sealed:
                raise MultipartStateError(f"part {number} comes after the upload was completed: its tag may be made")
            self.check_room(number, length)
            record = self._records[number] = PartRecord(number, length, mac)
            self.length += length
            return record, True
        if known.length != length or not ChunkMac.equal(known.mac, mac):
            raise MultipartStateError(
                f"part {number} was given before with other bytes; a part may be sent again only as it was, since two "
                "plaintexts under one key and counter give each other away. Abort the upload and start a new one"
            )
        return known, False

    def drop(self, record: PartRecord) -> None:
        """Forget a part that was never encrypted."""
        del self._records[record.number]
        self.length -= record.length

    def check_list(self, parts: list[Mapping[str, Any]]) -> None:
        """Check the caller's list of parts against those that were given.

        Raises:
            PartListError: parts out of order, or such as S3 would not find.
            MultipartStateError: a part that was given is left out: the object would not open.
            ConfigurationError: a checksum that was never verified.
        """
        listed = [part.get("PartNumber") for part in parts]
        numbers = [number for number in listed if number is not None]
        if len(numbers) < len(listed):
            raise PartListError("MalformedXML", "a part in the list has no PartNumber")
        if any(before >= number for before, number in zip(numbers, numbers[1:], strict=False)):
            raise PartListError(
                "InvalidPartOrder", f"the list of parts is not in ascending order: it has {_numbers(numbers)}"
            )
        for part in parts:
            self._check_part(self._records.get(part["PartNumber"]), part)
        given = sorted(self._records)
        if numbers != given:
            raise MultipartStateError(
                f"the list has the parts {_numbers(numbers)}, and given were {_numbers(given)}; one object is one "
                "stream, so it must be every part that was given"
            )

    def _check_part(self, record: PartRecord | None, part: Mapping[str, Any]) -> None:
        if record is None:
            raise PartListError("InvalidPart", f"part {part['PartNumber']} was not given with upload_part")
        if without_quotes(part.get("ETag", "")) not in record.etags:
            raise PartListError(
                "InvalidPart", f"the ETag listed for part {record.number} is not one that upload_part answered"
            )
        sent = record.sent or {}
        for name, value in part.items():
            if name.startswith("Checksum") and value not in (record.checksums.get(name), sent.get(name)):
                raise ConfigurationError(
                    f"{name} of part {record.number} was not given with upload_part, so it was not verified; give it "
                    "there, or leave it out (S3's own checksums of the ciphertext are added here)"
                )


def without_quotes(etag: str) -> str:
    """An ETag as S3 compares it; callers leave the quotes out or keep them."""
    return etag.strip('"')


def _numbers(numbers: list[Any]) -> str:
    text = ", ".join(str(number) for number in numbers[:20]) or "none"
    return f"{text}, … ({len(numbers)})" if len(numbers) > 20 else text
