"""Carry a large file both ways in constant memory."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from _moto import Account, local_account

import s3ec
from s3ec import EncryptionClient, KmsKeyring

SIZE = int(os.environ.get("EXAMPLE_MIB", "24")) * 1024 * 1024


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        sha256 = hashlib.sha256()
        while chunk := file.read(1024 * 1024):
            sha256.update(chunk)
    return sha256.hexdigest()


def main(account: Account) -> None:
    """Upload in parallel parts, download in parallel ranges, and read a piece from the middle."""
    s3 = EncryptionClient(keyring=KmsKeyring(account.kms_key, client=account.kms), **account.aws)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        with source.open("wb") as file:
            for _ in range(SIZE // (1024 * 1024)):
                file.write(os.urandom(1024 * 1024))

        s3.upload_file(str(source), account.bucket, "large")
        # The file appears under its name only after the whole object was authenticated.
        s3.download_file(account.bucket, "large", str(target))
        print("the same:", digest(source) == digest(target))

        with s3ec.open(s3, Bucket=account.bucket, Key="large") as remote, source.open("rb") as local:
            remote.seek(SIZE // 2)
            local.seek(SIZE // 2)
            print("a piece from the middle, verified:", remote.read(1000) == local.read(1000))


if __name__ == "__main__":
    with local_account() as local:
        main(local)
