"""Work in a forked child, which must neither hang nor go on with the test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

__all__ = ["forks", "in_child", "refused_in_child"]

_PATIENCE = 90  # seconds; a child that hangs does so forever
_REFUSED = 7


def forks(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that forks: not everywhere can one, and Python warns of it beside threads."""
    skipped = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")(test)
    marked: Callable[..., None] = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")(skipped)
    return marked


def in_child(work: Callable[[], object]) -> int:
    """Exit code of a forked child that did something: 0 where it went well, 1 after an error, -9 where it hung."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refused_in_child(work: Callable[[], object], error: type[Exception]) -> bool:
    """True if what a forked child did was refused by this error, and by no other."""

    def attempt() -> None:
        try:
            work()
        except error:
            os._exit(_REFUSED)

    return in_child(attempt) == _REFUSED
