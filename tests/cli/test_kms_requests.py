"""What the command line asks KMS, and what it does where KMS refuses: it says so, and changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3ec import AesKeyring, CommitmentPolicy

from support.aws import create_kms_key
from support.proxy import Answer, Proxy, Request, proxy


@pytest.fixture
def lying(endpoint: str, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Iterator[Proxy]:
    """A proxy that the command line talks to."""
    with proxy(endpoint) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        yield made


def _denying(operation: str, *, after: int = 0) -> Callable[[Request, Callable[[], Answer]], Answer]:
    """KMS refuses one operation, from the given number of requests on."""
    seen = []

    def fault(request: Request, ask: Callable[[], Answer]) -> Answer:
        if request.headers.get("x-amz-target", "").rpartition(".")[2] != operation:
            return ask()
        seen.append(request)
        if len(seen) <= after:
            return ask()
        said = {"__type": "AccessDeniedException", "message": f"not authorized to perform: kms:{operation}"}
        return Answer(400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(said).encode())

    return fault


def _stored(plain_s3: Any, bucket: str) -> dict[str, tuple[Any, ...]]:
    found = {}
    for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]:
        head = plain_s3.head_object(Bucket=bucket, Key=entry["Key"])
        found[entry["Key"]] = (head["ETag"], head["LastModified"], head["Metadata"])
    return found


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("ReEncrypt", "kms to kms"),
        pytest.param("ReEncrypt", "pinned", marks=pytest.mark.slow),
        pytest.param("Decrypt", "kms to raw", marks=pytest.mark.slow),
        pytest.param("Encrypt", "raw to kms", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_changed_where_a_right_is_missing(
    operation: str, kind: str, run: Any, lying: Proxy, bucket: str, plain_s3: Any, make_client: Any, kms_key: str,
    aws: dict[str, Any], tmp_path: Path,
) -> None:  # fmt: skip
    """Whichever side refuses: each object fails, is left as it was, and the answer of KMS is told."""
    (tmp_path / "key").write_bytes(bytes(32))
    raw = kind == "raw to kms"
    client = make_client(keyring=AesKeyring(bytes(32))) if raw else make_client()
    for name in "ab":
        client.put_object(Bucket=bucket, Key=name, Body=b"x")
    before = _stored(plain_s3, bucket)
    words = {
        "kms to kms": ("--to-kms-key", create_kms_key(aws)),
        "pinned": ("--kms-key", kms_key, "--to-kms-key", create_kms_key(aws)),
        "kms to raw": ("--kms-key", kms_key, "--to-aes-key-file", tmp_path / "key"),
        "raw to kms": ("--aes-key-file", tmp_path / "key", "--to-kms-key", kms_key),
    }[kind]
    lying.fault = _denying(operation)
    ended = run("rewrap", f"s3://{bucket}", *words, "--yes")
    assert ended.code == 8, ended.err
    assert f"kms:{operation}" in ended.err
    assert "Traceback" not in ended.err
    assert _stored(plain_s3, bucket) == before


@pytest.mark.slow
def test_a_right_that_is_taken_away_in_the_middle_leaves_a_run_to_go_on_with(
    run: Any, lying: Proxy, bucket: str, plain_s3: Any, make_client: Any, aws: dict[str, Any]
) -> None:
    """What was done stays done, the rest is as it was; with the right back, the same command does the rest."""
    for name in "abcd":
        make_client().put_object(Bucket=bucket, Key=name, Body=b"x")
    words = ("rewrap", f"s3://{bucket}", "--to-kms-key", create_kms_key(aws), "--yes", "--json", "--workers", "1")
    lying.fault = _denying("ReEncrypt", after=2)
    ended = run(*words)
    assert (ended.code, ended.json["counts"]) == (8, {"done": 2, "failed": 2})
    lying.fault = None
    ended = run(*words)
    assert (ended.code, ended.json["counts"]) == (0, {"done": 4})
    assert ended.json["this_run"] == {"already": 2, "done": 2}


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("reuse", [False, True])
def test_a_dry_run_asks_each_key_once(
    upgrade: bool, reuse: bool, run: Any, lying: Proxy, bucket: str, plain_s3: Any, make_client: Any, kms_key: str
) -> None:
    """However many objects: one data key that is not made, and one that is opened where a run would open some."""
    older = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    for number in range(5):
        (older if upgrade else plain_s3).put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * number)
    before = _stored(plain_s3, bucket)
    lying.seen.clear()
    words = [*(["--upgrade"] if upgrade else []), *(["--reuse-data-keys"] if reuse else [])]
    assert run("migrate", f"s3://{bucket}", "--kms-key", kms_key, "--dry-run", *words).code == 0
    targets = [request.headers.get("x-amz-target", "") for request in lying.seen]
    asked = Counter(target.rpartition(".")[2] for target in targets if target)
    del asked["DescribeKey"]
    assert asked == {"GenerateDataKey": 1, **({"Decrypt": 1} if upgrade else {})}
    assert _stored(plain_s3, bucket) == before


def test_a_dry_run_says_that_a_key_is_denied(run: Any, lying: Proxy, bucket: str, plain_s3: Any, kms_key: str) -> None:
    """Before the run, and not from its first object."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    lying.fault = _denying("GenerateDataKey")
    ended = run("migrate", f"s3://{bucket}", "--kms-key", kms_key, "--dry-run")
    assert ended.code == 8, ended.err
    assert "kms:GenerateDataKey" in ended.err
