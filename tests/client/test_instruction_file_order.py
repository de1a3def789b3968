"""No order of writes, kill or fault makes ciphertext or a wrong byte pass for content, or refuses a reader in between.

A model of every overwrite: what is there, what is written, and how. Each is stopped before every request that it sends
(the process is killed there, S3 refuses the request, or the answer to it is lost), and whoever reads then gets the old
plaintext, the new one, or what is said of an object that is not there or not encrypted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from s3ec import AesKeyring, CommitmentPolicy, EncryptionClient
from s3ec.errors import CommitmentMismatchError, NotEncryptedError, S3ECError, UnsupportedOperationError

from support.aws import new_bucket_name
from support.interference import Interference, KilledError
from support.lying_s3 import LyingS3, Stored
from support.vectors import Vector, all_vectors

VECTORS = {vector.name: vector for vector in all_vectors()}
KEY = bytes.fromhex(VECTORS["java/java3-aes256-meta-17"].key["hex"])
OLD = {
    "V1": "java/javasdk1-eo-aes256-meta-17",
    "V1 in a file": "java/javasdk1-eo-aes256-instr-17",
    "V2": "java/java3-aes256-meta-17",
    "V2 in a file": "java/java3-aes256-instr-17",
}
STATES = ("absent", "plaintext", *OLD, "V3", "V3 in a file", "a stray file of V3", "plaintext and a stray file")
SOURCES = ("plaintext", *OLD, "V3", "V3 in a file")
FORMER, NEW = b"what was there", b"what is written"
TOO_LARGE = {"Metadata": {"m": "x" * 1900}}  # leaves room for V3's own three names, and for nothing more
NO_RETRIES = Config(retries={"total_max_attempts": 1})


class Bucket:
    """A bucket of a server in memory, and clients for it."""

    def __init__(self, server: LyingS3, make: Callable[..., EncryptionClient]) -> None:
        self.server, self._make = server, make
        self.writer = self.client(config=NO_RETRIES)
        self.in_files = self.client(instruction_file_writes=True, config=NO_RETRIES)
        self.allowing = self.client(unencrypted_objects="allow")
        self.refusing = self.client()

    def client(self, **options: Any) -> EncryptionClient:
        """A client that reads every format."""
        keyring = AesKeyring(KEY, enable_legacy_wrapping_algorithms=True)
        policy = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
        defaults = {"keyring": keyring, "commitment_policy": policy, "enable_legacy_unauthenticated_modes": True}
        return self._make(**{**defaults, **options})

    def place(self, state: str, key: str, body: bytes) -> bytes:
        """Put something there. Returns its plaintext; vectors have their own."""
        objects = self.server.state.objects
        if state == "a stray file of V3":
            self.in_files.put_object(Bucket="b", Key=key, Body=body)
            del objects[f"b/{key}"]
        elif state == "plaintext and a stray file":
            self.in_files.put_object(Bucket="b", Key=key, Body=body)
            objects[f"b/{key}"] = Stored(body, {})
        elif state == "plaintext":
            objects[f"b/{key}"] = Stored(body, {})
        elif state in OLD:
            return self._vector(VECTORS[OLD[state]], key)
        elif state != "absent":
            client = self.in_files if state == "V3 in a file" else self.writer
            client.put_object(Bucket="b", Key=key, Body=body)
        return body

    def _vector(self, vector: Vector, key: str) -> bytes:
        objects = self.server.state.objects
        objects[f"b/{key}"] = Stored(vector.body, _headers(vector.metadata))
        if vector.instruction_file is not None:
            file = vector.instruction_file
            objects[f"b/{key}.instruction"] = Stored(file.body, _headers(file.metadata))
        return vector.plaintext

    def read(self, client: EncryptionClient) -> bytes | type[Exception]:
        """What a reader of the key gets."""
        try:
            body: bytes = client.get_object(Bucket="b", Key="k")["Body"].read()
        except (ClientError, S3ECError) as error:
            return type(error)
        return body


def _headers(metadata: Any) -> dict[str, str]:
    return {f"x-amz-meta-{name}": value for name, value in metadata.items()}


@pytest.fixture
def bucket_name(aws: dict[str, Any], plain_s3: Any) -> str:
    """A bucket of moto."""
    name = new_bucket_name()
    plain_s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def bucket(http_liar: LyingS3, lied_to: Callable[..., Any], _shared_session: boto3.Session) -> Bucket:
    """A bucket of its own for each test."""
    return Bucket(http_liar, lambda **options: lied_to(http_liar, session=_shared_session, **options))


def _put(client: EncryptionClient, **more: Any) -> None:
    client.put_object(Bucket="b", Key="k", Body=NEW, **more)


def _upload(client: EncryptionClient, **more: Any) -> None:
    where = {"Bucket": "b", "Key": "k"}
    upload = {**where, "UploadId": client.create_multipart_upload(**where, **more)["UploadId"]}
    part = client.upload_part(**upload, PartNumber=1, Body=NEW)
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})


def _copy(client: EncryptionClient, **_: Any) -> None:
    client.copy_object(Bucket="b", Key="k", CopySource="b/source")


def _managed_copy(client: EncryptionClient, **_: Any) -> None:
    # In this thread: s3transfer's own swallow what is no `Exception`, such as the end of the process.
    client.copy({"Bucket": "b", "Key": "source"}, "b", "k", Config=TransferConfig(use_threads=False))


V2_POLICY = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT}
WRITES: dict[str, tuple[Callable[..., None], dict[str, Any], dict[str, Any]]] = {
    "put": (_put, {}, {}),
    "put in a file": (_put, {"instruction_file_writes": True}, {}),
    "put in a file, too large": (_put, {"instruction_file_writes": True}, TOO_LARGE),
    "put V2": (_put, V2_POLICY, {}),
    "put V2 in a file": (_put, {**V2_POLICY, "instruction_file_writes": True}, {}),
    "put V2 in a file, too large": (_put, {**V2_POLICY, "instruction_file_writes": True}, TOO_LARGE),
    "parts": (_upload, {}, {}),
    "parts in a file": (_upload, {"instruction_file_writes": True}, {}),
    "parts in a file, too large": (_upload, {"instruction_file_writes": True}, TOO_LARGE),
    "parts of V2 in a file": (_upload, {**V2_POLICY, "instruction_file_writes": True}, {}),
    **{f"copy of {source}": (_copy, {"unencrypted_objects": "allow"}, {}) for source in SOURCES},
    **{f"managed copy of {source}": (_managed_copy, {"unencrypted_objects": "allow"}, {}) for source in SOURCES},
}

# What S3 cannot do: replace two objects at once. A V3 object meets the file of another one there, and its commitment
# says so; and content metadata that does not fit into the object has no other place.
UNAVOIDABLE = {
    (state, write): {CommitmentMismatchError}
    for state in ("V3 in a file",)
    for write in ("put in a file, too large", "parts in a file, too large")
}


class _Case:
    """One overwrite in one bucket, played again and again."""

    def __init__(self, bucket: Bucket, state: str, name: str) -> None:
        self.bucket, self.state, self.name = bucket, state, name
        self.write, options, self.request = WRITES[name]
        self.client = bucket.client(**options, config=NO_RETRIES)
        self.watch = Interference(self.client)
        objects = bucket.server.state.objects
        objects.clear()
        self.former, self.new = bucket.place(state, "k", FORMER), NEW
        if "copy of " in name:
            self.new = bucket.place(name.partition("copy of ")[2], "source", NEW)
        self._start = dict(objects)
        self._seen: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def play(self, how: str, number: int) -> bool | None:
        """Write, and stop at the n-th request. Returns whether it is written; None where that is not said."""
        state = self.bucket.server.state
        state.objects.clear()
        state.objects.update(self._start)
        self.watch.begin_again()
        if how == "killed":
            self.watch.kill_before(number)
        elif how == "refused":
            self.watch.refuse(number)
        else:
            state.lies.lose_answer = number
        try:
            self.write(self.client, **self.request)
        except UnsupportedOperationError:
            return False
        except (KilledError, ClientError):
            return None
        finally:
            state.lies.lose_answer = 0
        return True

    def check(self, *, wrote: bool | None) -> None:
        """Look at the key as both kinds of readers do."""
        missing = self.bucket.refusing.exceptions.NoSuchKey
        old = self.former if "b/k" in self._start else missing
        allowed = {True: {self.new}, False: {old}, None: {old, self.new}}[wrote]
        if wrote is None:
            allowed |= UNAVOIDABLE.get((self.state, self.name), set())
        found, refused = self._read()
        assert found in allowed
        stands = self.bucket.server.state.objects.get("b/k")
        is_plain = stands is not None and stands.body == found
        assert refused == (NotEncryptedError if is_plain else found)

    def _read(self) -> tuple[Any, Any]:
        """What the readers get; the same objects are read once."""
        objects = self.bucket.server.state.objects
        there = tuple(id(objects.get(f"b/k{suffix}")) for suffix in ("", ".instruction"))
        if there not in self._seen:
            # What is kept alive keeps its id.
            self._kept = [*getattr(self, "_kept", []), *objects.values()]
            self._seen[there] = self.bucket.read(self.bucket.allowing), self.bucket.read(self.bucket.refusing)
        return self._seen[there]


def _cases() -> Iterator[Any]:
    """All, of which the likeliest are played every day."""
    everyday = ("plaintext", "V2 in a file", "V3 in a file")
    for state, name in itertools.product(STATES, WRITES):
        is_likely = state in everyday and name.endswith(" in a file") and "V1" not in name
        yield pytest.param(state, name, marks=() if is_likely else pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize(("state", "name"), list(_cases()))
def test_every_stop_leaves_what_was_or_what_is_to_be(state: str, name: str, bucket: Bucket) -> None:
    """Killed, refused or left without an answer at each request: nothing else is ever read there."""
    case = _Case(bucket, state, name)
    for how in ("killed", "refused", "answer lost"):
        number, is_through = 1, False
        while not is_through:
            wrote = case.play(how, number)
            case.check(wrote=wrote)
            is_through = wrote is not None and number > len(case.watch.sent)
            number += 1


class TestWhatLiesUnderTheName:
    """Nothing there is replaced that an object needs, or that is somebody's own."""

    OWN = Stored(b"How to assemble the shelf", {})

    def test_somebodys_own_object_stays(self, bucket: Bucket) -> None:
        """The new object has its content metadata in itself."""
        objects = bucket.server.state.objects
        objects["b/k.instruction"] = self.OWN
        bucket.in_files.put_object(Bucket="b", Key="k", Body=NEW)
        assert objects["b/k.instruction"] is self.OWN
        assert bucket.read(bucket.refusing) == NEW

    @pytest.mark.parametrize("state", ["somebody's own", "V1 in a file", "V2 in a file"])
    def test_what_does_not_fit_is_refused(self, bucket: Bucket, state: str) -> None:
        """Nothing is written where there is no place for it."""
        objects = bucket.server.state.objects
        if state == "somebody's own":
            objects["b/k.instruction"] = self.OWN
        else:
            bucket.place(state, "k", FORMER)
        before = dict(objects)
        with pytest.raises(UnsupportedOperationError, match=r"k\.instruction"):
            bucket.in_files.put_object(Bucket="b", Key="k", Body=NEW, **TOO_LARGE)
        assert objects == before

    def test_a_copy_keeps_its_headers_where_the_file_goes_into_it(
        self, make_client: Callable[..., Any], plain_s3: Any, bucket_name: str
    ) -> None:
        """Stating the metadata of a copy loses none of what a copy takes along."""
        client = make_client(instruction_file_writes=True)
        where = {"Bucket": bucket_name}
        client.put_object(**where, Key="k", Body=FORMER)
        stated = {"ContentType": "text/plain", "CacheControl": "no-store", "ContentDisposition": "inline"}
        client.put_object(**where, Key="source", Body=NEW, Metadata={"own": "1"}, Tagging="t=1", **stated)
        client.copy_object(**where, Key="k", CopySource={**where, "Key": "source"})
        head = plain_s3.head_object(**where, Key="k")
        assert {name: head[name] for name in stated} == stated
        assert (head["Metadata"]["own"], "x-amz-3" in head["Metadata"]) == ("1", True)
        assert plain_s3.get_object_tagging(**where, Key="k")["TagSet"] == [{"Key": "t", "Value": "1"}]
        assert client.get_object(**where, Key="k")["Body"].read() == NEW


@pytest.mark.slow
def test_a_repeated_request_does_not_cost_the_file(bucket: Bucket) -> None:
    """S3 stored the object and its answer was lost: the condition of the repeated request fails on that very object."""
    client = bucket.client(instruction_file_writes=True, config=Config(retries={"total_max_attempts": 2}))
    bucket.server.state.objects.clear()
    bucket.server.lies.lose_answer = 3  # the look at the name, the file, and then the object
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="b", Key="k", Body=NEW, IfNoneMatch="*")
    assert bucket.read(bucket.refusing) == NEW
