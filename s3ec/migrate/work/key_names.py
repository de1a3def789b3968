"""What the keys of a job are called for good: an alias names one KMS key today and may name another one tomorrow."""

from __future__ import annotations

import json

from botocore.exceptions import ClientError

from s3ec.errors import KeyringError
from s3ec.migrate.settings import KeyringSpec
from s3ec.migrate.work.context import MigrationContext
from s3ec.migrate.work.ending import status_of

__all__ = ["key_names", "unresolved"]

_UNRESOLVED = "unresolved "


def key_names(context: MigrationContext) -> str:
    """The job's keys as JSON: aliases resolved to the ARN of their key, all else under its own name.

    Raises:
        s3ec.errors.KeyringError: KMS knows no such alias.
    """
    settings = context.settings
    specs = {"keyring": settings.keyring, "source_keyring": settings.source_keyring}
    return json.dumps({name: _name(spec, context) for name, spec in specs.items() if spec is not None}, sort_keys=True)


def unresolved(names: str) -> list[str]:
    """Aliases among `key_names` whose key this identity may not learn."""
    return [str(name).removeprefix(_UNRESOLVED) for name in json.loads(names).values() if name.startswith(_UNRESOLVED)]


def _name(spec: KeyringSpec, context: MigrationContext) -> str:
    alias = spec.key_id or ""
    if not spec.is_kms or not (alias.startswith("alias/") or ":alias/" in alias):
        return spec.label
    try:
        context.meter.before_call()
        return str(context.kms_client(spec).describe_key(KeyId=alias)["KeyMetadata"]["Arn"])
    except ClientError as error:
        if status_of(error) not in (400, 401, 403):
            raise
        refusal = error
    try:
        # An identity that may wrap learns from each answer which key it was.
        context.meter.before_call()
        return str(context.kms_client(spec).generate_data_key(KeyId=alias, KeySpec="AES_256")["KeyId"])
    except ClientError as error:
        if "AccessDenied" not in str(error):
            raise KeyringError(f"KMS does not tell which key {alias} names: {error}") from refusal
        return _UNRESOLVED + alias
