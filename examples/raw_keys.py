"""Wrap data keys with keys of your own, and move on from an old key to a new one."""

from __future__ import annotations

import os

from _moto import Account, local_account
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from s3ec import AesKeyring, EncryptionClient, RsaKeyring
from s3ec.errors import S3ECError


def aes(account: Account) -> None:
    """Use one AES key for writers and readers."""
    s3 = EncryptionClient(keyring=AesKeyring(os.urandom(32)), **account.aws)
    s3.put_object(Bucket=account.bucket, Key="aes", Body=b"wrapped with AES-GCM")
    print("AES:", s3.get_object(Bucket=account.bucket, Key="aes")["Body"].read().decode())


def rsa_pair(account: Account) -> None:
    """Use a writer that cannot read: it has the public key only."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_pem = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    writer = EncryptionClient(keyring=RsaKeyring(public_key=public_pem), **account.aws)
    reader = EncryptionClient(keyring=RsaKeyring(private_key=private_key), **account.aws)

    writer.put_object(Bucket=account.bucket, Key="rsa", Body=b"wrapped with RSA-OAEP")
    print("RSA:", reader.get_object(Bucket=account.bucket, Key="rsa")["Body"].read().decode())
    try:
        writer.get_object(Bucket=account.bucket, Key="rsa")["Body"].read()
    except S3ECError as error:
        print("RSA, the writer reads:", type(error).__name__)


def main(account: Account) -> None:
    """Show both kinds of raw key."""
    aes(account)
    rsa_pair(account)


if __name__ == "__main__":
    with local_account() as local:
        main(local)
