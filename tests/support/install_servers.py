"""Install the pinned S3 servers that the tests in tests/servers run against; what is there already is reused.

    python tests/support/install_servers.py [minio] [versitygw] [localstack]      (default: all three)

MinIO and versitygw are built by the Go tool-chain from the Go module proxy, LocalStack comes from PyPI into a virtual
environment of its own. They are separate, unmodified programs for tests on loopback: nothing of them is shipped.
Exits with 1, and says so in capitals, when one cannot be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path

MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
LOCALSTACK = "localstack-core[runtime]==4.9.2"
# Wheels of its dependencies that are newer than the release break it.
LOCALSTACK_DATE = "2025-10-15"
# LocalStack 4.9.2 is written for these.
LOCALSTACK_PYTHONS = ("3.11", "3.12")


class CannotInstallError(RuntimeError):
    """A server cannot be had on this machine."""


def tools_directory() -> Path:
    """Where the servers live: ``$S3EC_TEST_TOOLS``, or a cache in the home directory."""
    return Path(os.environ.get("S3EC_TEST_TOOLS") or Path.home() / ".cache" / "s3ec-test-tools")


def minio(tools: Path) -> Path:
    """Path of the MinIO binary, built if need be."""
    return _go_install(tools, "minio", MINIO)


def versitygw(tools: Path) -> Path:
    """Path of the versitygw binary, built if need be."""
    return _go_install(tools, "versitygw", VERSITYGW)


def localstack(tools: Path) -> Path:
    """Path of the Python that can run LocalStack, installed if need be."""
    home = tools / "localstack"
    python = home / "bin" / "python"
    done = home / ".s3ec-installed"
    if done.exists() and done.read_text() == LOCALSTACK:
        return python
    shutil.rmtree(home, ignore_errors=True)
    uv_home = tools / "uv"
    if not (uv_home / "bin" / "uv").exists():
        venv.create(uv_home, with_pip=True)
        _run([str(uv_home / "bin" / "pip"), "install", "--quiet", "uv"])
    uv = str(uv_home / "bin" / "uv")
    _run([uv, "venv", "--quiet", "--python", _localstack_python(), str(home)])
    _run(
        [uv, "pip", "install", "--quiet", "--exclude-newer", LOCALSTACK_DATE, LOCALSTACK, "service-identity"],
        VIRTUAL_ENV=str(home),
    )
    done.write_text(LOCALSTACK)
    return python


SERVERS: Mapping[str, Callable[[Path], Path]] = {"minio": minio, "versitygw": versitygw, "localstack": localstack}


def _go_install(tools: Path, name: str, package: str) -> Path:
    binary = tools / "bin" / name
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if binary.exists() and (go is None or _version_of(go, binary) == package.rpartition("@")[2]):
        return binary
    if go is None:
        raise CannotInstallError(f"{name} is built by Go, and there is no go command here; install Go 1.24 or newer")
    cache = tools / f"go-{name}"
    _run(
        ["nice", go, "install", package],
        GOBIN=str(binary.parent),
        GOPATH=str(cache / "path"),
        GOCACHE=str(cache / "cache"),
        GOFLAGS="-buildvcs=false",
    )
    # Two gigabytes that nothing needs again; Go makes its module cache read-only, and only Go deletes it.
    _run([go, "clean", "-modcache"], GOPATH=str(cache / "path"))
    shutil.rmtree(cache, ignore_errors=True)
    return binary


def _version_of(go: str, binary: Path) -> str | None:
    listing = subprocess.run([go, "version", "-m", str(binary)], capture_output=True, text=True, check=False).stdout
    modules = [line.split() for line in listing.splitlines()]
    return next((words[2] for words in modules if len(words) > 2 and words[0] == "mod"), None)


def _localstack_python() -> str:
    """A Python that LocalStack starts on; never one that uv would download."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running in LOCALSTACK_PYTHONS:
        return sys.executable
    for version in LOCALSTACK_PYTHONS:
        found = shutil.which(f"python{version}")
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    raise CannotInstallError(f"LocalStack needs one of Python {', '.join(LOCALSTACK_PYTHONS)}")


def _run(command: list[str], **environment: str) -> None:
    try:
        subprocess.run(command, check=True, env={**os.environ, **environment})
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotInstallError(str(error)) from error


def main(names: list[str]) -> int:
    """Install the servers named, or all; 0 if every one is there."""
    tools = tools_directory()
    missing = 0
    for name in names or SERVERS:
        try:
            print(f"{name}: {SERVERS[name](tools)}", flush=True)
        except CannotInstallError as error:
            missing += 1
            print(f"{name.upper()} CANNOT BE INSTALLED, SO ITS TESTS CANNOT RUN: {error}", file=sys.stderr, flush=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
