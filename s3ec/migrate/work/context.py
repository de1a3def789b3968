"""What a worker keeps between tasks: clients, keyrings, limits, and what it has learnt about the buckets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from s3ec.direct.requests import DirectRequests
from s3ec.keyrings import CachingMaterialsManager, DefaultMaterialsManager
from s3ec.materials import Keyring, MaterialsManager
from s3ec.migrate.model import Result
from s3ec.migrate.settings import KeyringSpec, MigrationSettings
from s3ec.migrate.work.bucket_facts import BucketFacts, bucket_facts
from s3ec.migrate.work.conditions import teach_conditions, teach_headers
from s3ec.migrate.work.ending import TaskEndedError, code_of, status_of
from s3ec.migrate.work.folders import FirstOfFolder
from s3ec.migrate.work.heads import explain_heads
from s3ec.migrate.work.limits import KmsMeter, MemoryBudget, MeteredKeyring
from s3ec.migrate.work.macs import content_mac

__all__ = ["BucketFacts", "Calls", "MigrationContext", "UploadLog"]

_UNKNOWN_THERE = frozenset({"NotImplemented", "MethodNotAllowed", "NoSuchConfiguration", "InvalidRequest"})
_SURE = {
    "get_object": ("ETag", "LastModified"),
    "head_object": ("ETag", "LastModified"),
    "get_object_tagging": ("TagSet",),
    "get_object_acl": ("Grants",),
    "put_object": ("ETag",),
    "copy_object": ("CopyObjectResult",),
    "create_multipart_upload": ("UploadId",),
    "upload_part": ("ETag",),
    "upload_part_copy": ("CopyPartResult",),
    "complete_multipart_upload": ("ETag",),
}
"""What each of these answers has wherever S3 is meant."""
_of_a_task = threading.local()


def _count_overhead(client: Any, counts: Counter[str]) -> None:
    """Count what is sent beside the tasks: the bucket's facts, lists, uploads that are cleared away."""
    lock = threading.Lock()

    def count(model: Any, **_: Any) -> None:
        calls = getattr(_of_a_task, "calls", None)
        if calls is not None:
            calls.was_sent(xform_name(model.name))
        else:
            with lock:
                counts[xform_name(model.name)] += 1

    client.meta.events.register("before-call.s3", count)


class Calls:
    """S3 requests of one task, counted by operation."""

    __slots__ = ("_client", "_direct", "_is_sent", "_lock", "counts")

    def __init__(self, client: Any, direct: DirectRequests | None = None) -> None:
        """Take a plain boto3 S3 client, and what sends small requests in its place, where there is such a thing."""
        self._client = client
        self._direct = direct
        self._lock = threading.Lock()
        self._is_sent = threading.local()
        self.counts: Counter[str] = Counter()

    def was_sent(self, operation: str) -> None:
        """Count what the client sends of itself beside the request that it was asked for, to explain a refused HEAD."""
        if self._is_sent.own:
            with self._lock:
                self.counts[operation] += 1
        self._is_sent.own = True

    def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request by the name of the client's method."""
        with self._lock:
            self.counts[operation] += 1
        _of_a_task.calls = self
        self._is_sent.own = False
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        finally:
            _of_a_task.calls = None
        return _sure(operation, answer)

    def small(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send a request that is small, and whose answer is: the short way, where there is one."""
        if self._direct is None:
            return self(operation, **parameters)
        send = self._direct.prepared(operation, parameters)
        if send is not None:
            with self._lock:
                self.counts[operation] += 1
            answer = send()
            if answer is not None:
                return _sure(operation, answer)
        with self._direct.watching(operation, parameters):
            return self(operation, **parameters)


def _sure(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    if any(name not in answer for name in _SURE.get(operation, ())):
        # An empty 200 (a proxy's, a server that stumbled) would pass for an object without tags or grants.
        raise TaskEndedError(Result.RETRY, f"the answer to {operation} lacks {' and '.join(_SURE[operation])}")
    return answer


class UploadLog(Protocol):
    """Remembers multipart uploads that are under way, so that a later run can clear away what a kill left."""

    def upload_opening(self, bucket: str, key: str) -> str:
        """Note that an upload is about to begin; return its name until S3 has given it its id."""

    def upload_opened(self, name: str, upload_id: str, *, is_only_one: bool = True) -> None:
        """It has begun; or it is not the only one, and another one may stand under the name, whose id is not known."""

    def upload_closed(self, upload_id: str) -> None:
        """It was completed or aborted, or (by its name) never begun."""


@dataclass(slots=True)
class MigrationContext:
    """Everything that `migrate_one` needs beside the task. Threads share it; it is never pickled.

    Attributes:
        settings: the job.
        s3: a plain boto3 S3 client of the job's own.
        keyring: wraps what is written.
        source_keyring: opens what is read.
        meter: counts and paces KMS requests.
        memory: bounds the object content in memory.
        direct: sends small requests for ``s3``, or None.
        uploads: where multipart uploads are noted, or None.
        dry_run: True to stop each task before its first write.
        kms: makes a KMS client for ``ReEncrypt`` and ``Encrypt``.
        probe: makes an S3 client that tries each request once.
        overhead: requests to S3 that were sent beside the tasks, by operation.
        contexts: encryption contexts of what a dry run would encrypt, by how many objects have them.
        tag_readers: folders in which the tags of an object could be read.
        mac_key: under it an outcome names its plaintext; None where no journal keeps one, and then none is named.
    """

    settings: MigrationSettings
    s3: Any
    keyring: Keyring
    source_keyring: Keyring
    meter: KmsMeter
    memory: MemoryBudget
    kms: Callable[[KeyringSpec], Any]
    probe: Callable[[], Any]
    direct: DirectRequests | None = None
    uploads: UploadLog | None = None
    dry_run: bool = False
    mac_key: bytes | None = field(default=None, repr=False)
    overhead: Counter[str] = field(default_factory=Counter)
    contexts: Counter[frozenset[tuple[str, str]]] = field(default_factory=Counter)
    write_manager: MaterialsManager = field(init=False)
    read_manager: MaterialsManager = field(init=False)
    _lock: threading.RLock = field(init=False, default_factory=threading.RLock)
    _facts: dict[str, BucketFacts] = field(init=False, default_factory=dict)
    _annotations: dict[str, bool] = field(init=False, default_factory=dict)
    _unsaid: set[str] = field(init=False, default_factory=set)
    _lost_files: set[int] = field(init=False, default_factory=set)
    _kms_clients: dict[str, Any] = field(init=False, default_factory=dict)
    tag_readers: FirstOfFolder = field(init=False, default_factory=FirstOfFolder)

    def __post_init__(self) -> None:
        """Put the managers before the keyrings."""
        reuse = self.settings.reuse_data_keys and self.settings.keyring.is_kms
        manager = CachingMaterialsManager if reuse else DefaultMaterialsManager
        self.write_manager = manager(self.keyring)
        self.read_manager = DefaultMaterialsManager(self.source_keyring)

    @classmethod
    def open(
        cls, settings: MigrationSettings, *, uploads: UploadLog | None = None, dry_run: bool = False
    ) -> MigrationContext:
        """Build clients and keyrings from the settings, where the work is done.

        Raises:
            s3ec.errors.ConfigurationError: a key file is missing or holds no key.
        """
        connection = settings.connection
        session = connection.session()
        client = connection.client("s3", session)
        teach_conditions(client)
        teach_headers(client)
        explain_heads(client)
        overhead: Counter[str] = Counter()
        _count_overhead(client, overhead)
        direct = DirectRequests.of(client, session.get_credentials())
        meter = KmsMeter(settings.kms_requests_per_second)

        def build(spec: KeyringSpec) -> Keyring:
            keyring = spec.build(connection, session)
            return MeteredKeyring(keyring, meter) if spec.is_kms else keyring

        source = settings.source_keyring or settings.keyring
        if settings.allow_legacy:
            source = replace(source, enable_legacy_wrapping_algorithms=True)
        return cls(
            settings=settings,
            s3=client,
            keyring=build(settings.keyring),
            source_keyring=build(source),
            meter=meter,
            memory=MemoryBudget(settings.memory_limit),
            kms=lambda spec: spec.kms_client(connection, session),
            probe=lambda: replace(connection, max_attempts=1).client("s3", session),
            uploads=uploads,
            dry_run=dry_run,
            overhead=overhead,
            direct=direct,
        )

    def close(self) -> None:
        """Close the clients."""
        if self.direct is not None:
            self.direct.close()
        self.s3.close()
        for client in self._kms_clients.values():
            client.close()

    def kms_client(self, spec: KeyringSpec) -> Any:
        """Return the KMS client for a key, made once."""
        with self._lock:
            if spec.label not in self._kms_clients:
                self._kms_clients[spec.label] = self.kms(spec)
            return self._kms_clients[spec.label]

    def facts(self, bucket: str) -> BucketFacts:
        """What is true of a bucket; asked for once, by whichever thread comes first.

        Raises:
            botocore.exceptions.ClientError: the bucket does not exist.
        """
        with self._lock:
            if bucket not in self._facts:
                self._facts[bucket] = bucket_facts(self.s3, bucket)
            return self._facts[bucket]

    def mac(self, sha256: str | None) -> str | None:
        """What an outcome may say of a plaintext: a MAC of its SHA-256 (both in hex) under the key of the books."""
        return content_mac(self.mac_key, sha256)

    def would_wrap(self, encryption_context: Mapping[str, str] | None) -> None:
        """Remember in a dry run that an object would be encrypted under this context: a data key serves one alone."""
        with self._lock:
            self.contexts[frozenset((encryption_context or {}).items())] += 1

    def note_lost_file(self, bucket: str, key: str) -> None:
        """Remember that this process has removed an object's instruction file: a few bytes for each."""
        with self._lock:
            self._lost_files.add(hash((bucket, key)))

    def lost_file(self, bucket: str, key: str) -> bool:
        """True if this process has removed the instruction file of the object."""
        with self._lock:
            return hash((bucket, key)) in self._lost_files

    def version_of(self, bucket: str, answer: dict[str, Any]) -> str | None:
        """The version that a write made; None where the bucket makes none, whatever the server says."""
        return answer.get("VersionId") if self.facts(bucket).keeps_versions else None

    def has_annotations(self, bucket: str, key: str) -> bool:
        """True if SDK and server know object annotations; probed on the first object of a bucket, without retries."""
        with self._lock:
            if bucket not in self._annotations:
                known = hasattr(self.s3, "list_object_annotations") and self._probe(bucket, key)
                self._annotations[bucket] = known
                if not known:
                    self._unsaid.add(bucket)
            return self._annotations[bucket]

    def lacks_annotations_unsaid(self, bucket: str) -> bool:
        """True to one caller only, after the probe found that SDK or server know no annotations in this bucket."""
        with self._lock:
            unsaid = bucket in self._unsaid
            self._unsaid.discard(bucket)
            return unsaid

    def _probe(self, bucket: str, key: str) -> bool:
        impatient = self.probe()
        _count_overhead(impatient, self.overhead)
        try:
            answer = impatient.list_object_annotations(Bucket=bucket, Key=key)
        except ClientError as error:
            # A server that does not know the request answers 4xx or 5xx; one that does may forbid it, and then the
            # annotations of each object stay unknown.
            return status_of(error) in (401, 403) and code_of(error) not in _UNKNOWN_THERE
        except ResponseParserError:
            return False
        finally:
            impatient.close()
        # A server that ignores what it does not know answers with the object itself.
        return any(name in answer for name in ("Annotations", "AnnotationCount", "ObjectVersionId", "Key"))
