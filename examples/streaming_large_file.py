"""Transfer a large file both ways in constant memory."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from _moto import Account, local_account

from s3ec import EncryptionClient, KmsKeyring

SIZE = int(os.environ.get("EXAMPLE_MIB", "24")) * 1024 * 1024


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        sha256 = hashlib.sha256()
        while chunk := file.read(1024 * 1024):
            sha256.update(chunk)
    return sha256.hexdigest()


def main(account: Account) -> None:
    """Stream up, stream down, and read a piece from the middle."""
    s3 = EncryptionClient(
        keyring=KmsKeyring(account.kms_key, client=account.kms), buffer_size=8 * 1024 * 1024, **account.aws
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        with source.open("wb") as file:
            for _ in range(SIZE // (1024 * 1024)):
                file.write(os.urandom(1024 * 1024))

        # Encrypted while it is sent, read in small pieces.
        with source.open("rb") as body:
            s3.put_object(Bucket=account.bucket, Key="large", Body=body)

        # Ciphertext above `buffer_size` waits on disk until its tag is verified; only then does plaintext come out.
        response = s3.get_object(Bucket=account.bucket, Key="large")
        with target.open("wb") as file:
            for chunk in response["Body"].iter_chunks(1024 * 1024):
                file.write(chunk)
        print("the same:", digest(source) == digest(target))

        # No tag covers a part of an object. This one is verified all the same.
        middle = s3.get_object(Bucket=account.bucket, Key="large", Range=f"bytes={SIZE // 2}-{SIZE // 2 + 999}")
        with source.open("rb") as file:
            file.seek(SIZE // 2)
            print("a piece from the middle, verified:", middle["Body"].read() == file.read(1000))


if __name__ == "__main__":
    with local_account() as local:
        main(local)
