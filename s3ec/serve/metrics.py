"""Counters for Prometheus, in its text format; none of them names an object, a bucket or a person.

Source: Prometheus, "Exposition formats".
"""

from __future__ import annotations

import threading
from collections import Counter

__all__ = ["Metrics"]

_HELP = {
    "s3ec_requests_total": "Requests answered, by operation and class of status.",
    "s3ec_refusals_total": "Requests that the endpoint itself refused, by S3's error code.",
    "s3ec_received_bytes_total": "Bytes of content received from clients.",
    "s3ec_sent_bytes_total": "Bytes of content sent to clients.",
    "s3ec_kms_calls_total": "Requests to KMS, by operation.",
}


class Metrics:
    """Counts; safe to use from any thread."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._lock = threading.Lock()
        self._in_flight = 0

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Add to one of the counters in the table above; labels come from fixed sets of words."""
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += by

    def enter(self, by: int) -> None:
        """Note that a request begins (1) or ends (-1)."""
        with self._lock:
            self._in_flight += by

    def render(self) -> bytes:
        """All of them as text."""
        with self._lock:
            counts, in_flight = dict(self._counts), self._in_flight
        lines = ["# HELP s3ec_requests_in_flight Requests being worked on.", "# TYPE s3ec_requests_in_flight gauge"]
        lines.append(f"s3ec_requests_in_flight {in_flight}")
        for name, text in _HELP.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
            for (found, labels), value in sorted(counts.items()):
                if found == name:
                    inner = ",".join(f'{key}="{label}"' for key, label in labels)
                    lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")
        return ("\n".join(lines) + "\n").encode()
