"""Who audits a bucket, for the head of a report: the account, the identity, the program."""

from __future__ import annotations

import importlib.metadata
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from s3ec.cli.environment import Environment
from s3ec.transport import UnreadableAnswerError, make_sound

__all__ = ["version", "who_looks"]

_AMAZON = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def version() -> str:
    """Return the version of the installed package."""
    try:
        return importlib.metadata.version("s3ec")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def who_looks(environment: Environment) -> dict[str, str | None]:
    """Return ``account``, ``identity`` and ``s3ec_version``; None for what cannot be found out.

    STS needs no permission, but it is asked only where S3's own address shows that it is the right one: credentials of
    an emulator are none of Amazon's business.
    """
    found: dict[str, str | None] = {"account": None, "identity": None, "s3ec_version": version()}
    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    options: dict[str, Any] = {"endpoint_url": environment.options.endpoint_url, "config": config}
    try:
        sts = environment.session.client("sts", **options)
        if _is_amazon(sts) != _is_amazon(environment.s3):
            return found
        make_sound(sts)
        answer = sts.get_caller_identity()
    except (BotoCoreError, ClientError, UnreadableAnswerError, ValueError):
        return found
    return {**found, "account": answer.get("Account"), "identity": answer.get("Arn")}


def _is_amazon(client: Any) -> bool:
    return str(urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AMAZON)
