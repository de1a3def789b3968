"""How a client is born encrypting: the session's class-creation event, and sessions that keep it.

Nothing is done to clients that exist already, nor to other services.
"""

from __future__ import annotations

import inspect
import itertools
import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.client import BaseClient

from s3ec import forks
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.multipart import SharedUploads
from s3ec.client.options import Options
from s3ec.client.reference import described, document, signature
from s3ec.client.sessions import check_session, is_asynchronous
from s3ec.errors import ConfigurationError

__all__ = ["Session", "install", "is_encrypting", "make_client", "uninstall"]

_OF_CLIENTS = frozenset(inspect.signature(boto3.Session.client).parameters) - {"self", "service_name"}
_OF_SESSIONS = frozenset(inspect.signature(boto3.Session).parameters)
_OWN_METHODS = frozenset(name for name in vars(EncryptionClient) if not name.startswith("__"))

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
        """Return a unique name: a forked child keeps the hooks of threads that it does not have, forever."""
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
        self._uploads = SharedUploads()

    def __call__(
        self, class_attributes: dict[str, Any], base_classes: list[type], event_name: str = "", **_: Any
    ) -> None:
        if not event_name.endswith(".s3"):
            return
        # While one client is made, other threads may make plain ones on the same session.
        if self._thread is not None and (self._thread, self._process) != (threading.get_ident(), os.getpid()):
            return
        if any(is_asynchronous(base) for base in base_classes):
            raise ConfigurationError("an asynchronous session cannot make encrypting clients; use a boto3.Session")
        document(class_attributes)
        if EncryptionClient in base_classes:
            # The session encrypts already; options given to one client override the session's.
            base_classes[0] = self._front
        else:
            generated = type("S3", tuple(base_classes), dict(class_attributes))
            class_attributes.clear()
            base_classes[:] = [self._front, generated]
        class_attributes["_s3ec_options"] = self._options
        class_attributes["_s3ec_shared_uploads"] = self._uploads


def make_client(
    front: type[EncryptionClient], *args: Any, session: boto3.Session | None = None, **keywords: Any
) -> BaseClient:
    """Make one encrypting client, leaving the session as it was.

    Args:
        front: `EncryptionClient`, or a subclass of it.
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
        events.register_last(_EVENT, _Hook(options, front, threading.get_ident()), unique_id=name)
        try:
            client: BaseClient = session.client("s3", **boto_keywords)
        finally:
            events.unregister(_EVENT, unique_id=name)
    return _checked(client, session, front)


def _checked(client: Any, session: boto3.Session, front: type[EncryptionClient] = EncryptionClient) -> BaseClient:
    """Return a client that a session made, if it encrypts, whatever the session and its handlers do.

    Raises:
        ConfigurationError: it is not.
    """
    kind = type(client)
    # Behind our handler others may have put methods in front of ours.
    hidden = vars(kind).keys() & _OWN_METHODS if isinstance(client, front) else None
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


def install(session: boto3.Session, **options: Any) -> None:
    """Make a session's S3 clients and resources encrypt from now on.

    Clients that exist already are left alone; so are other services. The same options a second time change nothing.

    Args:
        session: any `boto3.Session`, for libraries that build their own clients from one.
        **options: as for `EncryptionClient`.

    Raises:
        ConfigurationError: the options can never work, or the session already encrypts with others.
        TypeError: a misspelt option.
    """
    session = check_session(session, "install()")
    checked, _ = Options.split(options, caller="install", others=frozenset())
    installed = _installed(session)
    if installed == checked:
        return
    if installed is not None:
        raise ConfigurationError("this session encrypts already with other options; s3ec.uninstall(session) first")
    hook = _Hook(checked.for_client(session=session))
    session._session.get_component("event_emitter").register_last(_EVENT, hook, unique_id=_INSTALLED)
    _mark(session, checked)


def _installed(session: boto3.Session) -> Options | None:
    """The options that a session's clients encrypt with, or None. boto3 sessions may share a session of botocore's."""
    options: Options | None = getattr(session._session, "_s3ec_installed", None)
    return options


def _mark(session: boto3.Session, options: Options | None) -> None:
    session._session._s3ec_installed = options  # type: ignore[attr-defined]  # on the caller's session, asked for


def uninstall(session: boto3.Session) -> None:
    """Make a session's S3 clients plain again from now on; those made meanwhile keep encrypting.

    Raises:
        ConfigurationError: it is not a `boto3.Session`.
    """
    session = check_session(session, "uninstall()")
    session._session.get_component("event_emitter").unregister(_EVENT, unique_id=_INSTALLED)
    _mark(session, None)


def is_encrypting(client_or_session: Any) -> bool:
    """True if what this client, resource or session stores is encrypted.

    Args:
        client_or_session: a boto3 client, a resource, or a session of boto3 or botocore, whose new S3 clients count.

    Raises:
        ConfigurationError: it is none of these, so that nothing can be said.
    """
    thing = client_or_session
    if isinstance(thing, BaseClient):
        return isinstance(thing, EncryptionClient)
    if isinstance(thing, boto3.Session):
        thing = thing._session
    if isinstance(thing, botocore.session.Session):
        return not is_asynchronous(thing) and getattr(thing, "_s3ec_installed", None) is not None
    client = getattr(getattr(thing, "meta", None), "client", None)
    if isinstance(client, BaseClient) and not isinstance(thing, type):
        return isinstance(client, EncryptionClient)
    raise ConfigurationError(
        "is_encrypting() takes a client, a resource or a session, "
        f"not {'the class ' + thing.__name__ if isinstance(thing, type) else 'a ' + type(thing).__name__}"
    )


class Session(boto3.Session):
    """A `boto3.Session` whose S3 clients and resources encrypt; other services are untouched.

    Takes the options of `EncryptionClient` and the arguments of `boto3.Session`.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """Make the session and install encryption on it."""
        others = _OF_SESSIONS if type(self).__init__ is Session.__init__ else None
        options, boto_keywords = Options.split(keywords, caller="Session", others=others)
        super().__init__(*args, **boto_keywords)
        check_session(self, "Session()")
        emitter = self._session.get_component("event_emitter")
        emitter.register_last(_EVENT, _Hook(options.for_client(session=self)), unique_id=_INSTALLED)
        _mark(self, options)

    def client(self, service_name: Any, *args: Any, **keywords: Any) -> Any:
        """Make a client; see boto3. One for S3 encrypts.

        Raises:
            ConfigurationError: a handler of the session prevents that.
        """
        client: Any = super().client(service_name, *args, **keywords)
        return _checked(client, self) if service_name == "s3" and _installed(self) is not None else client

    def __repr__(self) -> str:
        options = _installed(self)
        how = "not encrypting any more" if options is None else f"its S3 clients encrypt with {options.summary()}"
        return f"<s3ec.Session(region_name={self.region_name!r}): {how}>"


Session.__signature__ = signature(Options, boto3.Session, leave_out=frozenset())  # type: ignore[attr-defined]
Session.__doc__ = described(Session.__doc__)
