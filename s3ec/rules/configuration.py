"""Which key and which settings are in force if the code names none: options, environment, AWS profile.

One function decides for everything that is not called from Python with arguments of its own. What was given on the
spot wins over the environment (``S3EC_KMS_KEY``), which wins over the profile of the AWS configuration
(``s3ec_kms_key``, to be set by ``aws configure set`` too). Everything that names a key counts as one setting: a key of
one kind that was given on the spot is not mixed with a key of another kind from a file.

No secret stands here: keys and passphrases lie in files (a passphrase also in a variable), and are named, not read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.session

from s3ec.errors import ConfigurationError

__all__ = ["NAMES", "PASSPHRASE_VARIABLE", "Configuration", "profile_values", "resolve"]

PASSPHRASE_VARIABLE = "S3EC_RSA_PASSPHRASE"  # noqa: S105 - a name
"""The one variable that holds a secret; a file is better, since children and crash reports see the environment."""

_KEY_NAMES = ("kms_key", "aes_key_file", "rsa_private_key_file", "rsa_public_key_file")
_FILES = frozenset({"aes_key_file", "rsa_private_key_file", "rsa_public_key_file", "rsa_passphrase_file"})
NAMES = (*_KEY_NAMES, "rsa_passphrase_file", "context", "allow_legacy", "unencrypted_objects")
"""Every setting: ``S3EC_`` and the name in capitals in the environment, ``s3ec_`` and the name in a profile."""

_TRUE, _FALSE = frozenset({"1", "on", "true", "yes"}), frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What is in force.

    Attributes:
        kms_key: key ID, ARN or alias.
        aes_key_file: path of a file with a raw AES key.
        rsa_private_key_file: path of a PEM file.
        rsa_public_key_file: path of a PEM file.
        rsa_passphrase_file: path of a file whose first line opens the private key's PEM.
        context: encryption context.
        allow_legacy: read unauthenticated content and legacy key wrapping.
        unencrypted_objects: ``"refuse"`` or ``"allow"``.
        origins: where each of these came from, by name; what is not in here has its default.
    """

    kms_key: str | None = None
    aes_key_file: str | None = None
    rsa_private_key_file: str | None = None
    rsa_public_key_file: str | None = None
    rsa_passphrase_file: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    allow_legacy: bool = False
    unencrypted_objects: str = "refuse"
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """``"kms"``, ``"aes-file"`` or ``"rsa-file"``; None if no key is named."""
        if self.kms_key is not None:
            return "kms"
        if self.aes_key_file is not None:
            return "aes-file"
        return "rsa-file" if self.rsa_private_key_file or self.rsa_public_key_file else None


@dataclass(frozen=True, slots=True)
class _Layer:
    """One place that can hold settings."""

    values: Mapping[str, Any]
    words: Mapping[str, str]
    """What each setting is called there, for messages."""


def profile_values(profile_name: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the settings of a profile of the AWS configuration, and the profile's name.

    Args:
        profile_name: or None for the environment's (``AWS_PROFILE``), else ``default``.

    Raises:
        botocore.exceptions.BotoCoreError: there is no such profile, or the file is broken.
    """
    session = botocore.session.Session(profile=profile_name)
    return str(session.profile or "default"), dict(session.get_scoped_config())


def resolve(
    given: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    profile: Mapping[str, Any],
    profile_name: str = "default",
    words: Mapping[str, str] | None = None,
) -> Configuration:
    """Decide what is in force.

    Args:
        given: what the caller named directly, by the names of `NAMES`; None, False and empty values were not.
        environ: the process's environment.
        profile: values of a profile, as `profile_values` reads them.
        profile_name: its name, for messages.
        words: how `given` calls its settings, for messages.

    Raises:
        ConfigurationError: a value has no meaning, or two kinds of key are in one place. The text names the place.
    """
    layers = (
        _Layer({name: value for name, value in given.items() if value}, words or {}),
        _Layer(_environment(environ), {name: f"S3EC_{name.upper()}" for name in NAMES}),
        _Layer(_profile(profile), {name: f"s3ec_{name} of profile {profile_name}" for name in NAMES}),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    key = list(_key(layers))
    for name, value, origin in (*key, *_others(_without_context_of_kms(layers, key))):
        values[name] = _read(name, value, origin)
        origins[name] = origin
    return Configuration(**values, origins=origins)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    # An empty variable counts as not set, as in the AWS SDKs.
    found = {name: environ.get(f"S3EC_{name.upper()}", "") for name in NAMES}
    return {name: value for name, value in found.items() if value}


def _profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {name: profile[f"s3ec_{name}"] for name in NAMES if profile.get(f"s3ec_{name}")}


def _key(layers: tuple[_Layer, ...]) -> Iterator[tuple[str, Any, str]]:
    """Return the settings that name a key, all from the first place that has any."""
    for layer in layers:
        found = [name for name in _KEY_NAMES if name in layer.values]
        kinds = {name.partition("_")[0] for name in found}
        if len(kinds) > 1:
            places = " and ".join(layer.words.get(name, name) for name in found)
            raise ConfigurationError(f"{places} name keys of different kinds: give one kind of key, KMS, AES or RSA")
        if found:
            yield from ((name, layer.values[name], layer.words.get(name, name)) for name in found)
            return


def _without_context_of_kms(layers: tuple[_Layer, ...], key: list[tuple[str, Any, str]]) -> tuple[_Layer, ...]:
    """Drop a context from a place after that of a raw key: raw keys bind none, so it was meant for a KMS key there."""
    if not key or key[0][0] == "kms_key":
        return layers
    place = next(index for index, layer in enumerate(layers) if key[0][0] in layer.values)
    return tuple(
        layer if index <= place else _Layer({k: v for k, v in layer.values.items() if k != "context"}, layer.words)
        for index, layer in enumerate(layers)
    )


def _others(layers: tuple[_Layer, ...]) -> Iterator[tuple[str, Any, str]]:
    for name in NAMES[len(_KEY_NAMES) :]:
        for layer in layers:
            if name in layer.values:
                yield name, layer.values[name], layer.words.get(name, name)
                break


def _read(name: str, value: Any, origin: str) -> Any:
    """Return a value from a place in its own type."""
    if name == "context":
        return _context(value, origin)
    if name == "allow_legacy":
        return value if isinstance(value, bool) else _flag(str(value), origin)
    if name == "unencrypted_objects" and value not in ("refuse", "allow"):
        raise ConfigurationError(f"{origin} must be refuse or allow, not {value!r}")
    return os.path.expanduser(str(value)) if name in _FILES else str(value)


def _flag(text: str, origin: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ConfigurationError(f"{origin} must be true or false, not {text!r}")
    return text.lower() in _TRUE


def _context(value: Any, origin: str) -> dict[str, str]:
    """``team=hr,year=2026``, a JSON object, or a map (a nested section of a profile)."""
    wanted = f'{origin} must be NAME=VALUE,NAME=VALUE or {{"NAME": "VALUE"}}'
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{wanted}, not {value!r}") from error
    if isinstance(value, Mapping):
        if not all(isinstance(text, str) for pair in value.items() for text in pair):
            raise ConfigurationError(f"{wanted}: a map of texts")
        return dict(value)
    pairs: dict[str, str] = {}
    for piece in str(value).split(","):
        name, separator, text = piece.strip().partition("=")
        if not separator or not name or name in pairs:
            raise ConfigurationError(f"{wanted}, not {value!r}")
        pairs[name] = text
    return pairs
