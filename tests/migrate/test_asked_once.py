"""What is true of a bucket or a folder is asked for once, and never believed where it could be otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from s3ec.migrate import (
    Journal,
    MigrationContext,
    MigrationSettings,
    Result,
    SkipReason,
    Summary,
    Task,
    migrate_one,
    run,
)
from s3ec.migrate.work.bucket_facts import bucket_facts
from s3ec.migrate.work.folders import FirstOfFolder

from .conftest import Settings
from support.proxy import Answer, Proxy, Request, proxy

Open = Callable[..., MigrationContext]
_DENIED = b"<Error><Code>AccessDenied</Code><Message>x</Message></Error>"


@pytest.fixture
def lying(endpoint: str) -> Iterator[Proxy]:
    """A proxy before moto."""
    with proxy(endpoint) as made:
        yield made


def _run(job: MigrationSettings) -> Summary:
    with Journal.open(":memory:", job) as journal:
        return run(job, journal, workers=4)


def _closed(request: Request, ask: Callable[[], Answer]) -> Answer:
    """S3 for an identity that may not read the tags under ``closed/``: GET and HEAD do not count them there."""
    answer = ask()
    if "/closed/" in request.path:
        answer.headers.pop("x-amz-tagging-count", None)
        if request.path.endswith("?tagging"):
            return Answer(403, {"content-type": "application/xml"}, _DENIED)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("ignore_tags", [False, True])
def test_tags_that_may_not_be_read_are_not_taken_for_none(
    ignore_tags: bool, settings: Settings, lying: Proxy, bucket: str, plain_s3: Any
) -> None:
    """One folder's permission says nothing of the next: under each that may not be read, every object is asked for."""
    for folder in ("open", "closed"):
        for name in "abcde":
            tags = {"Tagging": "t=1"} if name in "cd" else {}
            plain_s3.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=b"some text", **tags)
    job = settings(ignore_tags=ignore_tags)
    lying.fault = _closed
    done = _run(replace(job, connection=replace(job.connection, endpoint_url=lying.url)))
    if ignore_tags:
        assert done.counts == {"done": 10}
    else:
        assert (done.counts, done.reasons) == ({"done": 5, "skipped": 5}, {SkipReason.TAGS_UNREADABLE.value: 5})
    asked = [request.path for request in lying.seen if request.path.endswith("?tagging")]
    # In the open folder its first object, and those of which GET counts some.
    assert sum("/open/" in path for path in asked) in (2, 3)
    assert {path.rpartition("/")[2] for path in asked if "/closed/" in path} == {f"{name}?tagging" for name in "abcde"}
    assert [len(plain_s3.get_object_tagging(Bucket=bucket, Key=f"open/{name}")["TagSet"]) for name in "abcde"] == [
        0, 0, 1, 1, 0,
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("trust", "asked"), [(None, 1), (True, 0), (False, 3)])
def test_how_far_the_count_is_believed(
    trust: bool | None, asked: int, settings: Settings, bucket: str, plain_s3: Any
) -> None:
    """By default in each folder of which an object's tags could be read; everywhere or nowhere by name."""
    for name in "abc":
        plain_s3.put_object(Bucket=bucket, Key=f"f/{name}", Body=b"some text")
    assert _run(settings(trust_tag_count=trust)).requests.get("get_object_tagging", 0) == asked


@pytest.mark.parametrize(("is_yes", "askers"), [(True, 1), (False, 8)])
def test_threads_that_come_to_a_folder_together_wait_for_the_first(is_yes: bool, askers: int) -> None:
    """One asks; where the answer was no, each asks for itself."""
    folders = FirstOfFolder()

    def come(number: int) -> bool:
        if folders.is_known("b", f"f/{number}"):
            return False
        folders.answered("b", f"f/{number}", is_yes=is_yes)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(come, range(8))) == askers
    assert folders.is_known("b", "f/x") is is_yes
    assert not folders.is_known("b", "other/x")


@pytest.mark.parametrize(("body", "looks"), [(b"some text, " * 100, 0), (b"", 0), (os.urandom(1000), 1)])
def test_only_what_could_be_ciphertext_is_asked_for_its_file(
    body: bytes, looks: int, settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """However young the object is: no file that comes later can make a text a ciphertext.

    Where the list cannot say, both names of a file are asked for.
    """
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=body)["ETag"]
    for listed, asked in ((False, looks), (None, 2)):
        task = Task(bucket=bucket, key="k", etag=etag, has_instruction_file=listed)
        outcome = migrate_one(task, context=open_context(settings(), dry_run=True))
        assert outcome.result is Result.PLANNED
        # A dry run reads the beginning, as a run does; it counts what a run sends.
        assert outcome.requests.get("get_object", 0) == asked


class _Answering:
    """A client whose bucket has one ACL and no other settings."""

    def __init__(self, acl: dict[str, Any]) -> None:
        self._acl = acl

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return lambda **_: self._acl if name == "get_bucket_acl" else {}


_NOBODY = {"Type": "CanonicalUser"}
_SOMEBODY = {"Type": "CanonicalUser", "ID": "x"}


@pytest.mark.parametrize(
    ("acl", "has_acls"),
    [
        (
            {"Owner": {"ID": ""}, "Grants": [{"Grantee": _NOBODY, "Permission": "FULL_CONTROL"}]},
            False,
        ),
        ({"Owner": {"ID": "x"}, "Grants": [{"Grantee": _SOMEBODY, "Permission": "FULL_CONTROL"}]}, True),
        ({"Owner": {"ID": ""}, "Grants": [{"Grantee": _SOMEBODY, "Permission": "FULL_CONTROL"}]}, True),
        ({"Owner": {"ID": ""}, "Grants": [{"Grantee": _NOBODY, "Permission": "READ"}]}, True),
        ({"Owner": {"ID": ""}, "Grants": []}, True),
        ({}, True),
    ],
    ids=["MinIO", "AWS", "an owner without a name", "less than everything", "no grants", "may not be read"],
)
def test_a_server_without_acls_is_asked_for_none(acl: dict[str, Any], has_acls: bool) -> None:
    """Of its bucket's ACL it says that nobody owns it, and nobody may do everything; all else counts as having ACLs."""
    assert bucket_facts(_Answering(acl), "b").has_acls is has_acls
