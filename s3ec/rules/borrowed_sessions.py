"""Sessions for KMS beside a program's own, with its credentials.

The program's own session may be set up in ways that KMS must not meet: the AWS CLI has binary answers stay text. And
one that boto3 has taken once for its clients cannot be taken a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import botocore.session

__all__ = ["borrowing_session"]


class _Borrowed:
    """Credentials of another session, in the place of a provider: a second session asks for no second factor."""

    def __init__(self, credentials: Callable[[], Any]) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        return self._credentials()


def borrowing_session(credentials: Callable[[], Any], *, region: str | None, profile: str | None) -> boto3.Session:
    """Make a session that has the credentials of another one.

    Args:
        credentials: gives them, as objects of botocore's, when the first client is made.
        region: Region of its clients; None for the environment's.
        profile: for all other settings; None for the environment's.
    """
    session = botocore.session.Session()
    if profile is not None:
        session.set_config_variable("profile", profile)
    if region is not None:
        session.set_config_variable("region", region)
    session.register_component("credential_provider", _Borrowed(credentials))
    return boto3.Session(botocore_session=session)
