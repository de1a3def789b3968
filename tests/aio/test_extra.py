"""The extra: what there is without aiobotocore."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

HAS_AIOBOTOCORE = importlib.util.find_spec("aiobotocore") is not None


def test_the_asynchronous_client_is_tested_where_aiobotocore_is_installed() -> None:
    """It fixes a narrow range of botocore's versions, so it has an environment of its own."""
    if not HAS_AIOBOTOCORE:
        pytest.skip("aiobotocore is not installed: tests/aio is run by tox -e aio,aio-lowest")


def test_importing_s3ec_imports_no_aiobotocore() -> None:
    """It is an extra."""
    program = "import sys, s3ec, s3ec.aio; sys.exit(any(n.startswith(('aiobotocore', 'aiohttp')) for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_it_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    import s3ec.aio

    for name in [name for name in sys.modules if name.startswith("s3ec.aio.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    monkeypatch.setitem(sys.modules, "aiobotocore.session", None)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ImportError, match=r's3ec\.aio\.Session needs aiobotocore: pip install "s3ec\[aio\]"'):
        s3ec.aio.Session  # noqa: B018 - asking for it is what imports it


def test_other_names_are_no_attributes() -> None:
    """What there is, is listed."""
    import s3ec.aio

    assert not hasattr(s3ec.aio, "Nothing")
    assert {"EncryptionClient", "Session", "install"} <= set(dir(s3ec.aio))
