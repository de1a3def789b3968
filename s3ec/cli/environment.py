"""From options to sessions, keyrings and clients: everything that a command works with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import click
from botocore.config import Config

from s3ec.algorithms import CommitmentPolicy, WrappingAlgorithm
from s3ec.cli.key_files import check_rsa_key_file
from s3ec.cli.options import Options
from s3ec.cli.output import Output
from s3ec.errors import ConfigurationError
from s3ec.materials import (
    STORED_CONTEXT,
    DecryptionMaterialsRequest,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
    StoredContext,
)
from s3ec.migrate.settings import Connection, KeyringSpec
from s3ec.migrate.work.heads import explain_heads
from s3ec.rules.configuration import PASSPHRASE_VARIABLE, Configuration, profile_values, resolve
from s3ec.rules.key_files import check_aes_key_file
from s3ec.rules.second_factor import ask_people_alone

if TYPE_CHECKING:
    from s3ec.client.encryption_client import EncryptionClient

__all__ = ["Environment", "NoKeyring", "check_aes_key_file", "keyring_spec"]

_WAYS = (
    "--kms-key KEY, --aes-key-file FILE, --rsa-private-key FILE or --rsa-public-key FILE "
    "(or a default: S3EC_KMS_KEY=KEY, or s3ec_kms_key = KEY in the AWS profile)"
)
_WORDS = {
    "kms_key": "--kms-key",
    "aes_key_file": "--aes-key-file",
    "rsa_private_key_file": "--rsa-private-key",
    "rsa_public_key_file": "--rsa-public-key",
    "rsa_passphrase_file": "--rsa-passphrase-file",
    "context": "--context",
    "allow_legacy": "--allow-legacy",
}


class NoKeyring:
    """Stands in for a keyring in commands that never touch content: any use of a key says how to give one."""

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Claims to open everything, so that an object's metadata alone decides what it is."""
        return KeyringCapabilities(wrapping_algorithms=frozenset(WrappingAlgorithm), binds_encryption_context=True)

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> NoReturn:
        """Refuse.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"no key was given: {_WAYS}")

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> NoReturn:
        """Refuse.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"no key was given: {_WAYS}")


def keyring_spec(
    kind: str,
    *,
    key_id: str | None = None,
    path: Path | None = None,
    private_key: Path | None = None,
    public_key: Path | None = None,
    passphrase: str | None = None,
    allow_legacy: bool = False,
) -> KeyringSpec:
    """Describe a keyring from options.

    Raises:
        OSError: a key file cannot be read.
        ConfigurationError: a key file does not hold such a key.
    """
    if path is not None:
        check_aes_key_file(path)
    if private_key is not None:
        check_rsa_key_file(private_key, private=True, passphrase=passphrase)
    if public_key is not None:
        check_rsa_key_file(public_key, private=False)
    return KeyringSpec(
        kind=kind,
        key_id=key_id,
        path=_absolute(path),
        private_key_path=_absolute(private_key),
        passphrase=passphrase if private_key is not None else None,
        public_key_path=_absolute(public_key),
        enable_legacy_wrapping_algorithms=allow_legacy,
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _absolute(path: Path | None) -> str | None:
    """Return the path as a worker that was started elsewhere needs it."""
    return None if path is None else str(path.absolute())


class Environment:
    """What one run works with; clients and keyrings are made when a command first asks."""

    def __init__(self, options: Options, output: Output) -> None:
        """Take the options and where to write."""
        self.options = options
        self.output = output

    @property
    def region(self) -> str | None:
        """The Region of ``--region`` or AWS_REGION, which the AWS CLI knows and boto3 does not; None for boto3's."""
        return self.options.region or os.environ.get("AWS_REGION") or None

    @cached_property
    def session(self) -> boto3.Session:
        """The boto3 session of ``--profile`` and ``--region``."""
        ask_people_alone()
        return boto3.Session(profile_name=self.options.profile, region_name=self.region)

    @cached_property
    def connection(self) -> Connection:
        """How S3 and KMS are reached, in the form that travels to workers."""
        options = self.options
        return Connection(
            profile_name=options.profile,
            region_name=self.region,
            endpoint_url=options.endpoint_url,
            # One connection for each worker, else urllib3 opens and drops connections under load.
            max_connections=max(10, options.workers + 4),
        )

    @cached_property
    def s3(self) -> Any:
        """A plain S3 client: what S3 itself stores and answers, with its own words where a HEAD is refused."""
        client = self.connection.client("s3", self.session)
        explain_heads(client)
        return client

    @cached_property
    def settings(self) -> Configuration:
        """Return the settings in force from options, environment and profile.

        Raises:
            s3ec.errors.ConfigurationError: a value has no meaning.
            botocore.exceptions.BotoCoreError: there is no such profile.
        """
        options = self.options
        given = {
            "kms_key": options.kms_key,
            "aes_key_file": options.aes_key_file,
            "rsa_private_key_file": options.rsa_private_key,
            "rsa_public_key_file": options.rsa_public_key,
            "rsa_passphrase_file": options.rsa_passphrase_file,
            "context": options.context,
            "allow_legacy": options.allow_legacy,
        }
        name, profile = profile_values(options.profile)
        return resolve(given, environ=os.environ, profile=profile, profile_name=name, words=_WORDS)

    @property
    def passphrase(self) -> str | None:
        """Return where the passphrase of an RSA key is, in the form of `KeyringSpec`."""
        path = self.settings.rsa_passphrase_file
        if path is not None:
            Path(path).open("rb").close()
            return f"file:{Path(path).absolute()}"
        return f"env:{PASSPHRASE_VARIABLE}" if os.environ.get(PASSPHRASE_VARIABLE) else None

    @cached_property
    def keyring_spec(self) -> KeyringSpec:
        """Return the keyring in force, in the form that travels to workers.

        Raises:
            click.UsageError: no key is given, or keys of different kinds are.
        """
        options = self.options
        on_the_spot = (options.kms_key, options.aes_key_file, options.rsa_private_key or options.rsa_public_key)
        if sum(each is not None for each in on_the_spot) > 1:
            raise click.UsageError("give one kind of key: KMS, AES or RSA", click.get_current_context(silent=True))
        settings = self.settings
        if settings.kind is None:
            raise click.UsageError(f"a key is needed: {_WAYS}", click.get_current_context(silent=True))
        return keyring_spec(
            settings.kind,
            key_id=settings.kms_key,
            path=_path(settings.aes_key_file),
            private_key=_path(settings.rsa_private_key_file),
            public_key=_path(settings.rsa_public_key_file),
            passphrase=self.passphrase,
            allow_legacy=settings.allow_legacy,
        )

    def allows_unencrypted(self, option: bool) -> bool:
        """True if objects may be plaintext: by ``--allow-unencrypted``, or by the settings."""
        return option or self.settings.unencrypted_objects == "allow"

    @property
    def has_key(self) -> bool:
        """True if any key is in force."""
        return self.settings.kind is not None

    @property
    def names_key(self) -> bool:
        """True if a key was named on the command line."""
        o = self.options
        return any((o.kms_key, o.aes_key_file, o.rsa_private_key, o.rsa_public_key))

    def client(self, *, with_key: bool = True, **more: Any) -> EncryptionClient:
        """Make a client that reads what is there (committing or not) and writes committing objects.

        Args:
            with_key: False for commands that never need one; a key that is given is used all the same.
            more: further options of `EncryptionClient`.
        """
        from s3ec import EncryptionClient

        # First, so that an endpoint which is not a URL is refused in one place.
        plain = self.s3
        client = EncryptionClient(
            keyring=self.keyring_spec.build(self.connection, self.session)
            if with_key or self.names_key
            else NoKeyring(),
            session=self.session,
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
            enable_legacy_unauthenticated_modes=self.settings.allow_legacy,
            endpoint_url=self.options.endpoint_url,
            config=Config(max_pool_connections=self.connection.max_connections),
            **more,
        )
        explain_heads(client, plain)
        return client

    @property
    def read_context(self) -> Mapping[str, str] | StoredContext:
        """Return ``EncryptionContext`` of reads: the context in force is asserted, else the stored one is accepted."""
        return dict(self.settings.context) or STORED_CONTEXT

    @property
    def write_context(self) -> dict[str, Any]:
        """Return the keyword arguments that give the context in force to a write."""
        return {"EncryptionContext": dict(self.settings.context)} if self.settings.context else {}

    def confirm(self, question: str, *, dry_run: bool = False) -> None:
        """Ask before objects are changed.

        Raises:
            click.UsageError: there is no terminal to ask on, and ``--yes`` is not given.
            click.Abort: the answer is no.
        """
        if dry_run or self.options.yes:
            return
        if self.options.json or not self.output.can_ask:
            raise click.UsageError(
                f"{question} There is no terminal to ask on: give --yes.", click.get_current_context(silent=True)
            )
        click.confirm(question, abort=True, err=True)
