"""Writes ``docs/conformance.md`` from the table of requirements.

python tests/conformance/page.py
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "conformance.md"

if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))

from conformance.requirements import REVISION, SECTIONS, SOURCE, Requirement, Section  # noqa: E402 - path set above

HEAD = """# Conformance

Every MUST and SHOULD of the [S3 Encryption Client specification]({source}) (revision {revision}) in the order of its
pages, with the test that shows it or the reason why none does. Test names are those below `tests/`; the everyday suite
checks that each exists and that this page is what `python tests/conformance/page.py` writes.

{shown} of {total} requirements are shown by tests, {argued} have a reason instead.
"""


def evidence(requirement: Requirement) -> str:
    """What shows a requirement, or why nothing does."""
    if requirement.why_not:
        return f"*not by a test:* {requirement.why_not}"
    return "<br>".join(f"`{test}`" for test in requirement.tests)


def table(section: Section) -> str:
    """One section as a table."""
    rows = "".join(
        f"| {requirement.level} | {requirement.label} | {evidence(requirement)} |\n"
        for requirement in section.requirements
    )
    link = f"{SOURCE}/{section.page}#{section.anchor}"
    return f"### [{section.title}]({link})\n\n| level | what | shown by |\n| --- | --- | --- |\n{rows}"


def text() -> str:
    """The whole page."""
    requirements = [requirement for section in SECTIONS for requirement in section.requirements]
    shown = sum(bool(requirement.tests) for requirement in requirements)
    total = len(requirements)
    head = HEAD.format(source=SOURCE, revision=REVISION, shown=shown, total=total, argued=total - shown)
    parts = [head]
    for page, sections in groupby(SECTIONS, key=lambda section: section.page):
        parts.append(f"## {page}\n")
        parts += [table(section) for section in sections]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
