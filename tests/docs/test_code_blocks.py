"""Everything that the README and the documentation show as Python runs, and prints what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from support import documents

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES_WITH_CODE = [
    page for page in PAGES if any(block.kind == "python" for block in documents.blocks(page.read_text("utf-8")))
]


def name(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name)
def test_page_runs(page: Path, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of a page runs from top to bottom as its reader would run it."""
    if "import s3ec.aio" in page.read_text("utf-8") and importlib.util.find_spec("aiobotocore") is None:
        pytest.skip("aiobotocore is not installed: tox -e aio runs this page")
    if "s3ec://" in page.read_text("utf-8") and importlib.util.find_spec("s3fs") is None:
        pytest.skip("s3fs is not installed: tox -e fs runs this page")
    monkeypatch.chdir(tmp_path)
    with documents.documented_account(endpoint) as environment:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        assert documents.run(page) > 0


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_block_escapes(page: Path) -> None:
    """A fenced block is Python that runs, or of a kind that is known not to run."""
    kinds = {block.kind for block in documents.blocks(page.read_text("utf-8"))}
    assert kinds - {"python", "output"} <= documents.LANGUAGES_NOT_RUN


class TestCollector:
    """The collector itself."""

    PAGE = "Text\n\n<!-- setup\nx = 1\n-->\n\n```python\nprint(x)\n```\n\n```text output\n1\n```\n"

    def test_order_and_lines(self) -> None:
        """Blocks come in reading order with the line on which their code starts."""
        found = [(block.kind, block.line) for block in documents.blocks(self.PAGE)]
        assert found == [("python", 4), ("python", 8), ("output", 12)]

    def test_runs(self, tmp_path: Path) -> None:
        """Hidden and shown code share a namespace."""
        page = tmp_path / "page.md"
        page.write_text(self.PAGE, "utf-8")
        assert documents.run(page) == 2

    def test_wrong_output(self, tmp_path: Path) -> None:
        """A page that promises other output than its code prints is caught."""
        page = tmp_path / "page.md"
        page.write_text(self.PAGE.replace("\n1\n", "\n2\n"), "utf-8")
        with pytest.raises(AssertionError, match="printed"):
            documents.run(page)

    def test_failing_code(self, tmp_path: Path) -> None:
        """An exception in a page's code surfaces with the page's own line."""
        page = tmp_path / "page.md"
        page.write_text("\n\n```python\n1 / 0\n```\n", "utf-8")
        with pytest.raises(ZeroDivisionError) as caught:
            documents.run(page)
        assert caught.traceback[-1].lineno == 3  # counted from 0: line 4 of the page
