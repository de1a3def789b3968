"""The benchmark of docs/performance.md runs to its end, is resumed, and writes what can be read. No time is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "table"


def run(folder: Path, *arguments: str) -> list[str]:
    """Run it with few and small objects; the lines that it prints."""
    small = ["--rounds", "1", "--large", "16", "--largest", "1", "--folder", str(folder), *arguments]
    return subprocess.run(
        [sys.executable, str(PROGRAM), *small], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()


def steps(lines: list[str]) -> list[str]:
    """What was measured: all lines but the last, which says where the files are."""
    return [line.partition(":")[0] for line in lines[:-1]]


def test_runs_to_its_end_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """Cases near and far, then memory; what was measured is not measured again."""
    docs = tmp_path / "docs"
    (docs / "images").mkdir(parents=True)
    (docs / "performance.md").write_text("a\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nb\n")
    some = ["--case", "put-1k-prefetched", "--case", "far-upload"]
    assert steps(run(tmp_path, *some)) == ["put-1k-prefetched", "far-upload"]
    assert steps(run(tmp_path, "--only", "memory")) == [
        f"memory of {client}, 1 MiB, {pair}"
        for client in ("boto3", "s3ec")
        for pair in ("put_file and get", "upload_file and download_file")
    ]
    assert steps(run(tmp_path, *some, "--docs", str(docs))) == []

    found = json.loads((tmp_path / "results.json").read_text())
    assert found["cases"]["put-1k-prefetched"]["clients"]["s3ec"]["kms"] > 0
    assert found["cases"]["far-upload"]["clients"]["s3ec"]["kms"] == 1
    assert set(found["memory"]["s3ec"]["1"]) == {"put_file", "get", "upload_file", "download_file"}
    page = (docs / "performance.md").read_text()
    assert page.startswith("a\n<!-- measured: begin -->\n\nMeasured on ")
    assert page.endswith("<!-- measured: end -->\nb\n")
    assert "old" not in page
    for name in ("throughput", "kms-calls", "memory"):
        text = " ".join(ElementTree.parse(docs / "images" / f"{name}.svg").getroot().itertext())  # noqa: S314  # our own
        assert "put_object" in text
        assert "s3ec" in text
