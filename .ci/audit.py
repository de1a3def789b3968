"""Audits the locked dependencies by pip-audit, and never takes silence for a clean bill.

pip-audit skips what its service does not know, and exits with 0. Where the service cannot be reached, or answers for
nothing, that would look like a passed audit; here it is exit code 3 and a line in capitals.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = ("runtime", "test", "release", "tox", "audit")
NOT_AUDITED = 3


def ask(lock: Path) -> dict[str, Any] | None:
    """What pip-audit says of a lock, or None if it could not say anything."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    asked = subprocess.run(  # noqa: S603
        [*command, "--format", "json", "--requirement", str(lock)], capture_output=True, text=True, check=False
    )
    try:
        answer: dict[str, Any] = json.loads(asked.stdout)
    except json.JSONDecodeError:
        sys.stderr.write(asked.stderr)
        return None
    return answer


def judge(name: str, answer: dict[str, Any] | None) -> int:
    """Print what an answer says; 0 only if every package was looked up and none has a known hole."""
    packages = [] if answer is None else answer["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    holes = [(package, hole) for package in packages for hole in package.get("vulns", [])]
    for package, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "no release"
        sys.stdout.write(f"{name}: {package['name']} {package['version']}: {hole['id']}, fixed in {fixed}\n")
    if holes:
        return 1
    if not packages or skipped:
        about = f"{len(skipped)} of {len(packages)} packages ({', '.join(skipped[:5])} ...)" if packages else "anything"
        sys.stdout.write(f"NOT AUDITED: {name}: the service of known vulnerabilities does not answer for {about}\n")
        return NOT_AUDITED
    sys.stdout.write(f"{name}: {len(packages)} packages, no known vulnerability\n")
    return 0


def main(folder: Path) -> int:
    """Audit every lock."""
    codes = [judge(name, ask(folder / f"{name}.txt")) for name in LOCKS]
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent / "locks"))
