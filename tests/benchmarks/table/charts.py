"""The plots of docs/performance.md, as SVG that is read on light and dark pages.

Each picture has its own ground, and two sets of colours, of which the reader's system chooses one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cases import COLUMNS, KMS_CASES, MEMORY_OPERATIONS, Case

__all__ = ["kms_calls", "memory", "throughput"]

_COLOURS = {
    "s3ec": ("#0969da", "#58a6ff"),
    "cached": ("#1a7f37", "#3fb950"),
    "official": ("#bf5700", "#f0883e"),
    "boto3": ("#57606a", "#9aa4af"),
}
"""On a light ground, and on a dark one; told apart by those who do not see red and green, too."""
_STYLE = """
.ground{fill:#fff}text{fill:#24292f;font:12px system-ui,sans-serif}.quiet{fill:#6e7781;font-size:11px}
.title{font-weight:600;font-size:14px}.name{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}
line{stroke-width:2}.grid{stroke:#d8dee4;stroke-width:1}.one{stroke:#6e7781;stroke-width:1;stroke-dasharray:4 3}
polyline{fill:none;stroke-width:2}
"""
_DARK = """
.ground{fill:#161b22}text{fill:#e6edf3}.quiet{fill:#9aa4af}.grid{stroke:#30363d}.one{stroke:#9aa4af}
"""
_NAMES = {**COLUMNS, "boto3": "plain boto3"}


class _Picture:
    """Elements that are drawn, and how far they reach."""

    def __init__(self, width: float, title: str, description: str) -> None:
        self._width = width
        self._elements = [f"<title>{escape(title)}</title>", f"<desc>{escape(description)}</desc>"]
        self.text(16, 24, title, "title")
        self.text(16, 42, description, "quiet")

    def text(self, x: float, y: float, text: str, kind: str = "", colour: str = "") -> None:
        self._elements.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind} {colour}">{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> None:
        self._elements.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def dot(self, x: float, y: float, colour: str) -> None:
        self._elements.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{colour}"/>')

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self._elements.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{colour}"/>'
        )

    def curve(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._elements.append(f'<polyline points="{path}" class="{colour}-line"/>')

    def key(self, x: float, y: float, names: Sequence[str]) -> None:
        """Say which colour is whose, in the colour."""
        for name in names:
            self.dot(x, y - 4, name)
            self.text(x + 10, y, _NAMES[name], "name", name)
            x += 34 + 7 * len(_NAMES[name])

    def svg(self, height: float) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width:.0f} {height:.0f}" '
            f'width="{self._width:.0f}" height="{height:.0f}" role="img"><style>{_style()}</style>'
            f'<rect width="100%" height="100%" rx="6" class="ground"/>{"".join(self._elements)}</svg>\n'
        )


def _style() -> str:
    def colours(place: int) -> str:
        return "".join(
            f".{name}{{fill:{pair[place]}}}.{name}-line{{stroke:{pair[place]}}}" for name, pair in _COLOURS.items()
        )

    return f"{_STYLE.strip()}{colours(0)}@media(prefers-color-scheme:dark){{{_DARK.strip()}{colours(1)}}}"


def throughput(results: Mapping[str, Any], cases: Sequence[Case]) -> str:
    """Each case in a row: the median of each client as a dot on the range of its rounds; the scale doubles."""
    picture = _Picture(
        900, "Throughput / plain boto3", "median of the rounds on their range; right of the line is faster; log scale"
    )
    rows = [(case, _ratios(results, case)) for case in cases]
    rows = [(case, found) for case, found in rows if found]
    ends = [ratio for _, found in rows for ratios in found.values() for ratio in (min(ratios), max(ratios))]
    low = min([-1.0, *(math.floor(math.log2(ratio)) for ratio in ends)])
    high = max([1.0, *(math.ceil(math.log2(ratio)) for ratio in ends)])
    left, right, top, step = 330.0, 820.0, 84.0, 14.0

    def at(ratio: float) -> float:
        return left + (right - left) * (math.log2(ratio) - low) / (high - low)

    picture.key(left, 64, [name for name in COLUMNS if any(name in found for _, found in rows)])
    bottom = top + sum(step * len(found) + 8 for _, found in rows)
    for power in range(int(low), int(high) + 1):
        kind = "one" if power == 0 else "grid"
        picture.line(at(2.0**power), top - 6, at(2.0**power), bottom, kind)
        picture.text(at(2.0**power), bottom + 16, f"{2.0**power:g}", "quiet middle")
    y = top
    for case, found in rows:
        picture.text(left - 14, y + 4 + step * len(found) / 2, case.label, "end")
        for name, ratios in found.items():
            middle = statistics.median(ratios)
            picture.line(at(min(ratios)), y + step / 2, at(max(ratios)), y + step / 2, f"{name}-line")
            picture.dot(at(middle), y + step / 2, name)
            picture.text(right + 12, y + step / 2 + 4, f"{middle:.2f}", "", name)
            y += step
        y += 8
    return picture.svg(bottom + 30)


def _ratios(results: Mapping[str, Any], case: Case) -> dict[str, list[float]]:
    clients = results["cases"].get(case.name, {"clients": {}})["clients"]
    return {name: clients[name]["throughput"] for name in COLUMNS if "throughput" in clients.get(name, {})}


def kms_calls(results: Mapping[str, Any], cases: Sequence[Case]) -> str:
    """Bars of the calls of KMS for each operation."""
    picture = _Picture(
        760,
        "Calls to KMS for each operation",
        "an average over all rounds, after one to warm up; plain boto3 makes none",
    )
    left, right, top, step = 330.0, 680.0, 84.0, 15.0
    rows = []
    for case in cases:
        if case.name not in KMS_CASES:
            continue
        clients = results["cases"].get(case.name, {"clients": {}})["clients"]
        found = {name: clients[name]["kms"] for name in COLUMNS if "kms" in clients.get(name, {})}
        if found:
            rows.append((case, found))
    most = max([1.0, *(value for _, found in rows for value in found.values())])
    picture.key(left, 64, [name for name in COLUMNS if any(name in found for _, found in rows)])
    y = top
    for case, found in rows:
        picture.text(left - 14, y + 4 + step * len(found) / 2, case.label, "end")
        for name, value in found.items():
            width = (right - left) * value / most
            picture.bar(left, y + 2, width, step - 4, name)
            picture.text(left + width + 6, y + step - 3, f"{value:.3g}", "", name)
            y += step
        y += 8
    picture.line(left, top - 4, left, y)
    return picture.svg(y + 10)


def memory(results: Mapping[str, Any]) -> str:
    """The most memory over the object's size, both on log scales: one field for each operation."""
    found = results["memory"]
    picture = _Picture(
        975,
        "Peak memory of a process over the size of the object",
        "MiB resident at most, beside the object's MiB; log scales",
    )
    sizes = sorted({int(size) for peaks in found.values() for size in peaks})
    values = [value for peaks in found.values() for each in peaks.values() for value in each.values()]
    if not values:
        return picture.svg(60)
    low = math.floor(math.log2(min(values)))
    high = max(low + 1, math.ceil(math.log2(max(values))))
    width, height, gap = 330.0, 190.0, 145.0

    for place, operation in enumerate(MEMORY_OPERATIONS):
        left = 60 + (place % 2) * (width + gap)
        top = 84 + (place // 2) * (height + 70)
        name = {"put_file": "put_object", "get": "get_object, verified first"}.get(operation, operation)
        picture.text(left, top - 10, name, "name")
        _field(picture, (left, top, width, height), (sizes, low, high))

        def at(size: int, value: float, left: float = left, top: float = top) -> tuple[float, float]:
            share = _share(size, sizes)
            return left + width * share, top + height * (1 - (math.log2(value) - low) / (high - low))

        ends = []
        for client, peaks in found.items():
            known = sorted((size for size in peaks if operation in peaks[size]), key=int)
            if not known:
                continue
            points = [at(int(size), peaks[size][operation]) for size in known]
            picture.curve(points, client)
            for x, y in points:
                picture.dot(x, y, client)
            ends.append((points[-1], client, peaks[known[-1]][operation]))
        _label_ends(picture, ends)
    return picture.svg(84 + 2 * (height + 70) - 20)


def _share(size: int, sizes: Sequence[int]) -> float:
    if len(sizes) == 1:
        return 0.5
    return (math.log2(size) - math.log2(sizes[0])) / (math.log2(sizes[-1]) - math.log2(sizes[0]))


def _field(picture: _Picture, box: tuple[float, float, float, float], scale: tuple[Sequence[int], int, int]) -> None:
    left, top, width, height = box
    sizes, low, high = scale
    for power in range(low, high + 1, 2 if high - low > 5 else 1):
        y = top + height * (1 - (power - low) / (high - low))
        picture.line(left, y, left + width, y)
        picture.text(left - 8, y + 4, f"{2**power:,}", "quiet end")
    places = [left + width * _share(size, sizes) for size in sizes]
    for size, x, following in zip(sizes, places, [*places[1:], math.inf], strict=True):
        if following - x < 42:  # the names would run into each other
            continue
        label = f"{size // 1024} GiB" if size >= 1024 else f"{size} MiB"
        picture.text(x, top + height + 16, label, "quiet middle")


def _label_ends(picture: _Picture, ends: list[tuple[tuple[float, float], str, float]]) -> None:
    """Name each curve at its end, with its last value; labels that would meet are moved apart."""
    y, edge = -math.inf, max((x for (x, _), _, _ in ends), default=0.0)
    for (x, wanted), client, value in sorted(ends, key=lambda end: end[0][1]):
        if x < edge:  # other curves may go on below it
            picture.text(x + 6, wanted - 8, f"{client} {value:,.0f}", "name", client)
            continue
        y = max(wanted + 4, y + 14)
        picture.text(x + 9, y, f"{client} {value:,.0f}", "name", client)
