"""What `cp` and `mv` say about what they write, where it goes, and what they do about what cannot be copied."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest

from s3ec import SseKms, upload_policy

ARN = "arn:aws:kms:us-east-1:111122223333:key/k"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A text file."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"alpha")
    return path


@pytest.mark.slow
def test_the_content_type_is_guessed_from_the_name(run: Any, key: Any, bucket: str, tmp_path: Path, plain_s3: Any):
    """As `aws s3 cp` does: by the name, the outer compression ignored; unknown names, and who says no, get S3's own."""
    names = {"a.txt": "text/plain", "b.tar.gz": "application/x-tar", "c.unknown-to-all": "binary/octet-stream"}
    folder = tmp_path / "typed"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"1")
    assert run("cp", folder, f"s3://{bucket}/", "--recursive", *key).code == 0
    assert {name: plain_s3.head_object(Bucket=bucket, Key=name)["ContentType"] for name in names} == names
    assert run("cp", folder / "a.txt", f"s3://{bucket}/plain", "--no-guess-mime-type", *key).code == 0
    assert plain_s3.head_object(Bucket=bucket, Key="plain")["ContentType"] == "binary/octet-stream"
    assert run("cp", folder / "a.txt", f"s3://{bucket}/own", "--content-type", "text/x-own", *key).code == 0
    assert plain_s3.head_object(Bucket=bucket, Key="own")["ContentType"] == "text/x-own"


@pytest.mark.slow
def test_what_is_said_of_an_object_is_stored_with_it(run: Any, key: Any, bucket: str, file: Path, plain_s3: Any):
    """Each option under the name that the AWS CLI has for it; maps in each of their forms."""
    words = (
        *("--storage-class", "STANDARD_IA", "--cache-control", "max-age=60", "--content-disposition", "attachment"),
        *("--content-encoding", "gzip", "--content-language", "de", "--expires", "2030-01-31T12:00:00Z"),
        *("--metadata", "a=1,b=2", "--metadata", '{"c": "x, y"}', "--tagging", "team=hr&year=2026", "--tagging", "z=1"),
        *("--acl", "bucket-owner-full-control", "--sse", "aws:kms", "--sse-kms-key-id", ARN, "--bucket-key"),
    )
    assert run("cp", file, f"s3://{bucket}/k", *key, *words).code == 0
    stored = plain_s3.head_object(Bucket=bucket, Key="k")
    names = ("StorageClass", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage")
    assert [stored[name] for name in names] == ["STANDARD_IA", "max-age=60", "attachment", "gzip", "de"]
    assert stored["Expires"] == datetime.datetime(2030, 1, 31, 12, tzinfo=datetime.timezone.utc)
    assert {"a": "1", "b": "2", "c": "x, y"}.items() <= stored["Metadata"].items()
    assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", ARN)
    tags = plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "hr", "year": "2026", "z": "1"}
    assert run("cat", f"s3://{bucket}/k", *key).out == b"alpha"


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (("--sse",), "AES256"),
        (("--sse", "AES256"), "AES256"),
        (("--sse", "sse-s3"), "AES256"),
        (("--sse", "aws:kms"), "aws:kms"),
        (("--sse", "sse-kms", "--sse-kms-key", ARN, "--no-sse-bucket-key"), "aws:kms"),
        (("--sse", "aws:kms:dsse"), "aws:kms:dsse"),
    ],
)
def test_server_side_modes_in_both_vocabularies(
    run: Any, key: Any, bucket: str, file: Path, plain_s3: Any, words: tuple[str, ...], mode: str
):
    """The AWS CLI's words and those of `s3ec sse`; without a value it is S3's own mode."""
    assert run("cp", file, f"s3://{bucket}/k", *key, *words).code == 0
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == mode


@pytest.mark.slow
def test_uploads_name_what_the_bucket_requires(run: Any, key: Any, bucket: str, file: Path, plain_s3: Any):
    """A bucket whose policy denies uploads without a mode is not locked for cp and mv, within S3 neither."""
    # moto denies without looking at conditions: in another partition's words it does not see the statement.
    policy = upload_policy(Bucket=bucket, mode=SseKms(ARN), partition="aws-cn")
    plain_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert run("cp", file, f"s3://{bucket}/one", *key).code == 0
    assert run("cp", f"s3://{bucket}/one", f"s3://{bucket}/two").code == 0
    assert run("mv", f"s3://{bucket}/two", f"s3://{bucket}/three").code == 0
    for name in ("one", "three"):
        stored = plain_s3.head_object(Bucket=bucket, Key=name)
        assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", ARN)
    # What is said by options wins: the policy decides about it then.
    assert run("cp", file, f"s3://{bucket}/own", *key, "--sse", "AES256").code == 0
    assert plain_s3.head_object(Bucket=bucket, Key="own")["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cp", "FILE", "s3://b-b/k", "--sse-kms-key-id", "k"), "need --sse aws:kms"),
        (("cp", "FILE", "s3://b-b/k", "--bucket-key"), "need --sse aws:kms"),
        (("cp", "FILE", "s3://b-b/k", "--sse", "AES256", "--bucket-key"), "KMS modes"),
        (("cp", "FILE", "s3://b-b/k", "--sse-c"), "--sse-c-key"),
        (("cp", "FILE", "s3://b-b/k", "--sse", "--sse-c-key", "FILE"), "exclude each other"),
        (("cp", "FILE", "s3://b-b/k", "--metadata", "nothing"), "is not NAME=VALUE"),
        (("cp", "FILE", "s3://b-b/k", "--metadata", "a=1,b"), "needs JSON"),
        (("cp", "FILE", "s3://b-b/k", "--metadata", "{]"), "not a JSON object"),
        (("cp", "FILE", "s3://b-b/k", "--metadata", "a=1", "--metadata", "a=2"), "given twice"),
        (("cp", "FILE", "s3://b-b/k", "--tagging", "a"), "is not NAME=VALUE"),
        (("cp", "FILE", "s3://b-b/k", "--expires", "tomorrow or so"), "is not a date"),
        (("cp", "FILE", "s3://b-b/k", "--storage-class", "COLD"), "is not one of"),
        (
            ("cp", "s3://b-b/k", "FILE", "--storage-class", "STANDARD_IA"),
            "--storage-class is for what is written to S3",
        ),
        (("cp", "s3://b-b/k", "s3://b-b/l", "--no-guess-mime-type"), "is for files"),
        (("cp", "FILE", "FILE", "s3://b-b/k"), "several sources need a folder"),
        (("cp", "s3://b-b/k", "s3://b-b/k"), "onto itself"),
        (("cp", "FILE"), "Missing argument 'TARGET'"),
        (("mv", "s3://b-b/k", "s3://b-b/k"), "onto itself"),
        (("mv", "s3://b-b/d/k", "s3://b-b/d/"), "onto itself"),
        (("mv", "s3://b-b/d/", "s3://b-b/d/e/", "--recursive"), "would be moved again"),
        (("mv", "-", "s3://b-b/k"), "use `s3ec cp`"),
    ],
)
def test_what_can_mean_nothing_is_refused(run: Any, key: Any, file: Path, words: tuple[str, ...], said: str):
    """One line, code 2, nothing tried; an option without an effect is one of these."""
    ended = run(*(file if word == "FILE" else word for word in words), *key)
    assert ended.code == 2, ended.err
    assert said in ended.line


def test_a_server_side_key_of_ones_own_is_32_bytes_and_needs_https(run: Any, key: Any, bucket: str, tmp_path: Path):
    """It is never shown, and never sent over plain http."""
    secret = tmp_path / "sse-c.key"
    secret.write_bytes(b"%s" * 10)
    ended = run("cp", secret, f"s3://{bucket}/k", *key, "--sse-c", "AES256", "--sse-c-key", f"fileb://{secret}")
    assert (ended.code, "holds 20 bytes" in ended.line) == (5, True)
    secret.write_bytes(b"0123456789abcdef" * 2)
    ended = run("cp", secret, f"s3://{bucket}/k", *key, "--sse-c", "--sse-c-key", secret)
    assert ended.code == 5
    assert "http" in ended.line
    assert "0123456789" not in ended.err


def test_a_folder_target_is_a_folder(run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any):
    """A slash at the end says folder, though it is still to be made; the file is as old as its object."""
    make_client().put_object(Bucket=bucket, Key="d/a.txt", Body=b"alpha")
    modified = make_client().head_object(Bucket=bucket, Key="d/a.txt")["LastModified"].timestamp()
    assert run("cp", f"s3://{bucket}/d/a.txt", f"{tmp_path}/new/deep/", *key).code == 0
    assert (tmp_path / "new" / "deep" / "a.txt").read_bytes() == b"alpha"
    assert (tmp_path / "new" / "deep" / "a.txt").stat().st_mtime == modified


@pytest.mark.slow
def test_several_sources_go_into_one_folder(run: Any, key: Any, bucket: str, tmp_path: Path, plain_s3: Any):
    """Files under their names; with --recursive folders under theirs; one that is absent does not stop the others."""
    for name in ("one", "two", "tree/deep/three"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    ended = run("cp", tmp_path / "one", tmp_path / "absent", tmp_path / "two", f"s3://{bucket}/in/", *key)
    assert ended.code == 3
    assert "absent" in ended.line
    assert run("cp", "--recursive", tmp_path / "one", tmp_path / "tree", f"s3://{bucket}/all/", *key).code == 0
    assert [row["Key"] for row in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == [
        "all/one", "all/tree/deep/three", "in/one", "in/two",
    ]  # fmt: skip
    down = tmp_path / "down"
    assert run("cp", f"s3://{bucket}/in/one", f"s3://{bucket}/in/two", f"{down}/", *key).code == 0
    assert sorted(path.name for path in down.iterdir()) == ["one", "two"]


@pytest.mark.slow
def test_quiet_says_nothing_but_errors(run: Any, key: Any, bucket: str, file: Path):
    """--quiet and --only-show-errors; --dryrun as the AWS CLI spells it."""
    for word in ("--quiet", "--only-show-errors"):
        ended = run("cp", file, f"s3://{bucket}/k", *key, word)
        assert (ended.code, ended.out, ended.err) == (0, b"", "")
    assert "NoSuchBucket" in run("cp", file, "s3://bucket-that-is-not-there/k", *key, "--quiet").line
    ended = run("cp", file, f"s3://{bucket}/dry", *key, "--dryrun", "--no-progress")
    assert ended.text == f"would copy {file} -> s3://{bucket}/dry\n"
    assert run("head", f"s3://{bucket}/dry").code == 3


@pytest.mark.slow
def test_a_copy_within_s3_changes_what_is_named_and_keeps_the_rest(
    run: Any, bucket: str, make_client: Any, plain_s3: Any, key: Any
):
    """S3 replaces metadata all or none: content headers, user metadata and content metadata are carried over."""
    make_client().put_object(
        Bucket=bucket, Key="k", Body=b"alpha", Metadata={"own": "1"}, ContentType="text/x", CacheControl="no-store"
    )
    assert run("cp", f"s3://{bucket}/k", f"s3://{bucket}/k", "--content-type", "text/y", "--tagging", "a=b").code == 0
    stored = plain_s3.head_object(Bucket=bucket, Key="k")
    assert (stored["ContentType"], stored["CacheControl"], stored["Metadata"]["own"]) == ("text/y", "no-store", "1")
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert run("cp", f"s3://{bucket}/k", f"s3://{bucket}/l", "--metadata", "new=2").code == 0
    stored = plain_s3.head_object(Bucket=bucket, Key="l")
    assert (stored["Metadata"]["new"], "own" in stored["Metadata"]) == ("2", False)
    assert run("cat", f"s3://{bucket}/l", *key).out == b"alpha"


@pytest.mark.slow
def test_an_object_with_an_instruction_file_is_encrypted(run: Any, key: Any, bucket: str, make_client: Any):
    """Its headers need not say so (V2 writes nothing into them): within S3 it is copied, and read afterwards."""
    from s3ec import AlgorithmSuite, CommitmentPolicy

    writer = make_client(
        instruction_file_writes=True,
        commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
        algorithm_suite=AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
    )
    writer.put_object(Bucket=bucket, Key="ins", Body=b"alpha")
    assert run("cp", f"s3://{bucket}/ins", f"s3://{bucket}/copy").code == 0
    assert run("cat", f"s3://{bucket}/copy", *key).out == b"alpha"


@pytest.mark.slow
def test_what_is_no_file_is_said_and_the_rest_goes_on(run: Any, key: Any, bucket: str, tmp_path: Path, plain_s3: Any):
    """A pipe is not waited for; a link that leads nowhere, or to itself, is named; a name must be UTF-8."""
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "good").write_bytes(b"1")
    os.mkfifo(folder / "pipe")
    (folder / "nowhere").symlink_to(folder / "absent")
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "twice").symlink_to(tmp_path / "other")
    (folder / "again").symlink_to(tmp_path / "other")
    (folder / "loop").symlink_to(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"1")
    (folder / os.fsdecode(b"caf\xe9")).write_bytes(b"1")
    ended = run("cp", folder, f"s3://{bucket}/", "--recursive", *key, "--json")
    assert ended.code in (1, 3)
    assert sorted(Path(pair["source"]).name for pair in ended.json["copied"]) == ["file", "file", "good"]
    for word in ("not a regular file", "leads nowhere", "not UTF-8", "itself"):
        assert word in ended.err
    assert len(ended.json["failed"]) == 4
    ended = run("cp", folder, f"s3://{bucket}/n/", "--recursive", *key, "--json", "--no-follow-symlinks")
    assert [Path(pair["source"]).name for pair in ended.json["copied"]] == ["good"]


@pytest.mark.slow
def test_one_failure_that_hits_everything_is_said_a_few_times(run: Any, key: Any, bucket: str, plain_s3: Any):
    """The document has each of them, the terminal five and a count."""
    for number in range(12):
        plain_s3.put_object(Bucket=bucket, Key=f"p/{number:02}", Body=b"1")
    ended = run("cp", f"s3://{bucket}/p", f"s3://{bucket}/q", "--recursive", "--json", "--workers", "4")
    assert ended.code == 6
    assert len(ended.json["failed"]) == 12
    lines = ended.err.splitlines()
    assert len(lines) == 6
    assert "7 more with the same reason: is not encrypted" in lines[-1]


@pytest.mark.slow
def test_mv_in_each_direction(run: Any, key: Any, bucket: str, file: Path, tmp_path: Path, plain_s3: Any):
    """What was moved is at the target, decrypts there, and is gone at the source."""
    assert run("mv", file, f"s3://{bucket}/up/", *key).text == f"moved {file} -> s3://{bucket}/up/notes.txt\n"
    assert not file.exists()
    assert run("mv", f"s3://{bucket}/up/notes.txt", f"s3://{bucket}/across/x.txt").code == 0
    assert run("cat", f"s3://{bucket}/across/x.txt", *key).out == b"alpha"
    ended = run("mv", f"s3://{bucket}/across/", f"{tmp_path}/down/", "--recursive", *key, "--json")
    assert (ended.code, ended.json["moved"][0]["source"]) == (0, f"s3://{bucket}/across/x.txt")
    assert (tmp_path / "down" / "x.txt").read_bytes() == b"alpha"
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("direction", ["up", "down", "across"])
@pytest.mark.parametrize("command", ["cp", "mv"])
def test_two_sources_of_one_name_do_not_overwrite_each_other(
    run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any, command: str, direction: str
):
    """As with mv on Unix: the second stays where it is, and the rest goes on; the same source twice is one."""
    s3 = make_client()
    places = {"local": tmp_path / "local", "s3": f"s3://{bucket}/from"}
    for name in ("a/x", "b/x", "c/y"):
        (places["local"] / name).parent.mkdir(parents=True)
        (places["local"] / name).write_text(name)
        s3.put_object(Bucket=bucket, Key=f"from/{name}", Body=name.encode())
    source = places["local" if direction == "up" else "s3"]
    target = f"{tmp_path}/to/" if direction == "down" else f"s3://{bucket}/to/"
    named = [f"{source}/{name}" for name in ("a/x", "b/x", "c/y", *["c/y"] * (command == "cp"))]
    ended = run(command, *named, target, *key, "--json")
    assert ended.code == 5
    assert [each["error"] for each in ended.json["failed"]] == ["SameTarget"]

    def at(place: str) -> bytes:
        if place.startswith("s3://"):
            return bytes(s3.get_object(Bucket=bucket, Key=place.split("/", 3)[3])["Body"].read())
        return Path(place).read_bytes()

    assert (at(f"{target}x"), at(f"{target}y"), at(f"{source}/b/x")) == (b"a/x", b"c/y", b"b/x")


@pytest.mark.parametrize("deep", [True, False], ids=["folders of one name", "whole buckets"])
def test_what_is_under_two_sources_does_not_meet(
    run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any, deep: bool
):
    """Folders are put together where their files have other names."""
    s3 = make_client()
    other = f"{bucket}-2"
    s3.create_bucket(Bucket=other)
    for place, name in ((bucket, "one"), (bucket, "both"), (other, "two"), (other, "both")):
        s3.put_object(Bucket=place, Key=f"logs/{name}", Body=place.encode())
    sources = [f"s3://{place}/{'logs/' if deep else ''}" for place in (bucket, other)]
    ended = run("mv", "--recursive", *sources, tmp_path, *key, "--json")
    assert ended.code == 5
    assert [each["error"] for each in ended.json["failed"]] == ["SameTarget"]
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"one", "both", "two"}
    assert s3.get_object(Bucket=other, Key="logs/both")["Body"].read() == other.encode()
    s3.delete_object(Bucket=other, Key="logs/both")
    s3.delete_bucket(Bucket=other)


@pytest.mark.parametrize("command", ["cp", "mv"])
@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize(("encrypted", "code"), [(True, 5), (False, 6)])
def test_content_under_a_folders_name_is_not_lost(
    run: Any,
    key: Any,
    bucket: str,
    tmp_path: Path,
    plain_s3: Any,
    make_client: Any,
    command: str,
    recursive: bool,
    encrypted: bool,
    code: int,
):
    """It cannot be a file where a folder goes: said, and the object stays. Plaintext is refused as under any name."""
    place = {"Bucket": bucket, "Key": "d/"}
    (make_client() if encrypted else plain_s3).put_object(**place, Body=b"content")
    etag = plain_s3.head_object(**place)["ETag"]
    words = ("--recursive", f"s3://{bucket}/") if recursive else (f"s3://{bucket}/d/",)
    assert run(command, *words, tmp_path / "down", *key).code == code
    assert plain_s3.head_object(**place)["ETag"] == etag
    assert not (tmp_path / "down" / "d").exists()


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_placeholder_of_a_folder_becomes_one(
    run: Any, key: Any, bucket: str, tmp_path: Path, plain_s3: Any, make_client: Any, encrypted: bool
):
    """The consoles' empty object in plaintext too: there is nothing in it to be lost."""
    (make_client() if encrypted else plain_s3).put_object(Bucket=bucket, Key="d/", Body=b"")
    assert run("mv", "--recursive", f"s3://{bucket}/", tmp_path / "down", *key).code == 0
    assert (tmp_path / "down" / "d").is_dir()
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket)


@pytest.mark.slow
def test_mv_keeps_the_source_where_the_copy_failed(run: Any, key: Any, bucket: str, tmp_path: Path, plain_s3: Any):
    """A source that cannot be decrypted stays, a file whose bucket is absent stays, a dry run touches nothing."""
    plain_s3.put_object(Bucket=bucket, Key="p", Body=b"open")
    assert run("mv", f"s3://{bucket}/p", tmp_path / "p", *key).code == 6
    assert plain_s3.head_object(Bucket=bucket, Key="p")
    path = tmp_path / "stays"
    path.write_bytes(b"1")
    assert run("mv", path, "s3://bucket-that-is-not-there/k", *key).code == 3
    assert run("mv", path, f"s3://{bucket}/k", *key, "--dry-run").text.startswith("would move ")
    assert path.read_bytes() == b"1"


def test_mv_keeps_a_source_that_changed(bucket: str, make_client: Any, tmp_path: Path):
    """What somebody wrote meanwhile is not what was moved: both stay, and that is said."""
    from s3ec.cli.commands.copy import _remove_source
    from s3ec.cli.copy_plan import file_version
    from s3ec.cli.failures import FailureError
    from s3ec.cli.transfers import Copy
    from s3ec.cli.urls import S3Url

    client = make_client()
    first = client.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    client.put_object(Bucket=bucket, Key="k", Body=b"2")
    with pytest.raises(FailureError, match="changed while it was moved"):
        _remove_source(client, Copy(S3Url(bucket, "k"), tmp_path / "x", version=first))
    assert client.head_object(Bucket=bucket, Key="k")
    path = tmp_path / "f"
    path.write_bytes(b"1")
    version = file_version(path)
    path.write_bytes(b"22")
    with pytest.raises(FailureError, match="changed while it was moved"):
        _remove_source(client, Copy(path, S3Url(bucket, "k"), version=version))
    assert path.exists()


@pytest.mark.parametrize("command", ["cp", "mv", "rm", "cat", "head", "inspect"])
def test_a_folder_where_an_object_is_wanted(
    run: Any, key: Any, bucket: str, plain_s3: Any, tmp_path: Path, command: str
):
    """Where a folder of that name is there, the error says so, and what to do with one."""
    plain_s3.put_object(Bucket=bucket, Key="d/x", Body=b"1")
    more = {"cp": (tmp_path / "x", *key), "mv": (tmp_path / "x", *key), "cat": key}.get(command, ())
    ended = run(command, f"s3://{bucket}/d", *more)
    assert ended.code == 3
    assert "is a folder, not an object" in ended.line
    assert ("--recursive" in ended.line) is (command in ("cp", "mv", "rm"))


@pytest.mark.slow
def test_a_copy_into_its_own_source_ends(run: Any, key: Any, bucket: str, make_client: Any):
    """What the copy itself writes is not copied again."""
    make_client().put_object(Bucket=bucket, Key="d/x", Body=b"1")
    ended = run("cp", f"s3://{bucket}/", f"s3://{bucket}/backup/", "--recursive", "--json")
    again = run("cp", f"s3://{bucket}/", f"s3://{bucket}/backup/", "--recursive", "--json")
    assert [json.loads(each.text)["copied"] for each in (ended, again)] == [
        [{"source": f"s3://{bucket}/d/x", "target": f"s3://{bucket}/backup/d/x"}]
    ] * 2
