"""Tells every kind of lie to every public call, and prints what came of it.

    python tests/lies/run.py                     # a small sample, in one process
    python tests/lies/run.py --all               # the whole table, a process for each core
    python tests/lies/run.py --all --write-docs  # the same, and docs/security-lies.md becomes its page
    python tests/lies/run.py --all --write-docs --call rewrap  # these cells alone, as after a mend; the others stay
    python tests/lies/run.py --call get_object --row "body: a bit flipped" --each 50 --verbose

It ends with 1 if one cell breaks the claim.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ in ("__main__", "__mp_main__"):
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from lies.calls import CALLS  # noqa: E402
from lies.cells import call_named, laboratory  # noqa: E402
from lies.page import PAGE, page  # noqa: E402

WHOLE = 4
"""Cells for each kind of lie and call in the whole table."""

Tally = dict[str, Counter[str]]
"""Verdicts by row, for one call."""


def tell_all(
    name: str, each: int, share: int = 1, row: str | None = None, verbose: bool = False
) -> tuple[str, Tally, list[str]]:
    """Tell a call what it can be told: its verdicts, and every cell that breaks the claim."""
    tally: Tally = {}
    faults = []
    with laboratory() as here:
        shift = len(name)
        for number, cell in enumerate(here.cells(call_named(name), each), shift):
            if (row is not None and cell.lie.row != row) or number % share:
                continue
            began = time.monotonic()
            verdict = here.verdict(cell)
            tally.setdefault(cell.lie.row, Counter())[verdict.text if verdict.is_good else "FAULT"] += 1
            if verbose:
                print(f"{time.monotonic() - began:6.2f} {cell}: {verdict.text}")
            if not verdict.is_good:
                faults.append(f"{cell}: {verdict.text}")
    return name, tally, faults


def everything(
    each: int, names: list[str], jobs: int, share: int, row: str | None, verbose: bool
) -> Iterator[tuple[str, Tally, list[str]]]:
    """The same for many calls, in as many processes as wanted."""
    if jobs == 1:
        for name in names:
            yield tell_all(name, each, share, row, verbose)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(functools.partial(tell_all, each=each, share=share, row=row, verbose=verbose), names)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help=f"{WHOLE} of each kind for each call, not one")
    parser.add_argument("--each", type=int, help="so many of each kind for each call")
    parser.add_argument("--share", type=int, default=1, help="one cell in so many")
    parser.add_argument("--call", action="append", choices=[call.name for call in CALLS], help="these calls alone")
    parser.add_argument("--row", help="this kind of lie alone")
    parser.add_argument("--jobs", type=int, help="processes")
    parser.add_argument("--verbose", action="store_true", help="each cell and its seconds")
    parser.add_argument("--write-docs", action="store_true", help="write docs/security-lies.md")
    wanted = parser.parse_args()
    each = wanted.each or (WHOLE if wanted.all else 1)
    jobs = wanted.jobs or (os.cpu_count() or 1 if wanted.all else 1)
    names = wanted.call or [call.name for call in CALLS if call.can_be_made]
    for call in CALLS:
        if not wanted.call and not call.can_be_made:
            print(f"{call.name} IS NOT LIED TO: {call.needs} is not installed; the page keeps its cells")
    began, tallies, faults = time.monotonic(), {}, []
    for name, tally, broken in everything(each, names, jobs, wanted.share, wanted.row, wanted.verbose):
        tallies[name] = tally
        faults += broken
        total = sum(tally.values(), Counter[str]())
        print(f"{name:34}", ", ".join(f"{count} {word}" for word, count in sorted(total.items())), flush=True)
        for line in broken:
            print("   ", line, flush=True)
    seconds = time.monotonic() - began
    cells = sum(sum(counts.values()) for tally in tallies.values() for counts in tally.values())
    if wanted.write_docs:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), tallies), encoding="utf-8")
    print(f"{cells} cells in {seconds:.0f} s, {len(faults)} break the claim")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
