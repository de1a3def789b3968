"""The user agents of a botocore client, each built once.

botocore puts the text together character by character for each request, and for S3 twice. During a client's life it
changes with few things: the features that a call has used, such as a waiter, and what is set on the client's `Config`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.context import ClientContext

try:
    from botocore.context import get_context
except ImportError:  # an older botocore, which counts no features

    def get_context() -> ClientContext | None:
        """Note no features."""
        return None


__all__ = ["UserAgents", "remember_user_agent"]

_MOST_KEPT = 64
_SETTINGS = ("user_agent", "_supplied_user_agent", "user_agent_extra", "user_agent_appid")


class UserAgents:
    """Botocore's own texts, to the last character."""

    def __init__(self, creator: Any) -> None:
        """Take a client's ``UserAgentString``.

        Raises:
            AttributeError: botocore is not made as expected.
        """
        self._creator = creator
        self._build = creator.to_string
        self._config = creator._client_config
        self._texts: dict[Hashable, str] = {}

    def text(self) -> str:
        """The user agent of a request that is made now."""
        context = get_context()
        key = (
            frozenset(context.features) if context is not None else None,
            frozenset(getattr(self._creator, "_client_features", None) or ()),
            *[getattr(self._config, name, None) for name in _SETTINGS],
        )
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= _MOST_KEPT:
                self._texts.clear()
            text = self._texts[key] = str(self._build())
        return text


def remember_user_agent(client: Any) -> None:
    """Keep the user agents that a client's requests carry.

    Args:
        client: a botocore client.
    """
    with contextlib.suppress(AttributeError):
        creator = client._user_agent_creator
        creator.to_string = UserAgents(creator).text
