"""audit: the table, the document, the page; and what terminals see of tables and progress."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from s3ec.cli.options import Options
from s3ec.cli.output import Output, Table
from s3ec.cli.progress import Progress


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.mark.slow
def test_the_table_and_the_page(run: Any, bucket: str, plain_s3: Any, make_client: Any, tmp_path: Path):
    """The table says what blocks and what does not commit; the page lies where it was wanted, and is named."""
    plain_s3.put_object(Bucket=bucket, Key="open", Body=b"12345")
    plain_s3.put_object(Bucket=bucket, Key="cold", Body=b"1", StorageClass="GLACIER")
    make_client().put_object(Bucket=bucket, Key="closed", Body=b"12345")
    page = tmp_path / "audit.html"
    ended = run("audit", f"s3://{bucket}", "--html", page)
    assert ended.code == 0
    assert ended.text.startswith(f"s3://{bucket}/\n3 objects, 27 B\n")
    assert "archived" in ended.text
    assert "Still stops REQUIRE_ENCRYPT_REQUIRE_DECRYPT" in ended.text
    assert str(page) in ended.line
    assert "2 of 3 objects are not encrypted with key commitment" in page.read_text("utf-8")


@pytest.mark.slow
def test_a_bucket_in_order_has_no_findings(run: Any, bucket: str, make_client: Any):
    """Nothing stands in the way, and it says so."""
    make_client().put_object(Bucket=bucket, Key="closed", Body=b"12345")
    text = run("audit", f"s3://{bucket}", "--all-versions").text
    assert "Would block a migration: nothing" in text
    assert "Still stops REQUIRE_ENCRYPT_REQUIRE_DECRYPT: nothing" in text


@pytest.mark.slow
def test_a_page_that_cannot_be_written(run: Any, bucket: str, tmp_path: Path):
    """One line names the path."""
    ended = run("audit", f"s3://{bucket}", "--html", tmp_path / "absent" / "audit.html")
    assert ended.code == 3
    assert str(tmp_path / "absent") in ended.line


@pytest.mark.slow
def test_ls_totals_and_rewrap_plan(run: Any, key: Any, bucket: str, make_client: Any):
    """Sizes with units and totals; a rewrap's plan needs no --yes and writes nothing."""
    make_client().put_object(Bucket=bucket, Key="k", Body=bytes(2048))
    text = run("ls", f"s3://{bucket}", "--human-readable", "--summarize").text
    assert "2.0 KiB" in text
    assert text.endswith("Total Objects: 1\nTotal Size: 2.0 KiB\n")
    assert run("rewrap", f"s3://{bucket}", "--to-kms-key", key[1], "--dry-run", "--json").json["objects"] == 1


def test_tables_and_progress_on_a_terminal():
    """A drawn table never reads markup out of a key; progress shows objects, rate and failures."""
    out, err = Terminal(), Terminal()
    output = Output(stdout=out, stderr=err)
    table = Table(("Name",), title="Objects")
    table.add("[red]key[/red]\x1b[2J")
    output.table(table)
    assert "[red]key[/red]\\x1b[2J" in out.getvalue()
    assert "━" in out.getvalue()
    with Progress.of(output, Options(), "migrated") as progress:
        progress.total(2)
        progress.advance(1024)
        progress.advance(1024, failed=True)
        progress.event({"kind": "notice"}, "[bold]said[/bold]")
        assert "2.0 KiB" in progress.status
        assert progress.status.endswith("1 failed")
    assert "[bold]said[/bold]" in err.getvalue()
    assert Console(file=err).is_terminal


def test_plain_progress_is_a_line_now_and_then(monkeypatch: Any):
    """Off a terminal a line appears every few seconds at most."""
    err = io.StringIO()
    output = Output(stdout=io.StringIO(), stderr=err)
    monkeypatch.setattr("s3ec.cli.progress._LINE_SECONDS", 0.0)
    with Progress.of(output, Options(), "verified") as progress:
        progress.total(3)
        progress.advance(10)
    assert err.getvalue().startswith("1 of 3 objects verified, 10 B, ")
