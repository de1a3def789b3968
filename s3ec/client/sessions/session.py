"""Sessions whose clients are born encrypting.

Nothing is done to clients that exist already, nor to other services.
"""

from __future__ import annotations

import inspect
from typing import Any

import boto3
import botocore.session
from botocore.client import BaseClient

from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.options import Options
from s3ec.client.sessions.hook import EVENT, Hook, checked
from s3ec.client.sessions.kinds import check_session, encrypts_asynchronously, is_asynchronous
from s3ec.client.sessions.reference import described, signature
from s3ec.errors import ConfigurationError

__all__ = ["Session", "install", "is_encrypting", "uninstall"]

_OF_SESSIONS = frozenset(inspect.signature(boto3.Session).parameters)

_INSTALLED = "s3ec"


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
    given, _ = Options.split(options, caller="install", others=frozenset())
    installed = _installed(session)
    if installed == given:
        return
    if installed is not None:
        raise ConfigurationError("this session encrypts already with other options; s3ec.uninstall(session) first")
    hook = Hook(given.for_client(session=session), EncryptionClient)
    session._session.get_component("event_emitter").register_last(EVENT, hook, unique_id=_INSTALLED)
    _mark(session, given)


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
    session._session.get_component("event_emitter").unregister(EVENT, unique_id=_INSTALLED)
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
        return isinstance(thing, EncryptionClient) or encrypts_asynchronously(thing)
    if isinstance(thing, boto3.Session):
        thing = thing._session
    if encrypts_asynchronously(thing):
        return True
    if isinstance(thing, botocore.session.Session):
        installed = getattr(thing, "_s3ec_installed", None) is not None and not is_asynchronous(thing)
        return installed or hasattr(thing, "_s3ec_everywhere")
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
        emitter.register_last(EVENT, Hook(options.for_client(session=self), EncryptionClient), unique_id=_INSTALLED)
        _mark(self, options)

    def client(self, service_name: Any, *args: Any, **keywords: Any) -> Any:
        """Make a client; see boto3. One for S3 encrypts.

        Raises:
            ConfigurationError: a handler of the session prevents that.
        """
        client: Any = super().client(service_name, *args, **keywords)
        return (
            checked(client, self, EncryptionClient) if service_name == "s3" and _installed(self) is not None else client
        )

    def __repr__(self) -> str:
        options = _installed(self)
        how = "not encrypting any more" if options is None else f"its S3 clients encrypt with {options.summary()}"
        return f"<s3ec.Session(region_name={self.region_name!r}): {how}>"


Session.__signature__ = signature(Options, boto3.Session, leave_out=frozenset())  # type: ignore[attr-defined]
Session.__doc__ = described(Session.__doc__)
