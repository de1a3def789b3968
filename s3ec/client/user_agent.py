"""The user agent, built once instead of twice a request: the time that botocore spends on it pays for the encryption.

botocore puts the same text together for each request, character by character, and once more before it signs. Nothing
in it changes during a client's life but the features that a call has used, such as a paginator or a waiter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.context import ClientContext

try:
    from botocore.context import get_context
except ImportError:  # an older botocore, whose text never changes

    def get_context() -> ClientContext | None:
        """No features are noted."""
        return None


__all__ = ["remember"]

_COMBINATIONS = 64


def remember(creator: Any) -> None:
    """Keep the texts that a client's user-agent object makes, one for each combination of features.

    The text is botocore's own to the last character. Where botocore has changed so much that there is no such object,
    nothing is done.

    Args:
        creator: botocore's ``UserAgentString`` of one client, or None.
    """
    build = getattr(creator, "to_string", None)
    if build is None:
        return

    @lru_cache(_COMBINATIONS)
    def text(_features: frozenset[str]) -> str:
        return str(build())

    def to_string() -> str:
        context = get_context()
        return text(frozenset(context.features) if context is not None else frozenset())

    creator.to_string = to_string
