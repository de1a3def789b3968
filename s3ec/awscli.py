"""Plugin of the AWS CLI v1: its S3 commands encrypt, by the settings of the environment or of the profile.

In the AWS configuration, ``s3ec`` being installed where ``aws`` is::

    [plugins]
    s3ec = s3ec.awscli
"""

from __future__ import annotations

from typing import Any

from s3ec.run.everywhere import hook_program_session

__all__ = ["awscli_initialize"]


def awscli_initialize(event_hooks: Any) -> None:
    """Take part in a run of the CLI; it calls this once for each plugin.

    Args:
        event_hooks: its emitter.
    """
    event_hooks.register("session-initialized", _hook)


def _hook(session: Any, **_: Any) -> None:
    # By now the CLI has told the session which profile it is to use.
    hook_program_session(session)
