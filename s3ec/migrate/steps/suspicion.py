"""Ciphertext that lost the word of what it is must never be taken for plaintext: encrypted again it is lost.

An object of V1 or V2 whose instruction file is gone shows nothing in its headers. But ciphertext looks like random
bytes and like nothing else, so what evidently is something else needs no second look. For the rest a listing that shows
no instruction file is not believed, and the history of a bucket that keeps versions is asked for one.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import zlib
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.migrate.model import SkipReason, Task
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, code_of, status_of

__all__ = ["SAMPLE", "PeekedBody", "could_be_ciphertext", "own_mark", "refuse_orphan"]

SAMPLE = 4096
"""Bytes that tell what an object may be."""
_OWN_MARK = "s3ec-beside-plaintext"
_LEAST = 16
"""Bytes: neither AES-CBC nor AES-GCM gives fewer."""
_WORTH_COMPRESSING = 128
_INCOMPRESSIBLE = 0.95
"""Random bytes do not even shrink by a hundredth; text, tables and most programs shrink by a half."""

# Formats that are compressed themselves, by at least four bytes that they begin with: 32 bits of chance against it.
_BEGINNINGS = (
    b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xdb", b"PK\x03\x04", b"PAR1", b"%PDF",
    b"\x1f\x8b\x08\x00", b"\x1f\x8b\x08\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh9", b"7z\xbc\xaf",
    b"Obj\x01", b"ORC\x0a",
    b"GIF8", b"RIFF", b"OggS", b"fLaC", b"ID3\x03", b"ID3\x04", b"\x1aE\xdf\xa3", b"\x04\x22\x4d\x18",
)  # fmt: skip


class PeekedBody:
    """The body of an answer whose beginning has been read ahead."""

    def __init__(self, body: Any) -> None:
        """Read the beginning of a body that has not been read from."""
        self._body = body
        self.beginning: bytes = body.read(SAMPLE)
        self._ahead = self.beginning

    def read(self, amount: int | None = None) -> bytes:
        """Bytes of the body, at most ``amount``; none at its end."""
        if not self._ahead:
            return bytes(self._body.read(amount))
        taken: bytes = self._ahead if amount is None else self._ahead[:amount]
        self._ahead = self._ahead[len(taken) :]
        if amount is not None:
            return taken
        return taken + bytes(self._body.read())

    def close(self) -> None:
        """Close it."""
        self._body.close()


def could_be_ciphertext(beginning: bytes, length: int) -> bool:
    """True if an object that begins so could be the output of a cipher.

    Args:
        beginning: its first bytes, up to a few thousand.
        length: length of the whole object in bytes.

    Returns:
        False only for what a cipher gives by chance less than once in a million times.
    """
    if length < _LEAST or beginning.startswith(_BEGINNINGS):
        return False
    if _is_text(beginning):
        return False
    return len(beginning) < _WORTH_COMPRESSING or len(zlib.compress(beginning, 1)) > len(beginning) * _INCOMPRESSIBLE


def _is_text(beginning: bytes) -> bool:
    """True if it is UTF-8 without control characters; a character cut at the end of the sample does not matter."""
    try:
        text = beginning.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or len(beginning) < SAMPLE:
            return False
        text = beginning[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\n\r" for character in text)


def own_mark(task: Task, etag: str, context: MigrationContext) -> dict[str, str]:
    """What tells this job's next run that the job itself has put an instruction file beside this very plaintext.

    A MAC under the key of the journal, for the ETag of plaintext is a digest that stays out of what is stored.

    Args:
        task: the object, found to be plaintext.
        etag: as it was read.
        context: context of the worker; without a key there is no mark.
    """
    said = hashlib.sha256("\0".join(("beside plaintext", task.bucket, task.key, etag)).encode()).hexdigest()
    mac = context.mac(said)
    return {} if mac is None else {_OWN_MARK: mac}


def refuse_orphan(
    task: Task,
    response: Mapping[str, Any],
    context: MigrationContext,
    calls: Calls,
    *,
    file: tuple[bytes, Mapping[str, str]] | None = None,
) -> None:
    """Refuse what could be ciphertext where an instruction file has stood beside it, or where a stray one stands.

    Args:
        task: the object.
        response: the answer to its GET.
        context: context of the worker.
        calls: counts the requests.
        file: body and user metadata of what lies under the name of its instruction file and says nothing of it.

    Raises:
        TaskEndedError: it may be encrypted, and what opens it is gone.
    """
    if file is not None and formats.is_instruction_file_body(file[0]):
        _refuse_beside_stray(task, response, context, file[1])
        return
    reason = "it looks like ciphertext, and the instruction file that stood beside it is gone"
    if context.lost_file(task.bucket, task.key):
        raise TaskEndedError.skip(SkipReason.PERHAPS_ENCRYPTED, f"{reason}: this run has removed one")
    if context.facts(task.bucket).keeps_versions and _has_lost_file(task, response["LastModified"], calls):
        raise TaskEndedError.skip(SkipReason.PERHAPS_ENCRYPTED, f"{reason}: an older version of it is still there")


def _refuse_beside_stray(
    task: Task, response: Mapping[str, Any], context: MigrationContext, marks: Mapping[str, str]
) -> None:
    """A stray file may have replaced the one that opens the object, by a writer that was killed before its object."""
    for name, mac in own_mark(task, response["ETag"], context).items():
        if hmac.compare_digest(marks.get(name, "").encode(), mac.encode()):
            return
    raise TaskEndedError.skip(
        SkipReason.PERHAPS_ENCRYPTED,
        "it looks like ciphertext, and the instruction file beside it is another object's: it may have replaced the "
        "one that opens this object. If it is plaintext, remove that file and write the object again",
    )


def _has_lost_file(task: Task, modified: datetime.datetime, calls: Calls) -> bool:
    """True if the bucket remembers a file for this object; one that was gone before the object came was another's."""
    name = task.key + formats.INSTRUCTION_FILE_SUFFIX
    try:
        answer = calls("list_object_versions", Bucket=task.bucket, Prefix=name, MaxKeys=1)
    except ClientError as error:
        if status_of(error) in (401, 403, 501) or code_of(error) == "KeyTooLongError":
            return False
        raise
    entries = (*answer.get("Versions", []), *answer.get("DeleteMarkers", []))
    newest = [entry for entry in entries if entry["Key"] == name]
    return bool(newest) and newest[0]["LastModified"] >= modified
