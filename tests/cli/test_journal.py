"""Journals of bucket jobs: where they lie, how far their plans are, and what may be removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from s3ec.migrate import Action, Journal, KeyringSpec, Location, MigrationSettings, Outcome, Result, SkipReason, Task

from support.aws import new_bucket_name


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """Where journals of the test's user lie."""
    return Path(environment["XDG_STATE_HOME"]) / "s3ec"


def plan(bucket: str = "payroll", **more: Any) -> MigrationSettings:
    """A plan that nobody runs."""
    keyring = KeyringSpec(kind="kms", key_id="alias/k")
    return MigrationSettings(action=Action.MIGRATE, source=Location(bucket=bucket), keyring=keyring, **more)


def write(path: Path, settings: MigrationSettings, *results: Result, left: int = 0) -> Path:
    """Books in which these results stand and so many objects are open."""
    with Journal.open(path, settings) as journal:
        tasks = [Task(bucket="payroll", key=f"k{number}", size=1) for number in range(len(results) + left)]
        journal.begin()
        journal.record_listing(iter(tasks))
        for (number, task), result in zip(journal.claim(len(results)) if results else [], results, strict=True):
            reason = SkipReason.ARCHIVED if result is Result.SKIPPED else None
            journal.finish(number, Outcome(task=task, result=result, reason=reason))
        journal.end(finished=not left)
    return path


@pytest.mark.slow
def test_a_job_is_listed_and_removed(run: Any, bucket: str, key: Any, plain_s3: Any, folder: Path):
    """From a run to its books, by the name that the list shows; nothing of them stays."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert run("journal", "ls").text == f"{folder}: 0 journals\n"
    assert run("migrate", f"s3://{bucket}", *key, "--yes").code == 0
    (found,) = run("journal", "ls", "--json").json["journals"]
    assert (found["state"], found["action"], found["source"], found["key"]) == (
        "finished",
        "migrate",
        f"s3://{bucket}/",
        key[1],
    )
    assert (found["done"], found["failed"], found["open"]) == (1, 0, 0)
    name = Path(found["path"]).name
    text = run("journal", "ls").text
    assert text.startswith(f"{folder}: 1 journal\n")
    assert all(word in text for word in (name, "finished", f"migrate s3://{bucket}/", key[1]))
    assert run("journal", "rm", name).text == f"removed {folder / name}\n"
    assert list(folder.iterdir()) == []


def test_an_unfinished_plan_stays_without_force(run: Any, tmp_path: Path):
    """It says how far it is and what removes it all the same."""
    settings = plan(destination=Location(bucket="vault", prefix="to/"))
    path = write(tmp_path / "mine.journal", settings, Result.DONE, Result.FAILED, Result.SKIPPED, left=3)
    (found,) = run("journal", "ls", tmp_path, "--json").json["journals"]
    assert (found["state"], found["done"], found["failed"], found["open"]) == ("unfinished", 1, 2, 3)
    assert found["destination"] == "s3://vault/to/"
    before = path.read_bytes()
    ended = run("journal", "rm", path)
    assert ended.code == 11
    assert "3 open, 2 failed" in ended.line
    assert "--force" in ended.line
    assert path.read_bytes() == before
    assert run("journal", "rm", path, "--force").code == 0
    assert not list(tmp_path.glob("mine.journal*"))


def test_a_journal_at_work_stays(run: Any, tmp_path: Path):
    """Even with --force: its run would write into a file that is gone. Looking at it disturbs nothing."""
    path = tmp_path / "mine.journal"
    with Journal.open(path, plan()) as journal:
        journal.begin()
        journal.record_listing(iter([Task(bucket="payroll", key="k", size=1)]))
        assert run("journal", "ls", tmp_path, "--json").json["journals"][0]["state"] == "running"
        ended = run("journal", "rm", path, "--force")
        assert ended.code == 11
        assert "at work" in ended.line
        assert journal.claim(1)
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"SQLite format 3\0" + bytes(100), None])
def test_other_files_stay(run: Any, tmp_path: Path, content: bytes | None):
    """Whatever it is called, and with --force: what is not a journal is not removed; the list says what it is."""
    path = tmp_path / "notes.journal"
    if content is not None:
        path.write_bytes(content)
    ended = run("journal", "rm", path, "--force", "--json")
    assert ended.code == 11
    assert ended.json["removed"] == []
    assert path.exists() is (content is not None)
    if content is not None:
        assert path.read_bytes() == content
        write(tmp_path / "good.journal", plan(), Result.DONE)
        listed = run("journal", "ls", tmp_path, "--json").json["journals"]
        assert [each["state"] for each in listed] == ["finished", "unreadable"]
        assert "notes.journal" in run("journal", "ls", tmp_path).text


def test_one_that_stays_does_not_keep_the_others(run: Any, tmp_path: Path):
    """Each is judged by itself; the code says that something stayed."""
    good = write(tmp_path / "good.journal", plan(), Result.DONE)
    other = write(tmp_path / "other.journal", plan(new_bucket_name()), left=1)
    ended = run("journal", "rm", other, good)
    assert ended.code == 11
    assert not good.exists()
    assert other.exists()


def test_a_folder_that_is_not_there(run: Any, tmp_path: Path):
    """A mistyped name is not an empty list."""
    ended = run("journal", "ls", tmp_path / "nowhere")
    assert ended.code == 2
    assert "is not a folder" in ended.line


def test_the_list_writes_nothing(run: Any, tmp_path: Path):
    """Not into the file, and no file beside it stays."""
    path = write(tmp_path / "mine.journal", plan(), Result.DONE)
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if entry.is_file()}
    mode = os.stat(path).st_mode
    run("journal", "ls", tmp_path)
    after = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if entry.is_file()}
    assert {name: after[name] for name in before} == before
    assert os.stat(path).st_mode == mode
