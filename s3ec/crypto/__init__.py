"""Ciphers, key derivation and key wrapping: bytes in, bytes out.

The only package that imports `cryptography`. It knows no formats, no S3 and no keyrings; every choice of algorithm
arrives as an `s3ec.algorithms` value. What fails here fails with an error of `s3ec.errors` that carries no cause and no
detail an attacker could learn from.
"""

from __future__ import annotations
