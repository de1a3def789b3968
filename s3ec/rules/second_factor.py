"""The second factor of a profile is asked of a person at a terminal, as botocore does, or not at all.

botocore asks by `getpass`, which reads standard input where there is no terminal: a pipe that stays open would keep a
program waiting for ever, and any other input is no code. Here that is an error that says what is missing.
"""

from __future__ import annotations

import functools
import getpass
import os
import sys
from contextlib import suppress
from typing import Any

from botocore.credentials import AssumeRoleCredentialFetcher

from s3ec.errors import ConfigurationError

__all__ = ["ask_people_alone", "is_in_foreground"]


def is_in_foreground() -> bool:
    """True if this process belongs to those that the keys of a terminal are for."""
    with suppress(OSError, AttributeError), open("/dev/tty", "rb") as terminal:
        return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


def ask_people_alone() -> None:
    """Have every session of this process ask for second factors in this way; a prompter of its own stays."""
    original = AssumeRoleCredentialFetcher.__init__
    if getattr(original, "_s3ec_asks", False):
        return

    @functools.wraps(original)
    def initialise(self: Any, *args: Any, **keywords: Any) -> None:
        original(self, *args, **keywords)
        if getattr(self, "_mfa_prompter", None) is getpass.getpass:
            self._mfa_prompter = _ask

    initialise._s3ec_asks = True  # type: ignore[attr-defined]
    AssumeRoleCredentialFetcher.__init__ = initialise  # type: ignore[method-assign]


def _ask(prompt: str) -> str:
    if not ((sys.stdin is not None and sys.stdin.isatty()) or is_in_foreground()):
        raise ConfigurationError(
            f"the AWS profile wants a second factor ({prompt.strip().rstrip(':')}), and there is no terminal to ask "
            "at: give the program credentials that are valid already, such as those of `aws sts get-session-token`"
        )
    return getpass.getpass(prompt)
