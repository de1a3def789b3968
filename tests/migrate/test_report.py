"""The audit's page: whole, self-contained, and safe to open."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from s3ec.migrate.audit.charts import Slice, bars, donut
from s3ec.migrate.audit.page import page
from s3ec.migrate.audit.report import Audit, blocks
from s3ec.migrate.audit.survey_object import SurveyedObject

EVIL = "<script>alert(1)</script>\u202egpj.exe\x1b[31m\"'&"


class _Reader(HTMLParser):
    """Collects tags and text, and checks that tags nest."""

    VOID = frozenset({"meta", "br", "circle", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def read(html: str) -> _Reader:
    """Parse a page to its end."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def document(*objects: SurveyedObject, **settings: str) -> dict[str, Any]:
    """The audit of these objects."""
    result = Audit("bucket", "prefix/", settings)
    for each in objects:
        result.add(each)
    result.versions = {"kept": True, "noncurrent": 1, "noncurrent_bytes": 5, "delete_markers": 2, "readable": True}
    return result.document()


@pytest.fixture
def full() -> dict[str, Any]:
    """An audit with a bit of everything, under names that try to be more than names."""
    return document(
        SurveyedObject(key=EVIL, size=10),
        SurveyedObject(key="v1", size=10, format="V1", kms_key=EVIL, wrapping_algorithm="kms"),
        SurveyedObject(key="v3", size=10, format="V3", server_side_encryption="aws:kms", server_side_kms_key=EVIL),
        SurveyedObject(key="locked", size=2**40, lock_mode="COMPLIANCE", storage_class="STANDARD_IA"),
        lifecycle="1 rule",
    )


def test_the_page_stands_alone(full: dict[str, Any]):
    """It loads nothing, holds no script, and forbids itself both."""
    html = page(full)
    reader = read(html)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in reader.tags}
    assert not re.search(r"https?://|url\(|@import|\bon\w+=", html)
    policies = [attrs["content"] for tag, attrs in reader.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_what_comes_from_the_bucket_is_text_alone(full: dict[str, Any]):
    """Keys and names are escaped; characters that reorder or control text are shown."""
    html = page(full)
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "<script>alert(1)</script>\\u202egpj.exe\\x1b[31m\"'&" in read(html).text


def test_the_page_says_what_the_audit_says(full: dict[str, Any]):
    """Counts, verdict, charts and findings are there; each chart says its numbers in words."""
    reader = read(page(full))
    assert "3 of 4 objects are not encrypted with key commitment." in reader.text
    charts = [attrs["aria-label"] for tag, attrs in reader.tags if tag == "svg"]
    assert "V3, committing: 1; V1, legacy: 1; not encrypted by a client: 2" in charts
    assert {"too-large", "legacy", "locked"} <= set(re.findall(r"[\w-]+", reader.text))
    assert "1 rule" in reader.text


def test_a_bucket_in_order_and_an_empty_one():
    """The verdict is good where everything commits, and says nothing of a bucket without objects."""
    assert "Every object is encrypted and commits" in page(document(SurveyedObject(key="a", format="V3")))
    empty = page(document())
    assert "There are no objects here." in empty
    assert "<svg" not in empty


@pytest.mark.parametrize(
    ("found", "reasons"),
    [
        (SurveyedObject(key="k"), []),
        (SurveyedObject(key="k", format="V3", is_archived=True, lock_mode="GOVERNANCE"), []),
        (SurveyedObject(key="k", is_archived=True), ["archived"]),
        (SurveyedObject(key="k", size=2**36 - 32), []),
        (SurveyedObject(key="k", size=2**36 - 31), ["too-large"]),
        (SurveyedObject(key="k", metadata_bytes=1700), ["metadata-too-large"]),
        (SurveyedObject(key="k", format="V1"), ["legacy"]),
        (SurveyedObject(key="k", legal_hold=True), ["locked"]),
        (SurveyedObject(key="k", format="unreadable", error="SSE-C", server_side_encryption="SSE-C"), ["sse-c"]),
        (SurveyedObject(key="k", format="unreadable", error="403"), ["forbidden"]),
        (SurveyedObject(key="k", format="unreadable", error="ConflictingMetadataError"), ["conflicting"]),
        (SurveyedObject(key="k", format="unreadable", error="MalformedMetadataError"), ["malformed"]),
    ],
)
def test_what_blocks_a_migration(found: SurveyedObject, reasons: list[str]):
    """Each reason on its own, and none where nothing stands in the way."""
    assert blocks(found) == reasons


def test_nothing_vanishes_from_a_chart():
    """One object among a million is still seen, and never rounds to nothing or all."""
    svg = donut([Slice("good", 1_000_000, "good"), Slice("bad", 1, "bad")], unit="objects")
    lengths = [float(length) for length in re.findall(r'stroke-dasharray="([\d.]+)', svg)]
    assert min(lengths) >= 1.5
    assert "&lt; 0.1 %" in svg or "< 0.1 %" in svg
    assert "&gt; 99.9 %" in svg or "> 99.9 %" in svg
    assert donut([], unit="objects") == bars([]) == ""


@pytest.mark.slow
def test_a_real_browser_shows_it(full: dict[str, Any], tmp_path: Path):
    """Chromium draws the page without a script and without loading anything."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    source, picture = tmp_path / "audit.html", tmp_path / "audit.png"
    source.write_text(page(full), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [browser, *flags, f"--screenshot={picture}", source.as_uri()], check=True, timeout=120, capture_output=True
    )
    assert picture.stat().st_size > 10_000
