"""A command of ours on a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys

__all__ = ["on_a_terminal"]


def on_a_terminal(
    words: tuple[object, ...], environment: dict[str, str], typed: bytes = b"", *, columns: int = 60
) -> tuple[int, str]:
    """Run a command on a pseudo-terminal this many columns wide; returns its code and all that the terminal got."""
    master, slave = pty.openpty()
    values = {**environment, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "24"}
    command = [sys.executable, "-m", "s3ec", *(str(word) for word in words)]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=values)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):
        while True:
            ready, _, _ = select.select([master], [], [], 60)
            chunk = os.read(master, 65536) if ready else b""
            if not chunk:
                break
            seen += chunk
            if typed and b"[y/N]" in seen:
                os.write(master, typed)
                typed = b""
    os.close(master)
    return process.wait(timeout=60), seen.decode()
