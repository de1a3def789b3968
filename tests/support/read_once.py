"""What botocore and moto work out again and again in one process, kept from the first time.

Each session of boto3 parses S3's whole model (0.1 s of CPU), each client its endpoint rules, and moto lists its own 200
folders for every request; the suite makes thousands of them. What is kept follows from files and code that do not
change, and botocore only reads it: the models are what the clients of one session share in any program.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore import endpoint_provider, hooks
from botocore.loaders import Loader

LOADED = ("list_available_services", "determine_latest_version", "load_service_model", "load_data_with_path")


@contextlib.contextmanager
def models_read_once() -> Iterator[None]:
    """Let every loader of this process that searches the same folders share what was read from them."""
    lock = threading.RLock()  # botocore merges its extras into a model while it loads it
    with pytest.MonkeyPatch.context() as patch:
        for name in LOADED:
            patch.setattr(Loader, name, _shared(getattr(Loader, name), lock))
        patch.setattr(endpoint_provider, "RuleSet", _rules_once(endpoint_provider.RuleSet))
        patch.setattr(hooks.EventAliaser, "_alias_event_name", _aliases_once(hooks.EventAliaser._alias_event_name))
        patch.setattr(hooks, "accepts_kwargs", _signatures_once(hooks.accepts_kwargs))
        yield


def _shared(method: Callable[..., Any], lock: threading.RLock) -> Callable[..., Any]:
    kept: dict[Any, Any] = {}

    @functools.wraps(method)
    def load(self: Loader, *args: Any, **keywords: Any) -> Any:
        question = (tuple(self.search_paths), args, tuple(sorted(keywords.items())))
        with lock:
            if question not in kept:
                kept[question] = method(self, *args, **keywords)
            return kept[question]

    return load


def _rules_once(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Share the rules made of one loaded model; with them the model is kept, so that its identity names it."""
    kept: dict[tuple[int, int], tuple[Any, ...]] = {}

    def rule_set(*, rules: Any, partitions: Any, **more: Any) -> Any:
        name = (id(rules), id(partitions))
        if name not in kept:
            kept[name] = (rules, partitions, parse(rules=rules, partitions=partitions, **more))
        return kept[name][-1]

    return rule_set


def _aliases_once(alias: Callable[..., str]) -> Callable[..., str]:
    """Share the names that botocore's own aliases give; a table of somebody else's is asked each time."""
    kept: dict[str, str] = {}

    def name_of(self: hooks.EventAliaser, event_name: str) -> str:
        if self._event_aliases is not hooks.EVENT_ALIASES:
            return alias(self, event_name)
        if event_name not in kept:
            kept[event_name] = alias(self, event_name)
        return kept[event_name]

    return name_of


def _signatures_once(accepts: Callable[..., Any]) -> Callable[..., Any]:
    """Look at the signature of one piece of code once; a callable without code is asked each time."""
    kept: dict[Any, Any] = {}

    def accepts_kwargs(function: Any) -> Any:
        code = getattr(function, "__code__", None)
        if code is None:
            return accepts(function)
        if code not in kept:
            kept[code] = accepts(function)
        return kept[code]

    return accepts_kwargs


@contextlib.contextmanager
def moto_knows_its_services() -> Iterator[None]:
    """Let moto's server find the service of a host once, instead of trying 200 folders and patterns per request."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    with pytest.MonkeyPatch.context() as patch:
        find = DomainDispatcherApplication.get_backend_for_host
        patch.setattr(DomainDispatcherApplication, "get_backend_for_host", functools.lru_cache(maxsize=None)(find))
        yield
