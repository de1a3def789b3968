"""An endpoint as the command line makes one: for `s3ec serve`, and for the command that `s3ec run --serve` starts."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.cli.environment import Environment, keyring_spec
from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.client.encryption_client import EncryptionClient
from s3ec.rules.bucket_rules import BucketRule, BucketRules, load_rules

if TYPE_CHECKING:
    from s3ec.serve import Server, ServeSettings

__all__ = ["make_endpoint", "need_extra", "rules_of"]


def need_extra() -> None:
    """Refuse to go on without what `s3ec serve` needs besides.

    Raises:
        FailureError: the extra is not installed.
    """
    try:
        import h11  # noqa: F401 - the extra
    except ImportError as error:
        raise FailureError(
            Failure(
                code=ExitCode.CONFIGURATION,
                error="ConfigurationError",
                message="s3ec serve needs the extra: pip install 's3ec[serve]'",
            )
        ) from error


def rules_of(environment: Environment, file: Path | None) -> BucketRules:
    """Find the rules for buckets that the options of a command name.

    Raises:
        ConfigurationError: nothing is configured at all, or it has no meaning.
    """
    options = environment.options
    return load_rules(
        profile_name=options.profile,
        file=file,
        given={
            "kms_key": options.kms_key,
            "aes_key_file": options.aes_key_file,
            "rsa_private_key_file": options.rsa_private_key,
            "rsa_public_key_file": options.rsa_public_key,
            "rsa_passphrase_file": options.rsa_passphrase_file,
            "context": options.context,
            "allow_legacy": options.allow_legacy,
        },
    )


def make_endpoint(environment: Environment, settings: ServeSettings, rules_file: Path | None) -> Server:
    """Make an endpoint that listens already.

    Args:
        environment: the options of the command, and what they lead to.
        settings: how it listens, and whom it believes.
        rules_file: rules for each bucket, that were named on the spot.

    Raises:
        ConfigurationError: a key or an option can never work.
        OSError: the address is in use, or is not this machine's.
    """
    from s3ec.serve.assembly import count_kms, make_server
    from s3ec.serve.doors import RuledDoors
    from s3ec.serve.metrics import Metrics

    # First, so that an endpoint which is not a URL is refused in one place.
    plain = environment.s3
    rules = rules_of(environment, rules_file)
    _ask_now(environment.session)
    metrics = Metrics()
    count_kms(environment.session, metrics)
    doors = RuledDoors(rules, partial(_client, environment, settings))
    return make_server(settings, environment.session, plain, doors, metrics)


def _ask_now(session: boto3.Session) -> None:
    """Get the credentials that a person has a part in before anything listens: later nobody would look here.

    Raises:
        ConfigurationError: a second factor is wanted, and there is no terminal to ask at.
        botocore.exceptions.BotoCoreError: the login of a person has expired.
        botocore.exceptions.ClientError: they are refused.
    """
    credentials = session.get_credentials()
    if credentials is not None and (credentials.method == "sso" or _wants_second_factor(session)):
        credentials.get_frozen_credentials()


def _wants_second_factor(session: boto3.Session) -> bool:
    profiles = session._session.full_config.get("profiles", {})
    name, seen = session.profile_name, set[str]()
    while name in profiles and name not in seen:
        profile = profiles[name]
        if "mfa_serial" in profile and "role_arn" in profile:
            return True
        seen.add(name)
        name = profile.get("source_profile", "")
    return False


def _client(environment: Environment, settings: ServeSettings, rule: BucketRule) -> EncryptionClient:
    chosen = rule.options()
    values = {each.name: getattr(chosen, each.name) for each in fields(chosen)}
    if rule.settings.kms_key is not None:
        # Where the options say that KMS is.
        spec = keyring_spec("kms", key_id=rule.settings.kms_key, allow_legacy=rule.settings.allow_legacy)
        values["keyring"] = spec.build(environment.connection, environment.session)
    defaults = {
        "buffer_size": settings.buffer_size,
        # Nobody can call s3ec.open here: a range of a large object is verified as one of a small one is.
        "verified_range_limit": GCM_MAX_PLAINTEXT_LENGTH + 16,
    }
    return EncryptionClient(
        session=environment.session,
        endpoint_url=environment.options.endpoint_url,
        config=Config(max_pool_connections=settings.max_requests + 4),
        **{**values, **defaults, **rule.client_options},
    )
