"""Memory of one request serves the next: the system is asked for it once."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from s3ec.serve.heap import keep_freed_memory

MIB = 1024 * 1024
PROGRAM = """
import resource, sys, threading
from s3ec.serve.heap import keep_freed_memory

def request():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    chunks = [bytes(range(256)) * 4096 for _ in range(64)]
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

faults = []
if sys.argv[1] == "kept":
    assert keep_freed_memory(170 * 2**20)
for _ in range(3):
    # Each connection has a thread of its own.
    thread = threading.Thread(target=request)
    thread.start()
    thread.join()
print(*faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other ways")
def test_the_second_request_asks_for_none() -> None:
    """By the pages that the system had to hand out; without this it is asked again each time."""

    def pages(how: str) -> list[int]:
        command = [sys.executable, "-c", PROGRAM, how]
        return [int(word) for word in subprocess.run(command, check=True, capture_output=True).stdout.split()]

    first, *later = pages("kept")
    assert first > 64 * MIB // 4096 // 2
    assert max(later) < first // 10
    assert min(pages("given back")) > first // 2


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have the function with other numbers."""
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory(1)
