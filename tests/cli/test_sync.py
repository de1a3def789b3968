"""`sync` in its three directions: a second run does nothing, and nothing is deleted that was not meant."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import botocore.client
import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder whose names sort otherwise as paths than as keys; written well before any upload of it."""
    folder = tmp_path / "tree"
    for name in ("a.txt", "a/b.bin", "a/é 漢.txt", "a-b", "empty"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty" else name.encode() * 1000)
        os.utime(path, (1_700_000_000.5, 1_700_000_000.5))
    return folder


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests by operation, of every client in this process."""
    seen: Counter[str] = Counter()
    call = botocore.client.BaseClient._make_api_call

    def counted(self: Any, operation_name: str, *args: Any, **kwargs: Any) -> Any:
        seen[operation_name] += 1
        return call(self, operation_name, *args, **kwargs)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", counted)
    return seen


def names(folder: Path) -> dict[str, bytes]:
    """What lies under a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def keys(client: Any, bucket: str) -> list[str]:
    """What lies in a bucket."""
    return [row["Key"] for row in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


@pytest.mark.slow
def test_each_direction_once_and_then_nothing(
    run: Any, key: Any, bucket: str, tree: Path, tmp_path: Path, requests: Counter[str]
):
    """Up, across, down: the same content, and the second run asks for listings alone."""
    back = tmp_path / "back"
    ways = (
        (tree, f"s3://{bucket}/up", key),
        (f"s3://{bucket}/up/", f"s3://{bucket}/copy", ()),
        (f"s3://{bucket}/copy", back, key),
    )
    for source, target, options in ways:
        first = run("sync", source, target, *options, "--json")
        assert (first.code, len(first.json["copied"]), first.json["unchanged"]) == (0, 5, 0), first.err
        requests.clear()
        second = run("sync", source, target, *options, "--json")
        assert (second.code, second.json["copied"], second.json["unchanged"], second.err) == (0, [], 5, "")
        sides = sum(str(end).startswith("s3://") for end in (source, target))
        policies = int(str(target).startswith("s3://"))
        expected = {"ListObjectsV2": sides, "GetBucketPolicy": policies}
        assert {name: n for name, n in requests.items() if n} == {name: n for name, n in expected.items() if n}
    assert names(back) == names(tree)
    exact = run("sync", f"s3://{bucket}/copy", back, *key, "--exact-timestamps", "--json").json
    assert exact["copied"] == []


@pytest.mark.slow
def test_only_what_changed_is_copied(run: Any, key: Any, bucket: str, tree: Path, make_client: Any):
    """Another size or a newer time; sizes are of plaintext; --size-only lets times decide nothing."""
    target = f"s3://{bucket}/t"
    assert run("sync", tree, target, *key).code == 0
    (tree / "a.txt").write_bytes(b"shorter")
    os.utime(tree / "a.txt", (1, 1))
    os.utime(tree / "a-b", (4_000_000_000, 4_000_000_000))
    dry = run("sync", tree, target, *key, "--dryrun", "--json").json
    assert [Path(pair["source"]).name for pair in dry["copied"]] == ["a-b", "a.txt"]
    by_size = run("sync", tree, target, *key, "--size-only", "--json").json
    assert [Path(pair["source"]).name for pair in by_size["copied"]] == ["a.txt"]
    assert make_client().get_object(Bucket=bucket, Key="t/a.txt")["Body"].read() == b"shorter"


@pytest.mark.slow
def test_delete_keeps_to_what_was_meant(run: Any, key: Any, bucket: str, tree: Path, plain_s3: Any, make_client: Any):
    """What the source lacks goes; what filters leave out, placeholders and neighbours stay."""
    assert run("sync", tree, f"s3://{bucket}/t", *key).code == 0
    for name in ("t/gone", "t/kept.log", "t/folder/", "tt/neighbour"):
        plain_s3.put_object(Bucket=bucket, Key=name, Body=b"")
    make_client(instruction_file_writes=True).put_object(Bucket=bucket, Key="t/gone2", Body=b"1")
    make_client(instruction_file_writes=True).put_object(Bucket=bucket, Key="t/a-b", Body=b"a-b" * 1000)
    without = run("sync", tree, f"s3://{bucket}/t", *key, "--json")
    assert (without.json["copied"], "deleted" in without.json) == ([], False)
    words = ("sync", tree, f"s3://{bucket}/t", *key, "--delete", "--exclude", "*.log", "--json")
    assert len(run(*words, "--dry-run").json["deleted"]) == 2
    done = run(*words).json
    assert done["deleted"] == [f"s3://{bucket}/t/gone", f"s3://{bucket}/t/gone2"]
    assert keys(plain_s3, bucket) == [
        "t/a-b", "t/a-b.instruction", "t/a.txt", "t/a/b.bin", "t/a/é 漢.txt", "t/empty", "t/folder/", "t/kept.log",
        "tt/neighbour",
    ]  # fmt: skip
    assert run("sync", *words[1:]).json["copied"] == []


def test_delete_on_the_local_side_stays_in_the_folder(
    run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any
):
    """What the bucket lacks goes; a link goes itself, not what it leads to; folders elsewhere are not entered."""
    make_client().put_object(Bucket=bucket, Key="p/kept", Body=b"1")
    down, elsewhere = tmp_path / "down", tmp_path / "elsewhere"
    for path in (down / "deep" / "gone", elsewhere / "precious"):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1")
    (down / "folder").symlink_to(elsewhere)
    (down / "link").symlink_to(elsewhere / "precious")
    ended = run("sync", f"s3://{bucket}/p", down, *key, "--delete", "--json")
    assert ended.code == 0, ended.err
    assert sorted(Path(name).name for name in ended.json["deleted"]) == ["gone", "link"]
    assert (elsewhere / "precious").exists()
    assert names(down) == {"kept": b"1"}


@pytest.mark.slow
def test_what_cannot_be_read_is_not_absent(
    run: Any, key: Any, bucket: str, tree: Path, plain_s3: Any, monkeypatch: Any
):
    """A folder that may not be entered, and a pipe where a file was: said, and nothing of them is deleted."""
    assert run("sync", tree, f"s3://{bucket}/t", *key).code == 0
    (tree / "a-b").unlink()
    os.mkfifo(tree / "a-b")
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if Path(path) == tree / "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    ended = run("sync", tree, f"s3://{bucket}/t", *key, "--delete", "--json")
    assert ended.code == 3
    assert len(ended.json["failed"]) == 2
    assert "deleted" not in ended.json
    assert len(keys(plain_s3, bucket)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("leads_to", ["not-mounted", "a"], ids=["nowhere", "itself"])
@pytest.mark.parametrize(
    ("filters", "code"),
    [((), 3), (("--exclude", "*", "--include", "a/*"), 3), (("--exclude", "a*"), 0), (("--exclude", "a"), 3)],
)
def test_a_lost_link_to_a_folder_is_not_absent(
    run: Any, key: Any, bucket: str, tree: Path, plain_s3: Any, leads_to: str, filters: tuple[str, ...], code: int
):
    """A volume that is not mounted for once: what was copied from it stays, whatever the filters are."""
    assert run("sync", tree, f"s3://{bucket}/t", *key).code == 0
    shutil.rmtree(tree / "a")
    (tree / "a").symlink_to(leads_to)
    ended = run("sync", tree, f"s3://{bucket}/t", *key, "--delete", *filters, "--json")
    assert ended.code == code
    assert "deleted" not in ended.json
    assert len(keys(plain_s3, bucket)) == 5


def test_a_pipe_hides_nothing_but_itself(run: Any, key: Any, bucket: str, tree: Path, plain_s3: Any):
    """It is not a folder, so that what a folder of its name had is gone."""
    assert run("sync", tree, f"s3://{bucket}/t", *key).code == 0
    shutil.rmtree(tree / "a")
    os.mkfifo(tree / "a")
    ended = run("sync", tree, f"s3://{bucket}/t", *key, "--delete", "--json")
    assert (ended.code, len(ended.json["deleted"])) == (3, 2)


@pytest.mark.slow
def test_a_failed_object_does_not_stop_the_rest(
    run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any, plain_s3: Any
):
    """Plaintext among them, and a key that leads out of the folder: both named, the others are there."""
    client = make_client()
    client.put_object(Bucket=bucket, Key="p/good", Body=b"1")
    client.put_object(Bucket=bucket, Key="p/../../evil", Body=b"1")
    plain_s3.put_object(Bucket=bucket, Key="p/open", Body=b"1")
    ended = run("sync", f"s3://{bucket}/p", tmp_path / "down" / "here", *key, "--json")
    assert ended.code == 1
    assert sorted(failed["error"] for failed in ended.json["failed"]) == ["NotEncryptedError", "UnsafeKey"]
    assert names(tmp_path / "down") == {"here/good": b"1"}
    assert run("sync", f"s3://{bucket}/p", tmp_path / "down" / "here", *key, "--allow-unencrypted").code == 5
    again = run("sync", f"s3://{bucket}/p", tmp_path / "down" / "here", *key, "--allow-unencrypted", "--json")
    assert again.json["copied"] == []


@pytest.mark.slow
def test_instruction_files_travel_with_their_object(run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any):
    """Neither downloaded as files nor copied on their own; the pair arrives whole, and stays so."""
    make_client(instruction_file_writes=True).put_object(Bucket=bucket, Key="p/ins", Body=b"12345")
    for _ in range(2):
        assert run("sync", f"s3://{bucket}/p", f"s3://{bucket}/q", "--delete").code == 0
    assert run("cat", f"s3://{bucket}/q/ins", *key).out == b"12345"
    assert run("sync", f"s3://{bucket}/q", tmp_path / "down", *key, "--delete").code == 0
    assert names(tmp_path / "down") == {"ins": b"12345"}


@pytest.mark.slow
def test_folders_inside_each_other(run: Any, bucket: str, make_client: Any, plain_s3: Any):
    """A backup inside its own source is not backed up, and a source inside its target is not deleted."""
    make_client().put_object(Bucket=bucket, Key="d/x", Body=b"1")
    for _ in range(2):
        assert run("sync", f"s3://{bucket}", f"s3://{bucket}/backup", "--delete").code == 0
    assert keys(plain_s3, bucket) == ["backup/d/x", "d/x"]
    assert run("sync", f"s3://{bucket}/backup", f"s3://{bucket}", "--delete").code == 0
    assert keys(plain_s3, bucket) == ["backup/d/x", "d/x"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("a", "b"), 2, "one end must be an S3 URL"),
        (("-", "s3://bucket/x"), 2, "not standard streams"),
        (("s3://bucket/x", "s3://bucket/x"), 2, "both ends"),
        (("FOLDER", "s3://bucket/x", "--exact-timestamps"), 2, "for downloads"),
        (("s3://bucket/x", "FOLDER", "--sse"), 2, "for what is written to S3"),
        (("s3://bucket/x", "FILE"), 2, "a folder is wanted"),
        (("FILE", "s3://bucket/x"), 3, "is not a folder"),
        (("FOLDER", "s3://bucket-that-is-not-there/x"), 3, "NoSuchBucket"),
        (("s3://bucket-that-is-not-there/x", "FOLDER"), 3, "NoSuchBucket"),
    ],
)
def test_what_is_refused(
    run: Any, key: Any, tmp_path: Path, plain_s3: Any, words: tuple[str, ...], code: int, said: str
):
    """One line each; nothing is written, and nothing deleted."""
    (tmp_path / "file").write_bytes(b"1")
    places = {"FOLDER": tmp_path, "FILE": tmp_path / "file"}
    ended = run("sync", *(places.get(word, word) for word in words), *key, "--delete")
    assert ended.code == code, ended.err
    assert said in ended.line
    assert (tmp_path / "file").exists()


def test_a_source_that_is_a_typing_mistake_deletes_nothing(run: Any, key: Any, bucket: str, tree: Path, plain_s3: Any):
    """Nothing lies under the source's name: an error, not a reason to empty the target."""
    plain_s3.put_object(Bucket=bucket, Key="other", Body=b"1")
    ended = run("sync", f"s3://{bucket}/typo", tree, *key, "--delete")
    assert ended.code == 3
    assert "nothing lies under this name" in ended.line
    assert len(names(tree)) == 5
