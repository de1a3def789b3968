"""What mutation testing knows already, what is left, and the score."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mutation.changes import Module
from mutation.explained import EXPLAINED

__all__ = ["Record", "write_docs"]

_BEGIN, _END = "<!-- mutations: written by tests/mutation/run.py -->", "<!-- end of mutations -->"


class Record:
    """A folder with a line for each change that was tried, and with what each test reaches."""

    def __init__(self, folder: Path, root: Path) -> None:
        """Read what is there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._verdicts_file, self._maps_file, self._root = folder / "verdicts.jsonl", folder / "reach.jsonl", root
        self._verdicts: dict[tuple[str, str, str], dict[str, str]] = {}
        self._maps: dict[str, tuple[str, Any]] = {}
        self.read()

    def read(self) -> None:
        """Read what was written since, too."""
        for line in _lines(self._verdicts_file):
            self._verdicts[line["module"], line["digest"], line["change"]] = line
        for line in _lines(self._maps_file):
            self._maps[line["file"]] = (line["key"], line["tests"])

    def map(self, file: str, key: str) -> Any | None:
        """What the tests of a file reach, if it is known under this key."""
        known = self._maps.get(file)
        return known[1] if known and known[0] == key else None

    def files(self) -> list[str]:
        """All files of tests that are known."""
        return [file for file in self._maps if (self._root / file).exists()]

    def keep_map(self, file: str, key: str, tests: Any) -> None:
        """Keep what the tests of a file reach."""
        self._maps[file] = (key, tests)
        _append(self._maps_file, {"file": file, "key": key, "tests": tests})

    def keep(self, module: Module, change: str, told: str, test: str) -> None:
        """Keep what came of a change: "noticed", "too slow", "survived", "unreached", or "" for not tried yet."""
        line = {
            "module": self._name(module),
            "digest": _digest(module),
            "change": change,
            "told": told,
            "test": test,
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        }
        self._verdicts[line["module"], line["digest"], line["change"]] = line
        _append(self._verdicts_file, line)

    def forget_survivors(self, modules: Iterable[Module]) -> None:
        """Try them again that survived without a reason."""
        for module in modules:
            for _, change in self._survivors(module):
                self.keep(module, change, "", "")

    def waiting(self, module: Module) -> list[int]:
        """Numbers of the changes that were not tried yet."""
        told = self._told(module)
        return [number for number, change in module.changes.items() if not told[change]]

    def _told(self, module: Module) -> dict[str, str]:
        name, digest = self._name(module), _digest(module)
        known = {change: self._verdicts.get((name, digest, change)) for change in module.changes.values()}
        return {change: line["told"] if line else "" for change, line in known.items()}

    def _survivors(self, module: Module) -> list[tuple[str, str]]:
        """Those without a reason."""
        explained = EXPLAINED.get(self._name(module), {})
        return [
            (told, change)
            for change, told in self._told(module).items()
            if told in ("survived", "unreached") and change not in explained
        ]

    def _name(self, module: Module) -> str:
        return module.path.relative_to(self._root).as_posix()

    def report(self, modules: Iterable[Module]) -> int:
        """Print the survivors and the score; the exit code of the run."""
        code = 0
        for module in modules:
            for told, change in self._survivors(module):
                sys.stdout.write(f"{told.upper()} {self._name(module)} {change}\n")
                code = 1
        waiting = 0
        for name, score in self.scores(modules):
            waiting += score["waiting"]
            sys.stdout.write(f"{name}: {dict(score)}\n")
        return 3 if waiting else code

    def scores(self, modules: Iterable[Module]) -> list[tuple[str, Counter[str]]]:
        """Of each module: all changes, noticed by a failing test or by one that took too long, explained, the rest."""
        found = []
        for module in modules:
            score: Counter[str] = Counter(all=len(module.changes))
            explained = EXPLAINED.get(self._name(module), {})
            for change, told in self._told(module).items():
                if told in ("survived", "unreached") and change in explained:
                    score["explained"] += 1
                else:
                    score[told or "waiting"] += 1
            found.append((self._name(module), score))
        return found

    def dates(self, modules: Iterable[Module]) -> list[str]:
        """The days on which what counts was found."""
        keys = {(self._name(module), _digest(module)) for module in modules}
        return sorted({line["date"] for (name, digest, _), line in self._verdicts.items() if (name, digest) in keys})


def write_docs(root: Path, record: Record, modules: list[Module]) -> None:
    """Write the score into the page of the docs."""
    rows = [
        "| module | changes | noticed | of these too slow | explained | not noticed | not tried |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    total: Counter[str] = Counter()
    for name, score in record.scores(modules):
        if score["all"]:
            total += score
            rows.append(_row(f"`{name.removeprefix('s3ec/')}`", score))
    rows.append(_row("all", total))
    dates = " to ".join(dict.fromkeys([record.dates(modules)[0], record.dates(modules)[-1]]))
    text = f"{_BEGIN}\n\n`python tests/mutation/run.py --write-docs`, {dates}:\n\n" + "\n".join(rows) + f"\n\n{_END}"
    page = root / "docs" / "security-testing.md"
    before, _, rest = page.read_text("utf-8").partition(_BEGIN)
    page.write_text(before + text + rest.partition(_END)[2], "utf-8")


def _row(name: str, score: Counter[str]) -> str:
    noticed, missed = score["noticed"] + score["too slow"], score["survived"] + score["unreached"]
    counts = (score["all"], noticed, score["too slow"], score["explained"], missed, score["waiting"])
    return f"| {name} | {' | '.join(map(str, counts))} |"


def _digest(module: Module) -> str:
    return hashlib.sha256(module.path.read_bytes()).hexdigest()[:16]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def _append(file: Path, line: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
