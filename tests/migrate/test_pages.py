"""Listings that can be relied on: no answer that is none passes for the end, and no circle keeps a job for ever."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from s3ec.errors import MigrationError
from s3ec.migrate.work.pages import check_page, pages


class _Listing:
    """A client whose paginator gives these pages."""

    def __init__(self, answers: Iterable[Mapping[str, Any]]) -> None:
        self._answers = answers

    def get_paginator(self, operation: str) -> _Listing:
        return self

    def paginate(self, **_: Any) -> Iterable[Mapping[str, Any]]:
        return self._answers


def _page(*keys: str, more: bool = True) -> dict[str, Any]:
    page = {"IsTruncated": more, "Contents": [{"Key": key, "Size": 1} for key in keys]}
    return {**page, "NextContinuationToken": "t"} if more else page


def _keys(answers: Iterable[Mapping[str, Any]]) -> list[str]:
    listed = pages(_Listing(answers), "list_objects_v2", Bucket="b")
    return [row["Key"] for page in listed for row in page["Contents"]]


def test_pages_follow_each_other() -> None:
    """What is sound is passed on as it is."""
    assert _keys([_page("a", "b"), _page(), _page("c", more=False)]) == ["a", "b", "c"]


@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("before", [0, 1, 5])
def test_circles(length: int, before: int) -> None:
    """A list that comes back to where it was is noticed, however long the circle is and wherever it begins."""
    way = [_page(f"way {number}") for number in range(before)]
    circle = itertools.cycle([_page(f"circle {number}") for number in range(length)])
    with pytest.raises(MigrationError, match="again and again"):
        _keys(itertools.chain(way, circle))


def test_nothing_for_ever() -> None:
    """Pages without rows are allowed, but not without end."""
    with pytest.raises(MigrationError, match="again and again"):
        _keys(itertools.repeat(_page()))


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"IsTruncated": True},
        {"IsTruncated": True, "NextContinuationToken": ""},
        {"IsTruncated": False, "Contents": [{"Size": 1}]},
        {"IsTruncated": False, "Contents": [{"Key": "k"}]},
        {"IsTruncated": False, "Contents": [{"Key": "k", "Size": -1}]},
        {"IsTruncated": False, "Contents": [{"Key": ["k", "k"], "Size": 1}]},
        {"IsTruncated": False, "Versions": [{"Key": "k", "Size": 1, "IsLatest": True}]},
        {"IsTruncated": False, "Versions": [{"Key": "k", "Size": 1, "VersionId": "v"}]},
        {"IsTruncated": False, "Uploads": [{"Key": "k"}]},
        {"IsTruncated": False, "CommonPrefixes": [{}]},
    ],
)
def test_pages_that_are_none(page: dict[str, Any]) -> None:
    """Nothing that a job would stumble over, or take for the end, is a page."""
    with pytest.raises(MigrationError, match="run it again"):
        check_page(page)
