"""Builds sdist, wheel and SBOM twice, in two places that have nothing in common, and fails if a single byte differs.

The second build starts from what the first one made: the sdist, unpacked elsewhere. So the sdist is shown to be whole,
and neither the folder, the umask, the time zone, the language, the clock nor the order of hashes leaves a trace.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ".ci/locks/runtime.txt"
SURROUNDINGS = (
    {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"},
)


def epoch() -> str:
    """The time that archives carry: SOURCE_DATE_EPOCH, or that of the last commit, or a fixed one outside of git."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    asked = subprocess.run(  # noqa: S603
        ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "1577836800"


def build(source: Path, out: Path, surroundings: dict[str, str]) -> dict[str, str]:
    """Build everything into a folder; gives back the SHA-256 of each file by its name."""
    environment = {**os.environ, **surroundings, "SOURCE_DATE_EPOCH": epoch()}
    out.mkdir(parents=True, exist_ok=True)
    # The backend is the one of the lock, with its hashes: an isolated build would fetch the newest one.
    commands = [
        [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", str(out), str(source)],
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", str(source / LOCK)),
            *("--pyproject", str(source / "pyproject.toml"), "--mc-type", "library", "--output-reproducible"),
            *("--output-format", "JSON", "--output-file", str(out / "s3ec.cdx.json")),
        ],
    ]
    for command in commands:
        subprocess.run(command, env=environment, cwd=source, check=True)  # noqa: S603
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}


def main(out: Path) -> int:
    """Build twice, compare, and write SHA256SUMS beside what was built."""
    if out.exists() and any(out.iterdir()):
        sys.stderr.write(f"{out} is not empty\n")
        return 2
    first = build(ROOT, out, SURROUNDINGS[0])
    with tempfile.TemporaryDirectory() as elsewhere:
        os.umask(0o077)
        with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
            archive.extractall(elsewhere)  # noqa: S202 - made a moment ago, here
        (source,) = Path(elsewhere).iterdir()
        second = build(source, Path(elsewhere) / "dist", SURROUNDINGS[1])
    different = {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
    for name in sorted(different):
        sys.stderr.write(f"NOT REPRODUCIBLE: {name}: {first.get(name)} and {second.get(name)}\n")
    sums = "".join(f"{digest}  {name}\n" for name, digest in first.items())
    (out / "SHA256SUMS").write_text(sums, encoding="utf-8")
    sys.stdout.write(sums + ("" if different else "built twice, equal to the byte\n"))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
