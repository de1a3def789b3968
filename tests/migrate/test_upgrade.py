"""What other clients wrote becomes committing V3: V1 and V2, raw keys and instruction files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec.algorithms import CommitmentPolicy
from s3ec.migrate import Action, KeyringSpec, Location, Result, SkipReason, Task

from .conftest import Step
from support.macs import mac_of
from support.vectors import Vector, all_vectors

# A file under a suffix of one's own belongs to whoever knows the suffix; what a bucket job can find is these.
SUFFIXES = (".instruction", "INSTRUCTION_SUFFIX")
RAW = [
    vector
    for vector in all_vectors()
    if vector.key["kind"] in ("aes", "rsa")
    and (vector.instruction_file is None or vector.instruction_file.suffix in SUFFIXES)
]


def _one_of_each() -> list[Vector]:
    """One vector for each way in which raw keys were used."""
    kinds: dict[tuple[object, ...], Vector] = {}
    for vector in RAW:
        kinds.setdefault((vector.format, vector.wrap, vector.content, vector.instruction_file is not None), vector)
    return list(kinds.values())


def _spec(vector: Vector, folder: Path) -> KeyringSpec:
    path = folder / "key"
    if vector.key["kind"] == "aes":
        path.write_bytes(bytes.fromhex(vector.key["hex"]))
        return KeyringSpec(kind="aes-file", path=str(path))
    path.write_text(vector.key["private_pem"])
    return KeyringSpec(kind="rsa-file", private_key_path=str(path))


def _store(vector: Vector, plain_s3: Any, bucket: str) -> None:
    metadata = {**vector.metadata, **vector.user_metadata}
    plain_s3.put_object(Bucket=bucket, Key="k", Body=vector.body, Metadata=metadata)
    if vector.instruction_file is not None:
        plain_s3.put_object(
            Bucket=bucket,
            Key="k" + vector.instruction_file.suffix,
            Body=vector.instruction_file.body,
            Metadata=dict(vector.instruction_file.metadata),
        )


def _keys(plain_s3: Any, bucket: str) -> list[str]:
    return [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]]


@pytest.mark.parametrize("vector", _one_of_each(), ids=lambda vector: str(vector.name))
def test_every_old_format_becomes_v3_under_kms(
    vector: Vector, step: Step, bucket: str, plain_s3: Any, tmp_path: Path, make_client: Callable[..., Any]
) -> None:
    """An upgraded object is read by a client that takes nothing but committing V3, and its instruction file is gone."""
    _store(vector, plain_s3, bucket)
    spec = _spec(vector, tmp_path)
    outcome = step("k", action=Action.UPGRADE, source_keyring=spec, allow_legacy=True)
    if vector.commits:
        assert outcome.result is Result.ALREADY
        return
    assert outcome.result is Result.DONE
    assert outcome.plaintext_mac == mac_of(vector.plaintext)
    assert outcome.format_after == "V3"
    answer = make_client().get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == vector.plaintext
    assert answer["Metadata"].items() >= vector.user_metadata.items()
    assert _keys(plain_s3, bucket) == ["k"]


def test_old_formats_are_left_alone_unless_asked_for(step: Step, bucket: str, plain_s3: Any, tmp_path: Path) -> None:
    """Encrypting plaintext does not touch what is encrypted, and does not encrypt ciphertext."""
    vector = next(vector for vector in RAW if vector.format == "V2" and vector.instruction_file)
    _store(vector, plain_s3, bucket)
    outcome = step("k")
    assert outcome.reason is SkipReason.OLD_FORMAT
    assert not outcome.leaves_undone
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == vector.body


@pytest.mark.slow
@pytest.mark.parametrize("with_file", [False, True])
def test_old_formats_move_as_they_are(
    with_file: bool, step: Step, bucket: str, plain_s3: Any, tmp_path: Path, make_client: Callable[..., Any]
) -> None:
    """To another place an old object is copied whole, so that nothing is missing there; and only once."""
    vectors = (v for v in RAW if v.format == "V2" and not v.has_legacy_content)
    vector = next(v for v in vectors if (v.instruction_file is not None) == with_file)
    _store(vector, plain_s3, bucket)
    where = {"source": Location(bucket=bucket), "destination": Location(bucket=bucket + "-target")}
    plain_s3.create_bucket(Bucket=bucket + "-target")
    assert step("k", dry_run=True, **where).result is Result.PLANNED
    assert step("k", **where).result is Result.DONE
    assert step("k", **where).result is Result.ALREADY
    reader = make_client(keyring=vector.keyring(), commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT)
    assert reader.get_object(Bucket=bucket + "-target", Key="k")["Body"].read() == vector.plaintext


def test_legacy_objects_take_their_leave(step: Step, bucket: str, plain_s3: Any, tmp_path: Path) -> None:
    """Without the opt-in a V1 object is listed as wanted and not done, and stands."""
    vector = next(vector for vector in RAW if vector.has_legacy_content)
    _store(vector, plain_s3, bucket)
    outcome = step("k", action=Action.UPGRADE, source_keyring=_spec(vector, tmp_path))
    assert outcome.reason is SkipReason.LEGACY
    assert outcome.leaves_undone
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == vector.body


def test_the_context_is_kept_without_reserved_names(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """An upgraded object is read with the encryption context that it was written with."""
    old = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    old.put_object(Bucket=bucket, Key="k", Body=b"x", EncryptionContext={"team": "hr"})
    assert step("k", action=Action.UPGRADE).result is Result.DONE
    answer = make_client().get_object(Bucket=bucket, Key="k", EncryptionContext={"team": "hr"})
    assert answer["Body"].read() == b"x"


@pytest.mark.slow
def test_a_tampered_object_is_not_upgraded(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """What does not verify is named, and stands as it was found: evidence, not material."""
    old = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    old.put_object(Bucket=bucket, Key="k", Body=b"x" * 100)
    stored = plain_s3.get_object(Bucket=bucket, Key="k")
    body = bytearray(stored["Body"].read())
    body[50] ^= 1
    plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(body), Metadata=stored["Metadata"])
    outcome = step("k", action=Action.UPGRADE)
    assert outcome.result is Result.FAILED
    assert "tampering" in outcome.message
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == bytes(body)


def test_the_file_of_a_killed_upgrade_is_removed_by_the_next(
    step: Step, bucket: str, plain_s3: Any, tmp_path: Path
) -> None:
    """Between the object and its old instruction file a kill may come; the next run tidies up, and only that."""
    vector = next(
        v for v in RAW if v.format == "V2" and v.instruction_file and v.instruction_file.suffix == ".instruction"
    )
    assert vector.instruction_file is not None
    _store(vector, plain_s3, bucket)
    step("k", action=Action.UPGRADE, source_keyring=_spec(vector, tmp_path), allow_legacy=True)
    plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=vector.instruction_file.body)
    task = Task(bucket=bucket, key="k", has_instruction_file=True)
    assert step("k", task=task, action=Action.UPGRADE).result is Result.ALREADY
    assert _keys(plain_s3, bucket) == ["k"]
    plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=b"somebody's own text")
    assert step("k", task=task, action=Action.UPGRADE).result is Result.ALREADY
    assert _keys(plain_s3, bucket) == ["k", "k.instruction"]
