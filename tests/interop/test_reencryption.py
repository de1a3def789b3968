"""Data keys that Java wrapped again are read by s3ec, and those that s3ec wrapped again by Java."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from interop.cells import Body, Scheme, Shape, request_for
from interop.peers import ALLOW, REQUIRE
from interop.report import Report

from s3ec.errors import S3ECError
from s3ec.migrate import (
    Action,
    Connection,
    KeyringSpec,
    Location,
    MigrationContext,
    MigrationSettings,
    Result,
    Task,
    migrate_one,
)

pytestmark = pytest.mark.interop

HEADING = "Data keys wrapped again for another key"
DESCRIPTION = {"key": "name-2"}


@dataclass(frozen=True)
class Rewrap:
    """Who writes an object, who wraps its data key again, for which key and into which file."""

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


def spec_of(key: dict[str, Any], folder: Path, description: dict[str, str]) -> KeyringSpec:
    """A keyring by description, its raw key in a file."""
    if key["kind"] == "aes":
        path = folder / f"{key['hex'][:8]}.key"
        path.write_bytes(bytes.fromhex(key["hex"]))
        return KeyringSpec(kind="aes-file", path=str(path), material_description=description)
    path = folder / f"{hash(key['private_pem'])}.pem"
    path.write_text(key["private_pem"])
    return KeyringSpec(kind="rsa-file", private_key_path=str(path), material_description=description)


@pytest.mark.parametrize("storage", ["metadata", "instruction-file"])
@pytest.mark.parametrize(("old", "new"), [("aes", "new-aes"), ("aes", "new-rsa"), ("rsa", "new-rsa")])
@pytest.mark.parametrize(
    ("writer", "generation", "readers"),
    [
        ("s3ec", "V3", ("java4",)),
        ("java4", "V3", ("java4",)),
        ("java3", "V2", ("java4", "java3", "javasdk1-v2")),
    ],
)
def test_they_read_what_s3ec_rewrapped(
    writer: str,
    generation: str,
    readers: tuple[str, ...],
    old: str,
    new: str,
    storage: str,
    ask: Any,
    keys: dict[str, Any],
    bodies: dict[int, Body],
    endpoint: str,
    aws: dict[str, Any],
    shared_bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
) -> None:
    """After s3ec's rewrap, Java's clients open the object with the new key."""
    scheme = Scheme(writer, generation, old, storage)
    request = request_for(scheme, Shape(17), keys, bodies)
    key = f"rewrapped-by-s3ec/{scheme}-{new}"
    ask(writer, op="put", key=key, **request)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", aws["aws_secret_access_key"])
    settings = MigrationSettings(
        action=Action.REWRAP,
        source=Location(bucket=shared_bucket, prefix=key),
        keyring=spec_of(keys[new], tmp_path, DESCRIPTION),
        source_keyring=spec_of(keys[old], tmp_path, {}),
        connection=Connection(endpoint_url=endpoint, region_name=aws["region_name"]),
    )
    with contextlib.closing(MigrationContext.open(settings)) as context:
        outcome = migrate_one(Task(bucket=shared_bucket, key=key), context=context)
    assert outcome.result is Result.DONE, outcome
    read = {**request, "keyring": {**keys[new], "material_description": DESCRIPTION}}
    for reader in readers:
        policy = ALLOW if generation == "V2" else None
        answer = ask(reader, op="get", key=key, **{**read, "policy": policy})
        assert answer["ok"], answer
        assert answer["sha256"] == bodies[17].sha256
    where = "object metadata" if storage == "metadata" else "instruction file"
    found = f"read by {', '.join(f'`{reader}`' for reader in readers)}"
    report.facts[HEADING][f"{generation} of `{writer}`, by s3ec, {old} to {new}, {where}"] = found
