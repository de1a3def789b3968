"""What the run found, as a page: the same run gives the same page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from interop.cells import OURS, THEIRS, Scheme
from interop.peers import OFFICIAL

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"

HEAD = """# Shown against the official clients

This page is written by `tox -e interop`, which installs the official Amazon S3 Encryption Clients from their registries
and lets each read what s3ec wrote and s3ec read what each wrote, over one S3 and KMS endpoint (moto, with S3's way of
coding metadata that is not ASCII put in front). Edits here are lost.

Each number counts objects: sizes 0, 1, 15, 16, 17 and 5 MiB + 3 bytes, encryption contexts (material descriptions with
raw keys) that are empty, plain, full of special characters, Latin-1 and beyond, and a multipart upload where the writer
has one. An object counts as read when the reader returned exactly the plaintext and the user's own metadata.

The clients for Ruby and PHP are not run here: the release that knows V3 comes in no package that a test could install
beside the system's. Objects that they wrote are among the vectors (`tests/vectors`), as are those of each client below,
so that the everyday suite reads all of them without Java or Go. Nothing of the clients for .NET and C++ was run: what
s3ec knows of them it knows from their published sources.
"""

KEYRINGS = {"kms": "KMS", "aes": "AES", "rsa": "RSA"}
STORAGES = {"metadata": "object metadata", "instruction-file": "instruction file"}


@dataclass
class Tally:
    """Counts for one scheme and reader: what was read, and what a known limit of the peer prevented."""

    read: int = 0
    limited: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def total(self) -> int:
        """Objects tried."""
        return self.read + sum(self.limited.values())


@dataclass
class Report:
    """Everything that goes into the page."""

    tallies: dict[tuple[Scheme, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    facts: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Heading of a section → row → finding."""
    done: set[str] = field(default_factory=set)
    """Tests that passed."""

    def write(self) -> None:
        """Writes the page."""
        PAGE.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The whole page."""
        self._notes: list[str] = []
        parts = [HEAD, self._clients(), self._theirs(), self._ours()]
        parts += [self._section(heading) for heading in sorted(self.facts)]
        notes = "\n".join(f"{number}. {note}" for number, note in enumerate(self._notes, 1))
        parts.append(f"## What the official clients do not do\n\n{notes}\n")
        return "\n".join(parts)

    def _mark(self, note: str) -> str:
        if note not in self._notes:
            self._notes.append(note)
        return f"({self._notes.index(note) + 1})"

    def _cell(self, scheme: Scheme, reader: str) -> str:
        if (scheme, reader) not in self.tallies:
            return "–"
        tally = self.tallies[scheme, reader]
        marks = " ".join(self._mark(note) for note in tally.limited)
        return f"{tally.read} of {tally.total} {marks}".strip()

    @staticmethod
    def _clients() -> str:
        rows = "".join(
            f"| `{c.name}` | {c.title} | {c.version} | {', '.join(KEYRINGS[k] for k in c.keyrings)} |\n"
            for c in OFFICIAL.values()
        )
        return f"## The clients\n\n| here | client | version | keyrings |\n| --- | --- | --- | --- |\n{rows}"

    def _theirs(self) -> str:
        rows = "".join(
            f"| `{scheme.writer}` | {scheme.generation} | {KEYRINGS[scheme.keyring]} | {STORAGES[scheme.storage]} "
            f"| {self._cell(scheme, 's3ec')} |\n"
            for scheme in THEIRS
        )
        head = "| writer | generation | keyring | stored in | read by s3ec |\n| --- | --- | --- | --- | --- |\n"
        return f"## Written by them, read by s3ec\n\n{head}{rows}"

    def _ours(self) -> str:
        rows = ""
        for client in OFFICIAL.values():
            cells = " | ".join(self._cell(scheme, client.name) for scheme in OURS)
            rows += f"| `{client.name}` | {cells} |\n"
        titles = [f"{s.generation} {KEYRINGS[s.keyring]}, {STORAGES[s.storage]}" for s in OURS]
        head = f"| reader | {' | '.join(titles)} |\n|{' --- |' * (len(OURS) + 1)}\n"
        return f"## Written by s3ec, read by them\n\n{head}{rows}"

    def _section(self, heading: str) -> str:
        rows = "".join(f"| {row} | {finding} |\n" for row, finding in self.facts[heading].items())
        return f"## {heading}\n\n| case | finding |\n| --- | --- |\n{rows}"
