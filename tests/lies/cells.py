"""The cells of the table: which lie is told to which call, and the verdict on what came of it."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import tempfile
import threading
import traceback
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import RetriesExceededError

from s3ec.client.transfers.download_targets import DownloadFailed
from s3ec.errors import S3ECError

from .calls import CALLS, Call
from .generator import Lie, lies_about
from .honest import Cloud
from .server import Server, running
from .world import (
    KEY,
    OTHER,
    PLAIN,
    PROFILES,
    Fault,
    Profile,
    World,
    copied,
    is_shown,
    prepared,
    read_by_others,
    surroundings,
    waiting,
)

__all__ = ["GOOD", "Cell", "Laboratory", "Verdict", "laboratory"]

GOOD = ("right", "older", "other", "word", "our error", "S3's error")
"""The verdicts that keep the claim; what else there is stands in capital letters."""

_PATIENCE = 120.0  # far above what any call takes on a busy machine: only what never ends waits so long
_STALLED = 0.5  # the read timeout of clients whose server stalls
_OTHERS = (ClientError, BotoCoreError, Boto3Error, DownloadFailed, RetriesExceededError)
"""What boto3 raises."""
_STOOD = {KEY: PLAIN, "other": OTHER, "parts": PLAIN}


@dataclass(frozen=True)
class Cell:
    """One lie told to one call."""

    call: Call
    profile: Profile
    lie: Lie

    def __str__(self) -> str:
        """As a failure shows it."""
        return f"{self.call.name} ({self.profile.name}): {self.lie}"


@dataclass(frozen=True)
class Verdict:
    """What became of a cell: one of `GOOD`, or a fault in capital letters with its details."""

    text: str

    @property
    def is_good(self) -> bool:
        """True if the claim holds."""
        return self.text in GOOD


class Laboratory:
    """A server, and for each profile the objects that lie in it at the beginning of a cell.

    Attributes:
        patience: seconds after which a call counts as hanging.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        """Take a running server and an empty folder."""
        self.patience = _PATIENCE
        self._server = server
        self._folder = folder
        self._clouds: dict[str, Cloud] = {}

    def cells(self, call: Call, each: int) -> Iterator[Cell]:
        """Up to ``each`` cells for every kind of lie that can be told to a call.

        They are chosen at random among all that the generator makes of the call's honest exchanges, the same ones in
        every run.
        """
        by_row: dict[str, list[Cell]] = defaultdict(list)
        for profile in PROFILES:
            if profile.name in call.profiles:
                for lie in lies_about(self._honest(call, profile), Random(f"{call.name}, {profile.name}")):
                    by_row[lie.row].append(Cell(call, profile, lie))
        for row, cells in by_row.items():
            # Who waits for the whole time-out does so seldom.
            count = min(each if not cells[0].lie.stalls else max(1, each // 2), len(cells))
            yield from Random(f"{call.name}, {row}").sample(cells, count)

    def verdict(self, cell: Cell) -> Verdict:
        """Tell the lie, and judge."""
        with self._world(cell) as world:
            before = dict(self._server.cloud.objects)
            self._server.tell = cell.lie.teller(self._server.cloud, self._server.seen)
            verdict = self._outcome(cell.call, world)
            self._server.tell = None
            self._server.hang_up()
            try:
                with waiting(60.0):
                    self._check_files(world)
                    verdict = self._check_store(cell.call, world, before) or verdict
            except Fault as fault:
                return Verdict(str(fault))
            return Verdict(verdict)

    @contextlib.contextmanager
    def _world(self, cell: Cell) -> Iterator[World]:
        with self._honest_world(cell.call, cell.profile) as world:
            world.row = cell.lie.row
            with waiting(_STALLED) if cell.lie.stalls else contextlib.nullcontext():
                self._prepare(cell.call, world)
                self._server.seen.clear()
                yield world

    @staticmethod
    def _prepare(call: Call, world: World) -> None:
        """What goes before is honest; on a busy machine it may take longer than its client waits."""
        for is_last in (*[False] * 19, True):
            try:
                return None if call.prepare is None else call.prepare(world)
            except BotoCoreError:
                world.notes.clear()
                if is_last:
                    raise
        return None

    @contextlib.contextmanager
    def _honest_world(self, call: Call, profile: Profile) -> Iterator[World]:
        if profile.name not in self._clouds:
            self._clouds[profile.name] = prepared(self._server, profile)
        self._server.tell, self._server.flooded = None, False
        self._server.cloud = copied(self._clouds[profile.name])
        folder = self._folder / "files"
        folder.mkdir()
        world = World(self._server, profile, folder)
        try:
            yield world
        finally:
            world.close()
            self._server.hang_up()
            shutil.rmtree(folder, ignore_errors=True)

    def _honest(self, call: Call, profile: Profile) -> list[object]:
        with self._honest_world(call, profile) as world:
            if call.prepare is not None:
                call.prepare(world)
            self._server.seen.clear()
            verdict = self._outcome(call, world)
            if verdict not in ("right", "word"):
                raise AssertionError(f"{call.name} ({profile.name}), to which nobody lies: {verdict}")
            return list(self._server.seen)

    def _outcome(self, call: Call, world: World) -> str:
        """What a call ends with; a call that does not end is left behind."""
        ended: list[str] = []

        def go() -> None:
            try:
                ended.append(call.act(world))
            except S3ECError:
                ended.append("our error")
            except _errors_below(call):
                ended.append("S3's error")
            except Fault as fault:
                ended.append(str(fault))
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(where.filename).name}:{where.lineno}"
                ended.append(f"FOREIGN ERROR: {type(error).__name__}: {str(error)[:150]} ({place})")

        thread = threading.Thread(target=go, daemon=True)
        thread.start()
        thread.join(self.patience)
        if self._server.flooded:
            return "HANG: it reads an endless answer"
        return ended[0] if ended else "HANG"

    def _check_files(self, world: World) -> None:
        """No file but the whole and right one, or the one that stood there before."""
        for path in world.folder.iterdir():
            content = path.read_bytes()
            if path.name != "file":
                raise Fault(f"LEFT FILE: {path.name}, {len(content)} bytes")
            if content != b"the file that stood here":
                world.judge(content)

    def _check_store(self, call: Call, world: World, before: dict[tuple[str, str], object]) -> str | None:
        """Everything that is stored is encrypted and readable, and nothing has vanished."""
        cloud = self._server.cloud
        if any(is_shown(body) for body in cloud.arrived):
            raise Fault("PLAINTEXT SENT")
        told = None
        for place in sorted({*before, *cloud.objects}):
            bucket, key = place
            main = (bucket, key.removesuffix(".instruction"))
            versions = cloud.objects.get(place, ())
            if bucket == "past" or before.get(place) == versions:
                continue
            if main not in cloud.objects:
                if main[1] not in call.deletes and main in before:
                    raise Fault(f"OBJECT LOST: {place}")
                continue
            try:
                content = read_by_others(world, main)
            except Fault:
                if main[1] in call.is_made_by_s3:
                    told = "word"
                    continue
                raise
            stood = [_STOOD[main[1]]] if main[1] in _STOOD and main in before else []
            if content not in [*call.writes, *_built(call, world), *stood]:
                if not call.is_lied_to_about_plaintext:
                    raise Fault(f"WRONG OBJECT: {place}: {content!r:.60}")
                told = "word"
        return told


def _built(call: Call, world: World) -> tuple[bytes, ...]:
    """What a call makes of the older version or the other object that it was given, which are genuine."""
    if world.row.startswith("replay"):
        return call.writes_of_older
    return call.writes_of_other if world.row.startswith("swap") and not world.profile.is_bound else ()


def _errors_below(call: Call) -> tuple[type[Exception], ...]:
    """What the library raises that a call stands on: of aiobotocore's connections too, and what s3fs makes of all."""
    if not call.needs:
        return _OTHERS
    aiohttp = importlib.import_module("aiohttp")
    return (*_OTHERS, aiohttp.ClientError, *((OSError,) if call.needs == "s3fs" else ()))


@contextlib.contextmanager
def laboratory() -> Iterator[Laboratory]:
    """A laboratory until the block ends."""
    with (
        running() as server,
        tempfile.TemporaryDirectory(prefix="s3ec-lies-") as folder,
        surroundings(server.url, Path(folder)),
    ):
        yield Laboratory(server, Path(folder))


def call_named(name: str) -> Call:
    """The call of a column."""
    return next(call for call in CALLS if call.name == name)
