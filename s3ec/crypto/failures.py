"""The one error of each kind of failed decryption: a second text or class would tell an attacker what went wrong."""

from __future__ import annotations

from s3ec.errors import AuthenticationError, KeyUnwrapError, S3ECError

__all__ = ["aes_failure", "content_failure", "rsa_failure"]


def content_failure() -> S3ECError:
    """Make the error for content that does not decrypt, whatever is wrong with it."""
    return AuthenticationError("the content is not what was encrypted under this data key: it was altered or cut short")


def aes_failure() -> S3ECError:
    """Make the error for a data key, or its content, that does not open with an AES key."""
    return KeyUnwrapError(
        "the object does not open with this AES key: it was written with another key, or its encrypted data key, its "
        "content algorithm or its content was altered"
    )


def rsa_failure() -> S3ECError:
    """Make the error for a data key, or its content, that does not open with an RSA key."""
    return KeyUnwrapError(
        "the object does not open with this RSA key: it was written for another key, or its encrypted data key, its "
        "content algorithm or its content was altered, or its data key was encrypted by RSA without padding, which "
        "is not supported"
    )
