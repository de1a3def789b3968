"""Constructions of our own, which are not the formats': nothing here is written into an object or read out of one.

A MAC that remembers what was verified, the sealing of what waits on disk or moves to another process, and an AES-GCM
that can be taken up again in another process.
"""

from __future__ import annotations
