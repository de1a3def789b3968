"""What a forked child does not inherit: locks that would never be released there, and work that would never end.

A child has one thread, the one that forked. A lock that another thread held at that moment stays locked in the child
forever, so every lock of a long-lived object is registered here and made again in the child. A holder of the old one
(only the thread that forked can) releases the old one.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

__all__ = ["make_in_each_process"]

_Parts = dict[str, Callable[[], object]]

_owners: weakref.WeakKeyDictionary[object, _Parts] = weakref.WeakKeyDictionary()


def make_in_each_process(owner: object, **parts: Callable[[], object]) -> None:
    """Set attributes of an object, now and again in every child that is forked while the object lives.

    Args:
        owner: an object that is hashed by identity and can be weakly referenced.
        **parts: for each attribute, what makes its value, such as `threading.Lock`. It must not wait for anything.
    """
    _make(owner, parts)
    _owners[owner] = parts


def _make(owner: object, parts: _Parts) -> None:
    for name, make in parts.items():
        setattr(owner, name, make())


def _after_fork_in_child() -> None:
    for owner, parts in list(_owners.items()):
        _make(owner, parts)


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_after_fork_in_child)
