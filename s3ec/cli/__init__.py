"""The command line: options, output and progress. What the commands do is in `s3ec.client` and `s3ec.migrate`."""

from __future__ import annotations

import os
import sys
import warnings

__all__ = ["run"]


def run() -> int:
    """Start the command line and return its exit code; one line says what to install if the extra is missing."""
    # boto3 announces the end of a Python version's support once for each client: of no use to users of a command.
    warnings.filterwarnings("ignore", message="Boto3 will no longer support Python")
    try:
        from s3ec.cli.main import main
        from s3ec.run.everywhere import step_aside
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        print("s3ec: the command line needs click and rich: pip install 's3ec[cli]'", file=sys.stderr)
        return 5
    # Under `s3ec run`: this program, with its workers, chooses for itself which of its clients encrypt.
    os.environ.pop("S3EC_RUN", None)
    step_aside()
    return main()
