"""Sessions of aiobotocore and aioboto3 whose S3 clients are born encrypting."""

from __future__ import annotations

import inspect
from typing import Any

from aiobotocore.session import AioSession
from botocore.client import BaseClient

from s3ec.aio.client import EncryptionClient
from s3ec.aio.making import EVENT, INSTALLED, Hook, Maker, botocore_session, checked, split_options
from s3ec.client.options import Options
from s3ec.client.sessions.reference import described, signature
from s3ec.errors import ConfigurationError

__all__ = ["Session", "install", "is_encrypting", "uninstall"]

_OF_SESSIONS = frozenset(inspect.signature(AioSession).parameters)
_MARK = "_s3ec_aio_installed"


def install(session: Any, **options: Any) -> None:
    """Make a session's S3 clients encrypt from now on; those that exist already are left alone.

    The same options a second time change nothing.

    Args:
        session: an ``AioSession`` or an ``aioboto3.Session``, for libraries that build their own clients from one.
        **options: as for `EncryptionClient`.

    Raises:
        ConfigurationError: the options can never work, or the session already encrypts with others.
        TypeError: a misspelt option.
    """
    inner = botocore_session(session, "install()")
    given, _ = split_options(options, caller="install", others=frozenset())
    installed = getattr(inner, _MARK, None)
    if installed == given:
        return
    if installed is not None:
        raise ConfigurationError("this session encrypts already with other options; s3ec.aio.uninstall(session) first")
    _install(inner, given)


def _install(session: AioSession, options: Options) -> None:
    hook = Hook(options, Maker(session, {}), EncryptionClient)
    session.get_component("event_emitter").register_last(EVENT, hook, unique_id=INSTALLED)
    setattr(session, _MARK, options)


def uninstall(session: Any) -> None:
    """Make a session's S3 clients plain again from now on; those made meanwhile keep encrypting.

    Raises:
        ConfigurationError: it is not a session of aiobotocore's or aioboto3's.
    """
    inner = botocore_session(session, "uninstall()")
    inner.get_component("event_emitter").unregister(EVENT, unique_id=INSTALLED)
    setattr(inner, _MARK, None)


def is_encrypting(client_or_session: Any) -> bool:
    """True if what this client or session stores is encrypted.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(client_or_session, BaseClient):
        return isinstance(client_or_session, EncryptionClient)
    return getattr(botocore_session(client_or_session, "is_encrypting()"), _MARK, None) is not None


class Session(AioSession):  # type: ignore[misc]  # aiobotocore has no types
    """An ``AioSession`` whose S3 clients encrypt; other services are untouched.

    Takes the options of `EncryptionClient` and the arguments of ``AioSession``.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """Make the session and install encryption on it."""
        others = _OF_SESSIONS if type(self).__init__ is Session.__init__ else None
        options, own = split_options(keywords, caller="Session", others=others)
        super().__init__(*args, **own)
        _install(self, options)

    async def _create_client(self, service_name: str, *args: Any, **keywords: Any) -> Any:
        client = await super()._create_client(service_name, *args, **keywords)
        encrypts = service_name == "s3" and getattr(self, _MARK, None) is not None
        return await checked(client, self, EncryptionClient) if encrypts else client

    def __repr__(self) -> str:
        options: Options | None = getattr(self, _MARK, None)
        how = "not encrypting any more" if options is None else f"its S3 clients encrypt with {options.summary()}"
        return f"<s3ec.aio.Session: {how}>"


Session.__signature__ = signature(Options, AioSession, leave_out=frozenset(), kms_key_id=None)
Session.__doc__ = described(Session.__doc__)
