"""How a client is born encrypting: the session's class-creation event.

`EncryptionClient` hands itself in, so that nothing here leads back to it.
"""

from __future__ import annotations

import inspect
import itertools
import os
import threading
from typing import Any

import boto3
from botocore.client import BaseClient

from s3ec import forks
from s3ec.client.multipart.handlers import SharedUploads
from s3ec.client.options import Options
from s3ec.client.sessions.kinds import check_session, is_asynchronous
from s3ec.client.sessions.reference import document
from s3ec.errors import ConfigurationError

__all__ = ["EVENT", "Hook", "checked", "make_client"]

_OF_CLIENTS = frozenset(inspect.signature(boto3.Session.client).parameters) - {"self", "service_name"}

EVENT = "creating-client-class"
_ONE_OFF = "s3ec-one-off"


class _OneOff:
    """Tells the hooks of single clients apart, and lets one thread at a time change a session's handlers."""

    lock: threading.Lock

    def __init__(self) -> None:
        self._numbers = itertools.count()
        forks.make_in_each_process(self, lock=threading.Lock)

    def name(self) -> str:
        """Return a unique name: a forked child keeps the hooks of threads that it does not have, forever."""
        return f"{_ONE_OFF}-{os.getpid()}-{next(self._numbers)}"


_one_off = _OneOff()


class Hook:
    """Puts a class in front of the generated class, whose methods it can then reach with ``super()``."""

    def __init__(
        self, options: Options | None, own: type[Any], front: type[Any] | None = None, thread: int | None = None
    ) -> None:
        """Take what a client is made with.

        Args:
            options: the client's; None where the class in front has some for each bucket.
            own: `EncryptionClient`, by which a class is known that has been put in front already.
            front: the class to put in front, where it is a subclass of that.
            thread: identifier of the only thread for which this holds, or None for all.
        """
        self._options = options
        self._front = front or own
        self._own = own
        self._thread = thread
        self._process = os.getpid()
        self._uploads = SharedUploads()

    def __call__(
        self, class_attributes: dict[str, Any], base_classes: list[type], event_name: str = "", **_: Any
    ) -> None:
        """Change the class that botocore is about to make, if it is one for S3."""
        if not event_name.endswith(".s3"):
            return
        # While one client is made, other threads may make plain ones on the same session.
        if self._thread is not None and (self._thread, self._process) != (threading.get_ident(), os.getpid()):
            return
        if any(is_asynchronous(base) for base in base_classes):
            raise ConfigurationError("an asynchronous session makes other clients: s3ec.aio.install is for it")
        document(class_attributes)
        if issubclass(base_classes[0], self._own):
            # The session encrypts already; options given to one client override the session's.
            base_classes[0] = self._front
        else:
            generated = type("S3", tuple(base_classes), dict(class_attributes))
            class_attributes.clear()
            base_classes[:] = [self._front, generated]
        class_attributes["_s3ec_options"] = self._options
        class_attributes["_s3ec_shared_uploads"] = self._uploads


def make_client(
    front: type[Any], own: type[Any], /, *args: Any, session: boto3.Session | None = None, **keywords: Any
) -> BaseClient:
    """Make one encrypting client, leaving the session as it was.

    Args:
        front: `EncryptionClient`, or a subclass of it.
        own: `EncryptionClient` itself.
        *args: none; for the error.
        session: the session to make it from, or None for the default session.
        **keywords: options of ours, and boto3's arguments.

    Raises:
        ConfigurationError: options that can never work.
        TypeError: a misspelt option, from boto3.
    """
    if args and args != ("s3",):
        raise ConfigurationError(
            "EncryptionClient takes keywords only, as in EncryptionClient(keyring=…, region_name=…); boto3's arguments "
            "keep their names"
        )
    if session is not None:
        session = check_session(session, "EncryptionClient(session=…)")
    arguments = None if session is not None and type(session).client is not boto3.Session.client else _OF_CLIENTS
    options, boto_keywords = Options.split(keywords, caller="EncryptionClient", others=arguments)
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
        events.register_last(EVENT, Hook(options, own, front, threading.get_ident()), unique_id=name)
        try:
            client: BaseClient = session.client("s3", **boto_keywords)
        finally:
            events.unregister(EVENT, unique_id=name)
    return checked(client, session, own, front)


def checked(client: Any, session: boto3.Session, own: type[Any], front: type[Any] | None = None) -> BaseClient:
    """Return a client that a session made, if it encrypts, whatever the session and its handlers do.

    Args:
        client: what the session gave.
        session: the session.
        own: `EncryptionClient`, whose methods nothing may hide.
        front: the class that must be in front, where it is a subclass of that.

    Raises:
        ConfigurationError: it is not.
    """
    kind = type(client)
    # Behind our handler others may have put methods in front of ours.
    hidden = vars(kind).keys() & _methods_of(own) if isinstance(client, front or own) else None
    if hidden is None or hidden:
        close = getattr(client, "close", None)
        if isinstance(client, BaseClient) and not is_asynchronous(client) and close is not None:
            close()
        what = f"has {', '.join(sorted(hidden))} replaced" if hidden else "does not encrypt"
        raise ConfigurationError(
            f"{type(session).__module__}.{type(session).__qualname__}.client('s3') gave a "
            f"{kind.__module__}.{kind.__qualname__} that {what}: the session, or a handler of its event "
            "creating-client-class, makes clients in a way of its own. Use a plain boto3.Session() or s3ec.Session(…)"
        )
    made: BaseClient = client
    return made


def _methods_of(own: type[Any]) -> frozenset[str]:
    return frozenset(name for name in vars(own) if not name.startswith("__"))
