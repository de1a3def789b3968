"""What the materials managers that keep something share: what makes two requests equal, and checks of their limits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping

from s3ec.errors import ConfigurationError
from s3ec.materials import EncryptionMaterialsRequest

__all__ = ["in_order", "of_any_length", "require_age", "require_positive"]


def of_any_length(request: EncryptionMaterialsRequest) -> tuple[Hashable, EncryptionMaterialsRequest]:
    """Return what identifies a request among others, and the request without its length.

    A keyring is asked without the length, so that its answer serves objects of other lengths too.
    """
    key = (
        request.algorithm_suite,
        request.commitment_policy,
        request.content_algorithm,
        in_order(request.encryption_context),
    )
    return key, dataclasses.replace(request, plaintext_length=None)


def in_order(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return all pairs: a digest could only add collisions, and the caller's order ends up in the object."""
    return tuple(pairs.items())


def require_positive(**limits: object) -> None:
    """Check limits that count.

    Raises:
        ConfigurationError: one is not a positive whole number.
    """
    for name, limit in limits.items():
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise ConfigurationError(f"{name} must be a whole number of at least 1, not {limit!r}")


def require_age(max_age: float) -> None:
    """Check a limit in seconds.

    Raises:
        ConfigurationError: it is not positive, or endless.
    """
    if not 0 < max_age < math.inf:
        raise ConfigurationError(f"max_age must be a positive number of seconds, not {max_age!r}")
