"""`s3ec run --serve`: a command of any language beside an endpoint of its own, with nothing that opens AWS.

The command's environment leads to the endpoint and holds the endpoint's credentials, in place of all others. A client
that goes past the endpoint all the same signs with a key that AWS does not know, and is refused instead of storing
plaintext.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from s3ec.rules.second_factor import is_in_foreground
from s3ec.run.launching import BOOTSTRAP
from s3ec.serve import LocalCredentials, Server

__all__ = ["private_environment", "run_beside"]

# All others of AWS's go: there are more ways to credentials than one could list.
_KEPT = frozenset(
    {"AWS_DEFAULT_OUTPUT", "AWS_DEFAULT_REGION", "AWS_MAX_ATTEMPTS", "AWS_PAGER", "AWS_REGION", "AWS_RETRY_MODE"}
)
# Credentials, or other endpoints, of tools that have variables of their own.
_GONE = ("AWS_", "S3EC_", "BOTO_", "MC_HOST_", "RCLONE_CONFIG_", "RCLONE_S3_")
_PASSED_ON = tuple(
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH")
    if hasattr(signal, name)
)
# Presigned URLs of version 2 are not taken, and a bucket's name in front of an address leads nowhere.
_OF_ENDPOINTS = "s3 =\n  addressing_style = path\n  signature_version = s3v4\n"
# What a terminal sends to all of its foreground group, the command among them.
_OF_TERMINALS = frozenset({"SIGINT", "SIGQUIT", "SIGWINCH"})


def private_environment(
    environ: Mapping[str, str], url: str, credentials: LocalCredentials, *, region: str, folder: Path
) -> dict[str, str]:
    """Return the environment of a command that reaches one endpoint and nothing at AWS.

    Args:
        environ: that of this process.
        url: of the endpoint.
        credentials: the endpoint's own.
        region: what clients sign for; the endpoint believes any.
        folder: for the AWS configuration of the command; its owner's alone.
    """
    made = {name: value for name, value in environ.items() if name in _KEPT or not name.startswith(_GONE)}
    pair = f"aws_access_key_id = {credentials.access_key}\naws_secret_access_key = {credentials.secret_key}\n"
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": f"[default]\n{pair}",
        "AWS_CONFIG_FILE": f"[default]\nregion = {region}\n{_OF_ENDPOINTS}",
    }
    for name, text in files.items():
        path = folder / name.lower()
        path.write_text(text, "ascii")
        made[name] = str(path)
    made.setdefault("AWS_REGION", region)
    made.setdefault("AWS_DEFAULT_REGION", region)
    made |= {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_ENDPOINT_URL_S3": url,
        "S3_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "BOTO_CONFIG": os.devnull,
    }
    for name in ("NO_PROXY", "no_proxy"):
        made[name] = ",".join(filter(None, (environ.get(name), "127.0.0.1,localhost")))
    places = [place for place in made.pop("PYTHONPATH", "").split(os.pathsep) if place and Path(place) != BOOTSTRAP]
    return {**made, "PYTHONPATH": os.pathsep.join(places)} if places else made


def run_beside(server: Server, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command while a server serves; the server ends with it, whatever happens.

    Args:
        server: listens already.
        command: its words.
        environment: all of its environment.

    Returns:
        The command's own code; 128 and the number of the signal that ended it.

    Raises:
        OSError: it cannot be started.
    """
    child: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if not child:
            waiting.append(number)
        elif signal.Signals(number).name not in _OF_TERMINALS or not is_in_foreground():
            child[0].send_signal(number)

    thread = threading.Thread(target=server.serve, name="s3ec-serve-private")
    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    thread.start()
    try:
        with subprocess.Popen(list(command), env=dict(environment)) as process:  # noqa: S603 - the caller's command
            child.append(process)
            for number in waiting:
                process.send_signal(number)
            code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        server.stop()
        thread.join()
    return code if code >= 0 else 128 - code
