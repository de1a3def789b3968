"""Frozen dataclasses to JSON and back, so that tasks, outcomes and settings can travel to any worker."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from s3ec.errors import ConfigurationError

__all__ = ["Jsonable"]

T = TypeVar("T", bound="Jsonable")


class Jsonable:
    """Gives a frozen dataclass `to_json` and `from_json`; unknown names are refused, absent ones take their default."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values; fields that are None are left out."""
        values = ((name, _plain(getattr(self, name))) for name in _names(typing.cast("Any", type(self))))
        return {name: value for name, value in values if value is not None}

    def to_json(self) -> str:
        """Return the fields as one line of ASCII JSON."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
        """Make an object of what `to_dict` gave.

        Raises:
            s3ec.errors.ConfigurationError: a name is unknown or missing, or a value has the wrong type.
        """
        hints = _hints(typing.cast("Any", cls))
        unknown = sorted(values.keys() - hints.keys())
        if unknown:
            raise ConfigurationError(f"{cls.__name__} does not know {', '.join(unknown)}")
        try:
            return cls(**{name: _typed(hints[name], value) for name, value in values.items()})
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"not a {cls.__name__}: {error}") from error

    @classmethod
    def from_json(cls: type[T], text: str | bytes) -> T:
        """Make an object of what `to_json` gave.

        Raises:
            s3ec.errors.ConfigurationError: the text is not JSON, or not of this type.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # RecursionError: brackets nested deeply to exhaust the reader
            raise ConfigurationError(f"not a {cls.__name__}: {error}") from error
        if not isinstance(values, dict):
            raise ConfigurationError(f"not a {cls.__name__}: a JSON object is expected")
        return cls.from_dict(values)


_PLAIN = frozenset({str, int, float, bool})


@functools.cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: hint for name, hint in typing.get_type_hints(cls).items() if name in names}


def _plain(value: Any) -> Any:
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, Jsonable):
        return value.to_dict()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _typed(hint: Any, value: Any) -> Any:
    """The value as the annotated type: an enum's member, a dataclass, a tuple, or as it is."""
    options = [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if value is None:
            return None
    target = options[0]
    if isinstance(target, type) and issubclass(target, enum.Enum):
        return target(value)
    if isinstance(target, type) and issubclass(target, Jsonable) and isinstance(value, Mapping):
        return target.from_dict(value)
    if typing.get_origin(target) is tuple:
        return tuple(_typed(typing.get_args(target)[0], item) for item in value)
    _check(options, value)
    return value


def _check(options: list[Any], value: Any) -> None:
    plain = tuple(typing.get_origin(option) or option for option in options)
    accepts = (*plain, int) if float in plain else plain
    if isinstance(value, bool) and bool not in plain or not isinstance(value, accepts):
        raise TypeError(f"{value!r} is not {' or '.join(option.__name__ for option in plain)}")
