"""Encryption for programs that do not ask for it: every boto-based S3 client of a process, and of its children."""

from __future__ import annotations
