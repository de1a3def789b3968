"""Options are values: two keys are two file systems, nothing secret is shown, other processes can use them."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import multiprocessing
import os
import pickle
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from s3ec import AesKeyring, CachingMaterialsManager, CommitmentPolicy, KmsKeyring, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError, KeyringError, S3ECError, UnsupportedOperationError
from s3ec.fs import S3ECFileSystem

from support import reading_elsewhere

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


class TestTwoKeys:
    """Two keys are two file systems."""

    def test_equal_reprs(self, make_fs: Callable[..., Any], bucket: str) -> None:
        """fsspec compares what arguments look like, and all AES keyrings look the same."""
        one, two = AesKeyring(secrets.token_bytes(32)), AesKeyring(secrets.token_bytes(32))
        assert repr(one) == repr(two)
        first, second = make_fs(keyring=one), make_fs(keyring=two)
        assert first is not second
        assert first._fs_token != second._fs_token
        first.pipe(f"{bucket}/file", b"content")
        assert first.cat(f"{bucket}/file") == b"content"
        with pytest.raises(KeyringError):
            second.cat(f"{bucket}/file")

    def test_one_keyring(self, make_fs: Callable[..., Any]) -> None:
        """The same key is the same file system, as fsspec has it."""
        keyring = AesKeyring(secrets.token_bytes(32))
        assert make_fs(keyring=keyring) is make_fs(keyring=keyring)

    def test_managers(self, make_fs: Callable[..., Any]) -> None:
        """Materials managers are told apart as well."""
        managers = [CachingMaterialsManager(AesKeyring(secrets.token_bytes(32))) for _ in range(2)]
        first, second = (make_fs(materials_manager=manager) for manager in managers)
        assert first is not second

    def test_kms_keyrings(self, make_fs: Callable[..., Any]) -> None:
        """Those that differ in what their repr does not show."""
        first, second = (
            make_fs(keyring=KmsKeyring("alias/a", region_name=name)) for name in ("eu-west-1", "us-east-1")
        )
        assert first is not second

    def test_files(self, make_fs: Callable[..., Any], tmp_path: Path, bucket: str) -> None:
        """A file with another key in it is another key, also under the same name."""
        path = tmp_path / "key"
        path.write_bytes(secrets.token_bytes(32))
        first = make_fs(aes_key_file=str(path))
        first.pipe(f"{bucket}/file", b"content")
        assert make_fs(aes_key_file=str(path)) is first
        (tmp_path / "new").write_bytes(secrets.token_bytes(32))
        os.replace(tmp_path / "new", path)
        second = make_fs(aes_key_file=str(path))
        assert second is not first
        with pytest.raises(KeyringError):
            second.cat(f"{bucket}/file")

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("kms_key", ["alias/a", "alias/b"]),
            ("encryption_context", [{"team": "a"}, {"team": "b"}]),
            ("commitment_policy", ["REQUIRE_ENCRYPT_REQUIRE_DECRYPT", "REQUIRE_ENCRYPT_ALLOW_DECRYPT"]),
            ("kms_client_kwargs", [{"region_name": "eu-west-1"}, {"region_name": "us-east-1"}]),
        ],
    )
    def test_values(self, make_fs: Callable[..., Any], name: str, values: list[Any]) -> None:
        """Every option is among what file systems are told apart by."""
        first, second = (make_fs(**{"kms_key": "alias/a", name: value}) for value in values)
        assert first is not second


class TestNothingSecret:
    """Options are pickled, sent to workers, and shown in graphs and logs."""

    def shown(self, fs: Any) -> bytes:
        """All that fsspec makes of a file system."""
        return b"".join(
            [
                pickle.dumps(fs),
                repr(fs).encode(),
                fs.to_json().encode(),
                repr(fs.storage_options).encode(),
                str(fs).encode(),
            ]
        )

    def test_keyring_object(self, make_fs: Callable[..., Any]) -> None:
        """The key of a keyring stays where it is."""
        key = secrets.token_bytes(32)
        shown = self.shown(make_fs(keyring=AesKeyring(key)))
        for form in (key, key.hex().encode(), base64.b64encode(key), repr(key).encode()):
            assert form not in shown

    def test_file(self, fs: Any, key_file: str) -> None:
        """A file is named, not read into the options."""
        key = Path(key_file).read_bytes()
        assert key not in self.shown(fs)
        assert key_file.encode() in self.shown(fs)

    def test_raw_key(self, make_fs: Callable[..., Any]) -> None:
        """A key in place of a keyring is refused without being shown or kept."""
        key = secrets.token_bytes(32)
        with pytest.raises(ConfigurationError) as caught:
            make_fs(keyring=key)
        assert repr(key)[2:-1] not in str(caught.value)

    def test_credentials_of_kms(self, make_fs: Callable[..., Any]) -> None:
        """KMS is asked with the file system's own."""
        with pytest.raises(ConfigurationError, match="aws_secret_access_key"):
            make_fs(kms_key="alias/a", kms_client_kwargs={"aws_secret_access_key": "s"})

    def test_customer_key(self, make_fs: Callable[..., Any]) -> None:
        """A key of SSE-C would be one that everybody sees."""
        with pytest.raises(ConfigurationError, match="SSE-C"):
            make_fs(server_side_encryption=SseC(secrets.token_bytes(32)))


def _in_child(kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
    context = multiprocessing.get_context(kind)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result(300)


class TestOtherProcesses:
    """Dask and its like send file systems, or their options, to workers."""

    @pytest.fixture
    def path(self, fs: Any, bucket: str) -> str:
        """A file."""
        fs.pipe(f"{bucket}/file", b"content")
        return f"{bucket}/file"

    @pytest.mark.parametrize("kind", ["spawn", "forkserver"])
    def test_pickled(self, fs: Any, path: str, kind: str) -> None:
        """A pickled file system works elsewhere."""
        assert _in_child(kind, reading_elsewhere.read, pickle.dumps(fs), path) == b"content"

    def test_options(self, fs: Any, path: str, storage_options: dict[str, Any]) -> None:
        """So do its options."""
        assert _in_child("spawn", reading_elsewhere.read_by_options, storage_options, path) == b"content"

    def test_json(self, fs: Any, path: str) -> None:
        """And its JSON."""
        again = fsspec.AbstractFileSystem.from_json(fs.to_json())
        assert again.cat(path) == b"content"
        assert again.storage_options == fs.storage_options

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
    def test_fork(self, fs: Any, path: str) -> None:
        """A forked child makes its own connection; the parent's is not used by it."""
        pickled = pickle.dumps(fs)
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - in the child
            try:
                os.write(sender, reading_elsewhere.read(pickled, path))
            finally:
                os._exit(0)
        os.close(sender)
        with open(receiver, "rb") as pipe:
            assert pipe.read() == b"content"
        os.waitpid(child, 0)
        assert fs.cat(path) == b"content"

    def test_keyring_object(self, make_fs: Callable[..., Any]) -> None:
        """A keyring stays in its process: another one says so, and how to name a key."""
        fs = make_fs(keyring=AesKeyring(secrets.token_bytes(32)))
        assert pickle.loads(pickle.dumps(fs)) is fs  # noqa: S301 - our own
        with pytest.raises(ConfigurationError, match="aes_key_file="):
            _in_child("spawn", reading_elsewhere.read, pickle.dumps(fs), "bucket/file")


class TestNames:
    """What names a key."""

    def test_place_in_a_module(
        self, make_fs: Callable[..., Any], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A keyring, or what makes one."""
        (tmp_path / "team_keys.py").write_text(
            "import s3ec\npayroll = s3ec.AesKeyring(bytes(range(32)))\n"
            "def make():\n    return payroll\n"
            "def manager():\n    return s3ec.CachingMaterialsManager(payroll)\nanything = 3\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        make_fs(keyring="team_keys:payroll").pipe(f"{bucket}/file", b"content")
        for options in ({"keyring": "team_keys:make"}, {"materials_manager": "team_keys:manager"}):
            assert make_fs(**options).cat(f"{bucket}/file") == b"content"
        for wrong in ("team_keys:missing", "no_such_module:x", "team_keys", "team_keys:anything", ":x", "x:"):
            with pytest.raises(ConfigurationError):
                make_fs(keyring=wrong)

    def test_environment(self, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch, key_file: str) -> None:
        """Without a key the one of the environment counts, and travels with the options."""
        monkeypatch.setenv("S3EC_AES_KEY_FILE", key_file)
        assert S3ECFileSystem(**account).storage_options["aes_key_file"] == key_file
        monkeypatch.delenv("S3EC_AES_KEY_FILE")
        monkeypatch.setenv("S3EC_KMS_KEY", "alias/a")
        monkeypatch.setenv("S3EC_CONTEXT", "team=hr")
        first = S3ECFileSystem(**account)
        assert (first.storage_options["kms_key"], first.encryption_context) == ("alias/a", {"team": "hr"})
        monkeypatch.setenv("S3EC_KMS_KEY", "alias/b")
        assert S3ECFileSystem(**account) is not first

    def test_rules_for_buckets(self, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        """A file system has one key; it does not guess which of several."""
        monkeypatch.setenv("S3EC_BUCKETS", "pay*=alias/payroll logs-*=plain")
        with pytest.raises(ConfigurationError, match="kms_key"):
            S3ECFileSystem(**account)

    def test_no_key(self, account: dict[str, Any]) -> None:
        """Nothing is stored in plaintext for want of a key."""
        with pytest.raises(ConfigurationError, match=r'storage_options=\{"kms_key": "alias/my-key"\}'):
            S3ECFileSystem(**account)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kms_key": "alias/a", "keyring": "module:name"},
            {"kms_key": "alias/a", "aes_key_file": "file"},
            {"aes_key_file": "/no/such/file"},
            {"keyring": "json:loads", "kms_client_kwargs": {"region_name": "eu-west-1"}},
            {"kms_key": "alias/a", "commitment_policy": "SOMETIMES"},
            {"kms_key": "alias/a", "algorithm_suite": "ROT13"},
            {"kms_key": "alias/a", "server_side_encryption": "aws:unknown"},
            {"kms_key": "alias/a", "server_side_encryption": {"mode": "AES256", "key_id": "x"}},
            {"kms_key": "alias/a", "server_side_encryption": object()},
            {"kms_key": "alias/a", "presigned_downloads": "perhaps"},
            {"kms_key": "alias/a", "enable_legacy_wrapping_algorithms": "yes"},
            {"kms_key": "alias/a", "buffer_size": -1},
        ],
    )
    def test_refused(self, make_fs: Callable[..., Any], wrong: dict[str, Any]) -> None:
        """What can never work is refused when the file system is made."""
        with pytest.raises(ConfigurationError):
            make_fs(**wrong)

    @pytest.mark.parametrize(
        ("wrong", "hint"), [("kms_kye", "kms_key"), ("enable_legacy_unauthenticated_mode", "modes"), ("xyzzy", "help")]
    )
    def test_misspelt(self, make_fs: Callable[..., Any], wrong: str, hint: str) -> None:
        """An option that is not known would be one that is not in force."""
        with pytest.raises(TypeError, match=hint):
            make_fs(**{wrong: True})

    def test_kinds(self, make_fs: Callable[..., Any]) -> None:
        """Enumerations and server-side modes become text, and are understood as such."""
        fs = make_fs(
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
            server_side_encryption=SseKms("key", bucket_key=True),
        )
        assert fs.options.commitment_policy is CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
        assert fs.options.server_side_encryption == SseKms("key", bucket_key=True)
        json.dumps(fs.storage_options)
        assert make_fs(server_side_encryption="AES256").options.server_side_encryption == SseS3()


class TestProtocol:
    """fsspec finds the file system by its own protocol, and by no other."""

    def test_entry_point(self) -> None:
        """The package declares it; never ``s3``, which is s3fs' for everybody."""
        tomllib = pytest.importorskip("tomllib")
        declared = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["fsspec.specs"]
        assert declared == {"s3ec": "s3ec.fs:S3ECFileSystem"}

    def test_s3_is_not_ours(self) -> None:
        """Paths of ``s3://`` stay s3fs' own."""
        from s3fs import S3FileSystem

        assert fsspec.get_filesystem_class("s3") is S3FileSystem
        assert fsspec.get_filesystem_class("s3ec") is S3ECFileSystem
        assert S3ECFileSystem.protocol == ("s3ec",)

    def test_every_override_is_reached(self) -> None:
        """s3fs binds some methods to its own coroutines: each that we replace needs its twin replaced as well."""
        from s3fs import S3FileSystem

        ours = {name for name in vars(S3ECFileSystem) if name.startswith("_") and not name.startswith("__")}
        bound = {name for name in ours if name[1:] in vars(S3FileSystem)}
        assert bound
        for name in bound:
            assert name[1:] in vars(S3ECFileSystem), f"{name[1:]} would call s3fs' {name}"

    def test_import_costs_nothing(self) -> None:
        """Whoever imports s3ec gets no asynchronous botocore."""
        import subprocess

        code = "import sys, s3ec; assert not {'aiobotocore', 's3fs', 'fsspec', 'aiohttp'} & sys.modules.keys()"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT.parent)


class TestUrls:
    """A URL gives ciphertext."""

    def test_refused(self, fs: Any, bucket: str) -> None:
        """Whoever takes it for the file's content would be wrong."""
        fs.pipe(f"{bucket}/file", b"content")
        for make in (fs.url, fs.sign, lambda path: fs.open(path).url()):
            with pytest.raises(UnsupportedOperationError, match="ciphertext"):
                make(f"{bucket}/file")
        with pytest.raises(S3ECError):
            fs.url(f"{bucket}/file", client_method="put_object")

    def test_allowed(self, make_fs: Callable[..., Any], bucket: str) -> None:
        """By an option of that name."""
        assert make_fs(presigned_downloads="allow").url(f"{bucket}/file").startswith("http")
