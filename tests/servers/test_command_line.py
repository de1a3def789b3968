"""Server-side keys of one's own through `cp`, `sync`, `mv` and `cat`, on MinIO over https, which keeps to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import AesKeyring, EncryptionClient, SseC
from s3ec.cli.main import main

from support.servers import ACCESS_KEY, Server

pytestmark = pytest.mark.server

KEY = bytes(range(32))
LARGE = 9 * 2**20
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Files with the data keys' AES key, the server-side key and another one."""
    made = {"aes": bytes(range(1, 33)), "sse": KEY, "other": bytes(32)}
    for name, key in made.items():
        (tmp_path / f"{name}.key").write_bytes(key)
    return {name: str(tmp_path / f"{name}.key") for name in made}


@pytest.fixture
def run(
    minio: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], keys: Any
) -> Run:
    """Runs a command line of this process against MinIO, with the AES key."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
        "AWS_ENDPOINT_URL": minio.url,
        "AWS_CA_BUNDLE": str(minio.certificate),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "S3EC_AES_KEY_FILE": keys["aes"],
    }.items():
        monkeypatch.setenv(name, value)

    def call(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return int(code), *capfd.readouterr()

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose files go up in one request and in parts."""
    path = tmp_path / "files"
    path.mkdir()
    (path / "small").write_bytes(b"x" * 100)
    (path / "large").write_bytes(bytes(LARGE))
    (path / "empty").write_bytes(b"")
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Names and bytes of the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_up_and_down(minio: Server, new_bucket: Any, plain: Any, run: Run, keys: Any, folder: Path, tmp_path: Path):
    """What went up under the key comes down with it, is ciphertext beneath it, and is closed without it."""
    bucket, back = new_bucket(minio), tmp_path / "back"
    own = ("--sse-c", "AES256", "--sse-c-key", keys["sse"])
    code, _, err = run("cp", "--recursive", folder, f"s3://{bucket}/up/", *own)
    assert (code, err) == (0, "")
    storage = plain(minio)
    for name, size in (("small", 100), ("large", LARGE), ("empty", 0)):
        with pytest.raises(ClientError):
            storage.head_object(Bucket=bucket, Key=f"up/{name}")
        head = storage.head_object(Bucket=bucket, Key=f"up/{name}", **SseC(KEY).parameters())
        assert (head["ContentLength"], head["SSECustomerAlgorithm"]) == (size + 16, "AES256")
    assert run("cp", "--recursive", f"s3://{bucket}/up/", f"{back}/", *own)[0] == 0
    assert content(back) == content(folder)


@pytest.mark.parametrize("which", ["none", "other"])
@pytest.mark.parametrize("many", [False, True])
def test_without_the_key_nothing_comes_down(
    minio: Server, new_bucket: Any, run: Run, keys: Any, folder: Path, tmp_path: Path, which: str, many: bool
):
    """Neither without a key nor with another one: a failure that names S3's answer, and no file."""
    bucket, back = new_bucket(minio), tmp_path / "back"
    assert run("cp", folder / "small", f"s3://{bucket}/up/", "--sse-c", "--sse-c-key", keys["sse"])[0] == 0
    own = () if which == "none" else ("--sse-c", "--sse-c-key", keys["other"])
    source = ("--recursive", f"s3://{bucket}/up/") if many else (f"s3://{bucket}/up/small",)
    code, out, err = run("cp", *source, f"{back}/", *own)
    assert code in (3, 4), err
    assert "copied" not in out
    assert err.startswith("s3ec: ")
    assert "Traceback" not in err
    assert not back.exists() or content(back) == {}


def test_moves(minio: Server, new_bucket: Any, plain: Any, run: Run, keys: Any, folder: Path):
    """Up and down under the key; the source is gone afterwards."""
    bucket = new_bucket(minio)
    own = ("--sse-c", "--sse-c-key", keys["sse"])
    assert run("mv", folder / "small", f"s3://{bucket}/small", *own)[0] == 0
    assert not (folder / "small").exists()
    held = {"keyring": AesKeyring(bytes(range(1, 33))), "server_side_encryption": SseC(KEY), **minio.arguments()}
    client: Any = EncryptionClient(**held)
    assert client.get_object(Bucket=bucket, Key="small")["Body"].read() == b"x" * 100
    client.close()
    assert run("mv", f"s3://{bucket}/small", folder / "again", *own)[0] == 0
    assert (folder / "again").read_bytes() == b"x" * 100
    with pytest.raises(ClientError):
        plain(minio).head_object(Bucket=bucket, Key="small", **SseC(KEY).parameters())


def test_sync(minio: Server, new_bucket: Any, run: Run, keys: Any, folder: Path, tmp_path: Path):
    """Both ways; the second run finds nothing to do."""
    bucket, back = new_bucket(minio), tmp_path / "back"
    own = ("--sse-c", "--sse-c-key", keys["sse"])
    for source, target in ((folder, f"s3://{bucket}/up/"), (f"s3://{bucket}/up/", back)):
        code, out, err = run("sync", source, target, *own)
        assert (code, out.count("copied")) == (0, 3), err
        assert run("sync", source, target, *own)[:2] == (0, "")
    assert content(back) == content(folder)


def test_within_s3(minio: Server, new_bucket: Any, plain: Any, run: Run, keys: Any, folder: Path, tmp_path: Path):
    """Ciphertext from bucket to bucket, one object and a folder: the copy opens with the key, and not without."""
    bucket, other, back = new_bucket(minio), new_bucket(minio), tmp_path / "back"
    own = ("--sse-c", "--sse-c-key", keys["sse"])
    assert run("cp", "--recursive", folder, f"s3://{bucket}/up/", *own)[0] == 0
    assert run("cp", f"s3://{bucket}/up/small", f"s3://{other}/one", *own)[0] == 0
    code, out, err = run("sync", f"s3://{bucket}/up/", f"s3://{other}/up/", *own)
    assert (code, out.count("copied")) == (0, 3), err
    for key in ("one", "up/small", "up/large"):
        with pytest.raises(ClientError):
            plain(minio).head_object(Bucket=other, Key=key)
    assert run("cp", "--recursive", f"s3://{other}/up/", f"{back}/", *own)[0] == 0
    assert run("cp", f"s3://{other}/one", f"{back}/", *own)[0] == 0
    assert content(back) == {**content(folder), "one": b"x" * 100}
