"""The tables of docs/performance.md, made of the results."""

from __future__ import annotations

import os
import platform
import re
import ssl
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cases import COLUMNS, MEMORY_OPERATIONS, Case

__all__ = ["machine", "replace_in", "tables"]

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "processor": _of("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "memory": round(int((_of("/proc/meminfo", "MemTotal") or "0").split()[0]) / (1 << 20)),
        "system": platform.system(),
        "python": platform.python_version(),
        "openssl": re.sub(r" +\d+ \w+ \d{4}$", "", ssl.OPENSSL_VERSION),
        "packages": {name: version(name) for name in ("boto3", "cryptography", "awscrt") if find_spec(name)},
    }


def _of(path: str, name: str) -> str | None:
    if not Path(path).exists():
        return None
    found = re.search(rf"^{name}\s*:\s*(.+)$", Path(path).read_text(), re.MULTILINE)
    return found[1].strip() if found else None


def tables(results: Mapping[str, Any], cases: Sequence[Case], pictures: str = "") -> str:
    """The plots and the tables, as Markdown.

    Args:
        results: what was measured.
        cases: in the order in which they are shown.
        pictures: before the names of the plots' files.
    """
    measured = [case for case in cases if case.name in results["cases"]]
    blocks = [
        _machine(results["machine"], results["load"]),
        [f"![Throughput of each case beside plain boto3, as in the table below]({pictures}throughput.svg)"],
        _speed(results, measured),
        [f"![Calls to KMS for each operation: one, or none with cached data keys]({pictures}kms-calls.svg)"],
        ["CPU seconds of the client / plain boto3's, and peak memory above plain boto3's:"],
        _cost(results, measured),
        [f"![Peak memory of a process over the size of the object, as in the table below]({pictures}memory.svg)"],
        ["Peak memory of a whole process, in MiB:"],
        _memory(results["memory"]),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def _machine(found: Mapping[str, Any], load: float) -> list[str]:
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    return [
        f"Measured on {found['cores']} cores of {found['processor']} with {found['memory']} GiB, {found['system']}, "
        f"Python {found['python']}, {found['openssl']}, {packages}; the load average when it began was {load}."
    ]


def _speed(results: Mapping[str, Any], cases: Sequence[Case]) -> list[str]:
    lines = [f"| case | {' | '.join(COLUMNS.values())} |", "| --- |" + " ---: |" * len(COLUMNS)]
    for case in cases:
        clients = results["cases"][case.name]["clients"]
        cells = [_ratio(clients.get(column)) for column in COLUMNS]
        lines.append(f"| {_named(case.label)} | {' | '.join(cells)} |")
    return lines


def _ratio(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    if "cannot" in found:
        return "cannot"
    ratios = found["throughput"]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _cost(results: Mapping[str, Any], cases: Sequence[Case]) -> list[str]:
    columns = [column for column in COLUMNS if column != "cached"]
    names = " | ".join(f"{COLUMNS[column]}: CPU | memory" for column in columns)
    lines = [f"| case | {names} |", "| --- |" + " ---: | ---: |" * len(columns)]
    for case in cases:
        if case.size < 1 << 26 or case.operation in {"range", "migrate"}:
            continue
        clients = results["cases"][case.name]["clients"]
        cells = []
        for column in columns:
            found = clients.get(column)
            known = found is not None and "cannot" not in found
            cells += [f"{found['cpu']:.2f}", f"{found['memory']:+.0f} MiB"] if found and known else ["", ""]
        lines.append(f"| {_named(case.label)} | {' | '.join(cells)} |")
    return lines


def _memory(memory: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Peaks of plain boto3 and s3ec, and what the official client takes."""
    sizes = sorted({int(size) for found in memory.values() for size in found})
    lines = ["| object | client | " + " | ".join(f"`{_plainly(name)}`" for name in MEMORY_OPERATIONS) + " |"]
    lines.append("| --- | --- |" + " ---: |" * len(MEMORY_OPERATIONS))
    for size in sizes:
        for client, found in memory.items():
            peaks = found.get(str(size))
            if peaks:
                name = COLUMNS.get(client, f"plain {client}")
                cells = " | ".join(f"{peaks[name]:.0f}" if name in peaks else "" for name in MEMORY_OPERATIONS)
                lines.append(f"| {_size(size)} | {name} | {cells} |")
    return lines


def _plainly(operation: str) -> str:
    return {"put_file": "put_object", "get": "get_object"}.get(operation, operation)


def _size(mib: int) -> str:
    return f"{mib // 1024} GiB" if mib >= 1024 else f"{mib} MiB"


def _named(label: str) -> str:
    """The label with names of functions as code."""
    return re.sub(r"\b([a-z]+_[a-z]+)\b", r"`\1`", label)


def replace_in(page: Path, text: str) -> None:
    """Put the tables into a page, between two comments.

    Raises:
        ValueError: the page has no such comments.
    """
    before, begin, rest = page.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} has no place for the tables: {_BEGIN} and {_END}")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", "utf-8")
