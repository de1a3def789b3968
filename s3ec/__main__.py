"""``python -m s3ec``: the same as the command ``s3ec``."""

from __future__ import annotations

import sys

from s3ec.cli import run

if __name__ == "__main__":
    sys.exit(run())
