"""mb, rb, presign, completion, and ls without a HEAD."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from s3ec import KmsKeyring, decrypt_presigned

from support.aws import new_bucket_name


def test_a_bucket_is_made_and_removed(run: Any, environment: Any, plain_s3: Any, monkeypatch: pytest.MonkeyPatch):
    """In the Region that is named; not where something lies in it, unless that goes too."""
    name = new_bucket_name()
    ended = run("mb", f"s3://{name}", "--region", "eu-west-1")
    assert (ended.code, ended.text) == (0, f"made s3://{name} in eu-west-1\n")
    assert plain_s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    plain_s3.put_object(Bucket=name, Key="k", Body=b"1")
    plain_s3.put_object(Bucket=name, Key="k.instruction", Body=b"1")
    ended = run("rb", f"s3://{name}")
    assert ended.code == 5
    assert "--force" in ended.line
    assert run("rb", f"s3://{name}", "--force", "--json").json == {"bucket": name, "removed": True, "deleted": 2}
    assert run("rb", f"s3://{name}").code == 3
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert run("mb", f"s3://{name}").code == 0
    assert run("rb", f"s3://{name}").text == f"removed s3://{name}\n"


def test_old_versions_keep_a_bucket(run: Any, bucket: str, plain_s3: Any):
    """What --force does not delete is said."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    ended = run("rb", f"s3://{bucket}", "--force")
    assert ended.code == 5
    assert "keeps old versions" in ended.line


@pytest.mark.parametrize("command", ["mb", "rb"])
def test_a_bucket_is_no_object(run: Any, command: str):
    """A key in the URL is a mistake."""
    ended = run(command, "s3://bucket/key")
    assert ended.code == 2
    assert "s3://bucket is wanted" in ended.line


@pytest.mark.slow
def test_a_presigned_url_gives_ciphertext_and_says_so(run: Any, bucket: str, make_client: Any, kms_key: str, kms: Any):
    """Standard output carries the URL alone; it is signed by version 4."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"alpha")
    ended = run("presign", f"s3://{bucket}/k", "--expires-in", "60")
    assert "gives ciphertext" in ended.line
    url = ended.text.strip()
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert "X-Amz-Expires=60" in url
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - of the server that this test started
        assert b"alpha" not in answer.read()
    assert decrypt_presigned(url, keyring=KmsKeyring(kms_key, client=kms)).read() == b"alpha"
    document = run("presign", f"s3://{bucket}/k", "--json", "--method", "head").json
    assert (document["gives"], document["method"], document["expires_in"]) == ("ciphertext", "head", 3600)
    assert run("presign", f"s3://{bucket}/k", "--quiet").err == ""


def test_a_presigned_upload_is_refused_with_the_way_out(run: Any):
    """Its holder would store plaintext."""
    ended = run("presign", "s3://bucket/key", "--method", "put")
    assert ended.code == 5
    assert "s3ec.presigned_upload" in ended.line
    assert run("presign", "s3://bucket/key", "--expires-in", "604801").code == 2
    assert run("presign", "s3://bucket").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run: Any, shell: str):
    """Each shell's own; what bash gets is bash."""
    script = run("completion", shell).text
    assert "_S3EC_COMPLETE" in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.slow
def test_completion_completes(spawn: Any, environment: dict[str, str]):
    """The variable that the script sets makes s3ec answer with commands, and with a command's options."""
    for words, index, expected in (("s3ec sy", 1, b"plain,sync"), ("s3ec sync --del", 2, b"plain,--delete")):
        asked = {"_S3EC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        out, err = spawn(env={**environment, **asked}).communicate(timeout=120)
        assert (expected in out.split(), err) == (True, b"")


def test_ls_shows_plaintext_sizes_and_stored_ones(run: Any, bucket: str, make_client: Any, plain_s3: Any):
    """HEAD knows the plaintext's; the document has both."""
    make_client().put_object(Bucket=bucket, Key="enc", Body=bytes(100))
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=bytes(100))
    lines = run("ls", f"s3://{bucket}", "--summarize").text.splitlines()
    assert lines[0].split() == ["Modified", "Size", "Stored", "Format", "Wrapping", "Server", "side", "Name"]
    assert [line.split()[2:4] for line in lines[1:3]] == [["100", "116"], ["100", "100"]]
    assert lines[3:] == ["Total Plaintext: 200", "Total Objects: 2", "Total Size: 216"]
    rows = run("ls", f"s3://{bucket}", "--json").json["objects"]
    assert [(row["size"], row["plaintext_size"]) for row in rows] == [(116, 100), (100, 100)]


def test_ls_without_a_head(run: Any, bucket: str, make_client: Any, monkeypatch: pytest.MonkeyPatch):
    """--fast asks for the listing alone, and claims to know no more than it says."""
    import botocore.client

    make_client().put_object(Bucket=bucket, Key="d/enc", Body=bytes(2048 - 16))
    seen: list[str] = []
    call = botocore.client.BaseClient._make_api_call

    def noted(self: Any, operation_name: str, *args: Any, **kwargs: Any) -> Any:
        seen.append(operation_name)
        return call(self, operation_name, *args, **kwargs)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    for word in ("--fast", "--no-head"):
        ended = run("ls", f"s3://{bucket}", "--recursive", word, "--human-readable")
        assert ended.text.splitlines()[1].split()[2:] == ["2.0", "KiB", "STANDARD", "d/enc"]
    row = run("ls", f"s3://{bucket}/d/", "--fast", "--json").json["objects"][0]
    assert set(row) == {"key", "size", "etag", "last_modified", "storage_class"}
    assert set(seen) == {"ListObjectsV2"}


def test_a_narrow_terminal_gets_fewer_columns():
    """Columns go, in order; cells are not broken, and the last column stays."""
    from s3ec.cli.output import Table

    table = Table(("A", ">B", "C", "Name"), expendable=("B", "A"))
    table.add("a" * 10, 1, "c", "n" * 20)
    assert table.fitting(None) is table
    assert list(table.fitting(80).columns) == ["A", ">B", "C", "Name"]
    assert list(table.fitting(43).columns) == ["A", "C", "Name"]
    assert list(table.fitting(20).columns) == ["C", "Name"]
    assert list(table.fitting(20).rows) == [["c", "n" * 20]]


def test_the_pages_name_the_version(run: Any, tmp_path: Path):
    """--version prints one line."""
    ended = run("--version")
    assert ended.code == 0
    assert ended.text.startswith("s3ec ")
