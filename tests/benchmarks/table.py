"""The table and the plots of docs/performance.md, made again by one command: `tox -e bench`.

    python tests/benchmarks/table.py [--rounds 7] [--large 256] [--largest 1024] [--folder reports/benchmarks]

Runs `throughput.py` and, for sizes from 1 MiB to the largest, `peak_memory.py`, each as a process of its own. Writes
`table.md` (ratios to plain boto3 of the same round alone, and the machine), `throughput.svg`, `kms-calls.svg` and
`memory.svg`. The S3 of the memory's measurement holds two objects of the largest size in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_SIZES = (1, 8, 64, 256, 1024, 4096, 8192)
_COLOURS = {"s3ec": "#2b6cb0", "s3ec, cached": "#2f855a", "official": "#a0aec0", "put_object": "#2b6cb0"}
_LABEL, _BAR, _ROW = 250, 330, 18


def main() -> int:
    """Measure, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--large", type=int, default=256, metavar="MIB")
    parser.add_argument("--largest", type=int, default=1024, metavar="MIB", help="largest object for the memory")
    parser.add_argument("--folder", type=Path, default=Path("reports/benchmarks"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        cases = _run("throughput.py", folder, "--rounds", str(options.rounds), "--large", str(options.large), "--json")
        sizes = [size for size in _SIZES if size <= options.largest]
        memory = {size: _run("peak_memory.py", folder, str(size)) for size in sizes}
    (options.folder / "table.md").write_text(_table(cases, memory))
    ratios = {case: {name: statistics.median(of["ratios"]) for name, of in row.items()} for case, row in cases.items()}
    calls = {case: {name: of["kms_calls"] for name, of in row.items()} for case, row in cases.items()}
    more = {
        f"{operation}, {size} MiB": {operation: own - plain}
        for operation in ("put_object", "get_object")
        for size, row in memory.items()
        for plain, own in [row[operation]]
    }
    _draw(options.folder / "throughput.svg", "Throughput / plain boto3 (more is faster)", ratios, line=1.0)
    _draw(options.folder / "kms-calls.svg", "Calls to KMS for each operation", calls)
    _draw(options.folder / "memory.svg", "Peak memory above plain boto3, in MiB", more)
    print(f"written to {options.folder}")
    return 0


def _run(program: str, folder: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark that writes its results to the file that it is given as the last argument."""
    report = Path(folder) / "report.json"
    subprocess.run([sys.executable, str(_HERE / program), *arguments, str(report)], check=True)
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def _machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}"


def _table(cases: Mapping[str, Mapping[str, Any]], memory: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    names = list(dict.fromkeys(name for row in cases.values() for name in row))
    lines = [f"Measured on: {_machine()}.", "", f"| case | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for case, row in cases.items():
        cells = []
        for name in names:
            of = row.get(name)
            ratios = of["ratios"] if of else []
            cells.append(
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {of['kms_calls']:.2f} KMS"
                if of
                else "cannot"
            )
        lines.append(f"| {case} | {' | '.join(cells)} |")
    lines += ["", "| object | operation | MiB more than plain boto3 |", "| --- | --- | ---: |"]
    for size, found in memory.items():
        for operation, (plain, own) in found.items():
            lines.append(f"| {size} MiB | `{operation}` | {own - plain:+.0f} |")
    return "\n".join(lines) + "\n"


def _draw(path: Path, title: str, rows: Mapping[str, Mapping[str, float]], *, line: float | None = None) -> None:
    """Bars beside their names, with each value in figures; what is less than nothing has no bar."""
    most = max([line or 0, *(value for row in rows.values() for value in row.values())]) or 1
    parts = [f'<text x="8" y="18" font-weight="bold">{escape(title)}</text>']
    top = 30
    for label, row in rows.items():
        parts.append(f'<text x="{_LABEL - 8}" y="{top + 13}" text-anchor="end">{escape(label)}</text>')
        for name, value in row.items():
            width = max(_BAR * value / most, 0)
            text = f"{value:.2f} {name}" if len(row) > 1 else f"{value:.0f}"
            parts.append(
                f'<rect x="{_LABEL}" y="{top + 2}" width="{width:.1f}" height="{_ROW - 4}" '
                f'fill="{_COLOURS.get(name, "#2f855a")}"/>'
                f'<text x="{_LABEL + width + 6:.1f}" y="{top + 13}">{escape(text)}</text>'
            )
            top += _ROW
        top += 6
    if line is not None:
        at = _LABEL + _BAR * line / most
        parts.append(f'<path d="M{at:.1f} 26V{top}" stroke="#1a202c" stroke-dasharray="4 3"/>')
    style = 'font-family="sans-serif" font-size="12"'
    box = f'viewBox="0 0 {_LABEL + _BAR + 140} {top + 8}"'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {box} {style} role="img">{"".join(parts)}</svg>\n')


if __name__ == "__main__":
    sys.exit(main())
