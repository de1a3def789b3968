"""Measures case after case, each client in a process of its own, and keeps results in a file as they come."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cases import Case
from places import Place

__all__ = ["Results", "measure_case", "measure_memory"]

_HERE = Path(__file__).parent


class Results:
    """What was measured so far: a file of JSON that is written after each case, and read again by the next run.

    Attributes:
        content: ``machine``, ``load`` (of other work, when a run began), ``cases`` and ``memory``.
    """

    def __init__(self, path: Path, machine: dict[str, Any], *, again: bool) -> None:
        """Read what there is, unless another machine measured it or all is to be measured again."""
        self._path = path
        self.content: dict[str, Any] = {"machine": machine, "load": 0.0, "cases": {}, "memory": {}}
        if path.exists() and not again:
            found = json.loads(path.read_text("utf-8"))
            if found["machine"] == machine:
                self.content = found

    def begin(self) -> None:
        """Note what else the machine has to do."""
        self.content["load"] = max(self.content["load"], round(os.getloadavg()[0], 1))

    def has_case(self, case: Case) -> bool:
        """Whether the case was measured, just as it is now."""
        found = self.content["cases"].get(case.name)
        return found is not None and found["parameters"] == case.parameters()

    def has_memory(self, client: str, size: int, pair: Sequence[str]) -> bool:
        """Whether a client's memory was looked at in these operations, for objects of so many MiB."""
        known: dict[str, float] = self.content["memory"].get(client, {}).get(str(size), {})
        return set(pair) <= known.keys()

    def add_case(self, case: Case, clients: dict[str, Any]) -> None:
        """Keep the results of a case."""
        self.content["cases"][case.name] = {"parameters": case.parameters(), "clients": clients}
        self._write()

    def add_memory(self, client: str, size: int, peaks: dict[str, float]) -> None:
        """Keep the most memory of each operation."""
        self.content["memory"].setdefault(client, {}).setdefault(str(size), {}).update(peaks)
        self._write()

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.content, indent=1), "utf-8")
        new.replace(self._path)


class _Worker:
    """A process with one client."""

    def __init__(self, python: str, kind: str, place: dict[str, Any]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._process = subprocess.Popen(
            [python, str(_HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "AWS_EC2_METADATA_DISABLED": "true"},
        )
        self.cannot: str | None = None
        self.ask(do="start", kind=kind, place=place)

    def ask(self, **request: Any) -> dict[str, Any]:
        if self.cannot is not None:
            return {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended while it was asked for {request['do']}")
        answer: dict[str, Any] = json.loads(line)
        self.cannot = answer.get("cannot")
        return answer

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def _worker(pythons: Mapping[str, str], kind: str, place: dict[str, Any]) -> Iterator[_Worker]:
    python = pythons.get(kind.partition("-")[0])
    worker = _Worker(python or sys.executable, kind, place)
    try:
        yield worker
    finally:
        worker.end()


def measure_case(case: Case, place: Place, pythons: Mapping[str, str]) -> dict[str, Any]:
    """Measure every client of a case in each round, in turns.

    Args:
        case: what to measure.
        place: the servers.
        pythons: the interpreter of a family of clients, where it is not this one.

    Returns:
        For each column ratios to plain boto3 of the same round (``throughput``, more is faster; ``cpu``, less is
        better), ``memory`` (MiB more than plain boto3 at most) and ``kms`` (calls for each operation); or ``cannot``,
        the reason.
    """
    place.state.seconds = case.kms_seconds
    arguments = place.arguments(place.source(case.size), is_far=case.is_far)
    kinds = {"boto3": "boto3", **case.clients}
    rounds: dict[str, list[dict[str, float]]] = {column: [] for column in kinds}
    with contextlib.ExitStack() as stack:
        workers = {column: stack.enter_context(_worker(pythons, kind, arguments)) for column, kind in kinds.items()}
        for worker in workers.values():
            worker.ask(do="prepare", case=case.parameters(), stored=False)
            place.forget()
        for number in range(case.rounds):
            for column in list(workers) if number % 2 else list(reversed(workers)):
                before = place.state.calls
                answer = workers[column].ask(do="round")
                if "seconds" in answer:
                    rounds[column].append({**answer, "kms": place.state.calls - before})
                place.forget()
    place.empty()
    plain = rounds.pop("boto3")
    return {
        column: _summary(case, plain, own) if own else {"cannot": workers[column].cannot}
        for column, own in rounds.items()
    }


def _summary(case: Case, plain: list[dict[str, float]], own: list[dict[str, float]]) -> dict[str, Any]:
    pairs = list(zip(plain, own, strict=True))
    return {
        "throughput": [round(a["seconds"] / b["seconds"], 3) for a, b in pairs],
        "cpu": round(statistics.median(b["cpu"] / a["cpu"] for a, b in pairs), 3),
        "memory": round(max(b["peak"] for b in own) - max(a["peak"] for a in plain), 1),
        "kms": round(sum(b["kms"] for b in own) / (len(own) * case.repeats), 3),
    }


def measure_memory(
    client: str, mib: int, pair: Sequence[str], place: Place, pythons: Mapping[str, str]
) -> dict[str, float]:
    """The most memory of a process that does one thing with one object.

    Args:
        client: a kind of clients.
        mib: size of the object.
        pair: the operations, each in a process of its own.
        place: the servers.
        pythons: as for `measure_case`.

    Returns:
        MiB by operation.
    """
    size = mib << 20
    arguments = place.arguments(place.source(size, is_sparse=True), is_far=False)
    peaks = {}
    for operation in pair:
        case = Case(operation, operation, operation, size, {}, rounds=1, uses_file=True).parameters()
        with _worker(pythons, client, arguments) as worker:
            worker.ask(do="prepare", case={**case, "keep": True}, stored=True)
            peaks[operation] = round(worker.ask(do="round")["peak"], 1)
            place.forget()
    place.empty()
    return peaks
