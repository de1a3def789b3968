"""What is written down of a migration tells nobody else anything, least of all the content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3ec.algorithms import CommitmentPolicy
from s3ec.migrate import Action, Event, Journal, Result, default_path, run
from s3ec.migrate.engines import s3_batch
from s3ec.migrate.journal.file import open_private

from .conftest import Settings
from support.macs import mac_of

SECRET = b"PIN=4711"
DIGESTS = [hashlib.new(name, SECRET).hexdigest().encode() for name in ("sha256", "sha1", "sha512")]


@pytest.fixture(autouse=True)
def _careless_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user lets everybody write everything."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
@pytest.mark.parametrize("action", [Action.MIGRATE, Action.UPGRADE, Action.VERIFY])
@pytest.mark.parametrize("processes", [1, 2])
def test_no_digest_of_the_content_is_written_down(
    action: Action, processes: int, settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Whoever guesses the content finds nothing in journal or events to try the guess on, without the key."""
    if action is Action.MIGRATE:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    else:
        older = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT} if action is Action.UPGRADE else {}
        make_client(**older).put_object(Bucket=bucket, Key="k", Body=SECRET)
    job = settings(action=action)
    path = default_path(job)
    events: list[Event] = []
    with Journal.open(path, job) as journal:
        run(job, journal, workers=1, processes=processes, on_event=events.append)
        (outcome,) = journal.outcomes()
        written = b"".join(file.read_bytes() for file in path.parent.iterdir())
        written += "".join(event.to_json() for event in events).encode()
        assert outcome.result is Result.DONE
        assert outcome.plaintext_mac == mac_of(SECRET, journal.mac_key)
    assert not [digest for digest in DIGESTS if digest in written]


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_the_books_are_private(there: bool, settings: Settings, bucket: str, plain_s3: Any) -> None:
    """Journal, its side files, its key, what was put aside and the folder: for their owner alone, old ones, too."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    path = default_path(settings())
    if there:
        Journal.open(path, settings()).close()
        path.parent.chmod(0o755)
        for file in path.parent.iterdir():
            file.chmod(0o644)
    for _ in range(2):
        with Journal.open(path, settings()) as journal:
            run(settings(), journal, workers=1)
            modes = {file.name: _mode(file) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len([name for name in modes if name.endswith(".key")]) == 2
    assert _mode(path.parent) == 0o700


def test_a_folder_of_others_keeps_its_mode(settings: Settings, tmp_path: Path) -> None:
    """A journal that is put into a shared folder is private; the folder is not ours to close."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    with Journal.open(folder / "j", settings()):
        assert _mode(folder) == 0o755
        assert {_mode(file) for file in folder.iterdir()} == {0o600}


def test_a_file_of_something_else_keeps_its_mode(settings: Settings, tmp_path: Path) -> None:
    """What is refused as a journal is not touched."""
    from s3ec.errors import MigrationError

    path = tmp_path / "precious"
    path.write_text("precious" * 1000)
    path.chmod(0o644)
    with pytest.raises(MigrationError):
        Journal.open(path, settings())
    assert _mode(path) == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_the_key_is_one_for_all_runs(settings: Settings, tmp_path: Path) -> None:
    """It is made once; one that was cut by a kill is made again; journals have different ones."""
    keys = []
    for name in ("j", "j", "k"):
        with Journal.open(tmp_path / name, settings()) as journal:
            keys.append(journal.mac_key)
    assert keys[0] == keys[1] != keys[2]
    assert {len(key) for key in keys} == {32}
    (tmp_path / "j.key").write_bytes(b"cut")
    with Journal.open(tmp_path / "j", settings()) as journal:
        assert len(journal.mac_key) == 32
        assert repr(journal.mac_key) not in repr(journal)


def test_events_are_private(tmp_path: Path) -> None:
    """A file that is there is emptied and closed to others."""
    path = tmp_path / "events"
    path.write_text("old")
    path.chmod(0o644)
    with open_private(path) as file:
        file.write("new")
    assert path.read_text() == "new"
    assert _mode(path) == 0o600


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_completion_report_has_no_digest(
    encrypted: bool, settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any],
    open_context: Callable[..., Any],
) -> None:  # fmt: skip
    """S3 writes the answer into a bucket: it holds neither a digest nor the ETag that is the plaintext's MD5."""
    if encrypted:
        make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT).put_object(
            Bucket=bucket, Key="k", Body=SECRET
        )
    else:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    event = {
        "invocationSchemaVersion": "2.0",
        "invocationId": "i",
        "tasks": [{"taskId": "t", "s3Key": "k", "s3VersionId": None, "s3Bucket": bucket}],
    }
    context = open_context(settings(action=Action.UPGRADE))
    answer = s3_batch.handle(event, context=context, remaining_seconds=lambda: 900.0)
    (result,) = answer["results"]
    assert result["resultCode"] == "Succeeded"
    text = result["resultString"]
    assert mac_of(SECRET) not in text
    for name in ("sha256", "sha1", "md5"):
        assert hashlib.new(name, SECRET).hexdigest() not in text
    assert ("etag_in" in text) is encrypted
