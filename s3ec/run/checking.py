"""What `s3ec run` checks before a program begins, and what it says a client in that program would be."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import boto3
import botocore
import botocore.session
from botocore.exceptions import BotoCoreError

from s3ec.client.sessions.session import is_encrypting
from s3ec.errors import ConfigurationError, S3ECError
from s3ec.rules.bucket_rules import BucketRules, load_rules
from s3ec.run.everywhere import check_botocore

__all__ = ["check", "main", "some_profile_names_a_key"]


def check() -> BucketRules | None:
    """Check everything that can be checked before a program begins.

    Returns:
        The rules; None where only profiles that the program may choose have any.

    Raises:
        ConfigurationError: with the reason.
        botocore.exceptions.BotoCoreError: the AWS configuration cannot be read.
    """
    check_botocore()
    try:
        rules = load_rules()
    except ConfigurationError:
        named = any(os.environ.get(name) for name in os.environ if name.startswith("S3EC_") and "_RUN" not in name)
        if not named and some_profile_names_a_key():
            return None
        raise
    rules.check()
    return rules


def some_profile_names_a_key() -> bool:
    """True if a profile of the AWS configuration has settings of ours: the program may be told to use it."""
    profiles: Mapping[str, Any] = botocore.session.Session().full_config.get("profiles", {})
    return any(name.startswith("s3ec_") for profile in profiles.values() for name in profile)


def main() -> None:
    """Check in an interpreter of its own; one sentence on standard output, and a code, if something is wrong.

    With ``--client`` as argument a client is made as a program would, and described as JSON.
    """
    try:
        check()
        if "--client" in sys.argv:
            print(json.dumps(_made()))
    except (S3ECError, BotoCoreError, ValueError) as error:
        print(" ".join(str(error).split()))
        raise SystemExit(1) from None


def _made() -> dict[str, Any]:
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", region_name=region)
    return {
        "python": sys.executable,
        "botocore": botocore.__version__,
        "encrypts": is_encrypting(client),
        "client": repr(client),
        "asynchronous": asyncio.run(_made_asynchronously(region)) if find_spec("aiobotocore") else None,
    }


async def _made_asynchronously(region: str) -> dict[str, Any]:
    aiobotocore = importlib.import_module("aiobotocore")
    session = importlib.import_module("aiobotocore.session").AioSession()
    async with session.create_client("s3", region_name=region) as client:
        return {
            "aiobotocore": aiobotocore.__version__,
            "encrypts": is_encrypting(client),
            "client": repr(client),
        }
