"""Files of RSA keys: told apart by what they hold, with the command that turns each into the file that is wanted."""

from __future__ import annotations

import shlex
from pathlib import Path

from s3ec.crypto import rsa_keys
from s3ec.errors import ConfigurationError
from s3ec.migrate.settings import read_passphrase

__all__ = ["check_rsa_key_file"]

_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY"
_LOCKED = (b"-----BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
_PUBLIC = (b"-----BEGIN PUBLIC KEY", b"-----BEGIN RSA PUBLIC KEY", b"-----BEGIN CERTIFICATE", b"ssh-rsa ")
_PRIVATE = (b"-----BEGIN PRIVATE KEY", b"-----BEGIN RSA PRIVATE KEY", _OPENSSH, *_LOCKED)


def check_rsa_key_file(path: Path, *, private: bool, passphrase: str | None = None) -> None:
    """Refuse a file that is not an RSA key as PEM; the text names the file and quotes nothing of it.

    Args:
        path: the file.
        private: True if it is to open data keys, not to wrap them.
        passphrase: where its passphrase is, as `KeyringSpec` has it.

    Raises:
        OSError: the file cannot be read.
        ConfigurationError: it holds something else.
    """
    content = path.read_bytes()
    locked = private and any(mark in content for mark in _LOCKED)
    if locked and passphrase is not None:
        _check_passphrase(path, content, passphrase)
        return
    if advice := (_private_advice if private else _public_advice)(content, shlex.quote(str(path))):
        raise ConfigurationError(f"{path} {advice}")
    try:
        (rsa_keys.private_key if private else rsa_keys.public_key)(content)
    except ConfigurationError as error:
        named = str(error).replace("private_key" if private else "public_key", str(path), 1)
        raise ConfigurationError(named) from error


def _check_passphrase(path: Path, content: bytes, passphrase: str) -> None:
    try:
        rsa_keys.private_key(content, read_passphrase(passphrase))
    except ConfigurationError as error:
        # As it stands: it names no argument, and quotes neither the key nor the passphrase.
        raise ConfigurationError(f"{path}: {error}") from error


def _private_advice(content: bytes, path: str) -> str:
    if content.startswith(_OPENSSH):
        return f"is in OpenSSH's own format: `ssh-keygen -p -m PEM -f {path}` rewrites it as PEM (try it on a copy)"
    if any(mark in content for mark in _LOCKED):
        return f"has a passphrase: --rsa-passphrase-file FILE or S3EC_RSA_PASSPHRASE (openssl rsa -in {path} -out FILE)"
    if content.startswith(_PUBLIC):
        return "holds a public key, which opens nothing: the private one is needed here, --rsa-public-key only wraps"
    return ""


def _public_advice(content: bytes, path: str) -> str:
    if any(mark in content for mark in _PRIVATE):
        return f"holds a private key, which should not lie where only wrapping is done: openssl rsa -in {path} -pubout"
    if content.startswith(b"ssh-rsa "):
        return f"is in OpenSSH's own format: ssh-keygen -e -m PKCS8 -f {path} > FILE"
    if content.startswith(b"-----BEGIN CERTIFICATE"):
        return f"is a certificate: openssl x509 -in {path} -pubkey -noout > FILE"
    return ""
