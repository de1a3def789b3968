"""Which operation of S3 a request is, by botocore's model of S3; what fits none of them is refused.

The strictness is what keeps plaintext here: ``PUT /bucket/key?something-new`` relayed to a server that does not know
the word is a PutObject of plaintext. So each argument of the query must be one that the operation has, and headers that
turn a put into something else must belong to it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import botocore.session
from botocore.model import ServiceModel, StructureShape

from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Request

__all__ = ["Routes"]

_STEERING = ("x-amz-copy-source", "x-amz-rename-source", "x-amz-write-offset-bytes")


@dataclass(frozen=True, slots=True)
class _Route:
    operation_name: str
    literals: Mapping[str, str]
    arguments: frozenset[str]
    required: frozenset[str]
    headers: frozenset[str]
    required_headers: frozenset[str]

    @property
    def weight(self) -> tuple[int, int]:
        """How much of a request it claims: the route that claims most is meant."""
        return len(self.literals) + len(self.required) + len(self.required_headers), -len(self.operation_name)

    def fits(self, request: Request) -> bool:
        given = request.arguments
        if any(given.get(name) != value for name, value in self.literals.items()):
            return False
        if not self.required <= given.keys() or not given.keys() <= self.arguments | self.literals.keys():
            return False
        steering = {name for name in _STEERING if name in request.headers}
        return self.required_headers <= request.headers.keys() and steering <= self.headers


class Routes:
    """All operations of a service model."""

    def __init__(self, model: ServiceModel) -> None:
        """Take botocore's model of S3."""
        self._routes: dict[tuple[str, int], list[_Route]] = {}
        for name in model.operation_names:
            operation = model.operation_model(name)
            path, _, query = operation.http["requestUri"].partition("?")
            depth = path.count("{")
            if path not in ("/", "/{Bucket}", "/{Bucket}/{Key+}"):
                continue
            literals = {**dict(parse_qsl(query, keep_blank_values=True))}
            route = _route(name, literals, operation.input_shape)
            self._routes.setdefault((operation.http["method"], depth), []).append(route)

    @classmethod
    @functools.cache  # one model for a process
    def of_s3(cls) -> Routes:
        """The operations of S3, from a model of its own: clients take the bucket out of the paths of theirs."""
        return cls(botocore.session.Session().get_service_model("s3"))

    def find(self, request: Request) -> str:
        """Name of the operation.

        Raises:
            RefusedError: none has this method, path, query and headers.
        """
        depth = 0 if request.bucket is None else 1 if request.key is None else 2
        fitting = [route for route in self._routes.get((request.method, depth), []) if route.fits(request)]
        if not fitting:
            raise RefusedError(
                501,
                "NotImplemented",
                f"{request.method} with these arguments is no operation of S3 that this version of s3ec knows, so it "
                "cannot say whether it carries plaintext; nothing was sent on",
            )
        return max(fitting, key=lambda route: route.weight).operation_name


def _route(name: str, literals: dict[str, str], shape: StructureShape | None) -> _Route:
    members = {} if shape is None else shape.members
    required = () if shape is None else shape.required_members

    def named(location: str, chosen: Mapping[str, object] | tuple[str, ...] | list[str]) -> frozenset[str]:
        return frozenset(
            str(members[member].serialization["name"])
            for member in chosen
            if members[member].serialization.get("location") == location
        )

    return _Route(
        operation_name=name,
        literals={key: value for key, value in literals.items() if key != "x-id"},
        arguments=named("querystring", members),
        required=named("querystring", list(required)),
        headers=frozenset(header.lower() for header in named("header", members)),
        required_headers=frozenset(header.lower() for header in named("header", list(required))),
    )
