"""What one client's commitment policy refuses, the others' refuse too; what it writes, they write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from interop.cells import Body, Scheme, Shape, request_for
from interop.peers import ALLOW, FORBID, OFFICIAL, REQUIRE
from interop.report import Report

from s3ec.errors import CommitmentPolicyError

pytestmark = pytest.mark.interop

POLICIES = (FORBID, ALLOW, REQUIRE)
WITH_POLICIES = ("s3ec", *(client.name for client in OFFICIAL.values() if client.policies))
SHAPE = Shape(17)


def reads(ask: Any, reader: str, key: str, request: dict[str, Any]) -> bool:
    """Says whether a client reads an object; ours must name the policy as its reason."""
    try:
        return bool(ask(reader, op="get", key=key, **request)["ok"])
    except CommitmentPolicyError:
        return False


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("generation", ["V2", "V3"])
@pytest.mark.parametrize("writer", WITH_POLICIES)
def test_all_refuse_the_same(
    writer: str,
    generation: str,
    policy: str,
    ask: Any,
    present: Callable[[str], bool],
    keys: dict[str, Any],
    bodies: dict[int, Body],
    report: Report,
) -> None:
    """Under each policy every client reads or refuses an object as every other one does."""
    scheme = Scheme(writer, generation, "kms", "metadata")
    request = request_for(scheme, SHAPE, keys, bodies)
    key = f"policies/{writer}-{generation}-{policy}"
    ask(writer, op="put", key=key, **request)
    readers = [client for client in WITH_POLICIES if present(client)]
    found = {reader: reads(ask, reader, key, {**request, "policy": policy}) for reader in readers}
    expected = generation == "V3" or policy != REQUIRE
    assert found == dict.fromkeys(readers, expected)
    verdict = "all read it" if expected else "all refuse it"
    report.facts["Commitment policies"][f"{generation} of `{writer}` under `{policy}`"] = verdict


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("writer", WITH_POLICIES)
def test_all_write_the_same(
    writer: str,
    policy: str,
    ask: Any,
    keys: dict[str, Any],
    bodies: dict[int, Body],
    plain_s3: Any,
    shared_bucket: str,
    report: Report,
) -> None:
    """Under each policy every client writes the same format."""
    request = request_for(Scheme("s3ec", "V3", "kms", "metadata"), SHAPE, keys, bodies)
    key = f"policies/written-by-{writer}-{policy}"
    ask(writer, op="put", key=key, **{**request, "policy": policy})
    metadata = plain_s3.head_object(Bucket=shared_bucket, Key=key)["Metadata"]
    assert ("x-amz-3" in metadata, "x-amz-key-v2" in metadata) == (policy != FORBID, policy == FORBID)
    written = "V2" if policy == FORBID else "V3"
    report.facts["Commitment policies"][f"`{writer}` under `{policy}`"] = f"writes {written}"
