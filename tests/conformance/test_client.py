"""What the specification asks of the client as a whole, shown through its public face."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from s3ec import AesKeyring, AlgorithmSuite, CommitmentPolicy, EncryptionClient, KmsKeyring, RsaKeyring, errors
from s3ec.client.options import OPTION_NAMES, Options
from s3ec.keyrings import DefaultMaterialsManager

MakeClient = Callable[..., Any]
WRAPPING_KEY = bytes(range(32))
FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
PLAINTEXT = b"forty bytes that nobody else should read"


def flip_last_byte(plain_s3: Any, bucket: str, key: str) -> None:
    """Breaks an object's tag."""
    stored = plain_s3.get_object(Bucket=bucket, Key=key)
    body = bytearray(stored["Body"].read())
    body[-1] ^= 1
    plain_s3.put_object(Bucket=bucket, Key=key, Body=bytes(body), Metadata=stored["Metadata"])


class TestInterface:
    """The client as a boto3 client."""

    def test_every_method_has_boto3s_signature(self, make_client: MakeClient, plain_s3: Any) -> None:
        """Each public method of boto3's client is there with the same parameters."""
        client = make_client()
        for name in dir(plain_s3):
            if not name.startswith("_") and inspect.ismethod(getattr(plain_s3, name)):
                ours = inspect.signature(getattr(client, name)).parameters
                assert list(ours) == list(inspect.signature(getattr(plain_s3, name)).parameters), name

    def test_operations_without_content_pass(self, make_client: MakeClient, bucket: str, plain_s3: Any) -> None:
        """What has nothing to do with encryption does what it always did; a copy stays readable."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="a", Body=PLAINTEXT)
        client.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
        client.put_object_tagging(Bucket=bucket, Key="b", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
        assert client.get_object(Bucket=bucket, Key="b")["Body"].read() == PLAINTEXT
        assert plain_s3.get_object_tagging(Bucket=bucket, Key="b")["TagSet"] == [{"Key": "k", "Value": "v"}]
        assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "b"]

    def test_options_are_its_own(self, aws: dict[str, Any]) -> None:
        """No option shares a name with a parameter of ``boto3.client``, and boto3 takes none of them."""
        assert not OPTION_NAMES & set(inspect.signature(boto3.Session.client).parameters)
        with pytest.raises(TypeError):
            boto3.client("s3", keyring=AesKeyring(WRAPPING_KEY), **aws)

    def test_sdk_configuration_reaches_every_request(self, make_client: MakeClient, bucket: str) -> None:
        """Credentials and endpoint given once serve all requests, those for instruction files too."""
        client = make_client(instruction_file_writes=True)
        seen: list[tuple[str, str]] = []
        client.meta.events.register(
            "before-send.s3", lambda request, **_: seen.append((request.method, str(request.headers["Authorization"])))
        )
        client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
        client.get_object(Bucket=bucket, Key="k")["Body"].read()
        client.delete_object(Bucket=bucket, Key="k")
        assert len(seen) >= 6
        assert all("Credential=testing/" in str(authorization) for _, authorization in seen)


class TestConfiguration:
    """What is decided when the client is made."""

    def test_takes_a_keyring_or_a_materials_manager(self, make_client: MakeClient, bucket: str) -> None:
        """Either works, alone."""
        for given in (
            {"keyring": AesKeyring(WRAPPING_KEY)},
            {"materials_manager": DefaultMaterialsManager(AesKeyring(WRAPPING_KEY))},
        ):
            client = make_client(**given)
            client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
            assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == PLAINTEXT

    def test_refuses_both_and_none(self, aws: dict[str, Any]) -> None:
        """A keyring and a materials manager together are refused, and so is neither."""
        keyring = AesKeyring(WRAPPING_KEY)
        with pytest.raises(errors.ConfigurationError, match="exactly one"):
            EncryptionClient(keyring=keyring, materials_manager=DefaultMaterialsManager(keyring), **aws)
        with pytest.raises(errors.ConfigurationError, match="exactly one"):
            EncryptionClient(**aws)

    def test_a_keyring_gets_the_default_materials_manager(self) -> None:
        """Given a keyring, the options make the manager that asks it each time."""
        assert isinstance(Options(keyring=AesKeyring(WRAPPING_KEY)).manager, DefaultMaterialsManager)

    def test_defaults_are_the_safe_ones(self) -> None:
        """Nothing legacy, nothing unauthenticated, no instruction files written, commitment required."""
        options = Options(keyring=AesKeyring(WRAPPING_KEY))
        assert options.commitment_policy is CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        assert not options.enable_legacy_unauthenticated_modes
        assert not options.enable_delayed_authentication
        assert not options.enable_unauthenticated_ranges
        assert (options.instruction_file_reads, options.instruction_file_writes) == (True, False)
        assert options.buffer_size == 64 * 1024 * 1024
        for keyring in (AesKeyring(WRAPPING_KEY), KmsKeyring("alias/a", region_name="us-east-1")):
            assert not keyring.capabilities.enable_legacy_wrapping_algorithms

    def test_buffer_size_is_the_callers(self, make_client: MakeClient, bucket: str, tmp_path: Any) -> None:
        """A verified read beyond the buffer spools ciphertext into the folder given, and still verifies."""
        client = make_client(buffer_size=16, spool_directory=tmp_path)
        client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == PLAINTEXT
        with pytest.raises(errors.ConfigurationError, match="buffer_size"):
            make_client(buffer_size="large")

    @pytest.mark.parametrize("suite", AlgorithmSuite)
    @pytest.mark.parametrize("policy", CommitmentPolicy)
    def test_suite_is_held_against_legacy_and_policy(
        self, make_client: MakeClient, suite: AlgorithmSuite, policy: CommitmentPolicy
    ) -> None:
        """Only a policy's own suite makes a client; CBC never does."""
        if suite is policy.default_suite:
            make_client(algorithm_suite=suite, commitment_policy=policy)
            return
        with pytest.raises(errors.ConfigurationError, match=suite.name):
            make_client(algorithm_suite=suite, commitment_policy=policy)

    def test_counter_mode_is_no_suite(self) -> None:
        """AES-CTR exists for ranges alone: there is no value that would ask to encrypt with it."""
        assert not [suite for suite in AlgorithmSuite if "CTR" in suite.name]


class TestOperations:
    """The operations that encrypt."""

    @pytest.mark.parametrize(
        ("policy", "keys"),
        [
            (None, {"x-amz-c", "x-amz-3", "x-amz-w", "x-amz-d", "x-amz-i", "x-amz-t"}),
            (
                FORBID,
                {
                    "x-amz-key-v2",
                    "x-amz-iv",
                    "x-amz-matdesc",
                    "x-amz-wrap-alg",
                    "x-amz-cek-alg",
                    "x-amz-tag-len",
                },
            ),
        ],
    )
    def test_put_encrypts_and_get_decrypts(
        self, policy: CommitmentPolicy | None, keys: set[str], make_client: MakeClient, bucket: str, plain_s3: Any
    ) -> None:
        """S3 stores ciphertext and exactly the format's keys; the client gives the plaintext back."""
        client = make_client(**({} if policy is None else {"commitment_policy": policy}))
        client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT, Metadata={"own": "kept"})
        stored = plain_s3.get_object(Bucket=bucket, Key="k")
        body = stored["Body"].read()
        assert len(body) == len(PLAINTEXT) + 16
        assert PLAINTEXT not in body
        assert set(stored["Metadata"]) == keys | {"own"}
        if policy is None:
            assert json.loads(stored["Metadata"]["x-amz-t"]) == {"aws:x-amz-cek-alg": "115"}
        answer = client.get_object(Bucket=bucket, Key="k")
        assert (answer["Body"].read(), answer["Metadata"]) == (PLAINTEXT, {"own": "kept"})

    @pytest.mark.parametrize("policy", [None, FORBID])
    def test_instruction_file_holds_what_its_format_says(
        self, policy: CommitmentPolicy | None, make_client: MakeClient, bucket: str, plain_s3: Any
    ) -> None:
        """V2 lies in the file as a whole; of V3 the file holds the data key and nothing of the commitment."""
        options = {} if policy is None else {"commitment_policy": policy}
        client = make_client(instruction_file_writes=True, **options)
        client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
        own = set(plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]) - {"x-amz-unencrypted-content-length"}
        file = plain_s3.get_object(Bucket=bucket, Key="k.instruction")
        held = set(json.loads(file["Body"].read()))
        if policy is None:
            assert own == {"x-amz-c", "x-amz-d", "x-amz-i"}
            assert held == {"x-amz-3", "x-amz-w", "x-amz-t"}
        else:
            assert own == set()
            assert {"x-amz-key-v2", "x-amz-iv", "x-amz-wrap-alg", "x-amz-cek-alg", "x-amz-matdesc"} <= held
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == PLAINTEXT

    def test_instruction_file_holds_a_raw_keys_description(
        self, make_client: MakeClient, bucket: str, plain_s3: Any
    ) -> None:
        """The material description of a raw key goes into the file with the data key."""
        keyring = AesKeyring(WRAPPING_KEY, material_description={"key": "one"})
        make_client(keyring=keyring, instruction_file_writes=True).put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
        file = json.loads(plain_s3.get_object(Bucket=bucket, Key="k.instruction")["Body"].read())
        assert set(file) == {"x-amz-3", "x-amz-w", "x-amz-m"}
        assert (file["x-amz-w"], json.loads(file["x-amz-m"])) == ("02", {"key": "one"})

    def test_instruction_files_can_be_switched_off_and_named_on_reads(
        self, make_client: MakeClient, bucket: str, plain_s3: Any
    ) -> None:
        """Reads look for the file unless told not to, or look for one of another suffix; writes name none."""
        client = make_client(instruction_file_writes=True)
        client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
        with pytest.raises(errors.S3ECError, match="instruction_file_reads"):
            make_client(instruction_file_reads=False).get_object(Bucket=bucket, Key="k")
        file = plain_s3.get_object(Bucket=bucket, Key="k.instruction")["Body"].read()
        plain_s3.put_object(Bucket=bucket, Key="k.partner", Body=file)
        plain_s3.delete_object(Bucket=bucket, Key="k.instruction")
        answer = client.get_object(Bucket=bucket, Key="k", InstructionFileSuffix=".partner")
        assert answer["Body"].read() == PLAINTEXT
        with pytest.raises(Exception, match="InstructionFileSuffix"):
            client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT, InstructionFileSuffix=".partner")

    def test_deletes_take_the_instruction_file_along(self, make_client: MakeClient, bucket: str, plain_s3: Any) -> None:
        """DeleteObject and DeleteObjects delete each object and its default instruction file, and no other object."""
        client = make_client(instruction_file_writes=True)
        for key in ("a", "b", "c", "d"):
            client.put_object(Bucket=bucket, Key=key, Body=PLAINTEXT)
        client.delete_object(Bucket=bucket, Key="a")
        client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}, {"Key": "c"}]})
        left = [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]]
        assert left == ["d", "d.instruction"]

    def test_multipart_is_one_stream(self, make_client: MakeClient, bucket: str, plain_s3: Any) -> None:
        """Parts are pieces of one ciphertext with one tag; aborting leaves nothing."""
        client = make_client()
        parts = [bytes([number]) * (5 * 1024 * 1024) for number in (1, 2)] + [b"the rest"]
        where = {"Bucket": bucket, "Key": "k"}
        upload = client.create_multipart_upload(**where)["UploadId"]
        done = [
            {
                "PartNumber": number,
                "ETag": client.upload_part(**where, UploadId=upload, PartNumber=number, Body=part)["ETag"],
            }
            for number, part in enumerate(parts, 1)
        ]
        client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})
        assert plain_s3.head_object(**where)["ContentLength"] == sum(map(len, parts)) + 16
        assert client.get_object(**where)["Body"].read() == b"".join(parts)

        aborted = client.create_multipart_upload(Bucket=bucket, Key="other")["UploadId"]
        client.upload_part(Bucket=bucket, Key="other", UploadId=aborted, PartNumber=1, Body=b"part")
        client.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=aborted)
        assert not plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
        assert [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


class TestReading:
    """What leaves the client, and when."""

    def test_nothing_leaves_before_the_tag_verified(self, make_client: MakeClient, bucket: str, plain_s3: Any) -> None:
        """Of an object with a broken tag the default releases no byte; delayed authentication releases, then raises."""
        body = bytes(3 * 1024 * 1024)
        make_client().put_object(Bucket=bucket, Key="k", Body=body)
        flip_last_byte(plain_s3, bucket, "k")

        def read(client: Any, released: bytearray) -> None:
            for chunk in client.get_object(Bucket=bucket, Key="k")["Body"].iter_chunks(64 * 1024):
                released += chunk

        released = bytearray()
        with pytest.raises(errors.AuthenticationError):
            read(make_client(), released)
        assert released == b""
        with pytest.raises(errors.AuthenticationError):
            read(make_client(enable_delayed_authentication=True), released)
        assert 0 < len(released) <= len(body)
        assert released == body[: len(released)]

    def test_an_unasked_range_is_refused(self, make_client: MakeClient, bucket: str) -> None:
        """An answer with a Content-Range to a request without a Range is refused: a part is not the object."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)

        def ask_for_a_part(request: Any, **_: Any) -> None:
            request.headers["Range"] = "bytes=0-31"

        client.meta.events.register("before-sign.s3.GetObject", ask_for_a_part)
        with pytest.raises(errors.S3ECError):
            client.get_object(Bucket=bucket, Key="k")["Body"].read()

    @pytest.mark.parametrize("policy", [None, FORBID])
    def test_a_range_reads_whole_blocks(
        self, policy: CommitmentPolicy | None, make_client: MakeClient, bucket: str
    ) -> None:
        """An unauthenticated range is fetched in whole blocks and decrypted in counter mode from its first."""
        options = {"commitment_policy": ALLOW} if policy is None else {"commitment_policy": policy}
        client = make_client(enable_unauthenticated_ranges=True, **options)
        body = bytes(range(256)) * 8
        client.put_object(Bucket=bucket, Key="k", Body=body)
        asked: list[str] = []
        client.meta.events.register(
            "before-send.s3.GetObject", lambda request, **_: asked.append(str(request.headers.get("Range")))
        )
        answer = client.get_object(Bucket=bucket, Key="k", Range="bytes=1001-1010")
        assert answer["Body"].read() == body[1001:1011]
        ranges = [one.replace("b'", "").replace("'", "") for one in asked]
        first, last = (int(end) for end in ranges[-1].removeprefix("bytes=").split("-"))
        assert (first % 16, first <= 1001, last >= 1010) == (0, True, True)

    def test_policy_error_comes_before_any_key(self, make_client: MakeClient, bucket: str, kms: Any) -> None:
        """Content that the policy forbids is refused without a KMS call."""
        make_client(commitment_policy=FORBID).put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
        calls: list[str] = []
        kms.meta.events.register("before-call.kms", lambda model, **_: calls.append(model.name))
        with pytest.raises(errors.CommitmentPolicyError):
            make_client().get_object(Bucket=bucket, Key="k")
        assert calls == []


@pytest.mark.parametrize("wrapping", ["02", "12", "22"])
def test_wrapping_codes_are_translated_both_ways(
    wrapping: str, make_client: MakeClient, bucket: str, plain_s3: Any, kms_key: str, kms: Any
) -> None:
    """Each V3 code stands for its wrapping algorithm, on write and on read."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    keyring, label = {
        "02": lambda: (AesKeyring(WRAPPING_KEY), "AES/GCM"),
        "12": lambda: (KmsKeyring(kms_key, client=kms), "kms+context"),
        "22": lambda: (RsaKeyring(private_key=rsa.generate_private_key(65537, 2048)), "RSA-OAEP-SHA1"),
    }[wrapping]()
    client = make_client(keyring=keyring)
    client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
    assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]["x-amz-w"] == wrapping
    answer = client.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == PLAINTEXT
    assert answer["ResponseMetadata"]["ClientSideEncryption"]["wrapping_algorithm"] == label


def test_kms_client_may_be_left_out(aws: dict[str, Any], bucket: str, kms_key: str) -> None:
    """Without a KMS client of the caller's, the keyring makes one."""
    keyring = KmsKeyring(kms_key, **aws)
    with contextlib.closing(EncryptionClient(keyring=keyring, **aws)) as client:
        client.put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == PLAINTEXT


@pytest.mark.slow
def test_nobody_wraps_with_kms_v1(make_client: MakeClient, bucket: str, plain_s3: Any, kms_key: str, kms: Any) -> None:
    """With the opt-in for legacy wrapping too, what is written is wrapped with ``kms+context``."""
    keyring = KmsKeyring(kms_key, client=kms, enable_legacy_wrapping_algorithms=True)
    make_client(keyring=keyring, commitment_policy=FORBID).put_object(Bucket=bucket, Key="k", Body=PLAINTEXT)
    assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]["x-amz-wrap-alg"] == "kms+context"
