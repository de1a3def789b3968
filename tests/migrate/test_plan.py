"""A plan counts what a run then does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3ec import AesKeyring, CommitmentPolicy
from s3ec.errors import KeyringError
from s3ec.migrate import Action, Journal, KeyringSpec, Location, MigrationSettings, Plan, plan, run

from .conftest import Settings
from support.aws import create_kms_key, keep_versions
from support.proxy import Proxy, proxy


@pytest.mark.slow
def test_a_plan_says_what_the_run_does(settings: Settings, bucket: str, plain_s3: Any, tmp_path: Any) -> None:
    """Objects, writes and KMS calls of the plan are those of the run; the dry run itself writes and calls nothing."""
    for number in range(5):
        plain_s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * number)
    plain_s3.put_object(Bucket=bucket, Key="archived", Body=b"x", StorageClass="GLACIER")
    plain_s3.put_object(Bucket=bucket, Key="large", Body=bytes(11 * 2**20))
    job = settings(single_request_limit=2**20, part_size=5 * 2**20)
    planned = plan(job, workers=4)
    assert (planned.objects, planned.to_do, planned.already) == (7, 6, 0)
    assert planned.skipped == {"archived": 1}
    assert planned.formats == {"plaintext": 6}
    assert planned.bytes == planned.to_do_bytes + 1
    assert Plan.from_json(planned.to_json()) == planned
    with Journal.open(tmp_path / "j", job) as journal:
        done = run(job, journal, workers=2, max_passes=1)
    assert done.kms_calls == planned.kms_calls == 6
    assert planned.requests == done.requests
    again = plan(job)
    assert (again.to_do, again.already) == (0, 6)


@pytest.mark.slow
def test_the_plan_prices_and_warns(settings: Settings, bucket: str, plain_s3: Any) -> None:
    """Requests, KMS calls, early deletion and old versions have a price; what follows from writing is said."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(2**20), StorageClass="STANDARD_IA")
    cost = plan(settings()).cost
    assert min(cost.s3_requests, cost.kms_requests, cost.retrieval, cost.early_deletion) > 0
    assert cost.old_versions_per_month == 0
    keep_versions(plain_s3, bucket)
    plain_s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [{"ID": "a", "Filter": {"Prefix": ""}, "Status": "Enabled", "Expiration": {"Days": 9}}]
        },
    )
    planned = plan(settings())
    assert planned.cost.old_versions_per_month > 0
    assert planned.cost.early_deletion == 0
    assert sum("lifecycle" in text or "versions" in text for text in planned.warnings) == 2


def test_a_plan_of_a_rewrap_writes_nothing(
    settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any], aws: dict[str, Any]
) -> None:
    """Objects to be rewrapped are counted, and stand as they were."""
    from s3ec.migrate import KeyringSpec

    from support.aws import create_kms_key

    make_client().put_object(Bucket=bucket, Key="k", Body=b"x")
    before = plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]
    job = settings(action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=create_kms_key(aws)))
    planned = plan(job)
    assert (planned.to_do, planned.kms_calls) == (1, 1)
    assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"] == before


class _Sent:
    """What really reaches S3 and KMS, counted by a proxy before them."""

    def __init__(self, lying: Proxy) -> None:
        self._lying = lying

    def __enter__(self) -> _Sent:
        self._lying.seen.clear()
        return self

    def __exit__(self, *_: object) -> None:
        to_kms = [request for request in self._lying.seen if "x-amz-target" in request.headers]
        self.kms, self.s3 = len(to_kms), len(self._lying.seen) - len(to_kms)


def _as_planned(job: MigrationSettings, lying: Proxy, path: Path, *, is_exact: bool = True) -> Plan:
    """Plan and run one job, and compare both with what was really sent."""
    planned = plan(job, workers=4)
    with Journal.open(path, job) as journal, _Sent(lying) as sent:
        done = run(job, journal, workers=4)
    assert done.undone == 0
    if is_exact:
        assert planned.requests == done.requests
    assert (sum(done.requests.values()), done.kms_calls) == (sent.s3, sent.kms)
    assert sum(planned.requests.values()) == pytest.approx(sent.s3, rel=0.05)
    assert planned.kms_calls == pytest.approx(sent.kms, rel=0.05)
    return planned


@pytest.fixture
def lying(endpoint: str) -> Iterator[Proxy]:
    """A proxy that tells the truth, and counts."""
    with proxy(endpoint) as made:
        yield made


@pytest.fixture
def through(lying: Proxy, settings: Settings) -> Settings:
    """Settings whose requests all pass the proxy."""

    def make(**changes: Any) -> MigrationSettings:
        job = settings(**changes)
        return replace(job, connection=replace(job.connection, endpoint_url=lying.url))

    return make


_CHANGES: dict[str, dict[str, Any]] = {
    "reuse": {"reuse_data_keys": True},
    "files": {"instruction_file": "always"},
    "files when needed": {"instruction_file": "when-needed"},
    "settled": {"settle_seconds": 0.0},
    "read back": {"read_back": True},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "versioned"),
    [("migrate", False), ("migrate", True), ("again", True), ("elsewhere", False), ("acls off", False),
     ("settled", False), ("read back", False), ("alias", True), ("random bytes", False), ("random bytes", True),
     ("reuse", False), ("reuse", True), ("files", False), ("files", True), ("files when needed", False)],
)  # fmt: skip
def test_a_migration_sends_what_was_planned(
    kind: str, versioned: bool, through: Settings, lying: Proxy, tmp_path: Path, bucket: str, plain_s3: Any,
    kms: Any, kms_key: str,
) -> None:  # fmt: skip
    """Requests and KMS calls of the plan are those that a proxy counts, the listing and the bucket's facts included."""
    if versioned:
        keep_versions(plain_s3, bucket)
    for number in range(11):
        body = os.urandom(100) if kind == "random bytes" else b"x" * number
        # Tags on most of them, and two folders.
        tags = {"Tagging": "t=1"} if number % 4 else {}
        plain_s3.put_object(Bucket=bucket, Key=f"{number % 2}/k{number:02}", Body=body, **tags)
    plain_s3.put_object(Bucket=bucket, Key="large", Body=bytes(10 * 2**20))
    changes: dict[str, Any] = {"single_request_limit": 2**20, "part_size": 5 * 2**20}
    if kind == "elsewhere":
        plain_s3.create_bucket(Bucket=f"{bucket}-elsewhere")
        changes["destination"] = Location(bucket=f"{bucket}-elsewhere")
    if kind == "acls off":
        rules: Any = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        plain_s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    changes |= _CHANGES.get(kind, {})
    if kind == "files when needed":
        plain_s3.put_object(Bucket=bucket, Key="0/k00", Body=b"x", Metadata={"long": "x" * 1900})
    if kind == "alias":
        kms.create_alias(AliasName=f"alias/{bucket}", TargetKeyId=kms_key)
        changes["keyring"] = KeyringSpec(kind="kms", key_id=f"alias/{bucket}")
    job = through(**changes)
    planned = _as_planned(job, lying, tmp_path / "j")
    assert planned.to_do == 12
    if kind == "again":
        assert _as_planned(job, lying, tmp_path / "j").already == 12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "where"),
    [("kms to kms", "metadata"), ("kms to kms", "instruction file"), ("pinned", "metadata"), ("raw to kms", "metadata"),
     ("raw to kms", "instruction file"), ("kms to raw", "metadata"), ("again", "metadata")],
)  # fmt: skip
def test_a_rewrap_sends_what_was_planned(
    kind: str, where: str, through: Settings, lying: Proxy, tmp_path: Path, bucket: str, aws: dict[str, Any],
    kms_key: str, make_client: Callable[..., Any],
) -> None:  # fmt: skip
    """Wrapping takes two calls where a raw key is on one side, and another one where the source key is pinned."""
    (tmp_path / "key").write_bytes(bytes(range(32)))
    raw = KeyringSpec(kind="aes-file", path=str(tmp_path / "key"))
    other, own = KeyringSpec(kind="kms", key_id=create_kms_key(aws)), KeyringSpec(kind="kms", key_id=kms_key)
    old, new = {
        "kms to kms": (None, other),
        "pinned": (own, other),
        "raw to kms": (raw, own),
        "kms to raw": (own, raw),
        "again": (own, other),
    }[kind]
    options: dict[str, Any] = {"keyring": AesKeyring(bytes(range(32)))} if kind == "raw to kms" else {}
    client = make_client(instruction_file_writes=where == "instruction file", **options)
    for number in range(10):
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * number)
    job = through(action=Action.REWRAP, keyring=new, source_keyring=old)
    # A file that was replaced before its own turn came is looked at once more.
    planned = _as_planned(job, lying, tmp_path / "j", is_exact=where == "metadata")
    assert planned.to_do == 10
    if kind == "again":
        assert _as_planned(job, lying, tmp_path / "j").already == 10


@pytest.mark.slow
@pytest.mark.parametrize("action", [Action.UPGRADE, Action.VERIFY])
def test_an_upgrade_and_a_verification_send_what_was_planned(
    action: Action, through: Settings, lying: Proxy, tmp_path: Path, bucket: str, make_client: Callable[..., Any]
) -> None:
    """Old objects are opened and wrapped; a verification reads everything, in its plan as well."""
    older = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT} if action is Action.UPGRADE else {}
    for number in range(10):
        make_client(**older).put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * number)
    planned = _as_planned(through(action=action), lying, tmp_path / "j")
    assert (planned.to_do, planned.kms_calls) == (10, 20 if action is Action.UPGRADE else 10)


@pytest.mark.slow
@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("kind", ["away", "always", "reuse"])
def test_an_upgrade_of_instruction_files_sends_what_was_planned(
    kind: str, versioned: bool, through: Settings, lying: Proxy, tmp_path: Path, bucket: str, plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:  # fmt: skip
    """The file that held an old key is looked at and removed once the object needs it no more."""
    if versioned:
        keep_versions(plain_s3, bucket)
    older = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT, instruction_file_writes=True)
    for number in range(10):
        older.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * number)
    changes: dict[str, Any] = {"away": {}, "always": {"instruction_file": "always"}, "reuse": {"reuse_data_keys": True}}
    planned = _as_planned(through(action=Action.UPGRADE, **changes[kind]), lying, tmp_path / "j")
    assert planned.to_do == 10
    assert planned.formats == {"V2": 10}


@pytest.mark.slow
def test_a_wrong_source_key_fails_the_plan(
    settings: Settings, tmp_path: Path, bucket: str, make_client: Callable[..., Any]
) -> None:
    """The key that is to open old objects is tried on one of them."""
    make_client(
        keyring=AesKeyring(bytes(32)), commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    ).put_object(Bucket=bucket, Key="k", Body=b"x")
    (tmp_path / "key").write_bytes(bytes(range(32)))
    wrong = KeyringSpec(kind="aes-file", path=str(tmp_path / "key"))
    with pytest.raises(KeyringError):
        plan(settings(action=Action.UPGRADE, source_keyring=wrong))
    (tmp_path / "key").write_bytes(bytes(32))
    assert plan(settings(action=Action.UPGRADE, source_keyring=wrong)).to_do == 1


@pytest.mark.slow
def test_each_class_has_its_price(settings: Settings, bucket: str, plain_s3: Any) -> None:
    """A request to an object that is seldom read costs two to twenty-five times as much."""
    costs = {}
    for name in ("STANDARD", "STANDARD_IA", "GLACIER_IR"):
        plain_s3.put_object(Bucket=bucket, Key=f"{name}/k", Body=b"x", StorageClass=name)
        costs[name] = plan(settings(source=Location(bucket=bucket, prefix=f"{name}/"))).cost.s3_requests
    assert costs["STANDARD"] < costs["STANDARD_IA"] < costs["GLACIER_IR"]
