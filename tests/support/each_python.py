"""Runs a kind of test environment on every other Python that is installed: `tox -e pythons`.

tox finds interpreters on PATH; pyenv keeps all but the chosen ones off it, so its folders are appended here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def supported() -> list[str]:
    """Versions that the package metadata names, as ``3.10``."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))


def search_path() -> str:
    """PATH, and the folders of pyenv's interpreters behind it, the newest first."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    folders = [entry for entry in os.environ["PATH"].split(os.pathsep) if not entry.endswith("shims")]
    ours = re.compile(r"3\.\d+\.\d+").fullmatch
    found = sorted((folder for folder in versions.glob("3.*") if ours(folder.name)), key=_numbers, reverse=True)
    return os.pathsep.join([*folders, *(str(folder / "bin") for folder in found)])


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in folder.name.split(".")]


def main(factor: str) -> int:
    """Run ``py3X-<factor>`` for each version but the running one; say which are not installed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TOX_", "VIRTUAL_ENV"))}
    environment["PATH"] = search_path()
    names = []
    for version in supported():
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            continue
        if shutil.which(f"python{version}", path=environment["PATH"]) is None:
            print(f"PYTHON {version} IS NOT INSTALLED, SO IT IS NOT TESTED", flush=True)
        else:
            names.append(f"py{version.replace('.', '')}-{factor}")
    if not names:
        return 0
    side_by_side = ["run-parallel", "--parallel", "all", "--parallel-no-spinner", "--quiet"]
    command = [sys.executable, "-m", "tox", *side_by_side, "-c", str(ROOT / "tox.ini"), "-e", ",".join(names)]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
