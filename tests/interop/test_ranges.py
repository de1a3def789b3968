"""Ranged reads give the same bytes as Java's, whoever wrote the object."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError
from interop.cells import RANGED_SIZE, Body, Scheme, Shape, request_for
from interop.peers import ALLOW, OFFICIAL, REQUIRE
from interop.report import Report

from s3ec.errors import UnauthenticatedRangeError

pytestmark = pytest.mark.interop

HEADING = "Ranged reads"
SHAPE = Shape(RANGED_SIZE)
SCHEMES = (
    Scheme("s3ec", "V3", "kms", "metadata"),
    Scheme("s3ec", "V2", "rsa", "instruction-file"),
    Scheme("java4", "V3", "aes", "instruction-file"),
    Scheme("javasdk1-ae", "V1", "aes", "metadata"),
    Scheme("javasdk1-eo", "V1", "kms", "metadata"),
)
CLOSED = ((0, 0), (0, 15), (5, 20), (15, 16), (16, 31), (17, 79), (40, 99), (99, 99), (0, 99), (90, 500))
READERS = [client for client in OFFICIAL.values() if client.ranges]
LEGACY = {"legacy_content": True, "legacy_wrapping": True}


def is_cbc(scheme: Scheme) -> bool:
    """Says whether nothing authenticates the content."""
    return scheme.writer == "javasdk1-eo"


def policy_for(scheme: Scheme) -> str:
    """The strictest policy under which the object is read."""
    return REQUIRE if scheme.generation == "V3" else ALLOW


def digest(body: Body, first: int, last: int) -> str:
    """Digest of a slice of the plaintext, both ends included."""
    return hashlib.sha256(body.path.read_bytes()[first : last + 1]).hexdigest()


@pytest.fixture
def written(ask: Any, keys: dict[str, Any], bodies: dict[int, Body], request: pytest.FixtureRequest) -> Any:
    """Writes an object of a scheme under a key of the test's own; returns the request to read it with."""

    def write(scheme: Scheme) -> dict[str, Any]:
        wanted = request_for(scheme, SHAPE, keys, bodies)
        key = f"ranges/{request.node.name}"
        ask(scheme.writer, op="put", key=key, **wanted)
        return {**wanted, "key": key, "op": "get", "policy": policy_for(scheme)}

    return write


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("verified", [True, False], ids=["verified", "unauthenticated"])
def test_ours(scheme: Scheme, verified: bool, ask: Any, written: Any, bodies: dict[int, Body], report: Report) -> None:
    """s3ec answers every range with exactly those bytes, verified or, when asked for, unauthenticated."""
    read = {**written(scheme), "unauthenticated_ranges": not verified, **(LEGACY if scheme.generation == "V1" else {})}
    name = f"{scheme} read by s3ec, {'verified' if verified else 'unauthenticated'}"
    if is_cbc(scheme) and verified:
        with pytest.raises(UnauthenticatedRangeError):
            ask("s3ec", range="bytes=5-20", **read)
        report.facts[HEADING][name] = "partial ranges refused: CBC has no tag"
        return
    for first, last in CLOSED:
        answer = ask("s3ec", range=f"bytes={first}-{last}", **read)
        assert answer["sha256"] == digest(bodies[RANGED_SIZE], first, last), (first, last)
        if not is_cbc(scheme):
            expected = f"bytes {first}-{min(last, RANGED_SIZE - 1)}/{RANGED_SIZE}"
            assert answer["response"]["ContentRange"] == expected
    assert ask("s3ec", range="bytes=17-", **read)["sha256"] == digest(bodies[RANGED_SIZE], 17, RANGED_SIZE)
    assert ask("s3ec", range="bytes=-20", **read)["sha256"] == digest(bodies[RANGED_SIZE], 80, RANGED_SIZE)
    with pytest.raises(ClientError, match="InvalidRange"):
        ask("s3ec", range=f"bytes={RANGED_SIZE}-{RANGED_SIZE + 5}", **read)
    report.facts[HEADING][name] = f"{len(CLOSED) + 2} of {len(CLOSED) + 2} ranges; 416 past the end"


@pytest.mark.parametrize("reader", READERS, ids=lambda client: client.name)
@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_theirs(scheme: Scheme, reader: Any, ask: Any, written: Any, bodies: dict[int, Body], report: Report) -> None:
    """Java's clients answer the same ranges with the same bytes."""
    if scheme.generation not in reader.reads or scheme.keyring not in reader.keyrings:
        return
    read = written(scheme)
    for first, last in CLOSED:
        answer = ask(reader.name, range=f"bytes={first}-{last}", **read, **LEGACY)
        assert answer["ok"], (first, last, answer)
        assert answer["sha256"] == digest(bodies[RANGED_SIZE], first, last), (first, last)
    past = ask(reader.name, range=f"bytes={RANGED_SIZE}-{RANGED_SIZE + 5}", **read, **LEGACY)
    said = f"{past['size']} bytes" if past["ok"] else "an error"
    report.facts[HEADING][f"{scheme} read by `{reader.name}`"] = (
        f"{len(CLOSED)} of {len(CLOSED)} ranges; past the end: {said}"
    )
