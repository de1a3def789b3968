"""s3ec.inspect: what an object is, on both layers, with nothing decrypted and no key touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.bodies import read_whole
from s3ec.client import instruction_objects
from s3ec.client.buckets import ServerSideState, server_side_state
from s3ec.client.encryption_client import raw_view
from s3ec.errors import S3ECError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation
from s3ec.s3 import instruction_files
from s3ec.s3.answers import length_of
from s3ec.s3.head_object import noted_length

__all__ = ["Inspection", "inspect"]


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
    view: Any = raw_view(client)
    head = view.head_object(Bucket=Bucket, Key=Key, **parameters)
    metadata = head.get("Metadata", {})
    problem = None
    found: ContentMetadata | None = None
    location: MetadataLocation | None = None
    named_v3 = False
    try:
        detection = formats.detect(metadata)
        named_v3 = detection is Detection.V3_INSTRUCTION_FILE
        if InstructionFileSuffix is None and detection not in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
            found, location = formats.parse_object(metadata), MetadataLocation.OBJECT_METADATA
        else:
            found = _from_instruction_file(view, Bucket, Key, metadata, InstructionFileSuffix, parameters)
            location = None if found is None else MetadataLocation.INSTRUCTION_FILE
            if found is None and named_v3:
                problem = "the object's encrypted data key lies in an instruction file, and there is none"
            elif found is None:
                formats.refuse_remnants(metadata, may_be_instruction_file=True)
    except S3ECError as error:
        problem = str(error)
    return Inspection(
        bucket=Bucket,
        key=Key,
        version_id=head.get("VersionId"),
        format=found.format.value if found else ("V3" if named_v3 else None),
        algorithm_suite=found.algorithm_suite.name if found else None,
        wrapping_algorithm=found.encrypted_data_key.wrapping_algorithm.label if found else None,
        description=dict(found.description) if found else None,
        kms_key_id=found.description.get("kms_cmk_id") if found else None,
        metadata_location=location.value if location else None,
        stored_length=length_of(head),
        plaintext_length=_plaintext_length(length_of(head), found, problem),
        server_side_encryption=server_side_state(head),
        problem=problem,
    )


def _from_instruction_file(
    view: Any, bucket: str, key: str, metadata: Mapping[str, str], suffix: str | None, parameters: Mapping[str, Any]
) -> ContentMetadata | None:
    carried = {
        name: value
        for name, value in parameters.items()
        if name in ("RequestPayer", "ExpectedBucketOwner") or name.startswith("SSECustomer")
    }
    for candidate in (suffix,) if suffix else instruction_files.usual_suffixes(legacy=True):
        if not instruction_files.can_exist(key + candidate):
            continue
        try:
            response = view.get_object(Bucket=bucket, Key=key + candidate, **carried)
        except ClientError as error:
            if instruction_objects.not_found(error):
                continue
            raise
        body = read_whole(response["Body"])
        if suffix:
            return formats.parse_instruction_file(body, metadata)
        is_marked = instruction_files.is_marked(response.get("Metadata", {}))
        found = formats.judge_instruction_file(body, metadata, is_marked=is_marked)
        if found is not None:
            return found
    return None


def _plaintext_length(stored: int, found: ContentMetadata | None, problem: str | None) -> int | None:
    if problem is not None:
        return None
    if found is None:
        return stored
    if found.algorithm_suite.is_legacy:
        return noted_length(found, stored)
    return max(stored - found.algorithm_suite.tag_length, 0)
