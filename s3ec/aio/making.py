"""How an asynchronous client is born encrypting: the session's class-creation event.

`EncryptionClient` hands itself in, so that nothing here leads back to it.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import boto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.client import BaseClient
from botocore.config import Config

from s3ec.aio.keys import KmsOnLoop, kms_through
from s3ec.aio.multipart import shared_uploads
from s3ec.client.multipart.handlers import MultipartUploads
from s3ec.client.options import Options
from s3ec.client.sessions.kinds import is_asynchronous
from s3ec.client.sessions.reference import document, signature
from s3ec.errors import ConfigurationError
from s3ec.keyrings import KmsKeyring

__all__ = [
    "EVENT",
    "INSTALLED",
    "Hook",
    "Maker",
    "Opening",
    "botocore_session",
    "checked",
    "refuse_other_connections",
    "signature_of_client",
    "split_options",
]

EVENT = "creating-client-class"
INSTALLED = "s3ec-aio"
_ONE_OFF = "s3ec-aio-one-off"
_numbers = itertools.count()
_LEFT_OUT = frozenset({"self", "service_name"})
OF_CLIENTS = frozenset(inspect.signature(AioSession._create_client).parameters) - _LEFT_OUT
_CREDENTIALS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_WAY = ("region_name", "verify", *_CREDENTIALS)

_making: ContextVar[object] = ContextVar("s3ec_aio_making", default=None)
"""The hook of the one client that this task makes: others may make plain ones of the same session meanwhile."""


def botocore_session(session: Any, caller: str) -> AioSession:
    """The session of aiobotocore's behind a session.

    Args:
        session: an ``AioSession``, or an ``aioboto3.Session``.
        caller: for the error, such as ``install()``.

    Raises:
        ConfigurationError: it is something else.
    """
    inner = session if isinstance(session, AioSession) else getattr(session, "_session", None)
    if isinstance(inner, AioSession) and not isinstance(session, type):
        return inner
    hint = ": s3ec.install and s3ec.EncryptionClient take it" if isinstance(session, boto3.Session) else ""
    kind = type(session)
    raise ConfigurationError(
        f"s3ec.aio: {caller} takes an aiobotocore.session.AioSession or an aioboto3.Session, not "
        f"{kind.__module__}.{kind.__qualname__}{hint}"
    )


def split_options(
    keywords: Mapping[str, Any], *, caller: str, others: frozenset[str] | None
) -> tuple[Options, dict[str, Any]]:
    """Split keywords into options, ``kms_key_id`` among them, and what is left for aiobotocore.

    Raises:
        ConfigurationError: the options can never work.
        TypeError: a name is neither.
    """
    given = dict(keywords)
    if "kms_key_id" in given:
        if "keyring" in given:
            raise ConfigurationError("give one of keyring= and kms_key_id=, not both")
        given["keyring"] = KmsKeyring(given.pop("kms_key_id"))
    return Options.split(given, caller=f"aio.{caller}", others=others)


class Maker:
    """What the clients of a session need of it when they are made."""

    def __init__(self, session: AioSession, arguments: Mapping[str, Any], *, follows_client: bool = False) -> None:
        """Take what they are made of.

        Args:
            session: theirs.
            arguments: of a single client.
            follows_client: KMS is reached in the Region of the client; else in the session's, if it has one.
        """
        self._session = session
        self._arguments = arguments
        self._follows_client = follows_client
        self._uploads = shared_uploads()

    def uploads(self, client: BaseClient) -> MultipartUploads:
        """Return the multipart uploads that a client may go on with: its own, and those of others like it."""
        credentials = client.__dict__["_request_signer"]._credentials
        identity = credentials.access_key if type(credentials) is AioCredentials else credentials
        return self._uploads.of(client.meta.endpoint_url, identity)

    def with_kms(self, options: Options, client: BaseClient) -> tuple[Options, KmsOnLoop | None]:
        """Return a client's options, whose KMS keyring reaches KMS as the client reaches S3."""
        # botocore has completed the user agent, and the region is S3's: neither is what the caller configured.
        config = client.meta.config.merge(Config(user_agent=None, region_name=None))
        given = {name: self._arguments[name] for name in _WAY if name in self._arguments}
        credentials = client.__dict__["_request_signer"]._credentials
        if type(credentials) is AioCredentials:
            # Those that are renewed come from the session, and are found there again; these may be this client's alone.
            keys = (credentials.access_key, credentials.secret_key, credentials.token)
            given.update(zip(_CREDENTIALS, keys, strict=True))
        is_regional = client.meta.region_name != "aws-global"
        if self._session.get_config_variable("region") is None or (self._follows_client and is_regional):
            given.setdefault("region_name", client.meta.region_name)
        return kms_through(options, self._kms, config=config, **given)

    def _kms(self, arguments: Mapping[str, Any]) -> Any:
        config = arguments.get("config")
        configured = {} if config is None else {"config": _for_aiobotocore(config)}
        return self._session.create_client("kms", **{**arguments, **configured})


def _for_aiobotocore(config: Any) -> AioConfig:
    return AioConfig(**config) if isinstance(config, dict) else AioConfig().merge(config)


class Hook:
    """Puts a class in front of the generated class, whose methods it can then reach with ``super()``."""

    def __init__(
        self,
        options: Options | None,
        maker: Maker,
        own: type[Any],
        front: type[Any] | None = None,
        *,
        one_off: bool = False,
    ) -> None:
        """Take what clients are made with.

        Args:
            options: theirs; None where the class in front has some for each bucket.
            maker: of them.
            own: `EncryptionClient`, by which a class is known that has been put in front already.
            front: the class to put in front, where it is a subclass of that.
            one_off: only for the client that a task makes while `making` is entered.
        """
        self._options = options
        self._maker = maker
        self._own = own
        self._front = front or own
        self._one_off = one_off

    def __call__(
        self, class_attributes: dict[str, Any], base_classes: list[type], event_name: str = "", **_: Any
    ) -> None:
        """Change the class that botocore is about to make, if it is one for S3."""
        if not event_name.endswith(".s3") or (self._one_off and _making.get() is not self):
            return
        if not all(is_asynchronous(base) for base in base_classes):
            raise ConfigurationError("s3ec.aio: this session makes other clients than aiobotocore's")
        document(class_attributes)
        if issubclass(base_classes[0], self._own):
            # The session encrypts already; options given to one client override the session's.
            base_classes[0] = self._front
        else:
            generated = type("S3", tuple(base_classes), dict(class_attributes))
            class_attributes.clear()
            base_classes[:] = [self._front, generated]
        class_attributes["_s3ec_options"] = self._options
        class_attributes["_s3ec_maker"] = self._maker


class Opening:
    """What ``async with EncryptionClient(…)`` enters: the client is made then, and closed at the end."""

    def __init__(self, front: type[Any], own: type[Any], args: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """Take what the client is made with, and refuse what can never work.

        Raises:
            ConfigurationError, TypeError: as `EncryptionClient`.
        """
        if args and args != ("s3",):
            raise ConfigurationError(
                "EncryptionClient takes keywords only, as in EncryptionClient(keyring=…, region_name=…); aiobotocore's "
                "arguments keep their names"
            )
        given = dict(keywords)
        session = given.pop("session", None)
        self._session: Any = AioSession() if session is None else session
        self._inner = botocore_session(self._session, "EncryptionClient(session=…)")
        bare = self._session is self._inner
        self._create = self._inner.create_client if bare else self._session.client
        others = OF_CLIENTS if type(self._session) is AioSession else None
        options, self._arguments = split_options(given, caller="EncryptionClient", others=others)
        self._own = own
        self._hook = Hook(options, Maker(self._inner, self._arguments), own, front, one_off=True)
        self._made: Any = None

    def __repr__(self) -> str:
        return "<s3ec.aio.EncryptionClient that is not made yet: async with it>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name}: the client is made by `async with EncryptionClient(…) as s3`")

    async def __aenter__(self) -> Any:
        if self._made is not None:
            raise RuntimeError("made already; each `async with` takes an EncryptionClient(…) of its own")
        events = self._inner.get_component("event_emitter")
        name = f"{_ONE_OFF}-{next(_numbers)}"
        token = _making.set(self._hook)
        # Last on the root event: aiobotocore adds presigning there, which must land in the generated class.
        events.register_last(EVENT, self._hook, unique_id=name)
        try:
            self._made = self._create("s3", **self._arguments)
            client = await self._made.__aenter__()
        finally:
            events.unregister(EVENT, unique_id=name)
            _making.reset(token)
        return await checked(client, self._session, self._own)

    async def __aexit__(self, *details: object) -> None:
        await self._made.__aexit__(*details)


def refuse_other_connections(client: BaseClient) -> None:
    """Refuse a client whose connections give bodies that cannot be read in pieces.

    Raises:
        ConfigurationError: it makes its requests with httpx.
    """
    session = client.__dict__["_endpoint"].http_session
    if any(kind.__module__ == "aiobotocore.httpxsession" for kind in type(session).__mro__):
        raise ConfigurationError(
            f"s3ec.aio: http_session_cls={type(session).__name__} is refused: aiobotocore reads an answer over httpx "
            "as a whole or not at all, and nothing could be verified in pieces; leave it out, and aiohttp is used"
        )


async def checked(client: Any, session: Any, own: type[Any]) -> Any:
    """Return a client that a session made, if it encrypts, whatever the session and its handlers do.

    Raises:
        ConfigurationError: it does not.
    """
    kind = type(client)
    # Behind our handler others may have put methods in front of ours.
    methods = frozenset(name for name in vars(own) if not name.startswith("__"))
    hidden = vars(kind).keys() & methods - {"_s3ec_options", "_s3ec_maker"} if isinstance(client, own) else None
    if hidden is None or hidden:
        close = getattr(client, "close", None)
        if close is not None:
            await close()
        what = f"has {', '.join(sorted(hidden))} replaced" if hidden else "does not encrypt"
        raise ConfigurationError(
            f"{type(session).__module__}.{type(session).__qualname__} gave a {kind.__module__}.{kind.__qualname__} "
            f"that {what}: the session, or a handler of its event creating-client-class, makes clients in a way of its "
            "own. Use a plain AioSession or s3ec.aio.Session(…)"
        )
    return client


def signature_of_client() -> inspect.Signature:
    """What help() says of `EncryptionClient`."""
    return signature(Options, AioSession._create_client, leave_out=_LEFT_OUT, session=None, kms_key_id=None)
