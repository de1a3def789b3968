"""ETags that nobody takes for the MD5 of what they sent.

S3's ETag is often the MD5 of what is stored, which here is ciphertext: clients that compare it with the MD5 of their
own bytes would call the upload corrupted, and some delete the object then. A suffix makes it what the standard says an
ETag is, opaque, and is taken off again from every condition.
Source: RFC 9110, section 8.8.3.
"""

from __future__ import annotations

import re

__all__ = ["hidden", "shown"]

_SUFFIX = "-s3ec"
_MADE_HERE = re.compile(rf'{_SUFFIX}(?="|\s*,|\s*$)')


def shown(etag: str) -> str:
    """The ETag that a client sees."""
    return f'{etag[:-1]}{_SUFFIX}"' if etag.endswith('"') else f"{etag}{_SUFFIX}"


def hidden(text: str) -> str:
    """An ETag, or a list of them, as S3 knows it."""
    return _MADE_HERE.sub("", text)
