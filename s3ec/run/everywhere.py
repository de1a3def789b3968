"""Every S3 client that this process makes from now on encrypts, whoever makes it.

botocore calls an initializer for each of its sessions; there our handler of the session's class-creation event goes
in, the same that `s3ec.install` uses. Behind it stands a guard: an S3 client that comes into being in any other way and
does not encrypt is refused where botocore initialises it, before it can send anything.
"""

from __future__ import annotations

import functools
import gc
import importlib
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import botocore
import botocore.client
import botocore.session
from botocore.client import BaseClient

from s3ec import forks
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.options import Options
from s3ec.client.sessions.hook import EVENT, Hook
from s3ec.client.sessions.kinds import is_asynchronous
from s3ec.errors import ConfigurationError
from s3ec.rules.borrowed_sessions import borrowing_session
from s3ec.rules.bucket_rules import BucketRules, load_rules
from s3ec.rules.ruled_client import Door, RuledClient
from s3ec.rules.second_factor import ask_people_alone

__all__ = [
    "check_botocore",
    "enter",
    "hook_program_session",
    "hook_session",
    "install_everywhere",
    "is_aside",
    "step_aside",
    "watch_clients",
]

OLDEST_BOTOCORE = (1, 36, 0)
_HOOK = "s3ec-everywhere"


class _State:
    """What was installed in this process."""

    def __init__(self) -> None:
        self.lock: Any
        forks.make_in_each_process(self, lock=threading.RLock)
        self.installed: Source | None = None
        self.aside = False


_state = _State()


class Source:
    """Where a session's clients get their options from: given ones, or the rules of its profile."""

    def __init__(self, options: Options | None, config: str | None = None) -> None:
        self.options = options
        self.config = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and (self.options, self.config) == (other.options, other.config)

    __hash__ = None  # type: ignore[assignment]  # options hold keyrings

    def rules_of(self, session: botocore.session.Session) -> BucketRules:
        # Now, not when the session was made: the AWS CLI sets the profile afterwards.
        return load_rules(profile_name=session.profile, profile=session.get_scoped_config(), file=self.config)


def install_everywhere(*, config: str | None = None, **options: Any) -> None:
    """Make every boto-based S3 client of this process encrypt from now on, whoever makes it.

    For a program that can add one line, before it or a library makes a client; `s3ec run` is the same from outside.
    Children of the process are not reached, clients that are not made by botocore neither.

    Args:
        config: a TOML file with a rule for each bucket; without it and without options the environment
            (``S3EC_CONFIG``, ``S3EC_BUCKETS``, ``S3EC_KMS_KEY``, …) and the AWS profile decide.
        **options: as for `EncryptionClient`, for all buckets alike.

    Raises:
        ConfigurationError: nothing is configured, or it can never work; the same was installed with other options; S3
            clients that do not encrypt exist already; botocore is too old.
        TypeError: a misspelt option.
    """
    if config is not None and options:
        raise ConfigurationError("install_everywhere() takes a file with rules, or options for all buckets: not both")
    check_botocore()
    given = Options.split(options, caller="install_everywhere", others=frozenset())[0] if options else None
    source = Source(given, config)
    if given is None:
        load_rules(file=config).check()
    with _state.lock:
        if _state.installed == source:
            return
        if _state.installed is not None:
            raise ConfigurationError("every client of this process encrypts already, with other options")
        _refuse_existing_clients()
        enter(source)


def check_botocore(module: Any = botocore) -> None:
    """Refuse a botocore that is older than what s3ec is tested with.

    Raises:
        ConfigurationError: with both versions.
    """
    version = str(getattr(module, "__version__", "0"))
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST_BOTOCORE:
        needed = ".".join(map(str, OLDEST_BOTOCORE))
        raise ConfigurationError(f"botocore {version} is too old: s3ec needs {needed} or later")


def enter(source: Source | None = None) -> None:
    """Hook all sessions of this process, those that exist too, and watch its clients.

    Args:
        source: where options come from; the environment and the session's profile by default.
    """
    with _state.lock:
        _state.installed = source or Source(None)
        register = getattr(botocore, "register_initializer", None)
        if register is not None:
            register(hook_session)
        else:
            _wrap_sessions()
        for thing in gc.get_objects():
            if issubclass(type(thing), botocore.session.Session):
                hook_session(thing)
        watch_clients(BaseClient)


def _wrap_sessions() -> None:
    """The same as an initializer, for a botocore that has none."""
    original = botocore.session.Session.__init__

    @functools.wraps(original)
    def initialise(self: Any, *args: Any, **keywords: Any) -> None:
        original(self, *args, **keywords)
        hook_session(self)

    botocore.session.Session.__init__ = initialise  # type: ignore[method-assign]  # asked for


def hook_session(session: Any) -> None:
    """Make the S3 clients of one session encrypt; a second time changes nothing.

    Args:
        session: botocore's; one that encrypts already keeps its own options.
    """
    events = session.get_component("event_emitter")
    events.register_last(EVENT, _Hook(session), unique_id=_HOOK)
    session._s3ec_everywhere = True


class _Hook:
    """Handler of the class-creation event of one session."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._found: tuple[Any, dict[str, Any]] | None = None
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def __call__(
        self, class_attributes: dict[str, Any], base_classes: list[type], event_name: str = "", **_: Any
    ) -> None:
        if not event_name.endswith(".s3") or _state.installed is None:
            return
        if any(is_asynchronous(base) for base in base_classes):
            self._of_asynchronous(class_attributes, base_classes, event_name)
            return
        if not issubclass(base_classes[0], BaseClient):
            raise ConfigurationError(
                f"a client of a second botocore ({base_classes[0].__module__}) is refused: it would not encrypt"
            )
        if issubclass(base_classes[0], EncryptionClient):
            return
        self._put_in_front(self._prepare, class_attributes, base_classes, event_name)

    def _of_asynchronous(self, class_attributes: dict[str, Any], base_classes: list[type], event_name: str) -> None:
        """The same for a client of aiobotocore's; no other library has one that encrypts.

        Raises:
            ConfigurationError: the client would not encrypt.
        """
        try:
            ours = _asynchronous()
            encrypts = ours.encrypts_already(base_classes)
        except (ImportError, ConfigurationError) as error:
            raise ConfigurationError(
                "an asynchronous S3 client (aiobotocore, aioboto3, s3fs) is refused where every client is to encrypt: "
                f"s3ec.aio does not work with this one ({error})"
            ) from error
        if not encrypts:
            self._put_in_front(self._prepare_asynchronous, class_attributes, base_classes, event_name)

    def _put_in_front(
        self,
        prepare: Callable[[Source], tuple[Any, dict[str, Any]]],
        class_attributes: dict[str, Any],
        base_classes: list[type],
        event_name: str,
    ) -> None:
        assert _state.installed is not None  # noqa: S101 - looked at by the caller
        with self._lock:
            if self._found is None:
                self._found = prepare(_state.installed)
            put_in_front, more = self._found
        put_in_front(class_attributes, base_classes, event_name)
        class_attributes.update(more)

    def _prepare(self, source: Source) -> tuple[Any, dict[str, Any]]:
        session = self._session
        if source.options is not None:
            region = session.get_config_variable("region")
            kms = borrowing_session(session.get_credentials, region=region, profile=session.profile)
            return Hook(source.options.for_client(session=kms), EncryptionClient), {}
        rules = source.rules_of(session)
        more = {
            "_s3ec_rules": rules,
            "_s3ec_doors": tuple(Door(rule) for rule in rules.encrypting),
            "_s3ec_profile": session.profile,
        }
        return Hook(None, EncryptionClient, RuledClient), more

    def _prepare_asynchronous(self, source: Source) -> tuple[Any, dict[str, Any]]:
        ours = _asynchronous()
        if source.options is not None:
            return ours.hook_for_options(self._session, source.options), {}
        found: tuple[Any, dict[str, Any]] = ours.hook_for_rules(self._session, source.rules_of(self._session))
        return found


def _asynchronous() -> Any:
    """What makes asynchronous clients encrypt: aiobotocore, which it needs, is there where a program uses it."""
    return importlib.import_module("s3ec.rules.ruled_async_client")


def _encrypts(client: Any) -> bool:
    # By its type alone, which answers for a client that is not complete as well.
    ours = (EncryptionClient, getattr(sys.modules.get("s3ec.aio.client"), "EncryptionClient", EncryptionClient))
    return issubclass(type(client), ours)


def watch_clients(base: Any) -> None:
    """Refuse S3 clients that do not encrypt where botocore initialises them, however they came into being.

    Args:
        base: botocore's `BaseClient`.
    """
    original = base.__init__
    if getattr(original, "_s3ec_watches", False):
        return

    @functools.wraps(original)
    def initialise(self: Any, *args: Any, **keywords: Any) -> None:
        original(self, *args, **keywords)
        if _state.installed is not None and _is_s3(self) and not _encrypts(self):
            raise ConfigurationError(
                f"an S3 client that does not encrypt was made ({type(self).__module__}.{type(self).__qualname__}), and "
                "is refused: the handler that makes it encrypt was taken off its session, or it was made without one"
            )

    initialise._s3ec_watches = True  # type: ignore[attr-defined]
    base.__init__ = initialise


def _is_s3(client: Any) -> bool:
    model = client.meta.service_model
    return "s3" in (model.service_name, model.endpoint_prefix)


def _refuse_existing_clients() -> None:
    """Clients cannot be changed any more.

    Raises:
        ConfigurationError: there are some that do not encrypt.
    """
    found = [
        thing
        for thing in gc.get_objects()
        # By its type: proxies of other libraries answer `isinstance` by importing and connecting things.
        if issubclass(type(thing), BaseClient)
        and not _encrypts(thing)
        and "_s3ec_view" not in thing.__dict__
        and "meta" in thing.__dict__
        and _is_s3(thing)
    ]
    if found:
        raise ConfigurationError(
            f"{len(found)} S3 client(s) that do not encrypt were made before, and stay as they are: call "
            "install_everywhere() before anything makes a client"
        )


def hook_program_session(session: Any) -> None:
    """Hook one session of a program that `s3ec run` has started; the first one checks and watches.

    Raises:
        ConfigurationError: botocore is too old.
    """
    if _state.aside:
        return
    with _state.lock:
        if _state.installed is None:
            check_botocore()
            _state.installed = Source(None)
            watch_clients(BaseClient)
            ask_people_alone()
    hook_session(session)


def step_aside() -> None:
    """Leave clients that are made from now on as they are: for a program that chooses for itself which encrypt."""
    _state.installed, _state.aside = None, True


def is_aside() -> bool:
    """True if `step_aside` was called."""
    return _state.aside
