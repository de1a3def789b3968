"""Mutation testing: one small change to the code at a time, and whether a test notices.

``python tests/mutation/run.py [--seconds N] [--keep FOLDER] [--again] [--write-docs] [MODULE ...]`` goes through the
changes of the modules named, or of all `MODULES`. What is known already is kept in FOLDER, so a run that ends after N
seconds goes on where it stopped. It exits with 1 if a change survives that `explained.py` does not explain, and with 3
if it stopped before the end.

Every change is compiled into its module, switched off (see `changes.py`). The tests run once to see which of them
reaches which change. Then, for each change, a forked process switches it on, runs the tests that reach it, the nearest
first, and stops at the first that fails. What is run while a module is imported is tried in a process that imports
the package itself. The files are never touched.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from mutation.changes import Finder, Module  # noqa: E402 - needs the path
from mutation.record import Record, write_docs  # noqa: E402

MODULES = [
    "s3ec/decryption.py",
    "s3ec/encryption.py",
    "s3ec/contexts.py",
    "s3ec/crypto",
    "s3ec/formats",
    "s3ec/keyrings",
    "s3ec/s3/multipart/ledger.py",
    "s3ec/s3/multipart/state.py",
    "s3ec/s3/multipart/turnstile.py",
]
TESTS = [
    "tests/crypto",
    "tests/formats",
    "tests/keyrings",
    "tests/client/test_kms_together.py",
    "tests/test_encryption.py",
    "tests/test_decryption.py",
    "tests/test_gates.py",
    "tests/test_values.py",
    "tests/test_vectors_gate.py",
    "tests/test_advisories.py",
    "tests/test_advisories_by_number.py",
    "tests/test_secrets.py",
    "tests/test_tampering.py",
    "tests/s3/test_ledger.py",
    "tests/s3/test_multipart.py",
    "tests/s3/test_turnstile.py",
    "tests/s3/test_turnstile_on_a_loop.py",
    "tests/s3/test_upload_state.py",
    "tests/client/test_turnstile.py",
    "tests/client/test_multipart.py",
    "tests/client/test_multipart_sequential.py",
    "tests/client/test_multipart_answers.py",
    "tests/client/test_multipart_callers.py",
    "tests/client/test_multipart_checksums.py",
    "tests/client/test_resumable.py",
    "tests/client/test_part_copies.py",
    "tests/client/test_forks.py",
    "tests/client/test_bound_objects.py",
    "tests/client/test_instruction_file_order.py",
    "tests/client/test_inspection.py",
]
"""The tests that are asked."""
EVERYWHERE = "tests/test_values.py"
"""Looks at every class, so it is asked about what runs at import wherever that is."""
BUDGET = 10.0
"""Seconds of tests, beside the nearest, that a change has to survive; as long as they took without one."""
HANG, TIMES_AS_LONG = 12, 10
"""A test that takes so many seconds, and so many times what it takes without a change, has noticed one."""
MEMORY = 4 * 1024**3
OPTIONS = [
    "-q",
    "--assert=plain",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-m",
    "not slow",
    "--hypothesis-seed=0",
]


class Asked:
    """Answers the questions in the changed modules.

    Attributes:
        on: the number of the change that is switched on, or None.
        reached: the numbers that were asked for.
    """

    def __init__(self) -> None:
        """Switched off."""
        self.on: int | None = None
        self.reached: set[int] = set()

    def recording(self, number: int) -> bool:
        """Nothing is changed; note what is reached."""
        self.reached.add(number)
        return number == self.on

    def switching(self, number: int) -> bool:
        """One change."""
        return number == self.on


class Reach:
    """Which test reaches what, and how long it takes.

    Attributes:
        seconds: of each test.
        of: tests by change.
        at_import: changes that are run when their module is imported.
    """

    def __init__(self) -> None:
        """Empty."""
        self.seconds: dict[str, float] = {}
        self.of: dict[int, set[str]] = {}
        self.at_import: set[int] = set()


def tests_near(module: str, test: str) -> int:
    """How far a test is from a module: its own test file, its own folder, anything."""
    parts = Path(module).relative_to("s3ec").with_suffix("").parts
    own = Path("tests", *parts[:-1], f"test_{parts[-1]}.py").as_posix()
    file = test.partition("::")[0]
    is_gate = len(parts) == 1 and file == "tests/test_gates.py"
    if file == own or is_gate or parts[-1] in Path(file).stem:
        return 0
    return 1 if len(parts) > 1 and file.startswith(f"tests/{parts[0]}/") else 2


class Run:
    """One run over some modules."""

    def __init__(self, modules: list[Module], record: Record, deadline: float) -> None:
        """Take all modules, what is known, and when to stop."""
        self.modules, self.record, self.deadline = modules, record, deadline
        self.asked = Asked()
        self.reach = Reach()
        self.killers: Counter[str] = Counter()
        self._sources = hashlib.sha256(b"".join(module.path.read_bytes() for module in modules)).hexdigest().encode()

    def late(self) -> bool:
        """True if it is time to stop."""
        return time.monotonic() > self.deadline

    # Which test reaches what

    def map(self, session: Any) -> bool:
        """Run every test once, those of one file in one process, and keep what they reach; False if it is late."""
        files: dict[str, list[Any]] = {}
        for item in session.items:
            files.setdefault(item.nodeid.partition("::")[0], []).append(item)
        for file, items in files.items():
            if self.record.map(file, self._key(file)) is None:
                if self.late():
                    return False
                known = _in_child(functools.partial(self._map_one, session, items))
                if known is None:
                    sys.exit(f"the tests of {file} end the process")
                self.record.keep_map(file, self._key(file), known)
            self.take_map(file)
        return True

    def _key(self, file: str) -> str:
        """What the map of a file's tests depends on."""
        return hashlib.sha256(self._sources + (ROOT / file).read_bytes()).hexdigest()

    def take_map(self, file: str) -> None:
        """Use what is known of the tests of a file."""
        for test, reached in (self.record.map(file, self._key(file)) or {}).items():
            if reached is None:
                print(f"{test} fails without any change, and is not asked", file=sys.stderr)
                continue
            self.reach.seconds[test], numbers = reached
            for number in numbers:
                self.reach.of.setdefault(number, set()).add(test)

    def _map_one(self, session: Any, items: list[Any], tell: Callable[[Any], None]) -> None:
        found: dict[str, Any] = {}
        for item, following in zip(items, [*items[1:], None], strict=True):
            self.asked.reached.clear()
            began = time.monotonic()
            if _fails(item, following):
                found[item.nodeid] = None
                continue
            found[item.nodeid] = (round(time.monotonic() - began, 4), sorted(self.asked.reached))
        tell(found)

    # What runs at run time

    def runtime(self, session: Any, module: Module, numbers: Iterable[int]) -> None:
        """Try changes in processes forked from this one, which has collected the tests."""
        items = {item.nodeid: item for item in session.items}
        for number in numbers:
            if self.late():
                return
            chosen = [items[test] for test in self._chosen(module, self.reach.of.get(number, set()))]
            self._note(module, number, self._ask(number, chosen) if chosen else ("unreached", ""))

    def _chosen(self, module: Module, tests: Iterable[str]) -> list[str]:
        """The nearest and quickest that fit the budget; first of all, those that noticed much before."""
        path = module.path.relative_to(ROOT).as_posix()
        near = {test: tests_near(path, test) for test in tests}
        within: list[str] = []
        spent = 0.0
        for test in sorted(tests, key=lambda test: self.reach.seconds[test] * (1, 4, 8)[near[test]]):
            seconds = 0.0 if near[test] == 0 else self.reach.seconds[test]
            if not within or spent + seconds <= BUDGET:
                spent += seconds
                within.append(test)
        return sorted(within, key=lambda test: -self.killers[test] / (1 + 10 * self.reach.seconds[test]))

    def _ask(self, number: int, items: list[Any]) -> tuple[str, str]:
        def child(tell: Callable[[Any], None]) -> None:
            self.asked.on = number
            for item, following in zip(items, [*items[1:], None], strict=True):
                tell(item.nodeid)
                signal.alarm(int(HANG + TIMES_AS_LONG * self.reach.seconds[item.nodeid]))
                if _fails(item, following):
                    os._exit(1)
            signal.alarm(0)

        return _verdict(*_child(child))

    def _note(self, module: Module, number: int, verdict: tuple[str, str]) -> None:
        told, test = verdict
        if told == "noticed":
            self.killers[test] += 1
        self.record.keep(module, module.changes[number], told, test)

    # What runs at import

    def at_import(self, module: Module, numbers: Iterable[int]) -> None:
        """Try changes in processes that import the package with them: this one must not have."""
        path = module.path.relative_to(ROOT).as_posix()
        # A constant is looked at where it was imported, also by a test that runs nothing of the module.
        reaching = {test for test in self.reach.seconds if tests_near(path, test) == 0}
        reaching.update(*(self.reach.of[number] for number in module.changes if number in self.reach.of))
        everywhere = {test for test in self.reach.seconds if test.startswith(EVERYWHERE)}
        chosen = sorted(everywhere) + [test for test in self._chosen(module, reaching) if test not in everywhere]
        quick = [test for test in chosen if test in everywhere or tests_near(path, test) == 0]
        for number in numbers:
            if self.late():
                return
            verdict = ("survived", "")
            for tests in (quick, chosen):
                if tests and verdict[0] == "survived":
                    verdict = self._ask_importing(number, tests)
            self._note(module, number, verdict if chosen else ("unreached", ""))

    def _ask_importing(self, number: int, tests: list[str]) -> tuple[str, str]:
        def child(tell: Callable[[Any], None]) -> None:
            import pytest

            class Few:
                """Only these tests, in their order."""

                @pytest.hookimpl(trylast=True)
                def pytest_collection_modifyitems(self, items: list[Any]) -> None:
                    place = {test: number for number, test in enumerate(tests)}
                    items[:] = sorted(
                        (item for item in items if item.nodeid in place), key=lambda one: place[one.nodeid]
                    )

                def pytest_runtest_logstart(self, nodeid: str) -> None:
                    tell(nodeid)
                    _set_alarm(self_reach.seconds.get(nodeid, 1.0))

            self_reach = self.reach
            self.asked.on = number
            sys.meta_path.insert(0, Finder(self.modules, self.asked.switching))
            _set_alarm(60)
            files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
            code = pytest.main([*OPTIONS, "-x", *files], plugins=[Few()])
            if code:
                os._exit(1)

        return _verdict(*_child(child))


def _set_alarm(seconds: float) -> None:
    signal.alarm(int(HANG + TIMES_AS_LONG * seconds))


def _fails(item: Any, following: Any) -> bool:
    from _pytest.runner import runtestprotocol

    return any(report.failed for report in runtestprotocol(item, nextitem=following, log=False))


def _child(work: Callable[[Callable[[Any], None]], None]) -> tuple[int, list[Any]]:
    """Do something in a forked process; its exit code (negative: the signal), and what it told."""
    reading, writing = os.pipe()
    folder = tempfile.mkdtemp(prefix="mutation-")
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setsid()
            os.close(reading)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1):
                os.dup2(silence, descriptor)
            if not os.environ.get("MUTATION_SHOWS_ERRORS"):
                os.dup2(silence, 2)
            os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = tempfile.tempdir = folder

            def tell(value: Any) -> None:
                os.write(writing, json.dumps(value).encode() + b"\n")

            work(tell)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        # Whoever keeps the other end open outlives its parent; the end of the parent counts.
        told = _read_until_end(stream.fileno(), pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    code, text = told
    return code, [json.loads(line) for line in text.splitlines()]


def _read_until_end(descriptor: int, pid: int) -> tuple[int, bytes]:
    os.set_blocking(descriptor, False)
    pieces: list[bytes] = []
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(descriptor, 1 << 20):
                pieces.append(piece)
        if ended:
            return os.waitstatus_to_exitcode(status), b"".join(pieces)
        time.sleep(0.01)


def _in_child(work: Callable[[Callable[[Any], None]], None]) -> Any:
    code, told = _child(work)
    return told[-1] if code == 0 and told else None


def _verdict(code: int, told: list[str]) -> tuple[str, str]:
    last = told[-1] if told else ""
    if code == 0:
        return "survived", ""
    return ("too slow" if code == -signal.SIGALRM else "noticed"), last


class _Plugin:
    """Takes the place of pytest's loop over the tests, once they are collected."""

    def __init__(self, run: Run, wanted: list[Module]) -> None:
        self._run, self._wanted = run, wanted

    def pytest_runtestloop(self, session: Any) -> bool:
        session.config._tmp_path_factory._basetemp = None
        # Pages that no collection writes to stay shared with the forked processes.
        gc.collect()
        gc.freeze()
        run = self._run
        if run.map(session):
            for module in self._wanted:
                waiting = run.record.waiting(module)
                run.runtime(session, module, [number for number in waiting if number not in run.reach.at_import])
        return True


def _run_time(run: Run, wanted: list[Module], tests: list[str], tell: Callable[[Any], None]) -> None:
    """In a process of its own: import the package, collect the tests, try the changes."""
    import importlib

    import pytest

    sys.meta_path.insert(0, Finder(run.modules, run.asked.recording))
    for module in run.modules:
        importlib.import_module(module.name)
    run.reach.at_import = set(run.asked.reached)
    code = pytest.main([*OPTIONS, *(test for test in tests if (ROOT / test).exists())], plugins=[_Plugin(run, wanted)])
    if code not in (0, 5):
        print(f"pytest ends with {code}", file=sys.stderr)
    tell(sorted(run.reach.at_import))


def _paths(places: Iterable[str]) -> list[Path]:
    roots = [ROOT / place for place in places]
    return list(
        dict.fromkeys(path for root in roots for path in (sorted(root.rglob("*.py")) if root.is_dir() else [root]))
    )


def read_modules() -> list[Module]:
    """All modules with their changes, each with a number of its own."""
    modules: list[Module] = []
    first = 0
    for path in _paths(MODULES):
        modules.append(Module(ROOT, path, first))
        first += len(modules[-1].changes)
    return modules


def main() -> int:
    """Read the command line, and try the changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long; 0 only tells what is known")
    parser.add_argument("--keep", type=Path, default=ROOT / "reports" / "mutation", help="folder of what is known")
    parser.add_argument("--tests", action="append", help="ask only these")
    parser.add_argument("--again", action="store_true", help="try those once more that survived and are not explained")
    parser.add_argument("--write-docs", action="store_true", help="write the score into docs/security-testing.md")
    parser.add_argument("modules", nargs="*", default=MODULES)
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ.setdefault("HYPOTHESIS_PROFILE", "quick")
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = tempfile.mkdtemp(prefix="mutation-hypothesis-")
    sys.dont_write_bytecode = True
    import boto3  # noqa: F401 - loaded once, for all
    import moto.server  # noqa: F401
    import pytest  # noqa: F401

    modules = read_modules()
    paths = set(_paths(options.modules))
    wanted = [module for module in modules if module.path in paths]
    record = Record(options.keep, ROOT)
    if options.again:
        record.forget_survivors(wanted)
    run = Run(modules, record, time.monotonic() + options.seconds)
    if options.seconds > 0 and any(record.waiting(module) for module in wanted):
        answer = _in_child(functools.partial(_run_time, run, wanted, options.tests or TESTS))
        if answer is None:
            sys.exit("the tests could not be collected")
        record.read()
        run.reach.at_import = set(answer)
        for file in record.files():
            run.take_map(file)
        for module in wanted:
            run.at_import(module, [number for number in record.waiting(module) if number in run.reach.at_import])
    shutil.rmtree(os.environ["HYPOTHESIS_STORAGE_DIRECTORY"], ignore_errors=True)
    if options.write_docs:
        write_docs(ROOT, record, modules)
    return record.report(wanted)


if __name__ == "__main__":
    sys.exit(main())
