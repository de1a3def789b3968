"""Read what a client of 2012 wrote: enable exactly the options that it needs, then write it again."""

from __future__ import annotations

import base64
import os

import boto3
from _moto import Account, local_account
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from s3ec import AesKeyring, CommitmentPolicy, EncryptionClient
from s3ec.errors import PolicyError

WRAPPING_KEY = os.urandom(32)


def encrypted(content: bytes, key: bytes, mode: modes.Mode) -> bytes:
    """Encrypt by AES with PKCS #7 padding, as the first clients did: nothing authenticates the result."""
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), mode).encryptor()
    return encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()


def write_as_an_old_client_did(account: Account, key: str, content: bytes) -> None:
    """Store an object in the V1 format: AES-CBC content, the data key wrapped with AES-ECB."""
    data_key, iv = os.urandom(32), os.urandom(16)
    wrapped = encrypted(data_key, WRAPPING_KEY, modes.ECB())  # noqa: S305 - the format of its time
    boto3.client("s3", **account.aws).put_object(
        Bucket=account.bucket,
        Key=key,
        Body=encrypted(content, data_key, modes.CBC(iv)),
        Metadata={
            "x-amz-key": base64.b64encode(wrapped).decode(),
            "x-amz-iv": base64.b64encode(iv).decode(),
            "x-amz-matdesc": "{}",
        },
    )


def main(account: Account) -> None:
    """Be refused by default, read by opt-in, then re-encrypt in today's format."""
    place = {"Bucket": account.bucket, "Key": "old.txt"}
    write_as_an_old_client_did(account, place["Key"], b"written long ago")

    s3 = EncryptionClient(keyring=AesKeyring(WRAPPING_KEY), **account.aws)
    try:
        s3.get_object(**place)
    except PolicyError as error:
        print("by default:", type(error).__name__, "- the option that decides:", error.setting)

    archive = EncryptionClient(
        keyring=AesKeyring(WRAPPING_KEY, enable_legacy_wrapping_algorithms=True),
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
        enable_legacy_unauthenticated_modes=True,
        **account.aws,
    )
    content = archive.get_object(**place)["Body"].read()
    print("by opt-in: ", content.decode())

    s3.put_object(**place, Body=content)
    response = s3.get_object(**place)
    print(
        "re-encrypted:",
        response["ResponseMetadata"]["ClientSideEncryption"]["format"],
        response["Body"].read().decode(),
    )


if __name__ == "__main__":
    with local_account() as local:
        main(local)
