"""One module for each family of commands."""

from __future__ import annotations
