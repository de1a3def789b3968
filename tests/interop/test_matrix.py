"""Every format that an official client writes is read by s3ec, and every one of ours by every client that knows it."""

from __future__ import annotations

from typing import Any

import pytest
from interop.cells import (
    OURS,
    READ_LIMITS,
    SHAPES,
    THEIRS,
    USER_METADATA,
    WRITE_LIMITS,
    Body,
    Scheme,
    Shape,
    limit_for,
    request_for,
)
from interop.peers import OFFICIAL, Official
from interop.report import Report

from s3ec.errors import S3ECError

LEGACY = {"legacy_content": True, "legacy_wrapping": True}
pytestmark = pytest.mark.interop


def users_own(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata without content metadata; some clients answer with names in upper case."""
    return {name.lower(): value for name, value in metadata.items() if not name.lower().startswith("x-amz-")}


def is_the_plaintext(answer: dict[str, Any], body: Body) -> bool:
    """Says whether a reader returned exactly what was written."""
    return bool(answer["ok"]) and (answer["size"], answer["sha256"]) == (body.size, body.sha256)


def shapes_for(client: Official) -> list[Shape]:
    """The shapes that a writer can write at all."""
    return [shape for shape in SHAPES if client.multipart or not shape.multipart]


@pytest.mark.parametrize("scheme", THEIRS, ids=str)
def test_s3ec_reads(scheme: Scheme, ask: Any, keys: dict[str, Any], bodies: dict[int, Body], report: Report) -> None:
    """s3ec returns plaintext and user metadata of every object that an official client wrote."""
    failures = []
    policy = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT" if scheme.generation == "V3" else "REQUIRE_ENCRYPT_ALLOW_DECRYPT"
    for shape in shapes_for(OFFICIAL[scheme.writer]):
        request = request_for(scheme, shape, keys, bodies)
        key = f"theirs/{scheme}/{shape}"
        limit = limit_for(WRITE_LIMITS, scheme.writer, scheme, shape)
        written = ask(scheme.writer, op="put_multipart" if shape.multipart else "put", key=key, **request)
        if limit and limit.outcome == "refuses":
            assert not written["ok"], f"{scheme.writer} writes {shape} now: the limit is out of date"
            report.tallies[scheme, "s3ec"].limited[limit.note] += 1
            continue
        assert written["ok"], f"{scheme.writer} did not write {shape}: {written['error']}"
        legacy = LEGACY if scheme.generation == "V1" else {}
        try:
            answer = ask("s3ec", op="get", key=key, **{**request, "policy": policy, **legacy})
        except S3ECError as error:
            if limit:
                report.tallies[scheme, "s3ec"].limited[limit.note] += 1
            else:
                failures.append(f"{shape}: {type(error).__name__}: {error}")
            continue
        if limit or not is_the_plaintext(answer, bodies[shape.size]) or users_own(answer["metadata"]) != USER_METADATA:
            failures.append(f"{shape}: {answer} (limit: {limit})")
        report.tallies[scheme, "s3ec"].read += 1
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def written() -> dict[str, bool]:
    """Keys that s3ec has written already: each object is written once and read by all."""
    return {}


@pytest.mark.parametrize("reader", OFFICIAL.values(), ids=lambda client: client.name)
@pytest.mark.parametrize("scheme", OURS, ids=str)
def test_reads_s3ec(
    scheme: Scheme,
    reader: Official,
    ask: Any,
    keys: dict[str, Any],
    bodies: dict[int, Body],
    written: dict[str, bool],
    report: Report,
) -> None:
    """An official client that knows the format and the keyring returns plaintext and user metadata of ours."""
    if scheme.keyring not in reader.keyrings:
        return
    failures = []
    for shape in SHAPES:
        request = request_for(scheme, shape, keys, bodies)
        key = f"ours/{scheme}/{shape}"
        if key not in written:
            ask("s3ec", op="put_multipart" if shape.multipart else "put", key=key, **request)
            written[key] = True
        limit = limit_for(READ_LIMITS, reader.name, scheme, shape)
        answer = ask(reader.name, op="get", key=key, **request, **LEGACY)
        right = is_the_plaintext(answer, bodies[shape.size])
        if limit:
            outcome = "refuses" if not answer["ok"] else "other bytes"
            if right or outcome != limit.outcome:
                failures.append(f"{shape}: expected {limit.outcome}, found {answer}")
            report.tallies[scheme, reader.name].limited[limit.note] += 1
            continue
        if not right or users_own(answer["metadata"]) != USER_METADATA:
            failures.append(f"{shape}: {answer}")
        report.tallies[scheme, reader.name].read += 1
    assert not failures, "\n".join(failures)
