"""What the AES and RSA keyrings share: material descriptions that select among keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from s3ec.errors import ConfigurationError
from s3ec.keyrings.checks import text_pairs
from s3ec.secrets import Secret

__all__ = ["DecryptionKeys"]

K = TypeVar("K")


class DecryptionKeys(Generic[K]):
    """The default key and further ones, each found by the exact material description stored with an object.

    A description is not authenticated and only selects: where none matches exactly, the default key is tried.
    """

    __slots__ = ("_by_description", "_default")

    def __init__(
        self,
        default: K,
        description: Mapping[str, str],
        additional: Secret[Iterable[Any] | None],
        load: Callable[[Secret[Any]], K],
    ) -> None:
        self._default = default
        self._by_description = {} if default is None else {frozenset(description.items()): default}
        for described, key in _pairs(additional):
            selector = frozenset(text_pairs("the description of an additional decryption key", described).items())
            if selector in self._by_description:
                raise ConfigurationError(
                    "two decryption keys have the same material description; the keyring could not choose between them"
                )
            self._by_description[selector] = load(key)

    def select(self, stored: Mapping[str, str]) -> K:
        """Return the key for an object with this stored description."""
        return self._by_description.get(frozenset(stored.items()), self._default)


def _pairs(additional: Secret[Iterable[Any] | None]) -> list[tuple[object, Secret[object]]]:
    """Return the descriptions, each with its key as a secret."""
    hidden = [Secret(pair) for pair in additional.reveal() or ()]
    if not all(isinstance(pair.reveal(), tuple) and len(pair) == 2 for pair in hidden):
        raise ConfigurationError("additional_decryption_keys takes (material description, key) tuples")
    return [(pair.reveal()[0], Secret(pair.reveal()[1])) for pair in hidden]
