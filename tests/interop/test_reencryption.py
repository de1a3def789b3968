"""Instruction files whose data key Java wrapped anew are read by s3ec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from interop.cells import Body, Scheme, Shape, request_for
from interop.peers import ALLOW, REQUIRE
from interop.report import Report

from s3ec.errors import S3ECError

pytestmark = pytest.mark.interop

HEADING = "Instruction files rewrapped for another key"
DESCRIPTION = {"key": "name-2"}


@dataclass(frozen=True)
class Rewrap:
    """Who writes an object, who wraps its data key anew, for which key and into which file."""

    writer: str
    client: str
    generation: str
    old: str
    new: str
    suffix: str | None = None

    def __str__(self) -> str:
        suffix = f", suffix `.{self.suffix}`" if self.suffix else ""
        return f"{self.generation} of `{self.writer}`, by `{self.client}`, {self.old} to {self.new}{suffix}"


CASES = [
    Rewrap(writer, client, generation, old, new, suffix)
    for client, generation in (("java4", "V3"), ("java4", "V2"), ("java3", "V2"), ("javasdk1-v2", "V2"))
    for writer in (client, "s3ec")
    for old, new, suffix in (
        ("aes", "new-aes", None),
        ("aes", "new-rsa", None),
        ("rsa", "new-rsa", None),
        ("rsa", "new-rsa", "partner"),
    )
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_s3ec_reads_with_the_new_key(
    case: Rewrap, ask: Any, keys: dict[str, Any], bodies: dict[int, Body], report: Report
) -> None:
    """After another client rewrapped an instruction file, the new key opens the object and the old one does not."""
    scheme = Scheme(case.writer, case.generation, case.old, "instruction-file")
    request = request_for(scheme, Shape(17), keys, bodies)
    key = f"rewrapped/{case.writer}-{case.client}-{case.generation}-{case.old}-{case.new}-{case.suffix}"
    written = ask(case.writer, op="put", key=key, **request)
    assert case.writer == "s3ec" or written["ok"]
    new = {**keys[case.new], "material_description": DESCRIPTION}
    done = ask(
        case.client,
        op="reencrypt",
        key=key,
        new_keyring=new,
        suffix=case.suffix,
        **{**request, "policy": "FORBID_ENCRYPT_ALLOW_DECRYPT" if case.generation == "V2" else None},
    )
    assert done["ok"], done
    read = {
        **request,
        "keyring": new,
        "policy": REQUIRE if case.generation == "V3" else ALLOW,
        "suffix": f".{case.suffix}" if case.suffix else None,
    }
    answer = ask("s3ec", op="get", key=key, **read)
    assert answer["sha256"] == bodies[17].sha256
    with pytest.raises(S3ECError):
        ask("s3ec", op="get", key=key, **{**read, "keyring": request["keyring"]})
    report.facts[HEADING][str(case)] = "read by s3ec with the new key only"
