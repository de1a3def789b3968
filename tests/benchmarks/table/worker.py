"""One client in a process and a Python of its own: JSON lines on standard input, one answer for each.

What is asked for: ``start`` (a kind of client and where the servers are), ``prepare`` (a case), ``round``.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import sys
import time
import zlib
from pathlib import Path
from typing import Any

from clients import KINDS, Cannot, Plain, chance

_MIB = 1 << 20
_SPAN = 64 * 1024


class Worker:
    """A client, and the case that it is asked to do."""

    def __init__(self, kind: str, place: dict[str, Any]) -> None:
        """Make the client."""
        self.client: Plain = KINDS[kind](place)
        self.client.prefix = kind
        self.case: dict[str, Any] = {}
        self.body = b""
        self.source = Path(place["source"])
        self.target = Path(f"{place['source']}.{kind}")

    def prepare(self, case: dict[str, Any], *, stored: bool) -> None:
        """Store what the case reads, and do it once, looking at what comes out.

        Args:
            case: the case.
            stored: the object is there already, and nothing is to be tried out.
        """
        self.case = case
        operation = case["operation"]
        if not case["uses_file"]:
            self.body = self.source.read_bytes()
        if stored:
            return
        if operation in {"get", "range", "download_file"}:
            if case["uses_file"]:
                self.client.upload_file("source", self.source)
            else:
                self.client.put("source", self.body)
        elif operation == "migrate":
            for number in range(case["repeats"]):
                place = {"Bucket": "benchmark", "Key": f"{self.client.prefix}/{number}"}
                self.client.s3.put_object(**place, Body=self.body, Metadata={"a": "b"})
        if operation == "get":
            self._check_content()
        else:
            self.run(check=True)

    def run(self, *, check: bool = False) -> None:
        """Do what one round does."""
        case, client = self.case, self.client
        repeats, threads = case["repeats"], case["threads"]
        operation = case["operation"]
        if operation == "put":
            client.each(lambda number: client.put(f"put/{number % threads}", self.body), repeats, threads)
        elif operation == "get":
            client.each(lambda _: self._get(), repeats, threads)
        elif operation == "range":
            offsets = chance()
            for _ in range(repeats):
                start = offsets.randrange(len(self.body) - _SPAN)
                if client.range("source", start, _SPAN) != self.body[start : start + _SPAN]:
                    raise Cannot("a range gave other bytes")
        elif operation == "migrate":
            client.each(lambda number: client.migrate(str(number)), repeats, threads)
        elif operation == "download_file":
            client.download_file("source", self.target)
            self._check_target(content=check)
        else:
            getattr(client, operation)("source" if case.get("keep") else "put", self.source)

    def _get(self) -> None:
        taken = 0

        def take(piece: bytes) -> None:
            nonlocal taken
            taken += len(piece)

        self.client.get("source", take)
        if taken != self.case["size"]:
            raise AssertionError(f"{taken} bytes came, not {self.case['size']}")

    def _check_content(self) -> None:
        crc = 0

        def take(piece: bytes) -> None:
            nonlocal crc
            crc = zlib.crc32(piece, crc)

        self.client.get("source", take)
        if crc != _crc(self.source):
            raise AssertionError("another content came back")

    def _check_target(self, *, content: bool) -> None:
        if self.target.stat().st_size != self.case["size"]:
            raise AssertionError("a download has another length")
        if content and _crc(self.target) != _crc(self.source):
            raise AssertionError("a download has another content")

    def measure(self) -> dict[str, float]:
        """Do a round; what it took, and MiB at most."""
        gc.collect()
        with contextlib.suppress(OSError):
            # Begins to count the most memory anew.
            Path("/proc/self/clear_refs").write_text("5")
        cpu, began = time.process_time(), time.perf_counter()
        self.run()
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        peak = _peak()
        self.target.unlink(missing_ok=True)
        return {"seconds": seconds, "cpu": used, "peak": peak}


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(_MIB):
            crc = zlib.crc32(piece, crc)
    return crc


def _peak() -> float:
    """Most MiB since it was counted anew, or since the process began where that cannot be asked for."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Answer until standard input ends."""
    # What libraries print must not be taken for an answer.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        worker: Worker | None = None
        for line in sys.stdin:
            request = json.loads(line)
            answer: dict[str, Any] = {}
            try:
                if worker is None:
                    worker = Worker(request["kind"], request["place"])
                elif request["do"] == "prepare":
                    worker.prepare(request["case"], stored=request["stored"])
                else:
                    answer = worker.measure()
            except (Cannot, ImportError) as reason:
                answer = {"cannot": str(reason)}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
