"""What an endpoint depends on, gathered without asking for what nobody gives.

For each request botocore asks four places for each of S3's some seventeen endpoint parameters, and then goes through a
list of all built-in values to see that there is one of that name. Which parameters an operation may give at all is the
same for each request, and so are the names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from botocore.regions import EndpointResolverBuiltins, EndpointRulesetResolver

__all__ = ["gather_endpoint_parameters_quickly"]

_BUILTINS = frozenset(str(member.value) for member in EndpointResolverBuiltins)


class _Gathering:
    """Two of botocore's own methods, asked only where they may have an answer."""

    def __init__(self, resolver: EndpointRulesetResolver) -> None:
        """Take a client's resolver, as botocore made it.

        Raises:
            AttributeError: it is made otherwise than expected.
        """
        made: Any = resolver
        self._resolver = made
        self._resolve = made._resolve_param_from_context
        self._as_builtin = made._resolve_param_as_builtin
        self._of_client = frozenset(made._get_client_context_params())
        self._given: dict[str, frozenset[str]] = {}

    def from_context(self, param_name: str, operation_model: Any, call_args: Mapping[str, Any]) -> Any:
        """See `EndpointRulesetResolver`; in aiobotocore as well it waits for nothing."""
        given = self._given.get(operation_model.name)
        if given is None:
            given = self._given[operation_model.name] = self._of_client.union(
                self._resolver._get_static_context_params(operation_model),
                self._resolver._get_dynamic_context_params(operation_model),
                operation_model.operation_context_parameters,
            )
        # All that is ever looked up is looked up by this name: where it is in none of the four, the answer is None.
        return self._resolve(param_name, operation_model, call_args) if param_name in given else None

    def as_builtin(self, builtin_name: str, builtins: Mapping[str, Any]) -> Any:
        """See `EndpointRulesetResolver`; a name that is not known is refused in its own words."""
        if builtin_name not in _BUILTINS:
            return self._as_builtin(builtin_name, builtins)
        builtin = builtins.get(builtin_name)
        return builtin() if callable(builtin) else builtin


def gather_endpoint_parameters_quickly(client: Any) -> None:
    """Have a client find what its endpoints depend on in a shorter way; the parameters are the same.

    Args:
        client: a botocore client; one whose resolver is not botocore's own is left alone.
    """
    resolver = getattr(client, "_ruleset_resolver", None)
    names = ("_resolve_param_from_context", "_resolve_param_as_builtin")
    own = vars(EndpointRulesetResolver)
    if any(getattr(type(resolver), name, None) is not own.get(name, names) for name in names):
        return
    with contextlib.suppress(AttributeError):
        gathering = _Gathering(resolver)  # type: ignore[arg-type]  # it has both of its methods
        vars(resolver).update(zip(names, (gathering.from_context, gathering.as_builtin), strict=True))
