"""What a flow knows of the client that it runs for: options, and what its model of S3 says. No request is made here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy
from s3ec.materials import MaterialsManager

__all__ = ["ReadRules", "Surroundings", "WriteRules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRules:
    """The options that decide about reads; each is described in `s3ec.Options`."""

    materials_manager: MaterialsManager
    commitment_policy: CommitmentPolicy
    enable_legacy_unauthenticated_modes: bool
    enable_delayed_authentication: bool
    enable_unauthenticated_ranges: bool
    verified_range_limit: int
    unencrypted_objects: Literal["refuse", "allow"]
    instruction_file_reads: bool
    bind_object: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRules:
    """The options that decide about writes; each is described in `s3ec.Options`."""

    materials_manager: MaterialsManager
    commitment_policy: CommitmentPolicy
    algorithm_suite: AlgorithmSuite | None
    instruction_file_writes: bool
    bind_object: bool


class Surroundings(Protocol):
    """The client, as flows see it.

    Attributes:
        reading: its options for reads.
        writing: its options for writes.
    """

    @property
    def reading(self) -> ReadRules:
        """Its options for reads."""
        ...

    @property
    def writing(self) -> WriteRules:
        """Its options for writes."""
        ...

    def members(self, operation_name: str) -> Collection[str]:
        """The names of an operation's parameters."""
        ...

    def companion(self, operation_name: str, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Parameters of an extra call of ours about the same object: who pays, who owns, and the SSE-C key."""
        ...

    def source_companion(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of a read of a copy's source: the source's own SSE-C key."""
        ...

    def validate(self, operation_name: str, parameters: Mapping[str, Any]) -> None:
        """Refuse what the client's library would refuse, before any key is touched."""
        ...

    def refusal(self, operation_name: str, status: int, code: str, message: str, **details: str) -> Exception:
        """The error that S3 would answer with, for a request that is not sent."""
        ...
