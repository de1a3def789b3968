"""Charts as inline SVG, each with its numbers in words for readers who cannot see colours or pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Slice", "bars", "donut", "human_bytes"]

_RADIUS = 60
_WIDTH = 22
_CLEARANCE = 10
_LARGEST = 17.0
_DIGIT = 0.66
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_ROW = 26
_LABEL = 128
_BAR = 170


@dataclass(frozen=True, slots=True)
class Slice:
    """One value of a chart.

    Attributes:
        label: what it is.
        value: how much.
        kind: class of its colour.
    """

    label: str
    value: int
    kind: str


def human_bytes(number: float) -> str:
    """Bytes for people: ``0 B``, ``1.5 MiB``."""
    for unit in _UNITS:
        if abs(number) < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def _number(value: int) -> str:
    return f"{value:,}"


def donut(slices: Sequence[Slice], *, unit: str, show: Callable[[int], str] = _number) -> str:
    """A ring of shares with its legend; empty for nothing."""
    total = sum(each.value for each in slices)
    if not total:
        return ""
    around = 2 * math.pi * _RADIUS
    rings, offset = [], 0.0
    for each in slices:
        # Nothing that is there may vanish: one plaintext object among millions is the point of an audit.
        length = max(around * each.value / total, 1.5)
        rings.append(
            f'<circle class="{each.kind}" r="{_RADIUS}" cx="80" cy="80" fill="none" stroke-width="{_WIDTH}" '
            f'stroke-dasharray="{length:.2f} {around:.2f}" stroke-dashoffset="{-offset:.2f}" '
            'transform="rotate(-90 80 80)"/>'
        )
        offset += around * each.value / total
    words = "; ".join(f"{each.label}: {show(each.value)}" for each in slices)
    middle = escape(show(total))
    legend = "".join(
        f'<li><i class="{each.kind}"></i><span>{escape(each.label)}</span>'
        f"<b>{escape(show(each.value))}</b><em>{_percent(each.value, total)}</em></li>"
        for each in slices
    )
    return (
        f'<svg viewBox="0 0 160 160" role="img" aria-label="{escape(words)}">{"".join(rings)}'
        f'<text x="80" y="78" class="total" style="font-size:{_fitting(middle)}px">{middle}</text>'
        f'<text x="80" y="96" class="unit">'
        f'{"" if unit == "bytes" else escape(unit)}</text></svg><ul class="legend">{legend}</ul>'
    )


def _fitting(text: str) -> float:
    """A size of letters with which the text stays clear of the ring: a bold digit is as wide as 0.62 of its height."""
    room = 2 * _RADIUS - _WIDTH - 2 * _CLEARANCE
    return min(_LARGEST, round(room / (_DIGIT * max(1, len(text))), 1))


def _percent(value: int, total: int) -> str:
    """Put a share into words so that it never rounds to all or nothing."""
    share = 100 * value / total
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %"


def bars(slices: Sequence[Slice]) -> str:
    """Horizontal bars, one a row; empty for nothing."""
    most = max((each.value for each in slices), default=0)
    if not most:
        return ""
    rows = []
    for number, each in enumerate(slices):
        top = number * _ROW
        width = max(_BAR * each.value / most, 2.0) if each.value else 0.0
        rows.append(
            f'<text x="{_LABEL - 8}" y="{top + 17}" class="label">{escape(_short(each.label))}</text>'
            f'<rect class="{each.kind}" x="{_LABEL}" y="{top + 4}" width="{width:.1f}" height="18" rx="3"/>'
            f'<text x="{_LABEL + width + 6:.1f}" y="{top + 17}" class="value">{_number(each.value)}</text>'
        )
    words = "; ".join(f"{each.label}: {_number(each.value)}" for each in slices)
    return (
        f'<svg class="bars" viewBox="0 0 {_LABEL + _BAR + 70} {len(slices) * _ROW}" role="img" '
        f'aria-label="{escape(words)}">{"".join(rows)}</svg>'
    )


def _short(label: str, length: int = 19) -> str:
    """The label as it fits; the whole of it is in the chart's words."""
    return label if len(label) <= length else f"{label[: length - 1]}…"
