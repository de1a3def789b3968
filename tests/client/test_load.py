"""A short run of `tests/benchmarks/load.py`: all it does goes well, and nothing is lost. No time is looked at."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support.lying_s3 import LyingS3

PATH = Path(__file__).parents[1] / "benchmarks" / "load.py"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and descriptors are read from /proc")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    specification = importlib.util.spec_from_file_location("load", PATH)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "load", module)
    specification.loader.exec_module(module)
    return module


@LINUX
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_short_load(load: ModuleType, http_liar: LyingS3) -> None:
    """Threads, a forked worker, and more abandoned uploads than a client remembers."""
    threads = load.measure("threads", http_liar.url, 3, 16)
    worker = load.measure("worker", http_liar.url, 1, 1)
    assert set(threads.operations) == {"put", "get", "head", "range", "open", "upload", "abort"}
    assert sum(worker.operations.values()) >= 16
    abandoned = load.measure("abandoned", http_liar.url, 0, 1050)
    assert abandoned.operations == {"abandoned": 1050}
    for phase in (threads, worker, abandoned):
        assert phase.left <= load.ALLOWED_DESCRIPTORS + 16  # the server's side of a connection may close a moment later


def test_what_is_flat(load: ModuleType) -> None:
    """What grows in the second half is not, nor is what leaves descriptors behind; a start may take what it needs."""
    mebi = load.MiB
    assert load.Phase("", memory=[10 * mebi, *[90 * mebi] * 7], descriptors=[3]).is_flat
    assert not load.Phase("", memory=[number * 10 * mebi for number in range(8)], descriptors=[3]).is_flat
    assert not load.Phase("", memory=[mebi] * 8, descriptors=[3], left=20).is_flat
    assert "<polyline" in load.plot([load.Phase("64 threads", memory=[mebi, 2 * mebi], descriptors=[3, 4])])
