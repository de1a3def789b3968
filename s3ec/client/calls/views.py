"""Other views of an encrypting client: a client of botocore's own class that shares all that the client has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient

__all__ = ["generated_class", "make_raw_view", "raw_view", "view_as_made"]


def generated_class(client: BaseClient, ours: type) -> type:
    """Return the class that botocore generated for S3.

    Args:
        client: an encrypting client.
        ours: its class of this package, which stands right before that one.
    """
    order = type(client).__mro__
    return order[order.index(ours) + 1]


def make_raw_view(client: BaseClient, ours: type, pass_call: Callable[..., Any]) -> BaseClient:
    """Return a client of the generated class whose calls are passed: server-side defaults, and no encryption.

    Args:
        client: an encrypting client, which keeps the view as ``_s3ec_view``, where `raw_view` finds it.
        ours: its class of this package.
        pass_call: makes a call, in the place of ``_make_api_call``.
    """
    view: BaseClient = object.__new__(type("S3", (generated_class(client, ours),), {"_make_api_call": pass_call}))
    # One dict for both: the view keeps its parent's parts alive, and whatever is patched on one shows on the other.
    view.__dict__ = client.__dict__
    client.__dict__["_s3ec_parent"] = client
    return view


def view_as_made(client: BaseClient, ours: type) -> BaseClient:
    """Return the same client as botocore made it: without encryption, and without the client's server-side default.

    Args:
        client: an encrypting client, or a plain one, which is its own view.
        ours: the class of this package that encrypting clients of its kind have.
    """
    if not isinstance(client, ours):
        return client
    view: BaseClient = object.__new__(generated_class(client, ours))
    view.__dict__ = client.__dict__
    return view


def raw_view(client: BaseClient) -> BaseClient:
    """Return the same client without encryption: a real S3 client that shares connections, credentials and events.

    Args:
        client: an encrypting client, or a plain one, which is its own view.
    """
    view: BaseClient = client.__dict__.get("_s3ec_view", client)
    return view
