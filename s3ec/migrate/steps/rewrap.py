"""Key rotation for one object: a new wrapping in its metadata or instruction file, by a copy inside S3."""

from __future__ import annotations

from dataclasses import replace

from s3ec import formats
from s3ec.formats import ContentMetadata, MetadataLocation
from s3ec.materials import MaterialsManager
from s3ec.migrate.model import Outcome, Result, SkipReason, Task
from s3ec.migrate.steps import plaintext
from s3ec.migrate.steps.copying import copy
from s3ec.migrate.steps.outcomes import outcome_of
from s3ec.migrate.steps.properties import put_annotations, read_properties
from s3ec.migrate.steps.rewrapping import opens_without_integrity, rewrapped
from s3ec.migrate.steps.source import InstructionFile, Source, open_source
from s3ec.migrate.steps.writing import Target, Written
from s3ec.migrate.steps.yielding import give_place_back, look_again
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError
from s3ec.s3.requests import USER_METADATA_LIMIT, metadata_size

__all__ = ["rewrap"]


def rewrap(task: Task, *, context: MigrationContext, calls: Calls) -> Outcome:
    """Do one object.

    Raises:
        TaskEndedError: it was left alone, or another writer was there first.
    """
    source = open_source(task, context=context, calls=calls, with_body=False)
    if opens_without_integrity(source):
        # Padding that is right by chance gives a data key of chance: only the content tells, and only it is an answer.
        _authenticate(replace(task, etag=source.etag, version_id=None), context.read_manager, context, calls)
    new = rewrapped(source, context)
    if new is None:
        return outcome_of(source, Result.ALREADY, context, stands=source.content_metadata)
    if source.location is MetadataLocation.INSTRUCTION_FILE and source.instruction_file is not None:
        return _in_file(source, source.instruction_file, new, context, calls)
    properties = read_properties(task, source.response, context=context, calls=calls)
    metadata = {**properties.metadata, **formats.render_object(new)}
    if metadata_size(metadata) > USER_METADATA_LIMIT:
        raise TaskEndedError.skip(
            SkipReason.METADATA_TOO_LARGE, f"its metadata would have {metadata_size(metadata)} bytes"
        )
    if context.dry_run:
        return outcome_of(source, Result.PLANNED, context, stands=new, notes=properties.notes)
    look_again(source, calls)
    target = Target(bucket=task.bucket, key=task.key, arguments=properties.arguments, replaces=source.etag)
    written = copy(source, metadata, target, context=context, calls=calls)
    notes = give_place_back(source, written, target, calls, compare_tags=not context.settings.ignore_tags)
    put_annotations(properties, task.bucket, task.key, written.etag, written.version_id, calls)
    if context.settings.read_back:
        _read_back(task, written.etag, context, calls)
    return outcome_of(source, Result.DONE, context, stands=new, written=written, notes=(*properties.notes, *notes))


def _in_file(
    source: Source, file: InstructionFile, new: ContentMetadata, context: MigrationContext, calls: Calls
) -> Outcome:
    """Replace the instruction file alone; the object, its versions and its time stay as they are."""
    if context.dry_run:
        return outcome_of(source, Result.PLANNED, context, stands=new)
    itself = Task(bucket=source.task.bucket, key=file.key, etag=file.etag)
    properties = read_properties(itself, file.response, context=context, calls=calls)
    markers = {
        name: value
        for name, value in file.response.get("Metadata", {}).items()
        if name.lower() == formats.INSTRUCTION_FILE_MARKER
    }
    _, body = formats.render_instruction_file(new)
    # The file as it will be must still fit its object, or the object could not be opened any more.
    formats.parse_instruction_file(body, source.response.get("Metadata", {}))
    calls(
        "put_object",
        Bucket=source.task.bucket,
        Key=file.key,
        Body=body,
        Metadata={**properties.metadata, **markers},
        ChecksumAlgorithm="CRC32",
        IfMatch=file.etag,
        **properties.arguments,
    )
    if context.settings.read_back:
        _read_back(source.task, source.etag, context, calls)
    written = Written(etag=source.etag, version_id=source.version_id, length=source.length)
    notes = (*properties.notes, "only the instruction file was replaced")
    return outcome_of(source, Result.DONE, context, stands=new, written=written, notes=notes)


def _read_back(task: Task, etag: str, context: MigrationContext, calls: Calls) -> None:
    """Open and authenticate the object with the new key, as a reader would."""
    _authenticate(replace(task, etag=etag, version_id=None), context.write_manager, context, calls)


def _authenticate(task: Task, manager: MaterialsManager, context: MigrationContext, calls: Calls) -> None:
    """Read the object to its verified end."""
    source = open_source(task, context=context, calls=calls, with_body=True, is_ours=True)
    try:
        cipher = plaintext.cipher_of(source, manager, allow_legacy=False)
        plaintext.digest(plaintext.plaintext_of(source, cipher))
    finally:
        source.close()
