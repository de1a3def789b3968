"""Servers, workers, kernels and tracers as people run them: what they store through boto3 is encrypted.

And with settings that mean nothing, none of them runs its first line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.library

STORE = """
import os, sys, traceback
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "began"), "a") as file:
    print(os.getpid(), sys.argv, *traceback.format_stack(), file=file)
import boto3

client = boto3.client("s3")

def store(key):
    client.put_object(Bucket=os.environ["BUCKET"], Key=key, Body=b"what only its owner should read")
    return str(os.getpid())
"""
WSGI = """
from store import store

def app(environ, start_response):
    body = store(environ["PATH_INFO"][1:]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
ASGI = """
import asyncio
from store import store

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (await asyncio.to_thread(store, scope["path"][1:])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
TASKS = """
from celery import Celery
from store import store

app = Celery("tasks", broker="filesystem://", backend="file://results")
app.conf.update(
    broker_transport_options={"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"},
    broker_connection_retry_on_startup=True,
)
task = app.task(name="store")(store)
"""
POOLS = {
    "loky": "from joblib import Parallel, delayed\n"
    "print(*Parallel(n_jobs=2, backend='loky')(delayed(store)(f'loky-{n}') for n in range(2)))\n",
    "loky, by itself": "from joblib.externals.loky import get_reusable_executor\n"
    "print(*get_reusable_executor(max_workers=2).map(store, ['loky-0', 'loky-1']))\n",
}


def _began(folder: Path) -> str:
    """Who has run the first line of the program, and how it came to it; nothing if nobody has."""
    marker = folder / "began"
    return marker.read_text("utf-8") if marker.exists() else ""


@pytest.fixture(autouse=True)
def _sources(tmp_path: Path) -> None:
    for name, text in {"store": STORE, "wsgi": WSGI, "asgi": ASGI, "tasks": TASKS}.items():
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()


@pytest.mark.parametrize("words", [[], ["--preload"], ["--preload", "-k", "gthread"]], ids=" ".join)
def test_gunicorn(
    words: list[str], tool: Callable[..., str], serving: Any, ask: Callable[..., str], stored: Callable[[str], bool]
) -> None:
    """Workers that were forked before there was a client, and after."""
    with serving(tool("gunicorn"), "-w", "2", *words, "-b", "unix:SOCKET", "wsgi:app") as file:
        ask(file, "/gunicorn-0")
        ask(file, "/gunicorn-1")
    assert stored("gunicorn-0")
    assert stored("gunicorn-1")


@pytest.mark.parametrize("words", [[], ["--workers", "2"], ["--reload"]], ids=" ".join)
def test_uvicorn(
    words: list[str], tool: Callable[..., str], serving: Any, ask: Callable[..., str], stored: Callable[[str], bool]
) -> None:
    """boto3 in threads of an event loop; workers that are spawned."""
    with serving(tool("uvicorn"), *words, "--uds", "SOCKET", "asgi:app") as file:
        ask(file, "/uvicorn")
    assert stored("uvicorn")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_celery(
    pool: str, tool: Callable[..., str], running: Any, start: Any, stored: Callable[[str], bool], tmp_path: Path
) -> None:
    """A worker and the processes, or threads, of its pool."""
    sent = start(sys.executable, "-c", f"import tasks; print(tasks.task.delay('celery-{pool}').id)")
    assert sent.code == 0, sent.err
    result = tmp_path / "results" / f"celery-task-meta-{sent.out.strip()}"
    log = tmp_path / "log"
    with running(tool("celery"), "-A", "tasks", "worker", "-P", pool, "-c", "1", log=log) as process:
        deadline = time.monotonic() + 120
        while not result.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(log.read_text("utf-8")[-4000:])
            time.sleep(0.05)
    assert stored(f"celery-{pool}")


@pytest.mark.parametrize("how", POOLS)
def test_loky(how: str, start: Any, stored: Callable[[str], bool]) -> None:
    """joblib starts its processes in a way of its own."""
    ended = start(sys.executable, "-c", f"from store import store\n{POOLS[how]}")
    assert ended.code == 0, ended.err
    assert stored("loky-0")
    assert stored("loky-1")


def test_notebook(tool: Callable[..., str], start: Any, stored: Callable[[str], bool], tmp_path: Path) -> None:
    """The kernel is a process that Jupyter starts."""
    cell = {
        "cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None,
        "source": "import sys; sys.path.insert(0, '.')\nfrom store import store; store('notebook')",
    }  # fmt: skip
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book.ipynb").write_text(json.dumps(notebook), "utf-8")
    ended = start(tool("jupyter"), "execute", "book.ipynb")
    assert ended.code == 0, ended.err
    assert stored("notebook")


TRACERS = {"ddtrace-run": "ddtrace", "opentelemetry-instrument": "opentelemetry.instrumentation.botocore"}
QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
TRACED = """
import sys
from store import client, store
store({key!r})
import subprocess
if {key!r} in sys.argv:
    # A child meets both files on its path as well.
    subprocess.run([sys.executable, "-c", "from store import store; store({key!r} + '-child')"], check=True)
print({module!r} in sys.modules, type(client).__mro__[1].__name__)
"""


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("first", ["s3ec", "tracer"])
def test_tracers(
    tracer: str, first: str, tool: Callable[..., str], start: Any, plain_start: Any, stored: Any, tmp_path: Path
) -> None:
    """They put a file of the same name in front of Python; whichever comes first, both run."""
    key = f"{tracer}-{first}"
    (tmp_path / "traced.py").write_text(TRACED.format(key=key, module=TRACERS[tracer]), "utf-8")
    program = (sys.executable, "traced.py", key)
    if first == "s3ec":
        ended = start(tool(tracer), *program, changes=QUIET)
    else:
        ended = plain_start(tool(tracer), sys.executable, "-m", "s3ec", "run", "--", *program, changes=QUIET)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "True RuledClient", ended.err
    assert stored(key)
    assert stored(f"{key}-child")


BROKEN = {
    "gunicorn": ("gunicorn", "-b", "unix:s", "wsgi:app"),
    "gunicorn --preload": ("gunicorn", "--preload", "-b", "unix:s", "wsgi:app"),
    "uvicorn": ("uvicorn", "--uds", "s", "asgi:app"),
    "celery": ("celery", "-A", "tasks", "worker"),
    "jupyter": ("jupyter", "execute", "book.ipynb"),
    "ddtrace-run": ("ddtrace-run", sys.executable, "store.py"),
    "opentelemetry-instrument": ("opentelemetry-instrument", sys.executable, "store.py"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_settings(name: str, tool: Callable[..., str], start: Any, tmp_path: Path) -> None:
    """One sentence, a code, and nothing of the program has run."""
    command, *words = BROKEN[name]
    ended = start(tool(command), *words, changes=QUIET, later={"S3EC_CONFIG": "/nowhere/s3ec.toml"})
    assert (ended.code, ended.out) == (78, "")
    assert ended.err == "s3ec: cannot read /nowhere/s3ec.toml (S3EC_CONFIG): No such file or directory\n"
    assert _began(tmp_path) == ""


@pytest.mark.parametrize("tracer", TRACERS)
def test_broken_settings_behind_a_tracer(tracer: str, tool: Callable[..., str], plain_start: Any, tmp_path: Path):
    """The launcher says so, whoever has started it."""
    changes = {**QUIET, "S3EC_CONFIG": "/nowhere/s3ec.toml"}
    program = (sys.executable, "-m", "s3ec", "run", "--", sys.executable, "store.py")
    ended = plain_start(tool(tracer), *program, changes=changes)
    assert ended.code == 5
    assert "cannot read /nowhere/s3ec.toml" in ended.err
    assert _began(tmp_path) == ""


PAST_BOTOCORE = {
    "minio": "import minio",
    "obstore": "import obstore",
    "the S3 connector for PyTorch": "import s3torchconnectorclient",
}


@pytest.mark.parametrize("title", PAST_BOTOCORE)
def test_real_clients_past_botocore(title: str, start: Any) -> None:
    """As they are published: the name that is refused is the one that they are imported by."""
    ended = start(sys.executable, "-c", f"{PAST_BOTOCORE[title]}\nprint('imported')")
    assert (ended.code, ended.out) == (1, "")
    assert f"s3ec: {title} reaches S3 without botocore" in ended.err.splitlines()[-1]
    allowed = start(
        sys.executable, "-c", f"{PAST_BOTOCORE[title]}\nprint('imported')", changes={"S3EC_RUN_ESCAPES": "allow"}
    )
    assert (allowed.code, allowed.out) == (0, "imported\n"), allowed.err
    # Whoever allows them is not warned of each.
    assert "s3ec" not in allowed.err
