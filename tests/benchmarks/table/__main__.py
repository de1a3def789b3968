"""The tables and the plots of docs/performance.md, made again by one command: `tox -e bench`.

    python tests/benchmarks/table [--rounds 7] [--large 1024] [--largest 8192] [--only cases|memory] [--case NAME ...]
                                  [--official PYTHON] [--s3 URL --certificate FILE]
                                  [--seconds N] [--again] [--draw] [--folder reports/benchmarks] [--docs docs]

Every case measures plain boto3 and the clients beside it in turns, each in a process of its own, and what counts is the
ratio of one round. MinIO over https keeps the objects, in memory where they fit, and a KMS of this program's answers;
all of them share the machine, which should have nothing else to do. For the distant S3 a relay adds latency and limits
each connection. The official client runs in a Python of its own, since it wants older packages: `official.py` makes it.

What is measured is in results.json at once, and is not measured again: a run that was ended goes on where it was, and
`--seconds` ends one by itself (exit code 3: there is more to do). Only ratios, MiB and calls are kept. With `--docs`
the plots go to images/ and the tables into performance.md of that folder.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1])]

import charts  # noqa: E402  # found only now that the folders are on the path
import page  # noqa: E402
from cases import MEMORY_CLIENTS, MEMORY_PAIRS, MIB, SIZES, Case, cases  # noqa: E402
from measuring import Results, measure_case, measure_memory  # noqa: E402
from places import Place, folder_for, place  # noqa: E402

_UNFINISHED = 3


@dataclass(frozen=True)
class _Step:
    """Something to measure.

    Attributes:
        name: as it is printed.
        needed: bytes of objects and files at a time.
        measure: does it, and keeps the results.
    """

    name: str
    needed: int
    measure: Callable[[Place], None]


def main() -> int:
    """Measure what is not measured yet, and write the files."""
    options = _options()
    # Who ends it must not leave servers behind, nor gigabytes in memory.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended; what was measured is kept"))
    options.folder.mkdir(parents=True, exist_ok=True)
    results = Results(options.folder / "results.json", page.machine(), again=options.again)
    wanted = [_without(case, options.official) for case in cases(options.large, options.rounds)]
    steps = [] if options.draw else list(_steps(options, results, wanted))
    if steps:
        results.begin()
    is_done = _measure(options, steps)
    _write(options, results.content, wanted)
    return 0 if is_done else _UNFINISHED


def _measure(options: argparse.Namespace, steps: list[_Step]) -> bool:
    """Take the steps that there is time for; whether these were all."""
    deadline = time.monotonic() + options.seconds if options.seconds else math.inf
    with contextlib.ExitStack() as stack:
        servers: tuple[Path | None, Place] | None = None
        for step in steps:
            if time.monotonic() > deadline:
                return False
            base = folder_for(step.needed)
            if servers is None or servers[0] != base:
                stack.close()
                servers = base, stack.enter_context(place(base, options.s3, options.certificate))
            began = time.monotonic()
            step.measure(servers[1])
            print(f"{step.name}: {time.monotonic() - began:.0f} s", flush=True)
    return True


def _steps(options: argparse.Namespace, results: Results, wanted: list[Case]) -> Iterator[_Step]:
    """What is left to measure."""
    pythons = {"official": options.official} if options.official else {}

    def of_case(case: Case) -> _Step:
        return _Step(
            case.name,
            _needed(case),
            lambda servers: results.add_case(case, measure_case(case, servers, pythons)),
        )

    def of_memory(client: str, size: int, pair: tuple[str, str]) -> _Step:
        return _Step(
            f"memory of {client}, {size} MiB, {' and '.join(pair)}",
            # The object, a download, and what is kept back of it until it is verified.
            3 * size * MIB,
            lambda servers: results.add_memory(client, size, measure_memory(client, size, pair, servers, pythons)),
        )

    for case in wanted:
        if options.only != "memory" and _is_chosen(options, case) and not results.has_case(case):
            yield of_case(case)
    if options.only == "cases" or options.case:
        return
    clients = {name: most for name, most in MEMORY_CLIENTS.items() if name != "official" or pythons}
    for size in SIZES:
        for (client, most), pair in product(clients.items(), MEMORY_PAIRS):
            if size <= min(most, options.largest) and not results.has_memory(client, size, pair):
                yield of_memory(client, size, pair)


def _without(case: Case, official: str | None) -> Case:
    """The case as it can be measured here: without the official client where that has no Python."""
    if official:
        return case
    return replace(case, clients={column: kind for column, kind in case.clients.items() if column != "official"})


def _is_chosen(options: argparse.Namespace, case: Case) -> bool:
    return not options.case or case.name in options.case


def _needed(case: Case) -> int:
    """Bytes of all objects, with the source and a download of each client."""
    number = case.repeats if case.operation == "migrate" else 1
    return case.size * (2 * number * (1 + len(case.clients)) + 2)


def _write(options: argparse.Namespace, content: dict[str, Any], wanted: list[Case]) -> None:
    """Make tables and plots of what there is."""
    plots = {
        "throughput": charts.throughput(content, wanted),
        "kms-calls": charts.kms_calls(content, wanted),
        "memory": charts.memory(content),
    }
    (options.folder / "tables.md").write_text(page.tables(content, wanted), "utf-8")
    for name, picture in plots.items():
        (options.folder / f"{name}.svg").write_text(picture, "utf-8")
        if options.docs:
            (options.docs / "images" / f"{name}.svg").write_text(picture, "utf-8")
    if options.docs:
        page.replace_in(options.docs / "performance.md", page.tables(content, wanted, "images/"))
    print(f"written to {options.folder}{f' and {options.docs}' if options.docs else ''}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="of each case, at most; large objects take fewer")
    add("--large", type=int, default=1024, metavar="MIB", help="large objects of the table")
    add("--largest", type=int, default=8192, metavar="MIB", help="largest object for the memory")
    add("--only", choices=["cases", "memory"], help="one half of it")
    add("--case", action="append", metavar="NAME", help="these cases alone")
    add("--official", metavar="PYTHON", help="interpreter that has the official client; without it that is left out")
    add("--s3", metavar="URL", help="another S3 over https than MinIO, which runs already")
    add("--certificate", type=Path, metavar="FILE", help="by which that is trusted")
    add("--seconds", type=float, metavar="N", help="begin nothing after so long, and exit with 3 if something is left")
    add("--again", action="store_true", help="measure what was measured already, too")
    add("--draw", action="store_true", help="measure nothing, and make tables and plots of the results")
    add("--folder", type=Path, default=Path("reports/benchmarks"))
    add("--docs", type=Path, metavar="FOLDER", help="put the tables and the plots into the documentation as well")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
