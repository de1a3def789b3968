"""Bind an object to facts about it: readers who repeat them may read it, and CloudTrail records them."""

from __future__ import annotations

from _moto import Account, local_account

import s3ec
from s3ec import EncryptionClient, KmsKeyring


def main(account: Account) -> None:
    """Write with a context; read with the right one, with a wrong one, and with the stored one."""
    s3 = EncryptionClient(keyring=KmsKeyring(account.kms_key, client=account.kms), **account.aws)
    place = {"Bucket": account.bucket, "Key": "salaries.csv"}

    s3.put_object(**place, Body=b"name,amount\n", EncryptionContext={"department": "hr"})

    body = s3.get_object(**place, EncryptionContext={"department": "hr"})["Body"]
    print("the right context:", body.read())

    try:
        s3.get_object(**place, EncryptionContext={"department": "sales"})
    except s3ec.errors.EncryptionContextMismatchError as error:
        print("a wrong context:  ", type(error).__name__)

    response = s3.get_object(**place, EncryptionContext=s3ec.STORED_CONTEXT)
    print("the stored one:   ", response["ResponseMetadata"]["ClientSideEncryption"]["encryption_context"])


if __name__ == "__main__":
    with local_account() as local:
        main(local)
