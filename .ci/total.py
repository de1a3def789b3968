"""Adds up the JUnit reports of a folder and prints ``N passed, N failed, N skipped``."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def count(report: str) -> tuple[int, int, int]:
    """Returns passed, failed (errors included) and skipped of one report."""
    # The opening tag is read by pattern: an XML parser is not needed for four numbers.
    suite = re.search(r"<testsuite [^>]*>", report)
    if suite is None:
        return 0, 1, 0
    numbers = {name: int(value) for name, value in re.findall(r'\b(tests|failures|errors|skipped)="(\d+)"', suite[0])}
    failed = numbers.get("failures", 0) + numbers.get("errors", 0)
    skipped = numbers.get("skipped", 0)
    return numbers.get("tests", 0) - failed - skipped, failed, skipped


def main(folder: str) -> int:
    """Prints the sum; returns 1 where something failed or nothing ran."""
    totals = [count(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.xml"))]
    passed, failed, skipped = (sum(column) for column in zip(*totals, strict=True)) if totals else (0, 0, 0)
    sys.stdout.write(f"{passed} passed, {failed} failed, {skipped} skipped\n")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
