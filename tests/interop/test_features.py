"""What s3ec adds to the formats stays readable for the official clients, and deletes mean the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from interop.cells import TRANSFER_SIZE, Body, Scheme, Shape, request_for
from interop.peers import OFFICIAL
from interop.report import Report

pytestmark = pytest.mark.interop

HEADING = "Options of s3ec, and deletes"
SHAPE = Shape(17)
KMS_IN_METADATA = Scheme("s3ec", "V3", "kms", "metadata")
KMS_IN_FILE = Scheme("s3ec", "V3", "kms", "instruction-file")
READS_V3 = [client.name for client in OFFICIAL.values() if "V3" in client.reads]
DELETES_FILES = ("java4", "java3", "go4", "go3", "python4")


@pytest.mark.parametrize("reader", READS_V3)
def test_bound_objects(
    reader: str, ask: Any, keys: dict[str, Any], bodies: dict[int, Body], shared_bucket: str, report: Report
) -> None:
    """An object bound to its place opens for another client that gives its ARN as context, and for no other."""
    request = request_for(KMS_IN_METADATA, SHAPE, keys, bodies)
    key = f"features/bound-for-{reader}"
    ask("s3ec", op="put", key=key, **request, bind_object=True)
    bound = {"aws:s3:arn": f"arn:aws:s3:::{shared_bucket}/{key}"}
    answer = ask(reader, op="get", key=key, **{**request, "context": bound})
    assert answer["ok"], answer
    assert answer["sha256"] == bodies[17].sha256
    other = {"aws:s3:arn": f"arn:aws:s3:::{shared_bucket}/elsewhere"}
    assert not ask(reader, op="get", key=key, **{**request, "context": other})["ok"]
    report.facts[HEADING][f"`bind_object=True`, read by `{reader}`"] = (
        "read with the ARN as context, refused with another"
    )


@pytest.mark.parametrize("reader", READS_V3)
def test_shared_data_keys(
    reader: str,
    ask: Any,
    keys: dict[str, Any],
    bodies: dict[int, Body],
    plain_s3: Any,
    shared_bucket: str,
    report: Report,
) -> None:
    """Objects that share one data key through the cache are read like any others."""
    request = request_for(KMS_IN_METADATA, SHAPE, keys, bodies)
    names = [f"features/cached-for-{reader}-{number}" for number in range(3)]
    for key in names:
        ask("s3ec", op="put", key=key, **request, cached=True)
        answer = ask(reader, op="get", key=key, **request)
        assert answer["ok"], answer
        assert answer["sha256"] == bodies[17].sha256
    stored = [plain_s3.head_object(Bucket=shared_bucket, Key=key)["Metadata"] for key in names]
    assert len({metadata["x-amz-3"] for metadata in stored}) == 1
    assert len({metadata["x-amz-i"] for metadata in stored}) == len(names)
    report.facts[HEADING][f"`CachingMaterialsManager`, read by `{reader}`"] = "objects under one data key read"


@pytest.mark.parametrize("reader", READS_V3)
def test_managed_uploads(reader: str, ask: Any, keys: dict[str, Any], bodies: dict[int, Body], report: Report) -> None:
    """What ``upload_file`` sent in parts over several connections is one stream to every reader."""
    request = request_for(KMS_IN_METADATA, Shape(TRANSFER_SIZE), keys, bodies)
    key = f"features/uploaded-for-{reader}"
    ask("s3ec", op="upload_file", key=key, **request)
    answer = ask(reader, op="get", key=key, **request)
    assert answer["ok"], answer
    assert answer["sha256"] == bodies[TRANSFER_SIZE].sha256
    report.facts[HEADING][f"`upload_file` in parts, read by `{reader}`"] = "read"


@pytest.mark.parametrize("writer", ["java4", "java3"])
def test_javas_managed_uploads(
    writer: str, ask: Any, keys: dict[str, Any], bodies: dict[int, Body], report: Report
) -> None:
    """What Java sent in parts by itself is read."""
    generation = next(iter(OFFICIAL[writer].writes))
    request = request_for(Scheme(writer, generation, "kms", "metadata"), Shape(TRANSFER_SIZE), keys, bodies)
    key = f"features/uploaded-by-{writer}"
    written = ask(writer, op="put_multipart", key=key, **request, high_level_multipart=True)
    assert written["ok"], written
    answer = ask("s3ec", op="get", key=key, **{**request, "policy": "REQUIRE_ENCRYPT_ALLOW_DECRYPT"})
    assert answer["sha256"] == bodies[TRANSFER_SIZE].sha256
    report.facts[HEADING][f"multipart `putObject` of `{writer}`, read by s3ec"] = "read"


@pytest.mark.parametrize("key_name", ["aes128", "aes192", "rsa3072"])
@pytest.mark.parametrize("other", ["java4", "java3", "javasdk1-v2", "javasdk1-ae", "javasdk1-eo"])
def test_other_key_sizes(
    other: str, key_name: str, ask: Any, keys: dict[str, Any], bodies: dict[int, Body], report: Report
) -> None:
    """Wrapping keys of other sizes are the same key to both sides."""
    generation = next(iter(OFFICIAL[other].writes))
    request = request_for(Scheme(other, generation, key_name, "metadata"), SHAPE, keys, bodies)
    ask(other, op="put", key=f"features/{key_name}-by-{other}", **request)
    legacy = {"legacy_content": True, "legacy_wrapping": True, "policy": "REQUIRE_ENCRYPT_ALLOW_DECRYPT"}
    answer = ask("s3ec", op="get", key=f"features/{key_name}-by-{other}", **{**request, **legacy})
    assert answer["sha256"] == bodies[17].sha256

    ours = "V3" if "V3" in OFFICIAL[other].reads else "V2"
    request = request_for(Scheme("s3ec", ours, key_name, "metadata"), SHAPE, keys, bodies)
    ask("s3ec", op="put", key=f"features/{key_name}-for-{other}", **request)
    answer = ask(other, op="get", key=f"features/{key_name}-for-{other}", **request)
    assert answer["ok"], answer
    assert answer["sha256"] == bodies[17].sha256
    report.facts[HEADING][f"{key_name} with `{other}`"] = "read both ways"


def left(plain_s3: Any, bucket: str, prefix: str) -> list[str]:
    """Keys that are still there."""
    return [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


@pytest.mark.parametrize("client", DELETES_FILES)
def test_they_delete_our_instruction_file(
    client: str,
    ask: Any,
    keys: dict[str, Any],
    bodies: dict[int, Body],
    plain_s3: Any,
    shared_bucket: str,
    report: Report,
) -> None:
    """Deleting through another client takes our instruction file along."""
    request = request_for(KMS_IN_FILE, SHAPE, keys, bodies)
    key = f"features/deleted-by-{client}"
    ask("s3ec", op="put", key=key, **request)
    assert left(plain_s3, shared_bucket, key) == [key, f"{key}.instruction"]
    assert ask(client, op="delete", key=key, **request)["ok"]
    assert left(plain_s3, shared_bucket, key) == []
    report.facts[HEADING][f"instruction file of s3ec, deleted by `{client}`"] = "gone with its object"


@pytest.mark.parametrize("writer", ["java4", "java3", "javasdk1-eo", "gosdk1-v2"])
def test_we_delete_their_instruction_file(
    writer: str,
    ask: Any,
    keys: dict[str, Any],
    bodies: dict[int, Body],
    plain_s3: Any,
    shared_bucket: str,
    report: Report,
) -> None:
    """Deleting through s3ec takes their instruction file along, with marker (Java) or without (Go)."""
    generation = next(iter(OFFICIAL[writer].writes))
    request = request_for(Scheme(writer, generation, "kms", "instruction-file"), SHAPE, keys, bodies)
    key = f"features/deleted-after-{writer}"
    assert ask(writer, op="put", key=key, **request)["ok"]
    assert left(plain_s3, shared_bucket, key) == [key, f"{key}.instruction"]
    ask("s3ec", op="delete", key=key, **request)
    assert left(plain_s3, shared_bucket, key) == []
    report.facts[HEADING][f"instruction file of `{writer}`, deleted by s3ec"] = "gone with its object"
