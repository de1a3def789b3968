"""Client-side encryption and S3's own encryption at rest, both at once."""

from __future__ import annotations

from _moto import Account, local_account

import s3ec
from s3ec import DsseKms, EncryptionClient, KmsKeyring, SseC, SseKms, SseS3


def main(account: Account) -> None:
    """Use each mode as the default of a client, and show what S3 then says about the object."""
    keyring = KmsKeyring(account.kms_key, client=account.kms)
    for mode in (
        SseS3(),
        SseKms(account.kms_key, bucket_key=True, context={"project": "example"}),
        DsseKms(account.kms_key),
    ):
        name = type(mode).__name__
        s3 = EncryptionClient(keyring=keyring, server_side_encryption=mode, **account.aws)
        s3.put_object(Bucket=account.bucket, Key=name, Body=b"encrypted on both sides")
        response = s3.get_object(Bucket=account.bucket, Key=name)
        print(f"{name}: {response['ServerSideEncryption']}, {response['Body'].read().decode()}")

    # The key of SSE-C travels with every request, so it is refused over plain http, which is what this server speaks.
    s3 = EncryptionClient(keyring=keyring, server_side_encryption=SseC(bytes(range(32))), **account.aws)
    try:
        s3.put_object(Bucket=account.bucket, Key="SseC", Body=b"never sent")
    except s3ec.errors.ConfigurationError as error:
        print(f"SseC: {type(error).__name__}")


if __name__ == "__main__":
    with local_account() as local:
        main(local)
