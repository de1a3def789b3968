"""Which sessions this client can be made of, and what is said about all others.

An asynchronous session (aioboto3, aiobotocore) passes for an ordinary one, and makes clients that know nothing of
ours: code that takes them for encrypting ones stores plaintext. So each kind is checked, without importing any of them.
"""

from __future__ import annotations

import inspect
import sys
import types
from typing import Any

import boto3
import botocore.session
from botocore.client import BaseClient

from s3ec.errors import ConfigurationError

__all__ = ["check_session", "encrypts_asynchronously", "is_asynchronous"]

_ASYNCHRONOUS_PACKAGES = frozenset({"aioboto3", "aiobotocore"})
_COROUTINES = ("client", "create_client", "_create_client", "get_credentials", "__aenter__")


def check_session(session: Any, caller: str) -> boto3.Session:
    """Take a session that makes synchronous boto3 clients.

    Args:
        session: anything.
        caller: for the error, such as ``install()``.

    Raises:
        ConfigurationError: it is something else, with the way to a session.
    """
    if is_asynchronous(session) or is_asynchronous(getattr(session, "_session", None)):
        raise ConfigurationError(
            f"{caller} was given an asynchronous session ({_kind(session)}), whose clients would not encrypt: s3ec.aio "
            "has EncryptionClient(session=…), Session and install for it. Or use a boto3.Session, and its clients in "
            "threads (asyncio.to_thread)"
        )
    if isinstance(session, boto3.Session) and isinstance(getattr(session, "_session", None), botocore.session.Session):
        return session
    raise ConfigurationError(f"{caller} takes a boto3.Session, not {_kind(session)}{_way_out(session)}")


def is_asynchronous(thing: Any) -> bool:
    """True if it is a session or client of an asynchronous botocore, or derives from one."""
    kind = thing if isinstance(thing, type) else type(thing)
    if any(base.__module__.partition(".")[0] in _ASYNCHRONOUS_PACKAGES for base in kind.__mro__):
        return True
    if not issubclass(kind, (boto3.Session, botocore.session.Session, BaseClient)):
        return False
    names = (*_COROUTINES, "_make_api_call")
    return any(inspect.iscoroutinefunction(inspect.getattr_static(kind, name, None)) for name in names) or hasattr(
        kind, "__aenter__"
    )


def encrypts_asynchronously(thing: Any) -> bool:
    """True for a client of ours for aiobotocore, and for a session whose clients are such; nothing is imported."""
    if getattr(thing, "_s3ec_aio_installed", None) is not None:
        return True
    module = sys.modules.get("s3ec.aio.client")
    return module is not None and isinstance(thing, module.EncryptionClient)


def _kind(thing: Any) -> str:
    if thing is None:
        return "None"
    if isinstance(thing, types.ModuleType):
        return f"the module {thing.__name__}"
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    kind = type(thing)
    return f"a {kind.__module__}.{kind.__qualname__}" if kind.__module__ != "builtins" else f"a {kind.__name__}"


def _way_out(thing: Any) -> str:
    if isinstance(thing, botocore.session.Session):
        return ": boto3.Session(botocore_session=…) makes one of it"
    if isinstance(thing, BaseClient) or hasattr(thing, "meta"):
        return (
            ": clients and resources that exist already stay as they are. Make an encrypting one with "
            "s3ec.EncryptionClient(…) or s3ec.Session(…).resource('s3')"
        )
    if thing is None or isinstance(thing, types.ModuleType):
        return (
            ": call boto3.setup_default_session() and give boto3.DEFAULT_SESSION, or make one with boto3.Session() or "
            "s3ec.Session(…)"
        )
    if isinstance(thing, type) and issubclass(thing, boto3.Session):
        return f": make one, as in {thing.__name__}()"
    return ": make one with boto3.Session() or s3ec.Session(…)"
