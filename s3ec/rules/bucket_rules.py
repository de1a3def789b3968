"""What becomes of each bucket where the code names no key: encrypted with a key, plain on purpose, or refused.

For programs that do not construct the client themselves: `s3ec run`, the AWS CLI, the endpoint. The rules come from a
TOML file, from one variable, or from the key that is in force; a bucket that no rule names is refused::

    [[bucket]]
    match = "pay*"
    kms_key = "alias/payroll"
    context = { team = "hr" }

    [[bucket]]
    match = ["logs-*", "tmp"]
    mode = "plain"

The first rule that matches decides. Nothing here reads a key or asks AWS for anything.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import fnmatch
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3ec.algorithms import CommitmentPolicy
from s3ec.client.options import Options
from s3ec.contexts import written_context_fault
from s3ec.errors import ConfigurationError
from s3ec.rules.configuration import NAMES, Configuration, profile_values, resolve
from s3ec.rules.key_files import configured_keyring

__all__ = ["BUCKETS_VARIABLE", "FILE_VARIABLE", "BucketRule", "BucketRules", "Mode", "load_rules"]

FILE_VARIABLE = "S3EC_CONFIG"
"""Names the TOML file; ``s3ec_config`` in a profile."""
BUCKETS_VARIABLE = "S3EC_BUCKETS"
"""The rules in one line, ``pay*=alias/payroll logs-*=plain``; ``s3ec_buckets`` in a profile."""

_KEYS = ("kms_key", "aes_key_file", "rsa_private_key_file", "rsa_public_key_file")
_PATHS = frozenset({*_KEYS[1:], "rsa_passphrase_file"})
_CLIENT_OPTIONS = {
    "bind_object": bool,
    "buffer_size": int,
    "instruction_file_writes": bool,
    "presigned_uploads": str,
    "spool_directory": str,
    "verified_range_limit": int,
}
_OF_RULES = ("match", "mode", "sizes", *NAMES, *_CLIENT_OPTIONS)
_NAMES = re.compile(r"[A-Za-z0-9._*?\[\]!-]+|(?:arn:|(?:a|ar|arn)?[*?\[])[A-Za-z0-9._*?\[\]!:/-]*", re.ASCII)
"""Buckets; or what begins as an ARN may, which has colons and slashes as well."""


class Mode(enum.Enum):
    """What becomes of a bucket."""

    ENCRYPT = "encrypt"
    PLAIN = "plain"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRule:
    """What becomes of the buckets that match.

    Attributes:
        patterns: names of buckets (or ARNs and aliases of access points, as requests give them), with ``*`` and ``?``.
        mode: what becomes of them.
        settings: the key and what goes with it; of no meaning but for `Mode.ENCRYPT`.
        client_options: further options of the client, by the names of `s3ec.Options`.
        sizes: ``"plaintext"`` where listings are to give the lengths of plaintext, which takes every object of the
            bucket for an encrypted one; ``"stored"`` leaves them as S3 gives them.
        origin: where the rule stands, for messages.
    """

    patterns: tuple[str, ...]
    mode: Mode
    settings: Configuration = field(default_factory=Configuration)
    client_options: Mapping[str, Any] = field(default_factory=dict)
    sizes: str = "stored"
    origin: str

    def matches(self, bucket: str) -> bool:
        """True if the rule is for this bucket."""
        return any(fnmatch.fnmatchcase(bucket, pattern) for pattern in self.patterns)

    def options(self) -> Options:
        """Return the client's options; key files are read now.

        Raises:
            ConfigurationError: there is no key, or the options can never work.
        """
        if self.mode is not Mode.ENCRYPT:
            raise ConfigurationError(f"{self.origin} is {self.mode.value}: it has no key")
        return Options(
            keyring=configured_keyring(self.settings),
            # As in the command line: reads what every client wrote, and writes committing objects.
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
            enable_legacy_unauthenticated_modes=self.settings.allow_legacy,
            unencrypted_objects="allow" if self.settings.unencrypted_objects == "allow" else "refuse",
            **self.client_options,
        )

    def describe(self) -> str:
        """Say what becomes of the buckets, and by which key; never a secret."""
        if self.mode is not Mode.ENCRYPT:
            return {Mode.PLAIN: "plain, not encrypted", Mode.REFUSE: "refused"}[self.mode]
        key = next(str(value) for name in _KEYS if (value := getattr(self.settings, name)) is not None)
        return f"encrypted with {key}"


@dataclass(frozen=True, slots=True)
class BucketRules:
    """All rules, in the order in which they are tried.

    Attributes:
        rules: those that name buckets.
        default: for every other bucket.
        origin: where they come from, for messages.
    """

    rules: tuple[BucketRule, ...]
    default: BucketRule
    origin: str

    def of(self, bucket: str) -> BucketRule:
        """Return the rule that decides about a bucket."""
        return next((rule for rule in self.rules if rule.matches(bucket)), self.default)

    @property
    def encrypting(self) -> tuple[BucketRule, ...]:
        """The rules by which something is encrypted."""
        return tuple(rule for rule in (*self.rules, self.default) if rule.mode is Mode.ENCRYPT)

    def refusal(self, bucket: str) -> ConfigurationError:
        """The error for a request to a bucket that is refused."""
        rule = self.of(bucket)
        if rule is not self.default:
            return ConfigurationError(f"bucket {bucket} is refused by {rule.origin}")
        return ConfigurationError(
            f"no rule names bucket {bucket}, so nothing is sent to it: {self.origin} must say what becomes of it "
            '(a key, or mode = "plain")'
        )

    def check(self) -> None:
        """Refuse what could never work: each key file is read, and each set of options made.

        Raises:
            ConfigurationError: with the place.
        """
        for rule in self.encrypting:
            try:
                options = rule.options()
            except ConfigurationError as error:
                raise ConfigurationError(f"{rule.origin}: {error}") from error
            if fault := written_context_fault(rule.settings.context, options.manager.capabilities):
                raise ConfigurationError(f"{rule.settings.origins.get('context', rule.origin)}: {fault}")


def load_rules(
    *,
    environ: Mapping[str, str] | None = None,
    profile_name: str | None = None,
    profile: Mapping[str, Any] | None = None,
    file: str | os.PathLike[str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> BucketRules:
    """Find the rules: a file or variable that names buckets, else one key for all buckets, else nothing is allowed.

    Args:
        environ: the process's own by default.
        profile_name: profile of the AWS configuration; None for the environment's.
        profile: its values, where they are at hand; they are read by default.
        file: a TOML file that was named on the spot, which wins over all others.
        given: settings that were named on the spot, by the names of `configuration.NAMES`.

    Raises:
        ConfigurationError: nothing is configured at all, or it has no meaning. The text names the place.
        botocore.exceptions.BotoCoreError: there is no such profile.
    """
    environ = os.environ if environ is None else environ
    if profile is None:
        profile_name, profile = profile_values(profile_name)
    place = _Place(environ, profile, profile_name or "default", given or {})
    path, path_origin = (os.fspath(file), "the file") if file else place.find("config", FILE_VARIABLE)
    line, line_origin = place.find("buckets", BUCKETS_VARIABLE)
    if path and line and not file:
        # A variable wins over the profile; of two in one place neither does.
        if path_origin.startswith("S3EC_") == line_origin.startswith("S3EC_"):
            raise ConfigurationError(f"{path_origin} and {line_origin} both name buckets: give one of them")
        path, line = (path, None) if path_origin.startswith("S3EC_") else (None, line)
    if path:
        return _of_file(Path(path).expanduser(), path_origin, place)
    if line:
        return _of_line(str(line), line_origin, place)
    return _of_key(place)


@dataclass(frozen=True, slots=True)
class _Place:
    """Everything that may hold a setting."""

    environ: Mapping[str, str]
    profile: Mapping[str, Any]
    profile_name: str
    given: Mapping[str, Any]

    def find(self, name: str, variable: str) -> tuple[str | None, str]:
        if self.environ.get(variable):
            return self.environ[variable], variable
        return self.profile.get(f"s3ec_{name}") or None, f"s3ec_{name} of profile {self.profile_name}"

    def settings(self, own: Mapping[str, Any], origin: str) -> Configuration:
        """The settings of a rule: its own; those in force elsewhere count only for a rule that names no key."""
        words = {name: f"{name} of {origin}" for name in NAMES}
        if any(own.get(name) for name in _KEYS):
            return resolve(own, environ={}, profile={}, words=words)
        return resolve(
            {**self.given, **own},
            environ=self.environ,
            profile=self.profile,
            profile_name=self.profile_name,
            words=words,
        )


def _of_key(place: _Place) -> BucketRules:
    """One key for every bucket."""
    settings = place.settings({}, "the options")
    if settings.kind is None:
        raise ConfigurationError(
            "nothing says what to encrypt with: S3EC_KMS_KEY=KEY (or s3ec_kms_key in the AWS profile) names one key "
            f"for all buckets, {FILE_VARIABLE}=FILE a file with rules for each"
        )
    origin = next(settings.origins[name] for name in _KEYS if name in settings.origins)
    rule = BucketRule(
        patterns=("*",), mode=Mode.ENCRYPT, settings=settings, sizes=_sizes(None, settings, origin), origin=origin
    )
    return BucketRules((), rule, origin)


def _of_line(line: str, origin: str, place: _Place) -> BucketRules:
    """``pay*=alias/payroll logs-*=plain``."""
    rules = []
    for number, piece in enumerate(line.replace(",", " ").split(), 1):
        pattern, separator, meaning = piece.partition("=")
        if not separator or not pattern or not meaning:
            raise ConfigurationError(f"{origin} must be BUCKET=KEY BUCKET=plain BUCKET=refuse, not {piece!r}")
        table: dict[str, Any] = {"match": pattern}
        table["mode" if meaning in {mode.value for mode in Mode} else "kms_key"] = meaning
        rules.append(_rule(table, f"{origin}, rule {number}", place, Path()))
    return BucketRules(tuple(rules), _default(Mode.REFUSE, origin), origin)


def _of_file(path: Path, named_by: str, place: _Place) -> BucketRules:
    origin = str(path)
    document = _read(path, named_by)
    _refuse_unknown(document, ("default", "bucket"), origin)
    tables = document.get("bucket", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"{origin}: buckets stand in tables, [[bucket]]")
    default = _mode(document.get("default", "refuse"), f"default in {origin}")
    if default is Mode.ENCRYPT:
        raise ConfigurationError(
            f'default in {origin} must be refuse or plain; [[bucket]] with match = "*" is for all others'
        )
    rules = tuple(
        _rule(table, f"[[bucket]] {number} in {origin}", place, path.absolute().parent)
        for number, table in enumerate(tables, 1)
    )
    return BucketRules(rules, _default(default, f"default in {origin}"), origin)


def _default(mode: Mode, origin: str) -> BucketRule:
    return BucketRule(patterns=("*",), mode=mode, origin=origin)


def _read(path: Path, named_by: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib as toml
    else:
        try:
            import tomli as toml
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"reading {path} needs tomli on Python 3.10: pip install 's3ec[cli]'") from error
    try:
        document: dict[str, Any] = toml.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path} ({named_by}): {error.strerror}") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise ConfigurationError(f"{path} ({named_by}) is not TOML: {error}") from error
    return document


def _rule(table: Mapping[str, Any], origin: str, place: _Place, folder: Path) -> BucketRule:
    _refuse_unknown(table, _OF_RULES, origin)
    own: dict[str, Any] = {name: table[name] for name in NAMES if name in table}
    for name, value in own.items():
        kinds = {"allow_legacy": (bool,), "context": (str, dict)}.get(name, (str,))
        if not isinstance(value, kinds) or value == "":
            raise ConfigurationError(f"{name} of {origin} must be a {' or '.join(kind.__name__ for kind in kinds)}")
        if name in _PATHS:
            own[name] = str(folder / Path(str(value)).expanduser())
    client_options = dict(_client_options(table, origin))
    patterns = _patterns(table, origin)
    mode = _mode(table.get("mode", "encrypt"), f"mode of {origin}")
    if mode is not Mode.ENCRYPT:
        if needless := [*own, *client_options, *({"sizes"} & table.keys())]:
            raise ConfigurationError(f"{origin} is {mode.value}, so {', '.join(needless)} has no meaning there")
        return BucketRule(patterns=patterns, mode=mode, origin=origin)
    settings = place.settings(own, origin)
    if settings.kind is None:
        raise ConfigurationError(f"{origin} names no key, and none is in force elsewhere: {', '.join(_KEYS)}")
    return BucketRule(
        patterns=patterns,
        mode=mode,
        settings=settings,
        client_options=client_options,
        sizes=_sizes(table.get("sizes"), settings, origin),
        origin=origin,
    )


def _sizes(value: Any, settings: Configuration, origin: str) -> str:
    """By default a bucket whose unencrypted and legacy objects are refused is taken for one that holds none."""
    if value is None:
        strict = settings.unencrypted_objects == "refuse" and not settings.allow_legacy
        return "plaintext" if strict else "stored"
    if value not in ("plaintext", "stored"):
        raise ConfigurationError(f"sizes of {origin} must be plaintext or stored, not {value!r}")
    return str(value)


def _client_options(table: Mapping[str, Any], origin: str) -> Iterator[tuple[str, Any]]:
    known = {each.name for each in dataclasses.fields(Options)}
    for name, kind in _CLIENT_OPTIONS.items():
        if name in table and name in known:
            if type(table[name]) is not kind:
                raise ConfigurationError(f"{name} of {origin} must be a {kind.__name__}, not {table[name]!r}")
            yield name, table[name]


def _patterns(table: Mapping[str, Any], origin: str) -> tuple[str, ...]:
    match = table.get("match")
    patterns = [match] if isinstance(match, str) else match
    if not isinstance(patterns, list) or not patterns or not all(isinstance(each, str) and each for each in patterns):
        raise ConfigurationError(f'{origin} needs match = "BUCKET", or a list of such: names with * and ?')
    for each in patterns:
        if not _NAMES.fullmatch(each):
            # It matches nothing, so that another rule, which may say plain, decides about the bucket that was meant.
            raise ConfigurationError(
                f"match of {origin} must name buckets, without s3:// and without a folder, not {each!r}"
            )
    return tuple(patterns)


def _mode(value: Any, origin: str) -> Mode:
    try:
        return Mode(value)
    except ValueError as error:
        raise ConfigurationError(f"{origin} must be encrypt, plain or refuse, not {value!r}") from error


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], origin: str) -> None:
    """A misspelt setting would be one that is not in force."""
    for name in table:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise ConfigurationError(f"{origin} has an unknown setting {name!r}: {hint}")
