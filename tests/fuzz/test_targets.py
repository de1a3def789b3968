"""Every input that is worth keeping through its target: samples of each format, and what broke something once."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from s3ec.client.server_side import rules as server_side
from s3ec.errors import ConfigurationError
from s3ec.rules import configuration

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
DEEP = b"[" * 200_000
DEEP_OBJECT = b'{"a":' * 200_000


@pytest.fixture(scope="module")
def targets() -> ModuleType:
    """The targets, which the fuzzer imports as a script."""
    spec = importlib.util.spec_from_file_location("targets", HERE / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names() -> list[str]:
    """Targets that have a corpus."""
    return sorted(folder.name for folder in CORPUS.iterdir())


def test_every_target_has_a_corpus(targets: ModuleType) -> None:
    """None is left out."""
    assert names() == sorted(targets.TARGETS)


@pytest.mark.parametrize("name", names())
def test_corpus(targets: ModuleType, name: str) -> None:
    """A value or an error of ours; and with the last byte gone, or another first one, the same."""
    files = sorted((CORPUS / name).iterdir())
    assert files
    for path in files:
        data = path.read_bytes()
        for variant in (data, data[:-1], b"\xff" + data[1:]):
            targets.run(name, variant)


@pytest.mark.parametrize("name", ["metadata", "instruction_file", "ticket", "resumable_state", "journal"])
def test_samples_are_understood(targets: ModuleType, name: str) -> None:
    """Not every sample is refused, or the target would test refusals alone."""
    if name == "resumable_state":
        # Opening one takes its key: this one gets as far as that.
        with pytest.raises(targets.S3ECError, match="sealed"):
            targets.TARGETS[name]((CORPUS / name / "state").read_bytes())
        return
    understood = 0
    for path in (CORPUS / name).iterdir():
        try:
            targets.TARGETS[name](path.read_bytes())
        except targets.EXPECTED:
            continue
        understood += 1
    assert understood >= 1


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("metadata", b"x-amz-3: a\nx-amz-m: " + DEEP),
        ("instruction_file", b"\n\n" + DEEP),
        ("ticket", DEEP),
        ("ticket", DEEP_OBJECT),
        ("resumable_state", b"s3ec multipart upload 1\n" + len(DEEP).to_bytes(4, "big") + DEEP),
        ("journal", b"o" + DEEP),
        ("journal", b"j" + DEEP),
        ("journal", b"j" + DEEP_OBJECT),
        ("journal", b"c" + b"a" * 200_000),
        ("arguments", b"cp\n-\ns3://b/k\n--kms-key\nk\n--metadata\n" + DEEP_OBJECT),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_exhausts_a_parser(targets: ModuleType, name: str, data: bytes) -> None:
    """Brackets nested past Python's limit, and fields past csv's: each was an error that nobody expected."""
    targets.run(name, data)


def test_settings_that_exhaust_a_parser() -> None:
    """The same in a setting and in the context of a request for SSE-KMS."""
    text = DEEP_OBJECT.decode()
    calls: list[Callable[[], object]] = [
        lambda: configuration._context(text, "S3EC_CONTEXT"),
        lambda: server_side._decode_context(base64.b64encode(text.encode()).decode()),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError):
            call()
