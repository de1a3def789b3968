"""A check that the keys of a job are there at all, made before the first object: no object can succeed without them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from s3ec.errors import KeyringError
from s3ec.migrate.model import Action
from s3ec.migrate.settings import Connection, KeyringSpec, MigrationSettings
from s3ec.migrate.work.ending import OF_THE_JOB, code_of

__all__ = ["check_key", "check_keys"]

_ATTEMPTS = 3
_UNKNOWN = "whether the KMS key {} can be used is not known: DescribeKey says {}"


def check_keys(
    settings: MigrationSettings, *, wraps: bool = False, session: boto3.Session | None = None
) -> tuple[str, ...]:
    """Ask KMS once for each key of the job (DescribeKey), and refuse a job whose keys are absent or switched off.

    An identity that may not describe keys may still use them: such an answer is not a reason to stop.

    Args:
        settings: the job.
        wraps: also ask whether a data key would be made (GenerateDataKey with ``DryRun``), as a dry run of a migration
            wants to know; nothing is made.
        session: makes the KMS clients; one of its own by default.

    Returns:
        What could not be found out, for people.

    Raises:
        s3ec.errors.KeyringError: a key is absent, disabled or waiting for its deletion, or KMS cannot be asked.
    """
    doubts = []
    source = settings.source_keyring
    for spec in (settings.keyring, *([source] if source is not None and source != settings.keyring else [])):
        would_wrap = wraps and spec is settings.keyring and settings.action in (Action.MIGRATE, Action.UPGRADE)
        if doubt := check_key(spec, settings.connection, session=session, wraps_for=settings if would_wrap else None):
            doubts.append(doubt)
    return tuple(doubts)


def check_key(
    spec: KeyringSpec,
    connection: Connection,
    *,
    session: boto3.Session | None = None,
    wraps_for: MigrationSettings | None = None,
) -> str | None:
    """Do the same for one keyring; one that names no KMS key has nothing to be asked for.

    Args:
        spec: the keyring.
        connection: how KMS is reached.
        session: makes the KMS client; one of its own by default.
        wraps_for: the job for which a data key would be made, to ask whether it would.

    Raises:
        s3ec.errors.KeyringError: as for `check_keys`.
    """
    if spec.kind != "kms":
        return None
    # Nothing has begun yet, so there is no need to wait long for a network that is not there.
    connection = replace(connection, max_attempts=min(connection.max_attempts, _ATTEMPTS))
    with contextlib.closing(spec.kms_client(connection, session)) as kms:
        doubt = _described(kms, spec)
        if wraps_for is not None:
            _would_wrap(kms, wraps_for)
    return doubt


def _described(kms: Any, spec: KeyringSpec) -> str | None:
    try:
        about = kms.describe_key(KeyId=spec.key_id)["KeyMetadata"]
    except ClientError as error:
        if code_of(error) == "NotFoundException" or code_of(error) in OF_THE_JOB:
            raise KeyringError(f"AWS KMS knows no key {spec.key_id}: {error}") from error
        return _UNKNOWN.format(spec.key_id, code_of(error))
    except BotoCoreError as error:
        raise KeyringError(f"AWS KMS could not be asked: {error}") from error
    state = about.get("KeyState", "Enabled")
    if state not in ("Enabled", "Updating"):
        raise KeyringError(f"the KMS key {spec.key_id} cannot be used: its state is {state}")
    if about.get("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
        raise KeyringError(f"the KMS key {spec.key_id} does not wrap data keys: its use is {about['KeyUsage']}")
    return None


def _would_wrap(kms: Any, settings: MigrationSettings) -> None:
    """Ask for a data key that is not made; with contexts of their own, objects may be allowed what this is not."""
    if settings.bind_object:
        return
    try:
        kms.generate_data_key(
            KeyId=settings.keyring.key_id,
            KeySpec="AES_256",
            EncryptionContext=dict(settings.encryption_context or {}),
            DryRun=True,
        )
    except ClientError as error:
        if code_of(error) == "AccessDeniedException":
            raise KeyringError(f"AWS KMS refused under {settings.keyring.key_id} ({error})") from error
    except BotoCoreError as error:
        raise KeyringError(f"AWS KMS could not be asked: {error}") from error
