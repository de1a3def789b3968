"""Explores every interleaving of every scenario: ``run.py [--preemptions N] [SCENARIO ...]``.

Without a number: at most two preemptions for two threads, and one for three.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]


def main() -> int:
    """Read the command line; a broken invariant ends it with a traceback."""
    from interleavings.explorer import explorer
    from interleavings.uploads import SCENARIOS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preemptions", type=int)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS))
    options = parser.parse_args()
    with explorer() as model:
        for name in options.scenarios:
            began, bound = time.perf_counter(), options.preemptions
            if bound is None:
                bound = 1 if SCENARIOS[name].number_of_threads > 2 else 2
            seen = model.explore(SCENARIOS[name], preemptions=bound)
            seconds = time.perf_counter() - began
            sys.stdout.write(f"{name} (preemptions: {bound}): {seen} ({seconds:.0f} s)\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
