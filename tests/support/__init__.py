"""Helpers that tests share; imported as ``support.<module>``."""

from __future__ import annotations
