"""``--debug`` and ``--log-level``: what happens, on standard error, without secrets.

At its own DEBUG level botocore writes headers and bodies: session tokens, SSE-C keys, and the data keys that KMS
answers with. Its loggers are therefore never switched on as a whole: only those are that say which request was sent
and what came back, where credentials were found, and why something is sent again.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import TextIO

from s3ec.errors import escaped

__all__ = ["LEVELS", "logging_to"]

LEVELS = ("debug", "info", "warning", "error")

_LOGGERS = {
    "s3ec": logging.DEBUG,
    # One line for each request: method, path and status, neither headers nor bodies.
    "urllib3.connectionpool": logging.DEBUG,
    "botocore.retries": logging.DEBUG,
    # At DEBUG it would name the files that it looks into, which is of no use here.
    "botocore.credentials": logging.INFO,
}
# Anyone who knows the path of a container's credentials can fetch them; a presigned request carries its permission.
_PERMISSIONS = re.compile(
    r"(/v\d/credentials/|[?&]X-Amz-(?:Signature|Security-Token|Credential)=)[^\s&\"]*", re.IGNORECASE
)


class _Formatter(logging.Formatter):
    """Writes one line for each record, whatever a key or a server's text holds."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname} {record.name}: {record.getMessage()}"
        return escaped(_PERMISSIONS.sub(r"\1…", text))


@contextlib.contextmanager
def logging_to(stream: TextIO, level_name: str | None) -> Iterator[None]:
    """Log to a stream while the block runs.

    Args:
        stream: standard error.
        level_name: one of `LEVELS`; None logs nothing.
    """
    if level_name is None:
        yield
        return
    level = getattr(logging, level_name.upper())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter())
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name, lowest in _LOGGERS.items():
        logging.getLogger(name).setLevel(max(level, lowest))
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name, old in before.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(old)
