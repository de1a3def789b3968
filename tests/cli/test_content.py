"""cp, cat, head, inspect, ls and rm against moto."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from support.rsa import rsa_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files in two folders."""
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "a.txt").write_bytes(b"alpha")
    (tmp_path / "tree" / "b.bin").write_bytes(os.urandom(70_000))
    (tmp_path / "tree" / "deep" / "c d+é.txt").write_bytes(b"")
    return tmp_path / "tree"


@pytest.mark.slow
def test_cp_uploads_ciphertext_and_cat_gives_plaintext(run: Any, key: Any, bucket: str, folder: Path, plain_s3: Any):
    """A file goes up encrypted, under its own name where the target is a folder, and comes back whole."""
    assert run("cp", folder / "a.txt", f"s3://{bucket}/up/", *key, "--context", "team=hr").code == 0
    stored = plain_s3.get_object(Bucket=bucket, Key="up/a.txt")
    assert b"alpha" not in stored["Body"].read()
    assert '"team":"hr"' in stored["Metadata"]["x-amz-t"]
    ended = run("cat", f"s3://{bucket}/up/a.txt", *key)
    assert (ended.code, ended.out, ended.err) == (0, b"alpha", "")


@pytest.mark.slow
def test_context_is_asserted_on_reads(run: Any, key: Any, bucket: str, folder: Path):
    """Without --context the stored context is taken as it is; with another one it is another object."""
    run("cp", folder / "a.txt", f"s3://{bucket}/a", *key, "--context", "team=hr")
    assert run("cat", f"s3://{bucket}/a", *key, "--context", "team=hr").out == b"alpha"
    wrong = run("cat", f"s3://{bucket}/a", *key, "--context", "team=it")
    assert (wrong.code, wrong.out) == (9, b"")
    assert f"s3://{bucket}/a" in wrong.line


@pytest.mark.slow
def test_standard_streams(run: Any, key: Any, bucket: str):
    """A dash is standard input or output, for sizes above one part too."""
    content = os.urandom(9 * 2**20)
    assert run("cp", "-", f"s3://{bucket}/in", *key, stdin=content).code == 0
    ended = run("cp", f"s3://{bucket}/in", "-", *key)
    assert (ended.code, ended.out == content, ended.err) == (0, True, "")


@pytest.mark.slow
def test_recursive_round_trip_with_filters(run: Any, key: Any, bucket: str, folder: Path, tmp_path: Path):
    """A folder goes up and comes down as it was; the last filter that matches decides."""
    assert run("cp", folder, f"s3://{bucket}/pre", *key, "--recursive").code == 0
    back = tmp_path / "back"
    assert run("cp", f"s3://{bucket}/pre", back, *key, "--recursive").code == 0
    assert {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == {
        p.relative_to(back): p.read_bytes() for p in back.rglob("*") if p.is_file()
    }
    filtered = tmp_path / "filtered"
    options = ("--recursive", "--exclude", "*", "--include", "*.txt", "--exclude", "deep/*")
    assert run("cp", f"s3://{bucket}/pre/", filtered, *key, *options).code == 0
    assert [p.name for p in filtered.rglob("*") if p.is_file()] == ["a.txt"]


@pytest.mark.slow
def test_recursive_target_is_a_folder(run: Any, key: Any, bucket: str, folder: Path, plain_s3: Any):
    """The key is the target's prefix, a slash and the relative path; a prefix never runs into a name."""
    run("cp", folder, f"s3://{bucket}/pre", *key, "--recursive")
    plain_s3.put_object(Bucket=bucket, Key="prefix-neighbour", Body=b"x")
    ended = run("cp", f"s3://{bucket}/pre", f"s3://{bucket}/copy", "--recursive", "--json")
    assert sorted(pair["target"] for pair in ended.json["copied"]) == [
        f"s3://{bucket}/copy/{name}" for name in ("a.txt", "b.bin", "deep/c d+é.txt")
    ]


@pytest.mark.slow
def test_copies_between_keys_need_no_key_and_stay_ciphertext(run: Any, key: Any, bucket: str, folder: Path):
    """From key to key the ciphertext moves with its content metadata; an unencrypted source is refused."""
    run("cp", folder / "a.txt", f"s3://{bucket}/a", *key)
    assert run("cp", f"s3://{bucket}/a", f"s3://{bucket}/b").code == 0
    assert run("cat", f"s3://{bucket}/b", *key).out == b"alpha"


@pytest.mark.slow
def test_cp_refuses_to_spread_plaintext(run: Any, bucket: str, plain_s3: Any):
    """An unencrypted object is copied only with the explicit opt-in."""
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"open")
    refused = run("cp", f"s3://{bucket}/plain", f"s3://{bucket}/copy")
    assert refused.code == 6
    assert "migrate" in refused.line
    assert run("cp", f"s3://{bucket}/plain", f"s3://{bucket}/copy", "--allow-unencrypted").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../escape.txt", "a/../../escape.txt", "/absolute.txt", "a//b.txt", "./here.txt"])
def test_keys_never_lead_out_of_the_target_folder(
    run: Any, key: Any, bucket: str, tmp_path: Path, name: str, make_client: Any
):
    """A key that a writer chose cannot become a file elsewhere; the others are still copied."""
    client = make_client()
    client.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"evil")
    client.put_object(Bucket=bucket, Key="p/good.txt", Body=b"good")
    ended = run("cp", f"s3://{bucket}/p", tmp_path / "down" / "here", *key, "--recursive", "--json")
    assert ended.code == 5
    assert [failed["error"] for failed in ended.json["failed"]] == ["UnsafeKey"]
    files = [p for p in tmp_path.rglob("*") if p.is_file() and "state" not in p.parts]
    assert [p.name for p in files] == ["good.txt"]


def test_a_link_in_the_target_folder_is_not_followed_out(
    run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any
):
    """A link that lies in the target folder already does not let a key write outside of it."""
    make_client().put_object(Bucket=bucket, Key="p/link/file", Body=b"evil")
    outside, down = tmp_path / "outside", tmp_path / "down"
    outside.mkdir()
    down.mkdir()
    (down / "link").symlink_to(outside)
    assert run("cp", f"s3://{bucket}/p", down, *key, "--recursive").code == 5
    assert not list(outside.iterdir())


@pytest.mark.slow
def test_tampered_content_leaves_no_file_and_code_nine(
    run: Any, key: Any, bucket: str, tmp_path: Path, folder: Path, plain_s3: Any
):
    """A flipped byte ends in the security family, with nothing written."""
    run("cp", folder / "b.bin", f"s3://{bucket}/b", *key)
    stored = plain_s3.get_object(Bucket=bucket, Key="b")
    body = bytearray(stored["Body"].read())
    body[1000] ^= 1
    plain_s3.put_object(Bucket=bucket, Key="b", Body=bytes(body), Metadata=stored["Metadata"])
    ended = run("cp", f"s3://{bucket}/b", tmp_path / "out.bin", *key)
    assert ended.code == 9
    assert not (tmp_path / "out.bin").exists()
    assert run("cat", f"s3://{bucket}/b", *key).out == b""


@pytest.mark.slow
def test_cat_ranges_and_several_objects(run: Any, key: Any, bucket: str, make_client: Any):
    """A range is of the plaintext; several objects follow each other."""
    client = make_client()
    client.put_object(Bucket=bucket, Key="1", Body=b"0123456789")
    client.put_object(Bucket=bucket, Key="2", Body=b"abc")
    assert run("cat", f"s3://{bucket}/1", "--range", "2-4", *key).out == b"234"
    assert run("cat", f"s3://{bucket}/1", f"s3://{bucket}/2", *key).out == b"0123456789abc"


def test_head_speaks_plaintext_and_needs_no_key(run: Any, bucket: str, make_client: Any):
    """HEAD gives the plaintext's length and the caller's metadata."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"12345", Metadata={"a": "b"})
    document = run("head", f"s3://{bucket}/k", "--json").json
    assert (document["ContentLength"], document["Metadata"]) == (5, {"a": "b"})
    assert document["ClientSideEncryption"]["format"] == "V3"
    assert "ContentLength: 5\n" in run("head", f"s3://{bucket}/k").text


def test_inspect_needs_no_key(run: Any, bucket: str, make_client: Any, plain_s3: Any):
    """Inspect says format, wrapping and context of an object, and that another is not encrypted."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"12345", EncryptionContext={"team": "hr"})
    plain_s3.put_object(Bucket=bucket, Key="p", Body=b"1")
    document = run("inspect", f"s3://{bucket}/k", "--json").json
    assert (document["format"], document["wrapping_algorithm"]) == ("V3", "kms+context")
    assert document["description"]["team"] == "hr"
    assert run("inspect", f"s3://{bucket}/p", "--json").json["format"] is None


@pytest.mark.slow
def test_ls_shows_what_is_encrypted_how(run: Any, bucket: str, make_client: Any, plain_s3: Any):
    """One level as folders and objects, or everything; each object with its format."""
    make_client().put_object(Bucket=bucket, Key="d/enc", Body=b"1")
    make_client(instruction_file_writes=True).put_object(Bucket=bucket, Key="d/ins", Body=b"1")
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"1")
    top = run("ls", f"s3://{bucket}/", "--json").json
    assert (top["prefixes"], [o["key"] for o in top["objects"]]) == (["d/"], ["plain"])
    deep = run("ls", f"s3://{bucket}", "--recursive", "--json").json["objects"]
    assert {o["key"]: (o["format"], o.get("metadata_location")) for o in deep} == {
        "d/enc": ("V3", "metadata"),
        "d/ins": ("V3", "instruction_file"),
        "d/ins.instruction": ("instruction-file", None),
        "plain": ("plaintext", None),
    }
    text = run("ls", f"s3://{bucket}/d/").text
    assert "V3 (file)" in text
    assert text.splitlines()[1].endswith("  enc")


def test_ls_lists_buckets(run: Any, bucket: str):
    """Without a URL the buckets are listed."""
    assert bucket in run("ls").text
    assert bucket in [each["bucket"] for each in run("ls", "--json").json["buckets"]]


def test_ls_never_lets_a_key_speak_to_the_terminal(run: Any, bucket: str, plain_s3: Any):
    """Control characters in a key are shown escaped, and cannot make a second line."""
    plain_s3.put_object(Bucket=bucket, Key="a\x1b[2Jb", Body=b"1")
    text = run("ls", f"s3://{bucket}").text
    plain_s3.delete_object(Bucket=bucket, Key="a\x1b[2Jb")
    assert "\x1b" not in text
    assert "a\\x1b[2Jb" in text


@pytest.mark.slow
def test_rm_takes_the_instruction_file_along(run: Any, bucket: str, make_client: Any, plain_s3: Any):
    """An object goes with the file that is provably its own."""
    make_client(instruction_file_writes=True).put_object(Bucket=bucket, Key="ins", Body=b"1")
    assert run("rm", f"s3://{bucket}/ins").code == 0
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket)


def test_rm_recursive_with_filters_and_dry_run(run: Any, bucket: str, plain_s3: Any):
    """A dry run deletes nothing; filters choose; a prefix is a folder."""
    for name in ("d/a.txt", "d/b.log", "dd"):
        plain_s3.put_object(Bucket=bucket, Key=name, Body=b"1")
    dry = run("rm", f"s3://{bucket}/d", "--recursive", "--dry-run", "--json").json
    assert len(dry["deleted"]) == 2
    assert run("rm", f"s3://{bucket}/d", "--recursive", "--exclude", "*.log", "--json").json["deleted"] == [
        f"s3://{bucket}/d/a.txt"
    ]
    assert [o["Key"] for o in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["d/b.log", "dd"]


@pytest.mark.slow
def test_raw_keys(run: Any, bucket: str, folder: Path, tmp_path: Path):
    """AES and RSA key files encrypt and decrypt; a public key alone writes what only the private one reads."""
    aes = tmp_path / "aes.key"
    aes.write_bytes(bytes(range(256))[100:132])
    assert run("cp", folder / "a.txt", f"s3://{bucket}/aes", "--aes-key-file", aes).code == 0
    assert run("cat", f"s3://{bucket}/aes", "--aes-key-file", aes).out == b"alpha"
    private = rsa_key()
    (tmp_path / "private.pem").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "public.pem").write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert run("cp", folder / "a.txt", f"s3://{bucket}/rsa", "--rsa-public-key", tmp_path / "public.pem").code == 0
    assert run("cat", f"s3://{bucket}/rsa", "--rsa-public-key", tmp_path / "public.pem").code == 8
    assert run("cat", f"s3://{bucket}/rsa", "--rsa-private-key", tmp_path / "private.pem").out == b"alpha"
