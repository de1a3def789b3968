"""Lets atheris explore the targets of `tests/fuzz/targets.py`, guided by the coverage of s3ec.

``python tests/fuzz/run.py [--seconds N] [--targets a,b] [--keep FOLDER]`` shares the seconds among the targets, one
process at a time, and prints what each did. It fails on a finding, whose input is then in FOLDER beside what was found
interesting; `run.py TARGET FILE` plays one input again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

GUIDED_BY = (
    "s3ec.cli",
    "s3ec.client.tools.presigned",
    "s3ec.client.tools.resumable_format",
    "s3ec.crypto",
    "s3ec.formats",
    "s3ec.keyrings.arn",
    "s3ec.migrate.journal.journal",
    "s3ec.migrate.jsonable",
    "s3ec.migrate.work.object_lists",
    "s3ec.s3",
)
"""Modules whose coverage guides: those that read. Instrumenting all the others would take longer than the minute."""
LONGEST_INPUT = 4096
SECONDS_EACH = 10
"""An input that takes longer is a finding."""
MEGABYTES = 1024
"""So is one that takes more memory than this."""


def fuzz(name: str, arguments: list[str]) -> None:
    """Explore one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=[*GUIDED_BY, "targets"]):
        import targets
    atheris.Setup([sys.argv[0], *arguments], lambda data: targets.run(name, data))
    atheris.Fuzz()


def explore(name: str, seconds: int, keep: Path) -> bool:
    """Explore one target in a process of its own; True if nothing was found."""
    found = keep / name
    found.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, __file__, "--one", name, str(found), str(HERE / "corpus" / name)),
        *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={SECONDS_EACH}"),
        *(f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={found}/finding-", "-print_final_stats=1", "-verbosity=0"),
    ]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    executions = re.search(r"number_of_executed_units: *(\d+)", done.stdout)
    sys.stdout.write(f"{name}: {executions[1] if executions else 'no'} executions in {seconds} s")
    sys.stdout.write("\n" if done.returncode == 0 else f": FINDING\n{_without_noise(done.stdout)}\n")
    sys.stdout.flush()
    return done.returncode == 0 and executions is not None


def _without_noise(printed: str) -> str:
    return "\n".join(line for line in printed.splitlines() if not line.startswith(("INFO", "WARNING")))


def main() -> int:
    """Read the command line."""
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
        return 0
    import targets

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--targets", default=",".join(targets.TARGETS))
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    names = options.targets.split(",")
    with tempfile.TemporaryDirectory() as folder:
        keep = options.keep or Path(folder)
        good = [explore(name, max(1, options.seconds // len(names)), keep) for name in names]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
