"""A plan counts what a run then does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s3ec.migrate import Action, Journal, MigrationSettings, Plan, plan, run

Settings = Callable[..., MigrationSettings]


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
    for name in ("put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload"):
        assert planned.requests[name] == done.requests[name]
    again = plan(job)
    assert (again.to_do, again.already) == (0, 6)


def test_the_plan_prices_and_warns(settings: Settings, bucket: str, plain_s3: Any) -> None:
    """Requests, KMS calls, early deletion and old versions have a price; what follows from writing is said."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(2**20), StorageClass="STANDARD_IA")
    cost = plan(settings()).cost
    assert min(cost.s3_requests, cost.kms_requests, cost.retrieval, cost.early_deletion) > 0
    assert cost.old_versions_per_month == 0
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
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
