"""What passes between the planner, the engines and the one pure step: frozen values, JSON in and JSON out.

An engine knows nothing of encryption. It takes a `Task` (one object), calls `s3ec.migrate.migrate_one` somewhere, and
hands the `Outcome` to the keeper of the books. A task may run twice, at once or one after the other: conditional
requests make the second run end as `Result.ALREADY`, `Result.CHANGED` or `Result.GONE`, never as a second encryption.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from s3ec.migrate.jsonable import Jsonable

__all__ = ["Action", "Cost", "Outcome", "Plan", "Result", "SkipReason", "Task"]


class Action(enum.Enum):
    """What is to be done to every object."""

    MIGRATE = "migrate"
    """Encrypt plaintext; leave what is encrypted as it is."""
    UPGRADE = "upgrade"
    """Encrypt plaintext, and re-encrypt V1 and V2 as committing V3."""
    REWRAP = "rewrap"
    """Encrypt the data keys under another key or context; no content is read."""
    VERIFY = "verify"
    """Read and authenticate; write nothing."""


class Result(enum.Enum):
    """How one task ended.

    Attributes:
        is_final: False if the task is to be planned or tried again.
    """

    DONE = ("done", True)
    """What was wanted was done and committed."""
    ALREADY = ("already", True)
    """The object was as wanted; nothing was written."""
    SKIPPED = ("skipped", True)
    """The object was left alone, for the `SkipReason` given."""
    GONE = ("gone", True)
    """The object was deleted since it was listed; nothing was written."""
    FAILED = ("failed", True)
    """It cannot be done, and trying again would not help."""
    CHANGED = ("changed", False)
    """Another writer was there first; its object stands, and is to be planned again."""
    RETRY = ("retry", False)
    """A passing fault (throttling, a conflict, a lost connection); nothing was committed."""
    PLANNED = ("planned", True)
    """A dry run: this is what would be done."""

    is_final: bool

    def __new__(cls, text: str, is_final: bool) -> Result:
        """Make the text alone the value, so that JSON holds one word."""
        member = object.__new__(cls)
        member._value_ = text
        member.is_final = is_final
        return member


class SkipReason(enum.Enum):
    """Why an object was left alone.

    Attributes:
        leaves_undone: True if something that was asked for has not been done: the run ends non-zero.
        advice: what to do about it.
    """

    ARCHIVED = ("archived", True, "restore it first")
    TOO_LARGE = ("too-large", True, "above 2^36 - 32 bytes: split it, one GCM stream carries no more")
    METADATA_TOO_LARGE = ("metadata-too-large", True, "allow an instruction file, or shorten its metadata")
    METADATA_UNWRITABLE = ("metadata-unwritable", True, "its metadata or headers cannot be sent again as they are")
    TAGS_UNREADABLE = ("tags-unreadable", True, "allow s3:GetObjectTagging, or leave tags behind explicitly")
    ACL_UNREADABLE = ("acl-unreadable", True, "allow s3:GetObjectAcl, or leave ACLs behind explicitly")
    FOREIGN_OWNER = ("foreign-owner", True, "another account owns it: its ACL cannot be set again from here")
    ANNOTATIONS_UNREADABLE = ("annotations-unreadable", True, "allow s3:ListObjectAnnotations and GetObjectAnnotation")
    SSE_C = ("sse-c", True, "its server-side key is the customer's: rewrite it with that key")
    LEGACY = ("legacy", True, "allow legacy algorithms to read it")
    PERHAPS_ENCRYPTED = (
        "perhaps-encrypted",
        True,
        "it may be ciphertext that lost its instruction file: put the file back, or write the object again",
    )
    MALFORMED = ("malformed", True, "its content metadata cannot be understood")
    NEEDS_UPGRADE = (
        "needs-upgrade",
        True,
        "its content is not authenticated: upgrade it, rewrapping is not enough",
    )
    DESTINATION_EXISTS = ("destination-exists", True, "something else has this name at the destination")
    DESTINATION_WITHOUT_ACLS = ("destination-without-acls", True, "ACLs are off there: leave them behind explicitly")
    ANNOTATED = ("annotated", True, "its annotations cannot be carried over safely in a bucket without versions")
    DESTINATION_WITHOUT_LOCK = ("destination-without-lock", True, "switch Object Lock on at the destination")
    OLD_FORMAT = ("old-format", False, "encrypted in an older format: upgrade it if that is wanted")
    NOT_ENCRYPTED = ("not-encrypted", False, "not encrypted by a client: migrate it if that is wanted")
    INSTRUCTION_FILE = ("instruction-file", False, "belongs to another object and moves with it")
    OLD_VERSION = ("old-version", False, "another version is current: only that one is ever rewritten")
    YOUNG = ("young", False, "younger than its storage class's minimum duration")

    leaves_undone: bool
    advice: str

    def __new__(cls, text: str, leaves_undone: bool, advice: str) -> SkipReason:
        """Make the text alone the value, so that JSON holds one word."""
        member = object.__new__(cls)
        member._value_ = text
        member.leaves_undone = leaves_undone
        member.advice = advice
        return member


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Jsonable):
    """One object to be dealt with, as it was listed.

    Attributes:
        bucket: where it lies.
        key: its key, never URL-encoded.
        version_id: the version listed; ``"null"`` for the null version, None where the list names none.
        etag: with its quotes, or None where the list names none. A journal keeps and gives its MAC (``hmac-sha256:…``)
            in its place: the ETag of plaintext is a digest of it.
        size: bytes stored, or None where the list names none.
        last_modified: ISO 8601, or None.
        storage_class: as listed, or None.
        has_instruction_file: whether ``key.instruction`` was in the list too; None where the list cannot say.
        replaces: ETag that this job gave the object's copy at another destination, where the source has changed since.
        attempt: how often the object has been planned again, from 0.
        interrupted: True if a run of this job was killed while it was at work on the object.
    """

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None
    last_modified: str | None = None
    storage_class: str | None = None
    has_instruction_file: bool | None = None
    replaces: str | None = None
    attempt: int = 0
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Jsonable):
    """How one task ended, with what an auditor asks for afterwards.

    Attributes:
        task: the task.
        result: how it ended.
        reason: why it was left alone, where `result` is `Result.SKIPPED`.
        message: a sentence for people; never key bytes.
        error: class of the error that ended it, or the service's code, where one did.
        destination_bucket: where it was written.
        destination_key: under which key.
        etag_in: ETag of what was read; of plaintext its MAC, or None where no journal keeps a key.
        version_in: version that was read; None where the bucket keeps none.
        etag_out: ETag of what was written.
        version_out: version that was written; None where the bucket keeps none.
        plaintext_length: bytes of plaintext.
        plaintext_mac: HMAC-SHA-256 (hex) of its SHA-256, under the key beside the journal; None without one.
        format_before: ``"plaintext"``, ``"V1"``, ``"V2"`` or ``"V3"``.
        format_after: the same, of what stands there now.
        wrapping_algorithm: label of the wrapping that stands there now.
        wrapping_key: what names the wrapping key (a KMS key id, a file name), never a key.
        kms_calls: requests sent to KMS.
        requests: requests sent to S3, by operation.
        notes: what an operator should know although the task went well.
    """

    task: Task
    result: Result
    reason: SkipReason | None = None
    message: str = ""
    error: str | None = None
    destination_bucket: str | None = None
    destination_key: str | None = None
    etag_in: str | None = None
    version_in: str | None = None
    etag_out: str | None = None
    version_out: str | None = None
    plaintext_length: int | None = None
    plaintext_mac: str | None = None
    format_before: str | None = None
    format_after: str | None = None
    wrapping_algorithm: str | None = None
    wrapping_key: str | None = None
    kms_calls: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def leaves_undone(self) -> bool:
        """True if something that was asked for has not been done."""
        if self.result is Result.SKIPPED:
            return self.reason is None or self.reason.leaves_undone
        return self.result in (Result.FAILED, Result.CHANGED, Result.RETRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost(Jsonable):
    """An estimate in US dollars, from list prices of us-east-1; storage of old versions is per month.

    Attributes:
        s3_requests: for the requests of the plan.
        kms_requests: for its KMS calls.
        retrieval: for reading from infrequent-access classes.
        early_deletion: for classes with a minimum duration, worst case.
        old_versions_per_month: for the plaintext versions that stay until they are purged.
    """

    s3_requests: float = 0.0
    kms_requests: float = 0.0
    retrieval: float = 0.0
    early_deletion: float = 0.0
    old_versions_per_month: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Jsonable):
    """What a run would do, before anything is written.

    Attributes:
        identity: hash of the settings that decide what is done; a journal belongs to exactly one.
        objects: objects listed.
        bytes: their stored bytes.
        to_do: objects that would be written.
        to_do_bytes: their stored bytes.
        already: objects that are as wanted.
        skipped: objects that would be left alone, by `SkipReason` value.
        formats: objects by format: ``"plaintext"``, ``"V1"``, ``"V2"``, ``"V3"``.
        requests: requests to S3 by operation.
        kms_calls: requests to KMS.
        cost: what that would cost.
        warnings: what an operator should know before starting.
    """

    identity: str
    objects: int = 0
    bytes: int = 0
    to_do: int = 0
    to_do_bytes: int = 0
    already: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    formats: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    kms_calls: int = 0
    cost: Cost = field(default_factory=Cost)
    warnings: tuple[str, ...] = ()
