"""The official clients as programs that take one JSON request a line and answer one a line."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from dataclasses import dataclass, field
from typing import Any

# A deaf port: a client that leaves loopback (some make clients of their own) fails at once.
DEAD_PROXY = "http://127.0.0.1:9"

ANSWER_TIMEOUT = 120


@dataclass(frozen=True)
class Official:
    """One official client: which program holds it, and what it can do at all."""

    name: str
    program: str
    title: str
    version: str
    keyrings: tuple[str, ...] = ("kms", "aes", "rsa")
    writes: dict[str, str | None] = field(default_factory=dict)
    """Generation of what it writes (``V1``, ``V2``, ``V3``) → the commitment policy under which it does."""
    reads: tuple[str, ...] = ("V1", "V2", "V3")
    instruction_writes: bool = True
    instruction_reads: bool = True
    multipart: bool = True
    reencrypts: bool = False
    ranges: bool = False
    policies: bool = False


FORBID = "FORBID_ENCRYPT_ALLOW_DECRYPT"
ALLOW = "REQUIRE_ENCRYPT_ALLOW_DECRYPT"
REQUIRE = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"

JAVA_SDK_1 = {"program": "javasdk1", "version": "1.12.797", "reads": ("V1", "V2"), "reencrypts": True, "ranges": True}
GO_SDK_1 = {"program": "go", "version": "1.55.8", "keyrings": ("kms",), "multipart": False}

OFFICIAL = {
    client.name: client
    for client in (
        Official(
            "java4",
            "java4",
            "Java S3EC 4",
            "4.0.1",
            writes={"V3": None, "V2": FORBID},
            reencrypts=True,
            ranges=True,
            policies=True,
        ),
        Official(
            "java3",
            "java3",
            "Java S3EC 3",
            "3.5.0",
            writes={"V2": None},
            reads=("V1", "V2"),
            reencrypts=True,
            ranges=True,
        ),
        Official("javasdk1-eo", title="Java SDK 1, EncryptionOnly", writes={"V1": None}, **JAVA_SDK_1),
        Official("javasdk1-ae", title="Java SDK 1, AuthenticatedEncryption", writes={"V1": None}, **JAVA_SDK_1),
        Official(
            "javasdk1-strict",
            title="Java SDK 1, StrictAuthenticatedEncryption",
            writes={"V1": None},
            **{**JAVA_SDK_1, "ranges": False},
        ),
        Official("javasdk1-v2", title="Java SDK 1, client V2", writes={"V2": None}, **JAVA_SDK_1),
        Official(
            "go4",
            "go",
            "Go S3EC 4",
            "4.0.0",
            keyrings=("kms",),
            writes={"V3": None, "V2": FORBID},
            instruction_writes=False,
            multipart=False,
            policies=True,
        ),
        Official(
            "go3",
            "go",
            "Go S3EC 3",
            "3.2.0",
            keyrings=("kms",),
            writes={"V2": None},
            instruction_writes=False,
            multipart=False,
        ),
        Official("gosdk1-v1-cbc", title="Go SDK 1, CBC", writes={"V1": None}, reads=("V1", "V2"), **GO_SDK_1),
        Official("gosdk1-v1-gcm", title="Go SDK 1, GCM", writes={"V1": None}, reads=("V1", "V2"), **GO_SDK_1),
        Official("gosdk1-v2", title="Go SDK 1, client V2", writes={"V2": None}, reads=("V1", "V2"), **GO_SDK_1),
        Official(
            "python4",
            "python",
            "Python S3EC 4",
            "4.0.0",
            keyrings=("kms",),
            writes={"V3": None, "V2": FORBID},
            instruction_writes=False,
            policies=True,
        ),
    )
}


def quiet_environment(home: str) -> dict[str, str]:
    """Environment of a peer: fake credentials, no metadata service, every way out of loopback dead."""
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": home,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTP_PROXY": DEAD_PROXY,
        "HTTPS_PROXY": DEAD_PROXY,
        "http_proxy": DEAD_PROXY,
        "https_proxy": DEAD_PROXY,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        # SDK 1 prints an announcement of its end of life otherwise.
        "AWS_JAVA_V1_DISABLE_DEPRECATION_ANNOUNCEMENT": "true",
        "PYTHONWARNINGS": "ignore",
    }


class PeerCrashedError(RuntimeError):
    """The program ended, or did not answer in time: a fault of the harness, not a finding."""


class Program:
    """One running peer program."""

    def __init__(self, command: list[str], home: str) -> None:
        self._answers: queue.Queue[str] = queue.Queue()
        self._sent = 0
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=quiet_environment(home),
            cwd=home,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends one request; returns its answer, ``{"ok": false, "error": …}`` where the client raised."""
        assert self._process.stdin is not None
        self._sent += 1
        self._process.stdin.write(json.dumps({"id": self._sent, **request}) + "\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=ANSWER_TIMEOUT)
        except queue.Empty:
            raise PeerCrashedError(f"no answer within {ANSWER_TIMEOUT} s to {request}") from None
        if not line:
            raise PeerCrashedError(f"ended with {self._process.wait()} at {request}")
        answer: dict[str, Any] = json.loads(line)
        assert answer["id"] == self._sent, "answers come in the order of the requests"
        return answer

    def close(self) -> None:
        """Ends the program and waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
