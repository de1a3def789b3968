"""From a survey to what an auditor asks.

What is in the bucket, what would block a migration, and what still keeps readers from requiring key commitment.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.migrate.audit.bucket_settings import bucket_settings
from s3ec.migrate.audit.survey import Survey
from s3ec.migrate.audit.survey_object import INSTRUCTION_FILE, PLAINTEXT, UNREADABLE, SurveyedObject
from s3ec.migrate.model import SkipReason
from s3ec.s3.requests import USER_METADATA_LIMIT

__all__ = ["Audit", "Finding", "audit"]

FORMATS = (PLAINTEXT, "V1", "V2", "V3")
EXAMPLES = 20
"""Keys that a finding names; the count is always whole."""

CONTENT_METADATA_BYTES = 420
"""What format V3 with KMS adds to user metadata, roughly: an encrypted data key of 184 bytes, no context."""

_CONFLICTING = "conflicting"
_FORBIDDEN = "forbidden"
_LOCKED = "locked"
_ORPHANED = "orphaned-instruction-file"

_ADVICE = {
    _CONFLICTING: "evidence of tampering, or of a copy gone wrong: compare with a backup before anything else",
    _FORBIDDEN: "allow s3:GetObject to the identity that audits and migrates",
    _LOCKED: "the new version is encrypted, but the old one stays readable until its lock ends",
    _ORPHANED: "its object is gone: delete it once nothing can restore that object",
    "plaintext": "migrate: such objects are refused by default",
    "V1": "migrate --upgrade --allow-legacy: content that is not authenticated",
    "V2": "migrate --upgrade: content that does not commit to its key",
    UNREADABLE: "its kind is unknown: find out why its headers cannot be read",
}

_UPGRADE = "s3ec migrate {place} --upgrade --kms-key KEY"
_INSPECT = "s3ec inspect {example}"
_COMMANDS = {
    "plaintext": "s3ec migrate {place} --kms-key KEY --dry-run",
    "V1": f"{_UPGRADE} --allow-legacy --dry-run",
    "V2": f"{_UPGRADE} --dry-run",
    SkipReason.LEGACY.value: f"{_UPGRADE} --allow-legacy --dry-run",
    SkipReason.METADATA_TOO_LARGE.value: "s3ec migrate {place} --kms-key KEY --instruction-file when-needed --dry-run",
    _CONFLICTING: _INSPECT,
    UNREADABLE: _INSPECT,
    SkipReason.MALFORMED.value: _INSPECT,
    _ORPHANED: "s3ec rm {example} --dry-run",
}
"""Each shows what would happen first; KEY stands for the reader's own key."""


@dataclass(slots=True)
class Finding:
    """Objects that have one thing in common, counted, with a few of them by name.

    Attributes:
        reason: one word.
        objects: how many.
        bytes: their stored bytes.
        examples: the first keys.
    """

    reason: str
    objects: int = 0
    bytes: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, key: str, size: int) -> None:
        """Count one more."""
        self.objects += 1
        self.bytes += size
        if len(self.examples) < EXAMPLES:
            self.examples.append(key)

    @property
    def advice(self) -> str:
        """What to do about it."""
        known = {reason.value: reason.advice for reason in SkipReason}
        return _ADVICE.get(self.reason) or known.get(self.reason, "")

    def command(self, bucket: str, prefix: str) -> str | None:
        """A command line that does something about it, to be pasted; None where none does."""
        form = _COMMANDS.get(self.reason)
        texts = (prefix, *self.examples[:1])
        if form is None or not all(text.isprintable() for text in texts):
            return None
        example = self.examples[0] if self.examples else prefix
        return form.format(
            place=shlex.quote(f"s3://{bucket}/{prefix}".removesuffix("/")),
            example=shlex.quote(f"s3://{bucket}/{example}"),
        )

    def document(self, bucket: str = "", prefix: str = "") -> dict[str, Any]:
        """The finding in JSON."""
        return {**dataclasses.asdict(self), "advice": self.advice, "command": self.command(bucket, prefix)}


@dataclass(slots=True)
class _Tally:
    objects: int = 0
    bytes: int = 0


class Audit:
    """Totals over a survey; constant memory however many objects there are."""

    def __init__(self, bucket: str, prefix: str = "", settings: Mapping[str, Any] | None = None) -> None:
        """Take the place and what is known of the bucket itself (`bucket_settings`)."""
        self.bucket = bucket
        self.prefix = prefix
        self.settings = dict(settings or {})
        self.created = datetime.datetime.now(datetime.timezone.utc)
        self.about: dict[str, str | None] = {}
        self.objects = 0
        self.bytes = 0
        self.instruction_files = 0
        self.noncurrent_formats: collections.Counter[str] = collections.Counter()
        self.tallies: dict[str, dict[str, _Tally]] = {}
        self.blocking: dict[str, Finding] = {}
        self.not_committing: dict[str, Finding] = {}
        self.locks: collections.Counter[str] = collections.Counter()
        self.versions: dict[str, Any] = {}

    @classmethod
    def begin(cls, survey: Survey) -> Audit:
        """An audit of what a survey is about to go through.

        Raises:
            botocore.exceptions.ClientError: there is no such bucket.
        """
        result = cls(survey.bucket, survey.prefix, bucket_settings(survey.client, survey.bucket))
        result.about = {"region": result.settings.get("region")}
        return result

    def add(self, found: SurveyedObject) -> None:
        """Count one object (or an old version, which counts apart)."""
        if not found.is_current:
            self.noncurrent_formats[found.format] += 1
            return
        if found.format == INSTRUCTION_FILE:
            self.instruction_files += 1
            return
        self.objects += 1
        self.bytes += found.size
        for name, value in self._facts(found).items():
            if value is not None:
                tally = self.tallies.setdefault(name, {}).setdefault(value, _Tally())
                tally.objects += 1
                tally.bytes += found.size
        self._count_locks(found)
        for reason in blocks(found):
            self.blocking.setdefault(reason, Finding(reason)).add(found.key, found.size)
        if found.format != "V3":
            self.not_committing.setdefault(found.format, Finding(found.format)).add(found.key, found.size)

    def close(self, survey: Survey) -> None:
        """Take over what the survey knows when it is over."""
        self.versions = {
            "kept": survey.keeps_versions,
            "noncurrent": survey.noncurrent,
            "noncurrent_bytes": survey.noncurrent_bytes,
            "delete_markers": survey.delete_markers,
            "readable": not survey.versions_unreadable,
        }
        for key in survey.orphans:
            self.blocking.setdefault(_ORPHANED, Finding(_ORPHANED)).add(key, 0)

    @staticmethod
    def _facts(found: SurveyedObject) -> dict[str, str | None]:
        return {
            "formats": found.format,
            "algorithm_suites": found.algorithm_suite,
            "wrapping_algorithms": found.wrapping_algorithm,
            "metadata_locations": found.metadata_location,
            "kms_keys": found.kms_key,
            "server_side_encryption": found.server_side_encryption,
            "server_side_kms_keys": found.server_side_kms_key,
            "storage_classes": found.storage_class,
            "sizes": _size_class(found.size),
        }

    def _count_locks(self, found: SurveyedObject) -> None:
        if found.lock_mode:
            self.locks[found.lock_mode] += 1
        if found.legal_hold:
            self.locks["legal_hold"] += 1

    def counts(self, name: str) -> dict[str, int]:
        """Objects by value of one fact, the most frequent first."""
        values = self.tallies.get(name, {})
        return {value: tally.objects for value, tally in sorted(values.items(), key=lambda item: -item[1].objects)}

    def sizes(self, name: str) -> dict[str, int]:
        """Stored bytes by value of one fact, in the order of `counts`."""
        return {value: self.tallies[name][value].bytes for value in self.counts(name)}

    @property
    def verdict(self) -> dict[str, str]:
        """What it comes to: ``kind`` (``"good"``, ``"fair"``, ``"bad"`` or ``"unknown"``) and two sentences."""
        formats = self.counts("formats")
        committing, plaintext = formats.get("V3", 0), formats.get(PLAINTEXT, 0)
        if not self.objects:
            return {"kind": "unknown", "text": "There are no objects here.", "more": ""}
        if committing == self.objects:
            more = "Readers can require key commitment."
            return {"kind": "good", "text": "Every object is encrypted and commits to its key.", "more": more}
        share = 100 * committing / self.objects
        left = self.objects - committing
        return {
            "kind": "bad" if plaintext or formats.get(UNREADABLE) else "fair",
            "text": f"{left:,} of {self.objects:,} objects are not encrypted with key commitment.",
            "more": f"{plaintext:,} are not encrypted by a client at all; {_share(share)} % are as they should be.",
        }

    def document(self) -> dict[str, Any]:
        """The audit in JSON; ``docs/cli.md`` describes every name."""
        formats = self.counts("formats")
        return {
            "bucket": self.bucket,
            "prefix": self.prefix,
            "created": self.created.isoformat(timespec="seconds"),
            **self.about,
            "verdict": self.verdict,
            "objects": self.objects,
            "bytes": self.bytes,
            "formats": {name: formats.get(name, 0) for name in FORMATS},
            "format_bytes": {name: self.sizes("formats").get(name, 0) for name in FORMATS},
            "unreadable": formats.get(UNREADABLE, 0),
            "instruction_files": self.instruction_files,
            "algorithm_suites": self.counts("algorithm_suites"),
            "wrapping_algorithms": self.counts("wrapping_algorithms"),
            "metadata_locations": self.counts("metadata_locations"),
            "kms_keys": self.counts("kms_keys"),
            "server_side_encryption": self.counts("server_side_encryption"),
            "server_side_kms_keys": self.counts("server_side_kms_keys"),
            "storage_classes": self.counts("storage_classes"),
            "storage_class_bytes": self.sizes("storage_classes"),
            "sizes": {name: self.counts("sizes").get(name, 0) for name, _ in _SIZE_CLASSES},
            "versions": {**self.versions, "noncurrent_formats": dict(self.noncurrent_formats)},
            "locks": dict(self.locks),
            "bucket_settings": self.settings,
            "blocks_migration": [each.document(self.bucket, self.prefix) for each in self.blocking.values()],
            "blocks_require_decrypt": [
                each.document(self.bucket, self.prefix) for each in self.not_committing.values()
            ],
            "ready_for_require_decrypt": not self.not_committing,
        }


def _share(percent: float) -> str:
    """Format a share so that it never rounds to all or nothing."""
    return "under 0.1" if 0 < percent < 0.1 else "over 99.9" if 99.9 < percent < 100 else f"{percent:.1f}"


_MIB = 2**20
_SIZE_CLASSES = (
    ("empty", 1),
    ("up to 64 KiB", 2**16 + 1),
    ("up to 1 MiB", _MIB + 1),
    ("up to 16 MiB", 16 * _MIB + 1),
    ("up to 1 GiB", 1024 * _MIB + 1),
    ("up to 64 GiB", GCM_MAX_PLAINTEXT_LENGTH + 1),
    ("above", 2**63),
)


def _size_class(size: int) -> str:
    return next(name for name, limit in _SIZE_CLASSES if size < limit)


def blocks(found: SurveyedObject) -> list[str]:
    """Why a migration would leave the object alone, or not get rid of what was there; empty where nothing does."""
    is_plaintext = found.format == PLAINTEXT
    checks = {
        SkipReason.SSE_C.value: found.server_side_encryption == "SSE-C",
        SkipReason.ARCHIVED.value: found.is_archived and found.format != "V3",
        SkipReason.TOO_LARGE.value: is_plaintext and found.size > GCM_MAX_PLAINTEXT_LENGTH,
        SkipReason.METADATA_TOO_LARGE.value: (
            is_plaintext and found.metadata_bytes + CONTENT_METADATA_BYTES > USER_METADATA_LIMIT
        ),
        SkipReason.LEGACY.value: found.format == "V1",
        _LOCKED: found.format != "V3" and bool(found.lock_mode or found.legal_hold),
        _CONFLICTING: found.error == "ConflictingMetadataError",
        _FORBIDDEN: found.format == UNREADABLE and found.error in {"403", "AccessDenied", "Forbidden"},
        SkipReason.MALFORMED.value: found.error in {"MalformedMetadataError", "InstructionFileError"},
    }
    reasons = [reason for reason, holds in checks.items() if holds]
    return reasons or ([UNREADABLE] if found.format == UNREADABLE else [])


def audit(survey: Survey) -> Audit:
    """Run a survey to its end.

    Raises:
        botocore.exceptions.ClientError: the bucket cannot be listed.
    """
    result = Audit.begin(survey)
    for found in survey:
        result.add(found)
    result.close(survey)
    return result
