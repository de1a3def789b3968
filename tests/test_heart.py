"""The heart that an auditor reads: few files, few lines, named in the documentation."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import s3ec

PACKAGE = Path(s3ec.__file__).parent
ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"

HEART = (
    "decryption.py",
    "encryption.py",
    "formats/v3.py",
    "crypto/derivation.py",
    "crypto/content.py",
    "crypto/wrapping.py",
    "crypto/random.py",
)
"""Gates, format and ciphers of what s3ec writes and reads by default."""

MOST_LINES = 500
ONLY_READ = {"CBC", "ECB", "PKCS1v15", "PKCS7", "SHA256", "aes_key_unwrap"}


def code_lines(source: str) -> int:
    """How many lines hold code: no blank lines, no comments, no docstrings."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.update(range(node.lineno, (node.end_lineno or 0) + 1))
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in nothing:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - docstrings)


def test_what_counts_as_code() -> None:
    """Strings over several lines are code where they are values, and not where they are docstrings."""
    lines = [
        *('"""Doc', "", 'string."""', "", "# comment", "x = 1  # one", '"""Of x."""', 'y = """two', 'lines"""', ""),
        *("def f(a,", "      b):", '    """Doc."""', "    ..."),
    ]
    assert code_lines("\n".join(lines)) == len(["x", "y", "y", "f", "f", "..."])


def test_the_heart_is_small() -> None:
    """All of it can be read in an afternoon."""
    lines = {name: code_lines((PACKAGE / name).read_text("utf-8")) for name in HEART}
    assert sum(lines.values()) <= MOST_LINES, lines


def test_the_documentation_names_the_same_files() -> None:
    """Whoever follows docs/architecture.md reads the files that are counted here, in this order."""
    _, _, section = ARCHITECTURE.read_text("utf-8").partition("\n## Read these files first\n")
    section, _, _ = section.partition("\n## ")
    assert tuple(re.findall(r"^\d+\. `s3ec/([^`]+)`", section, re.MULTILINE)) == HEART


@pytest.mark.parametrize("module", sorted((PACKAGE / "crypto").glob("*.py")), ids=lambda path: path.stem)
def test_what_is_only_read_stays_among_the_legacy(module: Path) -> None:
    """No cipher of default content can be anything but AES-GCM, and no wrapping anything that binds nothing."""
    imported = {
        alias.name
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryptography")
        for alias in node.names
    }
    assert not imported & ONLY_READ
