"""migrate, rewrap, verify and purge: what they do, say and end with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import AesKeyring
from s3ec.cli import jobs

from support.cbc import WRAPPING_KEY, cbc_object


@pytest.fixture
def filled(bucket: str, plain_s3: Any) -> str:
    """A bucket with five plaintext objects, one of them empty, one a folder's placeholder."""
    for name in ("a.txt", "deep/b c+é.txt", "deep/empty", "folder/", "pre/x"):
        body = b"" if name in {"deep/empty", "folder/"} else name.encode() * 100
        plain_s3.put_object(Bucket=bucket, Key=name, Body=body, Metadata={"name": "own"}, ContentType="text/x")
    return bucket


def keys(client: Any, bucket: str) -> set[str]:
    """Every key in the bucket."""
    return {row["Key"] for row in client.list_objects_v2(Bucket=bucket).get("Contents", [])}


@pytest.mark.slow
def test_migrate_in_place_then_again_then_verify(run: Any, key: Any, filled: str, make_client: Any, plain_s3: Any):
    """Everything is encrypted once; a second run finds it done; verify reads it all; audit agrees."""
    before = {name: plain_s3.get_object(Bucket=filled, Key=name)["Body"].read() for name in keys(plain_s3, filled)}
    first = run("migrate", f"s3://{filled}", *key, "--yes", "--json")
    assert (first.code, first.json["counts"], first.json["undone"]) == (0, {"done": 5}, 0)
    assert first.json["journal"] in first.err
    client = make_client()
    for name, content in before.items():
        answer = client.get_object(Bucket=filled, Key=name)
        assert (answer["Body"].read(), answer["Metadata"], answer["ContentType"]) == (
            content,
            {"name": "own"},
            "text/x",
        )
        assert plain_s3.head_object(Bucket=filled, Key=name)["ContentLength"] == len(content) + 16
    versions = {row["Key"]: row["ETag"] for row in plain_s3.list_objects_v2(Bucket=filled)["Contents"]}
    assert run("migrate", f"s3://{filled}", *key, "--yes").code == 0
    assert {row["Key"]: row["ETag"] for row in plain_s3.list_objects_v2(Bucket=filled)["Contents"]} == versions
    assert run("verify", f"s3://{filled}", *key, "--json").json["counts"] == {"done": 5}
    assert run("audit", f"s3://{filled}", "--json").json["formats"] == {"plaintext": 0, "V1": 0, "V2": 0, "V3": 5}


@pytest.mark.slow
def test_migrate_to_a_folder(run: Any, key: Any, filled: str, plain_s3: Any):
    """The destination is a folder: prefix, slash, the key relative to the source folder."""
    assert run("migrate", f"s3://{filled}/deep", f"s3://{filled}/out", *key, "--yes").code == 0
    assert {name for name in keys(plain_s3, filled) if name.startswith("out")} == {"out/b c+é.txt", "out/empty"}


def test_a_run_without_leave_changes_nothing(run: Any, key: Any, filled: str, plain_s3: Any):
    """Where nobody can be asked, --yes is needed; what it asks about is said."""
    ended = run("migrate", f"s3://{filled}", *key)
    assert ended.code == 2
    assert "--yes" in ended.line
    assert run("audit", f"s3://{filled}", "--json").json["formats"]["plaintext"] == 5


@pytest.mark.slow
def test_dry_run_prints_the_plan_and_writes_nothing(run: Any, key: Any, filled: str):
    """Objects, bytes, requests, KMS calls and cost are there before anything is written, without --yes."""
    ended = run("migrate", f"s3://{filled}", *key, "--dry-run", "--json")
    plan = ended.json
    assert (ended.code, plan["dry_run"], plan["objects"], plan["to_do"], plan["kms_calls"]) == (0, True, 5, 5, 5)
    assert plan["requests"]
    assert plan["cost"]["kms_requests"] > 0
    assert run("audit", f"s3://{filled}", "--json").json["formats"]["plaintext"] == 5
    assert "to do" in run("migrate", f"s3://{filled}", *key, "--dry-run").text


@pytest.mark.slow
def test_what_is_left_undone_is_listed_with_its_reason(run: Any, key: Any, filled: str, plain_s3: Any):
    """An object that cannot be carried over whole stays, is named, and makes the end non-zero."""
    plain_s3.put_object(Bucket=filled, Key="fat", Body=b"1", Metadata={"x": "y" * 1900})
    ended = run("migrate", f"s3://{filled}", *key, "--yes", "--json")
    assert ended.code == 1
    assert [(each["key"], each["reason"]) for each in ended.json["undone_objects"]] == [("fat", "metadata-too-large")]
    assert f"s3://{filled}/fat: " in ended.err
    assert run("migrate", f"s3://{filled}", *key, "--yes", "--instruction-file", "when-needed").code == 0


@pytest.mark.slow
def test_what_a_busy_writer_keeps_from_being_done_is_named(
    run: Any, key: Any, filled: str, plain_s3: Any, monkeypatch: pytest.MonkeyPatch
):
    """An object that is plaintext again after every pass is listed, and the end is the migration family's."""
    real = jobs.run

    def with_a_writer(*arguments: Any, on_event: Any, **options: Any) -> Any:
        def listen(event: Any) -> None:
            if event.kind == "finished" and event.outcome.task.key == "pre/x":
                plain_s3.put_object(Bucket=filled, Key="pre/x", Body=os.urandom(8))
            on_event(event)

        return real(*arguments, on_event=listen, **options)

    monkeypatch.setattr(jobs, "run", with_a_writer)
    ended = run("migrate", f"s3://{filled}", *key, "--yes", "--json")
    assert (ended.code, ended.json["undone"], ended.json["counts"]) == (11, 1, {"done": 4, "open": 1})
    assert [(each["key"], each["result"], each["code"]) for each in ended.json["undone_objects"]] == [
        ("pre/x", "changed", 11)
    ]
    assert f"s3://{filled}/pre/x: it was written again" in ended.err


@pytest.mark.slow
def test_a_journal_of_another_plan_is_refused(run: Any, key: Any, filled: str, tmp_path: Path):
    """A named journal is used, and not for another plan."""
    journal = tmp_path / "books.journal"
    assert run("migrate", f"s3://{filled}/deep/", *key, "--yes", "--journal", journal).code == 0
    assert journal.exists()
    ended = run("migrate", f"s3://{filled}", *key, "--yes", "--journal", journal)
    assert ended.code == 11
    assert "another plan" in ended.err.splitlines()[-1]


@pytest.mark.slow
def test_events_are_one_document_a_line(run: Any, key: Any, filled: str, tmp_path: Path):
    """Events go to the file, and standard output stays one document."""
    events = tmp_path / "events.jsonl"
    ended = run("migrate", f"s3://{filled}", *key, "--yes", "--json", "--events", events)
    assert ended.json["undone"] == 0
    parsed = [json.loads(line) for line in events.read_text().splitlines()]
    assert sum(event["kind"] == "finished" for event in parsed) == 5
    assert {"listed", "summary"} <= {event["kind"] for event in parsed}
    assert all(isinstance(event["time"], float) for event in parsed)


@pytest.mark.slow
def test_a_file_of_keys(run: Any, key: Any, filled: str, tmp_path: Path):
    """Only the keys in the file are dealt with."""
    path = tmp_path / "keys"
    path.write_text("a.txt\ndeep/b c+é.txt\n", encoding="utf-8")
    assert run("migrate", f"s3://{filled}", *key, "--yes", "--keys", path, "--json").json["counts"] == {"done": 2}


@pytest.mark.slow
def test_upgrade_from_v2(run: Any, key: Any, bucket: str, make_client: Any):
    """V2 is left alone unless an upgrade is asked for."""
    from s3ec import CommitmentPolicy

    old = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    old.put_object(Bucket=bucket, Key="k", Body=b"content", EncryptionContext={"team": "hr"})
    assert run("migrate", f"s3://{bucket}", *key, "--yes", "--json").json["counts"] == {"skipped": 1}
    assert run("migrate", f"s3://{bucket}", *key, "--yes", "--upgrade", "--json").json["counts"] == {"done": 1}
    assert run("inspect", f"s3://{bucket}/k", "--json").json["format"] == "V3"
    assert run("cat", f"s3://{bucket}/k", *key, "--context", "team=hr").out == b"content"


@pytest.mark.slow
def test_an_upgrade_from_v1_needs_its_leave(run: Any, key: Any, bucket: str, plain_s3: Any, tmp_path: Path):
    """A V1 object that could not be read is named, and the end is the policy family's; with the opt-in it is done."""
    stored = cbc_object(b"content")
    metadata = {name.removeprefix("x-amz-meta-"): value for name, value in stored.metadata.items()}
    plain_s3.put_object(Bucket=bucket, Key="v1", Body=stored.body, Metadata=metadata)
    (tmp_path / "aes").write_bytes(WRAPPING_KEY)
    words = ("migrate", f"s3://{bucket}", "--upgrade", "--from-aes-key-file", tmp_path / "aes", *key, "--yes")
    ended = run(*words, "--json")
    assert (ended.code, ended.json["exit_code"]) == (7, 7)
    assert [(each["key"], each["reason"]) for each in ended.json["undone_objects"]] == [("v1", "legacy")]
    assert "--allow-legacy" in ended.err
    assert run(*words, "--allow-legacy").code == 0
    assert run("cat", f"s3://{bucket}/v1", *key).out == b"content"


@pytest.mark.slow
def test_rewrap_to_another_key_and_context(run: Any, key: Any, bucket: str, make_client: Any, kms: Any):
    """Another KMS key and context open the object afterwards; a second run has nothing to do."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"content")
    other = kms.create_key()["KeyMetadata"]["Arn"]
    words = ("rewrap", f"s3://{bucket}", "--to-kms-key", other, "--to-context", "team=it", "--json")
    assert run(*words).code == 2
    assert run(*words, "--yes").json["counts"] == {"done": 1}
    assert run("cat", f"s3://{bucket}/k", "--kms-key", other, "--context", "team=it").out == b"content"
    assert run(*words, "--yes", "--journal", f"{os.environ['XDG_STATE_HOME']}-2").json["counts"] == {"already": 1}


@pytest.mark.slow
def test_rewrap_from_a_raw_key_to_kms(run: Any, key: Any, bucket: str, tmp_path: Path):
    """The key options name the key that opens it now."""
    aes, content = tmp_path / "aes", tmp_path / "content"
    aes.write_bytes(bytes(range(128, 160)))
    content.write_bytes(b"content")
    run("cp", content, f"s3://{bucket}/k", "--aes-key-file", aes)
    ended = run("rewrap", f"s3://{bucket}", "--aes-key-file", aes, "--to-kms-key", key[1], "--yes", "--json")
    assert ended.json["counts"] == {"done": 1}
    assert run("cat", f"s3://{bucket}/k", *key).out == b"content"


@pytest.mark.slow
def test_verify_finds_tampering_among_many(run: Any, key: Any, filled: str, plain_s3: Any):
    """One flipped byte ends it with the security family's code, and names the object."""
    run("migrate", f"s3://{filled}", *key, "--yes")
    stored = plain_s3.get_object(Bucket=filled, Key="pre/x")
    body = bytearray(stored["Body"].read())
    body[3] ^= 4
    plain_s3.put_object(Bucket=filled, Key="pre/x", Body=bytes(body), Metadata=stored["Metadata"])
    ended = run("verify", f"s3://{filled}", *key, "--json")
    assert (ended.code, ended.json["exit_code"]) == (9, 9)
    assert [(each["key"], each["error"]) for each in ended.json["undone_objects"]] == [("pre/x", "AuthenticationError")]
    assert f"s3://{filled}/pre/x: " in ended.err


@pytest.mark.slow
def test_verify_does_not_pass_over_plaintext(run: Any, key: Any, bucket: str, plain_s3: Any, make_client: Any):
    """An object that is not encrypted cannot be authenticated: that is a failure unless it is allowed."""
    make_client().put_object(Bucket=bucket, Key="good", Body=b"1")
    plain_s3.put_object(Bucket=bucket, Key="swapped", Body=b"1")
    ended = run("verify", f"s3://{bucket}", *key, "--json")
    assert (ended.code, ended.json["undone"]) == (6, 1)
    assert run("verify", f"s3://{bucket}", *key, "--allow-unencrypted").code == 0


@pytest.mark.slow
def test_verify_reads_again_each_time(run: Any, key: Any, bucket: str, make_client: Any, plain_s3: Any):
    """A verification that passed yesterday says nothing of today: no journal is kept unless one is named."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1")
    for _ in range(2):
        assert run("verify", f"s3://{bucket}", *key, "--json").json["requests"]["get_object"] == 1


@pytest.mark.slow
def test_verify_asserts_a_context(run: Any, key: Any, bucket: str, make_client: Any):
    """--context is what the stored context must be."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1", EncryptionContext={"team": "hr"})
    assert run("verify", f"s3://{bucket}", *key, "--context", "team=hr").code == 0
    assert run("verify", f"s3://{bucket}", *key, "--context", "team=it").code == 9


@pytest.mark.slow
def test_verify_with_the_wrong_key(run: Any, bucket: str, make_client: Any, tmp_path: Path):
    """The key family's code, for each object by name."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1")
    (tmp_path / "aes").write_bytes(bytes(range(128, 160)))
    assert run("verify", f"s3://{bucket}", "--aes-key-file", tmp_path / "aes").code == 8


@pytest.mark.slow
def test_purge_removes_only_with_leave(run: Any, key: Any, bucket: str, plain_s3: Any):
    """Old plaintext goes after the encrypted version verified; a dry run is the default."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"open")["VersionId"]
    run("migrate", f"s3://{bucket}", *key, "--yes")
    dry = run("purge-plaintext-versions", f"s3://{bucket}", *key, "--json")
    assert (dry.code, dry.json["counts"]["would-remove"]) == (0, 1)
    plain_s3.head_object(Bucket=bucket, Key="k", VersionId=old)
    assert run("purge-plaintext-versions", f"s3://{bucket}", *key, "--execute").code == 2
    done = run("purge-plaintext-versions", f"s3://{bucket}", *key, "--no-dry-run", "--yes", "--json")
    assert done.json["counts"] == {"removed": 1, "would-remove": 0, "kept": 0}
    with pytest.raises(ClientError):
        plain_s3.head_object(Bucket=bucket, Key="k", VersionId=old)
    assert run("cat", f"s3://{bucket}/k", *key).out == b"open"


def test_purge_says_what_it_must_keep(run: Any, key: Any, bucket: str, plain_s3: Any):
    """Plaintext with no encrypted version after it stays, and the end is non-zero."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    ended = run("purge-plaintext-versions", f"s3://{bucket}", *key)
    assert ended.code == 1
    assert "is kept" in ended.err


@pytest.mark.slow
def test_a_dry_purge_names_each_version(run: Any, key: Any, bucket: str, plain_s3: Any):
    """Key, version, size and reason, before anything is removed, for people as well."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    draft, last = (plain_s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"draft", b"last"))
    run("migrate", f"s3://{bucket}", *key, "--yes")
    ended = run("purge-plaintext-versions", f"s3://{bucket}", *key)
    lines = {line.split()[1]: line for line in ended.text.splitlines() if line.startswith("k ")}
    assert lines[last].split()[:4] == ["k", last, "4", "removed"]
    assert lines[draft].split()[:4] == ["k", draft, "5", "kept"]
    assert "history" in lines[draft]
    assert ended.code == 1
    assert run("purge-plaintext-versions", f"s3://{bucket}", *key, "--execute", "--yes").code == 1
    assert run("purge-plaintext-versions", f"s3://{bucket}", *key, "--history", "--execute", "--yes").code == 0
    assert len(plain_s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


@pytest.mark.slow
def test_a_purge_beside_a_damaged_version_ends_with_9(run: Any, key: Any, bucket: str, plain_s3: Any):
    """Evidence of tampering wins over every other code."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"open")
    run("migrate", f"s3://{bucket}", *key, "--yes")
    stored = plain_s3.get_object(Bucket=bucket, Key="k")
    plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(20), Metadata=stored["Metadata"])
    ended = run("purge-plaintext-versions", f"s3://{bucket}", *key, "--execute", "--yes")
    assert ended.code == 9
    assert "does not verify" in ended.err


@pytest.mark.slow
def test_what_is_written_gets_the_mode_that_was_asked_for(run: Any, key: Any, filled: str, plain_s3: Any, kms: Any):
    """--sse speaks the words of `sse set`; without it each object keeps its own mode."""
    plain_s3.put_object(Bucket=filled, Key="own", Body=b"1", ServerSideEncryption="aws:kms", SSEKMSKeyId=key[1])
    assert run("migrate", f"s3://{filled}/own", *key, "--yes").code == 0
    assert plain_s3.head_object(Bucket=filled, Key="own")["SSEKMSKeyId"] == key[1]
    other = kms.create_key()["KeyMetadata"]["Arn"]
    words = ("migrate", f"s3://{filled}", *key, "--yes", "--sse", "sse-kms", "--sse-kms-key", other, "--bucket-key")
    assert run(*words, "--instruction-file", "always").code == 0
    for name in ("a.txt", "a.txt.instruction", "deep/empty"):
        head = plain_s3.head_object(Bucket=filled, Key=name)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", other)
        assert head["BucketKeyEnabled"] is True
    # What is encrypted as wanted already is not written, and so keeps its mode.
    assert plain_s3.head_object(Bucket=filled, Key="own")["SSEKMSKeyId"] == key[1]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "stored"), [("sse-s3", "AES256"), ("dsse-kms", "aws:kms:dsse")])
def test_the_other_server_side_modes(run: Any, key: Any, bucket: str, plain_s3: Any, mode: str, stored: str):
    """A mode of the object's own is replaced whole, its key included."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1", ServerSideEncryption="aws:kms", SSEKMSKeyId=key[1])
    assert run("migrate", f"s3://{bucket}", *key, "--yes", "--sse", mode).code == 0
    head = plain_s3.head_object(Bucket=bucket, Key="k")
    assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId")) == (stored, None)


@pytest.mark.slow
def test_the_count_of_tags_saves_a_request_for_objects_without(run: Any, key: Any, filled: str, plain_s3: Any):
    """--trust-tag-count asks for the tags of those alone that have some."""
    plain_s3.put_object(Bucket=filled, Key="tagged", Body=b"1", Tagging="a=b")
    ended = run("migrate", f"s3://{filled}", *key, "--yes", "--json", "--trust-tag-count")
    assert ended.json["counts"] == {"done": 6}
    assert ended.json["requests"]["get_object_tagging"] == 1
    assert plain_s3.get_object_tagging(Bucket=filled, Key="tagged")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_the_batch_plan_names_least_privileges(run: Any, kms_key: str, bucket: str):
    """Function, roles and job are one document; the roles reach no further than source, destination and key."""
    words = (
        "migrate",
        f"s3://{bucket}/in",
        "s3://elsewhere/out",
        "--kms-key",
        kms_key,
        "--engine",
        "s3-batch",
        "--plan",
    )
    document = run(*words, "--batch-account", "123456789012").json
    statements = {one["Sid"]: one for one in document["function"]["role"]["policy"]["Statement"]}
    assert statements["ReadObjects"]["Resource"] == [f"arn:aws:s3:::{bucket}/in/*"]
    assert statements["WriteObjects"]["Resource"] == ["arn:aws:s3:::elsewhere/out/*"]
    assert statements["WrapDataKeys"]["Resource"] == [kms_key]
    assert document["job"]["Operation"]["LambdaInvoke"]["InvocationSchemaVersion"] == "2.0"
    assert json.loads(document["function"]["environment"]["S3EC_SETTINGS"])["action"] == "migrate"
    assert "ServerSideKey" not in statements
    more = ("--sse", "sse-kms", "--sse-kms-key", "0a1b", "--region", "eu-west-1")
    document = run(*words, "--batch-account", "123456789012", *more).json
    (statement,) = (one for one in document["function"]["role"]["policy"]["Statement"] if one["Sid"] == "ServerSideKey")
    assert [arn.rpartition("/")[2] for arn in statement["Resource"]] == ["0a1b"]


def test_an_engine_that_is_not_installed_is_named(run: Any, key: Any, filled: str, monkeypatch: pytest.MonkeyPatch):
    """The line says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    monkeypatch.delitem(__import__("sys").modules, "s3ec.migrate.engines.dask", raising=False)
    ended = run("migrate", f"s3://{filled}", *key, "--yes", "--engine", "dask")
    assert ended.code == 5
    assert "s3ec[dask]" in ended.line


@pytest.mark.slow
def test_a_dry_run_with_the_wrong_key_fails(run: Any, key: Any, bucket: str, make_client: Any, tmp_path: Path):
    """Whoever names a key that opens nothing there learns it before the run, not from it."""
    make_client(keyring=AesKeyring(bytes(32))).put_object(Bucket=bucket, Key="k", Body=b"x")
    (tmp_path / "wrong").write_bytes(bytes(range(32)))
    (tmp_path / "right").write_bytes(bytes(32))
    for name, code in (("wrong", 8), ("right", 0)):
        words = ("--aes-key-file", tmp_path / name, "--to-kms-key", key[1], "--dry-run")
        assert run("rewrap", f"s3://{bucket}", *words).code == code
