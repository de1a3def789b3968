"""The values that carry keys, content and what was decided about them: none changes once it is made."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import s3ec.crypto
import s3ec.formats
import s3ec.keyrings
import s3ec.s3.multipart

MODULES = ["s3ec.decryption", "s3ec.encryption", "s3ec.materials", "s3ec.secrets"]
PACKAGES = [s3ec.crypto, s3ec.formats, s3ec.keyrings, s3ec.s3.multipart]
CHANGE = {
    "s3ec.keyrings.caching._Entry": "counts its uses",
    "s3ec.keyrings.prefetching._Pool": "is filled and taken from",
    "s3ec.s3.multipart.ledger.PartRecord": "a part goes through an upload",
    "s3ec.s3.multipart.turnstile._Encryption": "is where the stream stands",
}
"""The others, and why they do change."""
BY_IDENTITY = {
    "s3ec.crypto.content.ContentCipher": "two of them are never the same, whatever their keys",
    "s3ec.crypto.legacy.content.CbcCipher": "the same",
    "s3ec.keyrings.prefetching._Pool": "each is a place of its own",
    "s3ec.s3.multipart.ledger.PartRecord": "a part is looked for, never one like it",
}
"""Those that are equal to nothing else; a comparison of keys would tell by its time how far they agree."""
BY_NAME = {
    "s3ec.formats.metadata.ContentMetadata",
    "s3ec.materials.DecryptionMaterials",
    "s3ec.materials.DecryptionMaterialsRequest",
    "s3ec.materials.EncryptionMaterials",
    "s3ec.materials.EncryptionMaterialsRequest",
    "s3ec.materials.KeyringCapabilities",
}
"""Those that take their values by name alone: a keyring of somebody else's makes them, and no two may change places."""


def _classes() -> Iterator[Any]:
    names = [*MODULES]
    for package in PACKAGES:
        names += [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    for name in names:
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if found.__module__ == name and dataclasses.is_dataclass(found):
                yield found


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


CLASSES = [pytest.param(found, id=_name(found)) for found in _classes()]


@pytest.mark.parametrize("value", CLASSES)
def test_it_does_not_change(value: Any) -> None:
    """Nothing exchanges a key, or a decision, after it was checked."""
    assert value.__dataclass_params__.frozen is (_name(value) not in CHANGE)


@pytest.mark.parametrize("value", CLASSES)
def test_it_has_nothing_beside_its_fields(value: Any) -> None:
    """A misspelt field is an error."""
    assert "__slots__" in vars(value)


@pytest.mark.parametrize("value", CLASSES)
def test_it_is_compared_as_it_should_be(value: Any) -> None:
    """By identity where it holds a key."""
    assert value.__dataclass_params__.eq is (_name(value) not in BY_IDENTITY)


@pytest.mark.parametrize("value", CLASSES)
def test_it_is_made_by_names(value: Any) -> None:
    """Or by places, where that is how it is used."""
    first = next(iter(inspect.signature(value).parameters.values()))
    assert (first.kind is inspect.Parameter.KEYWORD_ONLY) is (_name(value) in BY_NAME)


def test_the_lists_are_of_classes_that_exist() -> None:
    """No entry outlives its class."""
    assert {*CHANGE, *BY_IDENTITY, *BY_NAME} <= {_name(found) for found in _classes()}
