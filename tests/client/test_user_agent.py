"""The remembered user agent: the same text that a plain client sends, whatever a call has used, and built once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.useragent import UserAgentString

from s3ec import AesKeyring
from s3ec.client import user_agent

KEYRING = AesKeyring(bytes(32))


def _sent_by(client: Any, call: Callable[[Any, str], object], bucket: str) -> list[str]:
    """The user agents of what a call sends, each with its features in order: botocore lists a set of them."""
    seen: list[str] = []

    def note(request: Any, **_: Any) -> None:
        value = request.headers["User-Agent"]
        text = value.decode() if isinstance(value, bytes) else value
        words = [f"m/{','.join(sorted(word[2:].split(',')))}" if word[:2] == "m/" else word for word in text.split()]
        seen.append(" ".join(words))

    client.meta.events.register_first("before-send.s3", note, unique_id="note")
    try:
        call(client, bucket)
    finally:
        client.meta.events.unregister("before-send.s3", unique_id="note")
    return seen


CALLS: dict[str, Callable[[Any, str], object]] = {
    "put_object": lambda client, bucket: client.put_object(Bucket=bucket, Key="k", Body=b"x"),
    "list_objects_v2": lambda client, bucket: client.list_objects_v2(Bucket=bucket),
    "paginator": lambda client, bucket: list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket)),
    "waiter": lambda client, bucket: client.get_waiter("bucket_exists").wait(Bucket=bucket),
}


@pytest.mark.parametrize("config", [{}, {"user_agent_extra": "mine/1.0"}, {"user_agent": "other/2"}], ids=str)
def test_the_text_is_botocores(
    aws: dict[str, Any], make_client: Callable[..., Any], bucket: str, config: dict[str, str]
) -> None:
    """One client for all calls, one after another and again: what one call has used does not stick to the next."""
    options = {"config": aws.get("config", Config()).merge(Config(**config))}
    with contextlib.closing(boto3.client("s3", **{**aws, **options})) as plain:
        ours = make_client(keyring=KEYRING, **options)
        for _ in range(2):
            for name, call in CALLS.items():
                assert _sent_by(ours, call, bucket) == _sent_by(plain, call, bucket), name


def test_it_is_built_once(make_client: Callable[..., Any], bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one combination of features, however many requests are sent."""
    client = make_client(keyring=KEYRING)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    built: list[object] = []
    build = UserAgentString._build_sdk_metadata
    monkeypatch.setattr(UserAgentString, "_build_sdk_metadata", lambda self: built.append(self) or build(self))
    for _ in range(3):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert built == []


def test_a_plain_client_keeps_its_own(aws: dict[str, Any], make_client: Callable[..., Any]) -> None:
    """Nothing is done to clients of the same session that are not ours."""
    session = boto3.Session()
    make_client(keyring=KEYRING, session=session)
    with contextlib.closing(session.client("s3", **aws)) as plain:
        assert "to_string" not in vars(plain._user_agent_creator)


def test_a_botocore_without_such_an_object() -> None:
    """Nothing is done where there is nothing to remember."""
    user_agent.remember(None)
    user_agent.remember(object())
