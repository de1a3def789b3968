"""Nothing that was put in another object's place is made good: the one rule of all that rewrites, blesses or deletes.

Any writer to a bucket can copy one encrypted object over another. Its context still says where it belongs: the
pair ``aws:s3:arn``, where its writer bound it, and the pairs that tell tenants or records apart. A reader who asks for
them refuses such an object. Encrypted again under the place that it lies in, it would pass forever.
Source: Amazon S3 user guide, "Encryption context" (the pair ``aws:s3:arn``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3ec.contexts import place_difference
from s3ec.errors import MisplacedObjectError
from s3ec.formats import ContentMetadata
from s3ec.formats.codec import shown
from s3ec.formats.metadata import OBJECT_ARN_PAIR, RESERVED_CONTEXT_NAMES
from s3ec.migrate.model import Action
from s3ec.migrate.settings import MigrationSettings
from s3ec.s3.names import object_arn

__all__ = ["compare_place", "refuse_misplaced"]


def refuse_misplaced(
    content_metadata: ContentMetadata, bucket: str, key: str, settings: MigrationSettings, *, is_ours: bool = False
) -> None:
    """Compare what is stored with the place that the object lies in, and with the context asserted of it.

    No key is touched, and raw keys bind no context: a material description is never compared.

    Args:
        content_metadata: metadata of the object.
        bucket: where it lies.
        key: where it lies.
        settings: the job: its ``source_context``, what it writes, and whether moved objects are accepted.
        is_ours: True for what this job has written: only the place is compared.

    Raises:
        MisplacedObjectError: they differ.
    """
    if content_metadata.encrypted_data_key.wrapping_algorithm.family != "kms":
        return
    stored = {name: value for name, value in content_metadata.description.items() if name not in RESERVED_CONTEXT_NAMES}
    asserted = () if is_ours else _wanted(settings)
    compare_place(stored, bucket, key, asserted=asserted, accept_moved=settings.accept_moved)


def compare_place(
    stored: Mapping[str, str],
    bucket: str,
    key: str,
    *,
    asserted: Sequence[Mapping[str, str]] = (),
    accept_moved: bool = False,
) -> None:
    """Compare a stored encryption context, without its reserved pairs, with the place and the contexts asserted.

    Args:
        stored: the context.
        bucket: where the object lies.
        key: where the object lies.
        asserted: it must be one of these, apart from the pair of the place; none asserts nothing.
        accept_moved: let the pair name another place.

    Raises:
        MisplacedObjectError: they differ.
    """
    difference = place_difference(stored.get(OBJECT_ARN_PAIR), object_arn(bucket, key))
    if difference and not accept_moved:
        raise MisplacedObjectError(f"{difference}; a bucket job takes it with accept_moved (--accept-moved)")
    pairs = _without_place(stored)
    if asserted and pairs not in [_without_place(each) for each in asserted]:
        raise MisplacedObjectError(
            f"the object has another encryption context than the one asserted: {_difference(pairs, asserted[0])}: was "
            "it put there in place of another one?"
        )


def _wanted(settings: MigrationSettings) -> list[Mapping[str, str]]:
    """Contexts that an object may have: the one asserted, and where the job gives another one, that one as well."""
    asserted = settings.source_context
    if settings.action is Action.VERIFY and asserted is None:
        asserted = settings.encryption_context
    if asserted is None:
        return []
    # What a run that was killed has written stands beside what it has not come to.
    return [asserted] if settings.encryption_context is None else [asserted, settings.encryption_context]


def _without_place(pairs: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in pairs.items() if name != OBJECT_ARN_PAIR}


def _difference(stored: Mapping[str, str], asserted: Mapping[str, str]) -> str:
    """What differs, by names alone: values may be nobody's business."""
    wanted = _without_place(asserted)
    if stored.keys() != wanted.keys():
        return f"stored {_names(stored)}, asserted {_names(wanted)}"
    others = {name: value for name, value in stored.items() if wanted[name] != value}
    return f"another value of {_names(others)}"


def _names(pairs: Mapping[str, str]) -> str:
    return ", ".join(shown(name) for name in list(pairs)[:20]) or "no names"
