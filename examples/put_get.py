"""Put an object and get it back; look at what S3 stores in between."""

from __future__ import annotations

import boto3
from _moto import Account, local_account

from s3ec import EncryptionClient, KmsKeyring


def main(account: Account) -> None:
    """Write and read one object."""
    s3 = EncryptionClient(keyring=KmsKeyring(account.kms_key, client=account.kms), **account.aws)

    s3.put_object(Bucket=account.bucket, Key="letter.txt", Body=b"Dear reader, this is private.")
    print("get_object:", s3.get_object(Bucket=account.bucket, Key="letter.txt")["Body"].read().decode())

    stored = boto3.client("s3", **account.aws).get_object(Bucket=account.bucket, Key="letter.txt")
    print("S3 stores: ", stored["ContentLength"], "bytes,", len(stored["Metadata"]), "entries of content metadata")


if __name__ == "__main__":
    with local_account() as local:
        main(local)
