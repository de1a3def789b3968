"""Clients that reach S3 without botocore: no handler makes them encrypt, so they are refused, or warned about, by name.

Standard library only, like the file beside it.
"""

import os
import sys

_WAY_OUT = "; S3EC_RUN_ESCAPES=allow lets it pass unencrypted, `s3ec serve` encrypts for it"

REFUSED_MODULES = {
    "boto": "boto 2",
    "minio": "minio",
    "miniopy_async": "miniopy-async",
    "obstore": "obstore",
    "s3torchconnectorclient": "the S3 connector for PyTorch",
}
WARNED_MODULES = {
    "chdb": "chDB",
    "daft": "Daft",
    "datafusion": "DataFusion",
    "deltalake": "delta-rs",
    "duckdb": "DuckDB with httpfs",
    "lance": "Lance",
    "libcloud": "Libcloud",
    "opendal": "OpenDAL",
    "polars": "Polars",
    "pyspark": "Spark",
    "tensorstore": "TensorStore",
}
CLASSES = {"awscrt.s3": ("S3Client", "the CRT client of AWS"), "pyarrow._s3fs": ("S3FileSystem", "pyarrow.fs")}


def _mode():
    return os.environ.get("S3EC_RUN_ESCAPES") or "refuse"


def look(name):
    """What is done with a module that can reach S3 past botocore, once it is imported; None for all others."""
    if _mode() == "allow":
        return None
    if name in CLASSES:
        return lambda module: _of_class(module, *CLASSES[name])
    title = REFUSED_MODULES.get(name)
    if title is not None:
        return lambda module: _pass(title, ImportError)
    if name in WARNED_MODULES:
        return lambda module: _warn(WARNED_MODULES[name])
    return None


def _of_class(module, class_name, title):
    original = getattr(module, class_name)
    if module.__name__ == "awscrt.s3":
        # boto3 imports it wherever it is installed: only a client that is made counts.
        init = original.__init__

        def initialise(self, *args, **keywords):
            _pass(title, RuntimeError)
            init(self, *args, **keywords)

        original.__init__ = initialise
        return

    def make(*args, **keywords):
        _pass(title, RuntimeError)
        return original(*args, **keywords)

    setattr(module, class_name, make)
    if _mode() == "refuse" and hasattr(module, "finalize_s3"):
        # Addresses like s3://bucket reach it in C++, past every name: with S3 shut down, those end in an error too.
        module.finalize_s3()


def _pass(title, error):
    """Refuse, or warn where that was asked for."""
    if _mode() == "refuse":
        raise error("s3ec: %s reaches S3 without botocore, and would store plaintext%s" % (title, _WAY_OUT))
    _warn(title)


def _warn(title):
    sys.stderr.write(
        "s3ec: warning: %s can reach S3 without botocore, and what it stores there is not encrypted\n" % title
    )
    sys.stderr.flush()
