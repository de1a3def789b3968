"""In each Python that a scanned test starts: tells which keys s3ec draws there.

`support.secret_plugin` puts this folder before others on `PYTHONPATH`. Standard library only, and the syntax of any
Python 3; whatever would have run in its place runs after it.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_LENGTH = 32
_FOLDER = os.environ.get("SCANNED_KEYS_OF_CHILDREN")


def _noting(urandom, folder):
    """Stand before the system's generator, for the module of s3ec that asks it."""

    def noted(length):
        value = urandom(length)
        if length == _LENGTH and sys._getframe(1).f_globals.get("__name__") == "s3ec.crypto.random":
            with open(os.path.join(folder, str(os.getpid())), "ab") as file:
                file.write(value)
        return value

    return noted


def _chain():
    """Run the sitecustomize that would have been found without this one: what stands before has had its turn."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    places = [os.path.abspath(place or ".") for place in sys.path]
    spec = PathFinder.find_spec("sitecustomize", sys.path[places.index(_HERE) + 1 :])
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize" and os.urandom.__name__ != "noted":
    if _FOLDER and os.path.isdir(_FOLDER):
        os.urandom = _noting(os.urandom, _FOLDER)
    _chain()
