"""s3ec.inspect: what an object is, on both layers, with nothing decrypted and no key touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore import xform_name
from botocore.client import BaseClient

from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.calls import driver
from s3ec.client.encryption_client import raw_view
from s3ec.client.tools.buckets import ServerSideState, server_side_state
from s3ec.formats import ContentMetadata
from s3ec.formats.lengths import noted_length
from s3ec.s3.answers import length_of
from s3ec.s3.flow import Call, CloseBody, Effect, ReadBody
from s3ec.s3.inspect_object import Seen, inspect_object

__all__ = ["Inspection", "inspect", "inspection_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What an object is.

    Attributes:
        bucket: the bucket.
        key: the key.
        version_id: the version, where the bucket has versions.
        format: ``"V1"``, ``"V2"``, ``"V3"``, or None for an object that no S3 encryption client wrote.
        algorithm_suite: name of the suite, or None.
        wrapping_algorithm: as the wire spells it (``AES`` and ``RSA`` where it has no name), or None.
        description: the stored encryption context (KMS, reserved pairs included) or material description.
        kms_key_id: the key that a V1 object names, which is a hint and no proof.
        metadata_location: ``"metadata"``, ``"instruction_file"`` or None.
        stored_length: bytes that S3 stores.
        plaintext_length: bytes of plaintext, or None where only decrypting tells (CBC).
        server_side_encryption: S3's own layer; its ``name`` is None where there is none.
        problem: why the content metadata cannot be understood, or None.
    """

    bucket: str
    key: str
    version_id: str | None
    format: str | None
    algorithm_suite: str | None
    wrapping_algorithm: str | None
    description: Mapping[str, str] | None
    kms_key_id: str | None
    metadata_location: str | None
    stored_length: int
    plaintext_length: int | None
    server_side_encryption: ServerSideState
    problem: str | None = None

    @property
    def encryption_context(self) -> Mapping[str, str] | None:
        """The stored encryption context, or None with raw keys."""
        kms = self.wrapping_algorithm is not None and self.wrapping_algorithm.startswith("kms")
        return self.description if kms else None


def inspect(
    client: BaseClient,
    *,
    Bucket: str,  # noqa: N803 - boto3's name
    Key: str,  # noqa: N803 - boto3's name
    InstructionFileSuffix: str | None = None,  # noqa: N803 - the client's name
    **parameters: Any,
) -> Inspection:
    """Say what an object is: format, suite, wrapping, context, where the metadata lies, and S3's own mode.

    One HEAD, and a GET of the instruction file where the object's own metadata is not complete.

    Args:
        client: any boto3 S3 client, encrypting or not.
        Bucket: as for head_object.
        Key: as for head_object.
        InstructionFileSuffix: look into this instruction file instead of the object.
        **parameters: other parameters of head_object, such as ``VersionId`` or the SSE-C key.

    Raises:
        botocore.exceptions.ClientError: as from head_object.
        AuthenticationError: S3's answer does not say how long the object is.
    """
    request = {"Bucket": Bucket, "Key": Key, **parameters}
    seen = driver.run(inspect_object(request, InstructionFileSuffix), partial(_perform, raw_view(client)))
    return inspection_of(Bucket, Key, seen)


def inspection_of(bucket: str, key: str, seen: Seen) -> Inspection:
    """What was seen of an object, for the caller."""
    head, found, location = seen.head, seen.content_metadata, seen.location
    return Inspection(
        bucket=bucket,
        key=key,
        version_id=head.get("VersionId"),
        format=found.format.value if found else ("V3" if seen.names_v3 else None),
        algorithm_suite=found.algorithm_suite.name if found else None,
        wrapping_algorithm=found.encrypted_data_key.wrapping_algorithm.label if found else None,
        description=dict(found.description) if found else None,
        kms_key_id=found.description.get("kms_cmk_id") if found else None,
        metadata_location=location.value if location else None,
        stored_length=length_of(head),
        plaintext_length=_plaintext_length(length_of(head), found, seen.problem),
        server_side_encryption=server_side_state(head),
        problem=seen.problem,
    )


def _perform(view: Any, effect: Effect) -> object:
    """Carry out an effect with any client, by its public methods."""
    if isinstance(effect, Call):
        return getattr(view, xform_name(effect.operation))(**effect.parameters)
    if isinstance(effect, ReadBody):
        return CiphertextReader(effect.body, has_tag=effect.has_tag).read(effect.size)
    assert isinstance(effect, CloseBody)  # noqa: S101 - a HEAD and instruction files need nothing else
    return effect.body.close()


def _plaintext_length(stored: int, found: ContentMetadata | None, problem: str | None) -> int | None:
    if problem is not None:
        return None
    if found is None:
        return stored
    if found.algorithm_suite.is_legacy:
        return noted_length(found, stored)
    return max(stored - found.algorithm_suite.tag_length, 0)
