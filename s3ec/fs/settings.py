"""The file system's options as values: what may stand in ``storage_options``, and what the client makes of it.

fsspec tells file systems apart by the text of their arguments, hands the same arguments to other processes, and shows
them in logs and graphs. So nothing may stand there that is secret, or whose text could be another's: keys are named, by
an ID, a file or a place in a module, and are read where they are used.
"""

from __future__ import annotations

import difflib
import enum
import importlib
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from s3ec import forks
from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy
from s3ec.client.options import OPTION_NAMES, Options
from s3ec.client.server_side.rules import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError
from s3ec.keyrings import KmsKeyring
from s3ec.materials import Keyring, MaterialsManager
from s3ec.rules.bucket_rules import load_rules
from s3ec.rules.configuration import Configuration
from s3ec.rules.key_files import configured_keyring

__all__ = ["KEY_NAMES", "SETTING_NAMES", "by_value", "make_options", "refuse_unknown", "stamp_of_files"]

_FILES = ("aes_key_file", "rsa_private_key_file", "rsa_public_key_file")
_OBJECTS = ("keyring", "materials_manager")
KEY_NAMES = ("kms_key", *_FILES, *_OBJECTS)
"""What names a key: one of them, or the two files of one RSA key."""
_OF_KEYS = ("rsa_passphrase_file", "enable_legacy_wrapping_algorithms", "kms_client_kwargs")
SETTING_NAMES = frozenset({*KEY_NAMES, *_OF_KEYS, *OPTION_NAMES})
"""Every option of `s3ec.Options`, and what names a key."""

_ENUMS: dict[str, type[enum.Enum]] = {"commitment_policy": CommitmentPolicy, "algorithm_suite": AlgorithmSuite}
_HELD = "held:"
_SECRET_ARGUMENTS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
_MODES: dict[str, type[Any]] = {"AES256": SseS3, "aws:kms": SseKms, "aws:kms:dsse": DsseKms}


class _Held:
    """Objects that were given as a keyring or manager, by a name that no other object has, in no other process either.

    Kept as long as the process lives, as fsspec keeps its file systems.
    """

    lock: threading.Lock

    def __init__(self) -> None:
        self._by_name: dict[str, object] = {}
        forks.make_in_each_process(self, lock=threading.Lock)

    def name_of(self, thing: object) -> str:
        with self.lock:
            for name, held in self._by_name.items():
                # By identity: two keyrings may be equal in all that they show, and have different keys.
                if held is thing:
                    return name
            name = f"{_HELD}{type(thing).__name__}-{secrets.token_hex(16)}"
            self._by_name[name] = thing
            return name

    def get(self, name: str) -> object:
        with self.lock:
            thing = self._by_name.get(name)
        if thing is None:
            raise ConfigurationError(
                "this file system was made with a keyring object, which stays in the process that made it: name the "
                'key by kms_key=, by a file (aes_key_file=, …) or by its place, keyring="package.module:name"'
            )
        return thing


_held = _Held()


def by_value(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file system's keywords as they may be shown, compared and pickled.

    Args:
        keywords: as the caller gave them, with s3fs' own.

    Returns:
        The same with names in place of objects; a key that the environment or the AWS profile names, if the caller
        named none, is among them, so that it is the same key in every process.

    Raises:
        ConfigurationError: an object that can only be shown with its secret, or is none of what is expected.
    """
    values = dict(keywords)
    for name in _OBJECTS:
        if values.get(name) is not None and not isinstance(values[name], str):
            # Refuses what is no keyring (a key in bytes, say) before it is kept.
            Options(**{name: values[name]})
            values[name] = _held.name_of(values[name])
    for name, kind in _ENUMS.items():
        if isinstance(values.get(name), kind):
            values[name] = values[name].name
    mode = values.get("server_side_encryption")
    if mode is not None and not isinstance(mode, (str, Mapping)):
        values["server_side_encryption"] = _described_mode(mode)
    if secret := _SECRET_ARGUMENTS & dict(values.get("kms_client_kwargs") or {}).keys():
        raise ConfigurationError(
            f"kms_client_kwargs holds {', '.join(sorted(secret))}, which storage options would show and pickle: KMS is "
            "asked with the file system's own credentials, and a keyring of yours (keyring=) may have others"
        )
    if not any(values.get(name) is not None for name in KEY_NAMES):
        values.update(_of_surroundings(values))
    return values


def _described_mode(mode: object) -> dict[str, Any]:
    for name, kind in _MODES.items():
        if isinstance(mode, kind):
            members = {member: getattr(mode, member, None) for member in ("key_id", "context", "bucket_key")}
            return {"mode": name, **{member: value for member, value in members.items() if value is not None}}
    if isinstance(mode, SseC):
        raise ConfigurationError(
            "an SSE-C key in storage options would be shown and pickled with them: make the S3 client's session "
            "yourself (session=)"
        )
    raise ConfigurationError(
        f"server_side_encryption must be SseS3(), SseKms() or DsseKms(), not a {type(mode).__name__}"
    )


def _of_surroundings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The key that the environment (``S3EC_KMS_KEY``, …) or the AWS profile names.

    Raises:
        ConfigurationError: none is named, or one for each bucket, which one file system cannot follow.
    """
    try:
        rules = load_rules(profile_name=values.get("profile"))
    except ConfigurationError as error:
        raise ConfigurationError(
            f'the file system needs a key, as in storage_options={{"kms_key": "alias/my-key"}}; {error}'
        ) from error
    if rules.rules:
        raise ConfigurationError(
            f"{rules.origin} names a key for each bucket, and a file system has one: name it in storage_options, as in "
            '{"kms_key": "alias/my-key"}'
        )
    settings = rules.default.settings
    names = (*(name for name in KEY_NAMES if name not in _OBJECTS), "rsa_passphrase_file")
    found: dict[str, Any] = {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}
    if settings.context:
        found["encryption_context"] = dict(settings.context)
    if settings.allow_legacy:
        found |= {"enable_legacy_wrapping_algorithms": True, "enable_legacy_unauthenticated_modes": True}
    if settings.unencrypted_objects != "refuse":
        found["unencrypted_objects"] = settings.unencrypted_objects
    return {name: value for name, value in found.items() if name not in values}


def make_options(values: Mapping[str, Any]) -> Options:
    """Return the client's options; key files are read now.

    Args:
        values: those of `SETTING_NAMES`, as `by_value` returned them.

    Raises:
        ConfigurationError: no key or two, a file or a place that holds none, or what can never work.
    """
    given = {name: value for name, value in values.items() if value is not None}
    options = {name: given[name] for name in OPTION_NAMES if name in given and name not in _OBJECTS}
    for name, kind in _ENUMS.items():
        if isinstance(options.get(name), str):
            options[name] = _member(kind, options[name], name)
    if "server_side_encryption" in options:
        options["server_side_encryption"] = _mode(options["server_side_encryption"])
    return Options(**_key(given), **options)


def _member(kind: type[enum.Enum], name: str, option: str) -> enum.Enum:
    found = kind.__members__.get(name.upper())
    if found is None:
        close = difflib.get_close_matches(name.upper(), kind.__members__, 1) or list(kind.__members__)
        raise ConfigurationError(f"{option} must be one of {', '.join(close)}, not {name!r}")
    return found


def _mode(described: str | Mapping[str, Any] | ServerSideMode) -> ServerSideMode:
    members = {"mode": described} if isinstance(described, str) else dict(described)  # type: ignore[arg-type]
    kind = _MODES.get(str(members.pop("mode", None)))
    if kind is None:
        raise ConfigurationError(f"server_side_encryption must be one of {', '.join(_MODES)}, or a map with mode")
    try:
        mode: ServerSideMode = kind(**members)
    except TypeError as error:
        raise ConfigurationError(f"server_side_encryption: {error}") from error
    return mode


def _key(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one of ``keyring`` and ``materials_manager`` that the settings name."""
    named = [name for name in KEY_NAMES if name in given]
    kinds = {name.partition("_")[0] for name in named}
    if len(kinds) != 1:
        found = " and ".join(named) or "none is"
        raise ConfigurationError(f"give exactly one key ({', '.join(KEY_NAMES)}): {found} given")
    for name, kind in (("keyring", Keyring), ("materials_manager", MaterialsManager)):
        if name in given:
            if extra := [other for other in _OF_KEYS if other in given]:
                raise ConfigurationError(f"{', '.join(extra)} belong to a key that is named, not to {name}=")
            return {name: _object(given[name], name, kind)}
    legacy = given.get("enable_legacy_wrapping_algorithms", False)
    if not isinstance(legacy, bool):
        raise ConfigurationError("enable_legacy_wrapping_algorithms must be True or False")
    if "kms_key" in given:
        arguments = dict(given.get("kms_client_kwargs") or {})
        return {"keyring": KmsKeyring(given["kms_key"], enable_legacy_wrapping_algorithms=legacy, **arguments)}
    settings: dict[str, Any] = {name: str(given[name]) for name in (*_FILES, "rsa_passphrase_file") if name in given}
    return {"keyring": configured_keyring(Configuration(**settings, allow_legacy=legacy))}


def _object(name: str, option: str, kind: type) -> Any:
    """What stands under a name: an object of this process, or in a module a keyring, or a function that makes one.

    Raises:
        ConfigurationError: there is no such thing.
    """
    if name.startswith(_HELD):
        return _held.get(name)
    module, separator, attribute = name.partition(":")
    if not separator or not module or not attribute:
        raise ConfigurationError(f'{option} must be an object, or the place of one as in "package.module:name"')
    try:
        thing: Any = importlib.import_module(module)
        for part in attribute.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{option}={name!r} cannot be found: {error}") from error
    if not isinstance(thing, kind) and callable(thing):
        thing = thing()
    return thing


def stamp_of_files(values: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """Return what changes when a key file is replaced; nothing of its content.

    Args:
        values: as `by_value` returned them.
    """
    stamps = []
    for name in (*_FILES, "rsa_passphrase_file"):
        if values.get(name) is None:
            continue
        try:
            found = os.stat(values[name])
        except OSError:
            # Reading it says what is wrong.
            continue
        stamps.append((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(stamps)


def refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a misspelt option, which would be one that is not in force.

    Raises:
        TypeError: with the name that was meant.
    """
    everything = sorted({*known, *SETTING_NAMES})
    for name in names:
        if name not in everything:
            close = difflib.get_close_matches(name, everything, 1)
            hint = f"did you mean {close[0]}?" if close else "help(s3ec.fs.S3ECFileSystem) lists what there is"
            raise TypeError(f"S3ECFileSystem() got an unexpected option {name!r}: {hint}")
