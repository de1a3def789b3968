"""Numbers in an answer's headers that make no sense: refused before botocore parses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient

from s3ec.errors import AuthenticationError
from s3ec.s3.answers import NUMBER

__all__ = ["refuse_senseless_numbers"]

_LONGEST_SHOWN = 100
_NUMBERS = ("content-length", "x-amz-mp-parts-count", "x-amz-missing-meta", "x-amz-tagging-count")


def refuse_senseless_numbers(client: BaseClient) -> None:
    """Look at the numbers in the headers of reads before botocore does, which raises `ValueError` for some of them."""
    for operation_name in ("GetObject", "HeadObject"):
        client.meta.events.register(
            f"before-parse.s3.{operation_name}", _check_numbers, unique_id=f"s3ec-numbers-of-{operation_name}"
        )


def _check_numbers(response_dict: Mapping[str, Any], **_: Any) -> None:
    headers = response_dict["headers"]
    for name in _NUMBERS:
        value = headers.get(name)
        if value is not None and not NUMBER.fullmatch(value):
            raise AuthenticationError(f"the answer's {name} makes no sense: {value[:_LONGEST_SHOWN]!r}")
