"""The comparison with the official Python client says what really happens.

The everyday suite runs the column of s3ec; `tox -e comparison` runs the other one, with the official client installed.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from support import comparison

PAGE = Path(__file__).resolve().parents[2] / "docs" / "comparison.md"
ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<official>[^|]+) \| (?P<s3ec>[^|]+) \| `(?P<fact>\w+)` \|$", re.MULTILINE)
ROWS = {row["fact"]: row for row in ROW.finditer(PAGE.read_text("utf-8"))}
HAS = {name: importlib.util.find_spec(module) for name, module in {"official": "s3_encryption", "s3ec": "s3ec"}.items()}


def test_page_has_every_fact() -> None:
    """A fact without a row, or a row without a fact, fails."""
    assert set(ROWS) == set(comparison.FACTS)


@pytest.mark.parametrize("fact", comparison.FACTS)
def test_fact(fact: str, aws: dict[str, Any], kms_key: str, plain_s3: Any, bucket: str) -> None:
    """The page says of the client that is installed here what it does."""
    column, make_world = ("official", comparison.official_world) if HAS["official"] else ("s3ec", comparison.s3ec_world)
    happened = comparison.outcome(comparison.FACTS[fact], make_world(aws, kms_key, plain_s3, bucket))
    assert happened == ROWS[fact][column].strip()
