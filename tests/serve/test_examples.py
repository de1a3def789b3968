"""The files in ``examples/serve``, which others copy: as far as they can be checked without building or installing."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec.cli.commands.serve import serve as command
from s3ec.serve import LocalCredentials, Server, ServeSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "serve"
UNIT = FOLDER / "s3ec-serve.service"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order, without comments and with their lines joined."""
    lines = [line for line in (FOLDER / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\s*\n\s*", " ", "\n".join(lines)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined if line.strip())]


def settings() -> list[tuple[str, str]]:
    """What the unit sets, whatever its section."""
    lines = [line for line in UNIT.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def entry(name: str) -> list[str]:
    """The words that an example starts, without the program's."""
    if name == "Dockerfile":
        return [str(word) for word in json.loads(dict(instructions())["ENTRYPOINT"])]
    return shlex.split(dict(settings())["ExecStart"])


@pytest.mark.parametrize("name", ["Dockerfile", "s3ec-serve.service"])
def test_what_they_start_is_a_command_of_ours(name: str) -> None:
    """With options that there are; at the address that the file tells its reader."""
    program, verb, *words = entry(name)
    assert (Path(program).name, verb) == ("s3ec", "serve")
    assert "s3ec" in PROJECT["scripts"]
    context = command.make_context("serve", words)
    assert context.params["host"] == "127.0.0.1"
    assert f"127.0.0.1:{context.params['port']}" in (FOLDER / name).read_text("utf-8")


def test_the_image_is_built_of_what_there_is() -> None:
    """A Python that is supported, extras that exist, and files that stand beside the Dockerfile."""
    python = re.fullmatch(r"python:(3\.\d+)-slim", dict(instructions())["FROM"])
    assert python is not None
    assert f"Programming Language :: Python :: {python[1]}" in PROJECT["classifiers"]
    run = " ".join(rest for word, rest in instructions() if word == "RUN")
    extras = re.search(r"pip install [^&]*'s3ec\[([^]]*)\]'", run)
    assert extras is not None
    assert set(extras[1].split(",")) <= PROJECT["optional-dependencies"].keys()
    for word, rest in instructions():
        if word in ("ADD", "COPY"):
            for source in rest.split()[:-1]:
                assert source.startswith("--") or list(FOLDER.glob(source)), source


def test_the_container_runs_as_a_user_who_can_write_its_credentials_and_little_else() -> None:
    """Made while it is built; no instruction behind it goes back to root."""
    words = [word for word, _ in instructions()]
    run = " ".join(rest for word, rest in instructions() if word == "RUN")
    user = dict(instructions())["USER"]
    assert words.count("USER") == 1
    assert "RUN" not in words[words.index("USER") :]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert re.search(rf"useradd (?:--system|--uid [1-9]\d*| )+{user}\b", run)
    folder = dict(instructions())["VOLUME"]
    assert re.search(rf"install -d -o {user} -m 0700 {folder}(?: |$)", run)
    words = entry("Dockerfile")
    assert str(Path(words[words.index("--credentials") + 1]).parent) == folder


def test_the_health_check_asks_what_is_answered(serve: Callable[..., Server]) -> None:
    """Its own words, but for the port; and it fails where nothing listens."""
    check = dict(instructions())["HEALTHCHECK"]
    words = json.loads(check[check.index("[") :])
    assert words[0] == "python"
    port = command.make_context("serve", entry("Dockerfile")[2:]).params["port"]
    assert f"127.0.0.1:{port}/" in words[2]
    server = serve()

    def healthy(url: str) -> bool:
        code = words[2].replace(f"http://127.0.0.1:{port}", url)
        return subprocess.run([sys.executable, words[1], code], capture_output=True, check=False).returncode == 0

    assert healthy(server.url)
    assert not healthy(f"{server.url}/nothing")


def test_the_unit_leaves_time_and_memory() -> None:
    """For requests in flight, and for more than content."""
    chosen = ServeSettings(credentials=LocalCredentials.generate())
    found = dict(settings())
    assert int(found["TimeoutStopSec"]) > chosen.grace
    assert found["MemoryMax"] == "1G"
    assert chosen.memory_limit <= 2**29
    assert f"/var/lib/{found['StateDirectory']}/" in found["ExecStart"]


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Every key and value of it; the program stands where this machine has it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("SYSTEMD IS NOT INSTALLED: nothing has read the unit")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace(entry(UNIT.name)[0], sys.executable), "utf-8")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    # It goes on after what it does not understand, and says so; about other units of the machine as well.
    assert [line for line in told.stderr.splitlines() if UNIT.name in line] == []
    assert told.returncode == 0, told.stderr
