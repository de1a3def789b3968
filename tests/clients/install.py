"""Builds the clients that are no packages of the environment: in Java, in Go, and the AWS CLI of other ages.

    python tests/clients/install.py

All lies where `interop.install` keeps the official clients, and is built once. What this machine cannot build is said
so in capitals, and its clients are left out.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

if __name__ == "__main__":  # pytest has this folder on its path
    sys.path.insert(0, str(Path(__file__).parents[1]))

from interop import install

from support import install_servers

HERE = Path(__file__).parent
NO_JAVA = "JAVA (JDK 17 OR NEWER) AND MAVEN ARE NOT BOTH INSTALLED"
# As old as supported Linux distributions have it, and the last age without a botocore of its own.
OLD_CLI = "awscli>=1.45,<1.46"
S3FS = ("s3fs>=2025.2", "aiobotocore>=2.22")


class AbsentError(RuntimeError):
    """A client cannot be had on this machine."""


def has_java() -> bool:
    """Whether programs in Java can be built."""
    return all(map(shutil.which, ("java", "javac", "mvn")))


def _java(module: str) -> list[str]:
    if not has_java():
        raise AbsentError(NO_JAVA)
    folder = HERE / "java" / module
    return install.java_program(f"clients-{module}", folder / "pom.xml", sorted(folder.glob("*.java")))


def _official() -> list[str]:
    if not has_java():
        raise AbsentError(NO_JAVA)
    return install.java("java4")


def _go() -> list[str]:
    if shutil.which("go") is None:
        raise AbsentError("GO IS NOT INSTALLED")
    return install.go_program("clients-go", HERE / "go")


def _old_cli() -> list[str]:
    return [*install.python_environment("clients-awscli", OLD_CLI), "-m", "awscli"]


def _debian_cli() -> list[str]:
    """The package and those that it needs and this machine has not, unpacked, not installed."""
    if not all(map(shutil.which, ("apt-get", "dpkg-deb", "/usr/bin/python3"))):
        raise AbsentError("THIS IS NO DEBIAN: ITS AWS CLI V2 IS NOT THERE")
    if Path("/usr/bin/aws").exists():
        return ["/usr/bin/python3", "/usr/bin/aws"]
    listed = subprocess.run(
        ["apt-get", "--simulate", "--no-install-recommends", "install", "awscli"], capture_output=True, text=True
    )
    packages = [line.split() for line in listed.stdout.splitlines() if line.startswith("Inst ")]
    version = next((words[2].lstrip("(") for words in packages if words[1] == "awscli"), "")
    if not version.startswith("2"):
        raise AbsentError("APT HAS NO AWS CLI V2 (IS ITS LIST OLD? apt-get update)")

    def build(folder: Path) -> list[str]:
        root = folder / "root"
        install.run("apt-get", "download", *(words[1] for words in packages), cwd=folder)
        for package in folder.glob("*.deb"):
            install.run("dpkg-deb", "--extract", package, root)
            package.unlink()
        path = f"PYTHONPATH={root / 'usr/lib/python3/dist-packages'}"
        return ["env", path, "/usr/bin/python3", str(root / "usr/bin/aws")]

    return install.built("clients-debian", version, build)


def _minio() -> list[str]:
    try:
        return [str(install_servers.minio(install_servers.tools_directory()))]
    except install_servers.CannotInstallError as error:
        raise AbsentError(str(error)) from error


PROGRAMS: Mapping[str, Callable[[], list[str]]] = {
    "minio": _minio,
    "official": _official,
    "sdk": functools.partial(_java, "sdk"),
    "s3a": functools.partial(_java, "s3a"),
    "go": _go,
    "old-cli": _old_cli,
    "debian-cli": _debian_cli,
    "s3fs": functools.partial(install.python_environment, "clients-s3fs", *S3FS),
}


@functools.cache
def command(name: str) -> list[str]:
    """What starts a program of `PROGRAMS`, built if need be.

    Raises:
        AbsentError: it cannot be had here.
    """
    return PROGRAMS[name]()


def main() -> None:
    """Build what can be built and say what is missing."""
    for name in PROGRAMS:
        try:
            command(name)
            print(f"ready: {name}", flush=True)
        except AbsentError as error:
            print(f"!!! ABSENT: {name}: {error}. Its clients do not run.", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
