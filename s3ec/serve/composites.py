"""The checksum of a multipart object that is a checksum of its parts' checksums.

The parts' own checksums were verified as the parts came, and the client compares those that are listed with them; what
is stated about the whole is then a matter of arithmetic.
Source: Amazon S3 User Guide, "Checking object integrity", composite checksums.
"""

from __future__ import annotations

import hmac
import re
from typing import Any

from s3ec.client.bodies.claims import decoded, digest_for
from s3ec.serve.refusals import RefusedError

__all__ = ["verify_composite"]

_COMPOSITE = re.compile(r"([A-Za-z0-9+/=]+)-(\d{1,5})")
_NOT_A_VALUE = ("ChecksumAlgorithm", "ChecksumMode", "ChecksumType")


def verify_composite(parameters: dict[str, Any]) -> None:
    """Take a composite checksum out of the parameters of a completion, once it is that of the parts listed there.

    Raises:
        RefusedError: it is not, or a part is listed without its checksum.
        ConfigurationError: it is of an algorithm that is not known here.
    """
    parts = parameters.get("MultipartUpload", {}).get("Parts", [])
    for name in [key for key in parameters if key.startswith("Checksum") and key not in _NOT_A_VALUE]:
        found = _COMPOSITE.fullmatch(str(parameters[name]))
        if found is None and parameters.get("ChecksumType") != "COMPOSITE":
            continue  # of the whole object: the client's to verify
        if found is not None and int(found[2]) != len(parts):
            raise RefusedError(400, "BadDigest", f"{name} is of another number of parts; nothing was stored")
        digest = digest_for(name)
        for part in parts:
            if name not in part:
                raise RefusedError(400, "InvalidRequest", f"{name} is a checksum of those of the parts; one has none")
            digest.update(decoded(name, part[name]))
        if not hmac.compare_digest(digest.digest(), decoded(name, found[1] if found else parameters[name])):
            raise RefusedError(400, "BadDigest", f"{name} is not the checksum of the parts; nothing was stored")
        del parameters[name]
    parameters.pop("ChecksumType", None)
