"""Fetches the official clients from their registries and builds the small programs that drive them.

Everything built lies in ``${S3EC_TEST_TOOLS:-~/.cache/s3ec-test-tools}``, one folder a peer, keyed by a digest of what
went in, so that a second run does nothing. A language that is not installed is said so loudly and left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PYTHON_CLIENT = "amazon-s3-encryption-client-python==4.0.0"
JAVA_MODULES = {"java4": ("sdk2",), "java3": ("sdk2",), "javasdk1": ()}


def tools_folder() -> Path:
    """Where built peers are kept."""
    return Path(os.environ.get("S3EC_TEST_TOOLS") or Path.home() / ".cache" / "s3ec-test-tools").expanduser()


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a build step at low priority; its output appears only when it fails."""
    nice = ["nice"] if shutil.which("nice") else []
    done = subprocess.run([*nice, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"building the peers failed: {command[0]}")
    return done.stdout.strip()


def digest_of(*sources: Path) -> str:
    """A short digest over the names and contents of files."""
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def built(name: str, digest: str, build: Callable[[Path], list[str]]) -> list[str]:
    """Builds a peer once for a digest; returns the command that starts it."""
    folder = tools_folder() / "interop" / f"{name}-{digest}"
    finished = folder / "command.json"
    if not finished.exists():
        print(f"building {name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        finished.write_text(json.dumps(build(folder)))
    command: list[str] = json.loads(finished.read_text())
    return command


def java(module: str) -> list[str]:
    """Compiles one of the official clients for Java."""
    folders = [HERE / "java" / name for name in ("common", *JAVA_MODULES[module], module)]
    sources = [source for folder in folders for source in sorted(folder.glob("*.java"))]
    return java_program(module, HERE / "java" / module / "pom.xml", sources)


def java_program(name: str, pom: Path, sources: list[Path]) -> list[str]:
    """Resolves a class path with Maven and compiles sources with javac."""

    def build(folder: Path) -> list[str]:
        paths = folder / "classpath.txt"
        run("mvn", "-q", "-B", "-f", pom, "dependency:build-classpath", f"-Dmdep.outputFile={paths}")
        run("javac", "-nowarn", "-cp", paths.read_text(), "-d", folder / "classes", *sources)
        class_path = os.pathsep.join([str(folder / "classes"), paths.read_text()])
        return ["java", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp", class_path, "Main"]

    return built(name, digest_of(pom, *sources), build)


def go() -> list[str]:
    """Builds the one program that holds all three Go libraries."""
    return go_program("go", HERE / "go")


def go_program(name: str, folder: Path) -> list[str]:
    """Builds a program of the folder's Go files."""

    def build(target: Path) -> list[str]:
        run("go", "build", "-buildvcs=false", "-o", target / "peer", ".", cwd=folder)
        return [str(target / "peer")]

    return built(name, digest_of(*folder.glob("*.go"), *folder.glob("go.*")), build)


def python() -> list[str]:
    """Installs the official Python client into a virtual environment of its own: it pins older libraries."""
    return [*python_environment("python", PYTHON_CLIENT), str(HERE / "python" / "peer.py")]


def python_environment(name: str, *requirements: str) -> list[str]:
    """Installs packages into a virtual environment of their own; returns its interpreter."""

    def build(folder: Path) -> list[str]:
        venv.create(folder / "venv", with_pip=True, clear=True)
        interpreter = folder / "venv" / "bin" / "python"
        run(interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
        return [str(interpreter)]

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(" ".join((*requirements, version)).encode()).hexdigest()[:16]
    return built(name, key, build)


def install() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Builds all that this machine can build.

    Returns:
        The command of each program (``java4``, ``java3``, ``javasdk1``, ``go``, ``python``), and for each
        program that is absent the reason.
    """
    commands = {"python": python()}
    absent = {}
    for module in JAVA_MODULES:
        if all(map(shutil.which, ("java", "javac", "mvn"))):
            commands[module] = java(module)
        else:
            absent[module] = "Java (JDK 17 or newer) and Maven are not installed"
    if shutil.which("go"):
        commands["go"] = go()
    else:
        absent["go"] = "Go is not installed"
    return commands, absent


def toolchains() -> list[str]:
    """The versions of the languages present, one line each."""
    questions = {"java": ("java", "-version"), "mvn": ("mvn", "-B", "--version"), "go": ("go", "version")}
    lines = [f"python: {sys.version.split()[0]}"]
    for name, question in questions.items():
        if shutil.which(name):
            answer = subprocess.run(question, capture_output=True, text=True, check=False)
            first = (answer.stdout + answer.stderr).splitlines()[0]
            lines.append(f"{name}: {COLOUR.sub('', first).strip()}")
    return lines


def main() -> None:
    """Installs what can be installed and says what is missing."""
    for line in toolchains():
        print(line)
    commands, absent = install()
    for name in sorted(commands):
        print(f"ready: {name}")
    for name, reason in sorted(absent.items()):
        print(f"!!! ABSENT: {name}: {reason}. Its cells of the matrix do not run.", file=sys.stderr)


if __name__ == "__main__":
    main()
