"""How a client is born encrypting: the session's class-creation event, and sessions that keep it.

Nothing is done to clients that exist already, nor to other services.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import Any

import boto3
from botocore.client import BaseClient

from s3ec import forks
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.options import Options
from s3ec.errors import ConfigurationError

__all__ = ["Session", "install", "make_client", "uninstall"]

_EVENT = "creating-client-class"
_INSTALLED = "s3ec"
_ONE_OFF = "s3ec-one-off"


class _OneOff:
    """Tells the hooks of single clients apart, and lets one thread at a time change a session's handlers."""

    lock: threading.Lock

    def __init__(self) -> None:
        self._numbers = itertools.count()
        forks.make_in_each_process(self, lock=threading.Lock)

    def name(self) -> str:
        """A name of its own: a forked child keeps the hooks of threads that it does not have, for ever."""
        return f"{_ONE_OFF}-{os.getpid()}-{next(self._numbers)}"


_one_off = _OneOff()


class _Hook:
    """Puts `EncryptionClient` in front of the generated class, whose methods it can then reach with ``super()``."""

    def __init__(
        self, options: Options, front: type[EncryptionClient] = EncryptionClient, thread: int | None = None
    ) -> None:
        self._options = options
        self._front = front
        self._thread = thread
        self._process = os.getpid()

    def __call__(
        self, class_attributes: dict[str, Any], base_classes: list[type], event_name: str = "", **_: Any
    ) -> None:
        if not event_name.endswith(".s3"):
            return
        # While one client is made, other threads may make plain ones on the same session.
        if self._thread is not None and (self._thread, self._process) != (threading.get_ident(), os.getpid()):
            return
        if EncryptionClient in base_classes:
            # The session encrypts already; what one client was told in person goes before what the session was.
            base_classes[0] = self._front
        else:
            generated = type("S3", tuple(base_classes), dict(class_attributes))
            class_attributes.clear()
            base_classes[:] = [self._front, generated]
        class_attributes["_s3ec_options"] = self._options


def make_client(
    front: type[EncryptionClient], *args: Any, session: boto3.Session | None = None, **keywords: Any
) -> BaseClient:
    """Make one encrypting client, leaving the session as it was.

    Args:
        front: `EncryptionClient`, or a subclass of it.
        *args: none; for the error.
        session: to be made from, or None for the default session.
        **keywords: options of ours, and boto3's arguments.

    Raises:
        ConfigurationError: options that can never work.
        TypeError: a misspelt option, from boto3.
    """
    options, boto_keywords = Options.split(keywords)
    if args and args != ("s3",):
        raise ConfigurationError("EncryptionClient takes keywords only; boto3's arguments keep their names")
    if session is None:
        # As boto3.client does: one default session, which is cheap to use again, and the one that its user has set up.
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        session = boto3.DEFAULT_SESSION
        assert session is not None  # noqa: S101 - set up just above
    options = options.for_client(session=session, **boto_keywords)
    events = session._session.get_component("event_emitter")
    name = _one_off.name()
    with _one_off.lock:
        # Registered last on the root event: botocore adds presigning there, which must land in the generated class.
        events.register_last(_EVENT, _Hook(options, front, threading.get_ident()), unique_id=name)
        try:
            return session.client("s3", **boto_keywords)
        finally:
            events.unregister(_EVENT, unique_id=name)


def install(session: boto3.Session, **options: Any) -> None:
    """Make a session's S3 clients and resources encrypt from now on.

    Clients that exist already are left alone; so are other services. The same options a second time change nothing.

    Args:
        session: any `boto3.Session`, for libraries that build their own clients from one.
        **options: as for `EncryptionClient`.

    Raises:
        ConfigurationError: options that can never work, or the session encrypts already with others.
        TypeError: a misspelt option.
    """
    checked, unknown = Options.split(options)
    if unknown:
        raise TypeError(f"install() got unexpected options: {', '.join(sorted(unknown))}")
    installed = getattr(session, "_s3ec_installed", None)
    if installed == checked:
        return
    if installed is not None:
        raise ConfigurationError("this session encrypts already with other options; s3ec.uninstall(session) first")
    hook = _Hook(checked.for_client(session=session))
    session._session.get_component("event_emitter").register_last(_EVENT, hook, unique_id=_INSTALLED)
    session._s3ec_installed = checked  # type: ignore[attr-defined]  # a mark of ours on the caller's session, asked for


def uninstall(session: boto3.Session) -> None:
    """Make a session's S3 clients plain again from now on; those made meanwhile keep encrypting."""
    session._session.get_component("event_emitter").unregister(_EVENT, unique_id=_INSTALLED)
    session._s3ec_installed = None  # type: ignore[attr-defined]  # see install


class Session(boto3.Session):
    """A `boto3.Session` whose S3 clients and resources encrypt; other services are untouched.

    Takes the options of `EncryptionClient` and the arguments of `boto3.Session`.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """Make the session and install encryption on it."""
        options, boto_keywords = Options.split(keywords)
        super().__init__(*args, **boto_keywords)
        emitter = self._session.get_component("event_emitter")
        emitter.register_last(_EVENT, _Hook(options.for_client(session=self)), unique_id=_INSTALLED)
        self._s3ec_installed = options
