"""Plaintext becomes encrypted, V1 and V2 become committing V3: in place, or on the way to another place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.errors import KeyringError, S3ECError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation
from s3ec.migrate.model import Action, Outcome, Result, SkipReason, Task
from s3ec.migrate.steps import instruction_files, plaintext, sealing, writing
from s3ec.migrate.steps.copying import copy_as_it_is
from s3ec.migrate.steps.outcomes import Seen, outcome_of
from s3ec.migrate.steps.properties import Properties, put_annotations, read_properties
from s3ec.migrate.steps.source import Source, check_length, open_source
from s3ec.migrate.steps.writing import Target, Written
from s3ec.migrate.steps.yielding import give_place_back, look_again
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, code_of, ended_by
from s3ec.s3.answers import NO_SUCH_OBJECT
from s3ec.s3.carried import text_of

__all__ = ["reencrypt"]

_BEFORE = "it was encrypted before this run came to it, and its content was not read"
_UNNOTED = "it was written since it was listed, perhaps by this job, and not noted"


def reencrypt(task: Task, *, context: MigrationContext, calls: Calls) -> Outcome:
    """Do one object.

    Raises:
        TaskEndedError: it was left alone, or another writer was there first.
    """
    source = open_source(task, context=context, calls=calls, with_body=not context.dry_run)
    try:
        return _reencrypt(source, context, calls)
    finally:
        source.close()


def _reencrypt(source: Source, context: MigrationContext, calls: Calls) -> Outcome:
    settings = context.settings
    if source.is_committing and settings.in_place:
        return _already(source, context, calls)
    as_it_is = _moves_as_it_is(source, context)
    if source.format in ("V1", "V2") and settings.action is not Action.UPGRADE and not as_it_is:
        raise TaskEndedError.skip(SkipReason.OLD_FORMAT)
    check_length(source)
    properties = read_properties(source.task, source.response, context=context, calls=calls)
    if context.dry_run:
        return _planned(source, properties, context, as_it_is=as_it_is)
    target = _target(source, properties, context, calls)
    if isinstance(target, _There):
        said = "the same object is at the destination already"
        return outcome_of(source, Result.ALREADY, context, stands=target.stands, seen=target.seen, message=said)
    if as_it_is:
        return copy_as_it_is(source, properties, target, context=context, calls=calls)
    with context.memory.reserve(writing.memory_for(source.plaintext_length, context)):
        return _write(source, properties, target, context, calls)


def _moves_as_it_is(source: Source, context: MigrationContext) -> bool:
    """To another place goes as it is what is encrypted as wanted, unless it is bound to the place where it lies."""
    stored = source.content_metadata
    if stored is None or context.settings.in_place or "aws:s3:arn" in stored.description:
        return False
    return source.is_committing or context.settings.action is not Action.UPGRADE


def _write(source: Source, properties: Properties, target: Target, context: MigrationContext, calls: Calls) -> Outcome:
    settings = context.settings
    sealed = sealing.begin(
        context.write_manager,
        sealing.context_for(settings, source),
        properties.metadata,
        _allowed_layout(source, context, target),
    )
    cipher = plaintext.cipher_of(source, context.read_manager, allow_legacy=settings.allow_legacy)
    chunks = plaintext.plaintext_of(source, cipher, etag_is_md5=settings.etag_is_md5)
    take_back: list[Callable[[], None]] = []

    def before_commit() -> None:
        look_again(source, calls)
        take_back.append(instruction_files.place(source, sealed, target, context, calls))

    try:
        written = writing.write(
            chunks,
            source.plaintext_length,
            sealed,
            target,
            before_commit=before_commit,
            context=context,
            calls=calls,
        )
    except BaseException:
        for undo in take_back:
            undo()
        raise
    notes = _afterwards(source, properties, target, written, context, calls)
    if settings.read_back:
        _read_back(target, written, context, calls)
    stands = sealed.content_metadata
    return outcome_of(source, Result.DONE, context, target=target, written=written, stands=stands, notes=notes)


def _allowed_layout(source: Source, context: MigrationContext, target: Target | None = None) -> str:
    """Never overwrite the file that holds the only wrapped key of an object as it stands, here or at its new place."""
    own = context.settings.in_place and source.location is MetadataLocation.INSTRUCTION_FILE
    overwrites = own or (target is not None and target.needs_file)
    return "never" if overwrites else context.settings.instruction_file


def _already(source: Source, context: MigrationContext, calls: Calls) -> Outcome:
    """V3 in place: nothing to do, except for a file that an upgrade did not live to remove."""
    file = source.instruction_file
    notes: tuple[str, ...] = ()
    if (
        source.location is MetadataLocation.OBJECT_METADATA
        and file is not None
        and instruction_files.holds_old_key(file)
    ):
        if context.settings.action is not Action.UPGRADE:
            # It may be what older versions need, and its removal was not asked for.
            notes = (f"{file.key!a} lies beside it, which it does not need",)
        elif not context.dry_run:
            stands = Written(etag=source.etag, version_id=source.version_id, length=source.length)
            note = instruction_files.remove(file, source.task.key, stands, source.task.bucket, context, calls)
            notes = (note,) if note else ()
    if (source.task.interrupted or source.task.attempt) and not context.dry_run:
        seen, said = _seen_again(source, context)
        return outcome_of(source, Result.ALREADY, context, seen=seen, notes=(*notes, said))
    return outcome_of(source, Result.ALREADY, context, message=_BEFORE, notes=notes)


def _seen_again(source: Source, context: MigrationContext) -> tuple[Seen | None, str]:
    """Plaintext of an object that this job may have written without living to note it, and what is said of that.

    Raises:
        s3ec.errors.S3ECError: it does not verify, or KMS cannot be asked now.
    """
    try:
        cipher = plaintext.cipher_of(source, context.write_manager, allow_legacy=False)
    except KeyringError as error:
        ended = ended_by(error)
        if ended is None or ended.result is Result.RETRY:
            raise
        return None, f"{_UNNOTED}; its content is not known, for its data key does not open here ({ended.error})"
    return plaintext.digest(plaintext.plaintext_of(source, cipher)), f"{_UNNOTED}; it was read and verified again"


@dataclass(frozen=True, slots=True)
class _There:
    """The same object is at the destination.

    Attributes:
        stands: how it is encrypted there, where the key of the settings opened it.
        seen: its plaintext, where both were read and compared.
    """

    stands: ContentMetadata | None = None
    seen: Seen | None = None


def _target(source: Source, properties: Properties, context: MigrationContext, calls: Calls) -> Target | _There:
    """Return where to write, and on what condition, unless the same object is there already.

    Raises:
        TaskEndedError: something else has that name at the destination.
    """
    settings = context.settings
    bucket, key = settings.target(source.task.key)
    arguments = dict(properties.arguments)
    if settings.in_place:
        return Target(bucket=bucket, key=key, arguments=arguments, replaces=source.etag)
    try:
        found = calls("head_object", Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) not in NO_SUCH_OBJECT:
            raise
        return Target(bucket=bucket, key=key, arguments=arguments, replaces=None)
    if found["ETag"] == source.task.replaces:
        needs_file = formats.detect(found.get("Metadata", {})) is Detection.V3_INSTRUCTION_FILE
        return Target(bucket=bucket, key=key, arguments=arguments, replaces=found["ETag"], needs_file=needs_file)
    if _is_copy(source, found):
        return _There()
    there = _same(source, properties, Task(bucket=bucket, key=key, etag=found["ETag"]), context, calls)
    if there is not None:
        return there
    raise TaskEndedError.skip(
        SkipReason.DESTINATION_EXISTS,
        "something else has this name at the destination; an earlier copy, whose journal was lost, is told from "
        "somebody's own by nobody but you: delete it there, or name another destination",
    )


def _is_copy(source: Source, found: Mapping[str, Any]) -> bool:
    """True if the object there is this ciphertext; no two encryptions share their metadata or their ETag."""
    return (
        source.content_metadata is not None
        and found["ContentLength"] == source.length
        and found.get("Metadata", {}) == source.response.get("Metadata", {})
        and (found["ETag"] == source.etag or source.location is MetadataLocation.OBJECT_METADATA)
    )


def _same(
    source: Source, properties: Properties, there: Task, context: MigrationContext, calls: Calls
) -> _There | None:
    """What a killed run had written, if it is this very object: encrypted, with the source's plaintext and metadata."""
    try:
        existing = open_source(there, context=context, calls=calls, with_body=True, is_ours=True)
    except (TaskEndedError, S3ECError):
        return None
    try:
        own = text_of(formats.strip(existing.response.get("Metadata", {})))
        if not existing.is_committing or own != dict(properties.metadata):
            return None
        theirs = plaintext.cipher_of(existing, context.write_manager, allow_legacy=False)
        ours = plaintext.cipher_of(source, context.read_manager, allow_legacy=context.settings.allow_legacy)
        found = plaintext.digest(plaintext.plaintext_of(existing, theirs))
        ours_read = plaintext.plaintext_of(source, ours, etag_is_md5=context.settings.etag_is_md5)
        return _There(existing.content_metadata, found) if found == plaintext.digest(ours_read) else None
    except (KeyringError, UnicodeError):
        return None
    finally:
        existing.close()


def _afterwards(
    source: Source, properties: Properties, target: Target, written: Written, context: MigrationContext, calls: Calls
) -> tuple[str, ...]:
    """What can only be done once the object stands: check it, annotations, and the old instruction file."""
    notes = list(properties.notes)
    pinned = {"VersionId": written.version_id} if written.version_id else {"IfMatch": written.etag}
    if written.length > context.settings.single_request_limit:
        found = calls("head_object", Bucket=target.bucket, Key=target.key, **pinned)
        if found["ContentLength"] != written.length or not formats.detect(found["Metadata"]).name.startswith("V3"):
            raise TaskEndedError(Result.FAILED, "what S3 stored is not what was sent; the old version is the sound one")
    if context.settings.in_place:
        compare_tags = not context.settings.ignore_tags
        notes += give_place_back(source, written, target, calls, compare_tags=compare_tags)
    put_annotations(properties, target.bucket, target.key, written.etag, written.version_id, calls)
    if properties.annotations:
        notes.append("annotations were set after the object, not with it")
    file = source.instruction_file
    if source.location is MetadataLocation.INSTRUCTION_FILE and file is not None and context.settings.in_place:
        notes.append(instruction_files.remove(file, target.key, written, target.bucket, context, calls))
    return tuple(filter(None, notes))


def _read_back(target: Target, written: Written, context: MigrationContext, calls: Calls) -> None:
    """Read the object from S3 with the keyring that a reader would have."""
    task = Task(bucket=target.bucket, key=target.key, etag=written.etag)
    source = open_source(task, context=context, calls=calls, with_body=True, is_ours=True)
    try:
        cipher = plaintext.cipher_of(source, context.write_manager, allow_legacy=False)
        found = plaintext.digest(plaintext.plaintext_of(source, cipher))
    finally:
        source.close()
    if found != (written.plaintext_length, written.plaintext_sha256):
        raise TaskEndedError(Result.FAILED, "read back from S3, the object has another plaintext than was written")


def _planned(source: Source, properties: Properties, context: MigrationContext, *, as_it_is: bool) -> Outcome:
    """Return a dry run's answer."""
    if as_it_is:
        return outcome_of(source, Result.PLANNED, context, notes=properties.notes)
    encryption_context = sealing.context_for(context.settings, source)
    notes = list(properties.notes)
    if sealing.check_room(properties.metadata, encryption_context, _allowed_layout(source, context)):
        notes.append(instruction_files.PLACED)
    if source.location is MetadataLocation.INSTRUCTION_FILE and context.settings.in_place:
        notes.append(instruction_files.REMOVED)
    context.would_wrap(encryption_context)
    return replace(outcome_of(source, Result.PLANNED, context, notes=tuple(notes)), format_after="V3")
