"""Dask and Ray with real workers on this machine, one of which is killed in the middle of the run."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from s3ec.errors import MigrationError
from s3ec.migrate import Event, Journal, KeyringSpec, Location, Summary, run
from s3ec.migrate.jobs.local import Engine

from support.aws import keep_versions

OBJECTS = 60

# What the engines' own threads and sockets leave behind at their end is not ours to repair.
pytestmark = pytest.mark.filterwarnings("default")


@dataclass(frozen=True)
class Cluster:
    """An engine on two workers, and a way to kill one of them."""

    engine: Engine
    kill_a_worker: Callable[[], None]


@contextlib.contextmanager
def dask_cluster() -> Iterator[Cluster]:
    """Two worker processes, each with a nanny that starts another one when it dies."""
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    from s3ec.migrate.engines.dask import engine

    workers = {"n_workers": 2, "threads_per_worker": 2, "processes": True}
    with (
        distributed.LocalCluster(host="127.0.0.1", dashboard_address=None, **workers) as cluster,
        distributed.Client(cluster) as client,
    ):

        def kill() -> None:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        yield Cluster(engine(client=client, window=16), kill)


@contextlib.contextmanager
def ray_cluster() -> Iterator[Cluster]:
    """Two worker processes under one raylet."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from s3ec.migrate.engines.ray import engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        try:
            process_id = ray.remote(lambda: os.getpid())
            yield Cluster(engine(window=16), lambda: os.kill(ray.get(process_id.remote()), signal.SIGKILL))
        finally:
            ray.shutdown()


@pytest.fixture(params=[dask_cluster, ray_cluster], ids=["dask", "ray"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Each engine in turn."""
    with request.param() as made:
        yield made


@pytest.fixture
def filled(bucket: str, plain_s3: Any) -> str:
    """A bucket that keeps versions, so that a second encryption of one object could not hide."""
    keep_versions(plain_s3, bucket)
    for number in range(OBJECTS):
        plain_s3.put_object(Bucket=bucket, Key=f"k{number:03}", Body=b"content %d" % number)
    return bucket


def versions(client: Any, bucket: str) -> Counter[str]:
    """How many versions each key has."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    return Counter(row["Key"] for page in pages for row in page["Versions"])


def test_a_killed_worker_loses_and_repeats_nothing(
    cluster: Cluster, filled: str, settings: Any, plain_s3: Any, make_client: Any, tmp_path: Path
):
    """Every object is encrypted, none of them twice, although a worker dies with its tasks half done."""
    finished = 0
    killed = threading.Event()

    def watch(event: Event) -> None:
        nonlocal finished
        finished += event.kind == "finished"
        if finished >= OBJECTS // 5 and not killed.is_set():
            killed.set()
            cluster.kill_a_worker()

    job = settings()
    with Journal.open(tmp_path / "journal", job) as journal:
        summary = run(job, journal, engine=cluster.engine, on_event=watch)
    assert killed.is_set()
    assert finished == OBJECTS
    assert summary.undone == 0
    # A worker may die after its write and before it could say so: the next one then finds the work done.
    assert sum(summary.counts.values()) == summary.counts["done"] + summary.counts.get("already", 0) == OBJECTS
    assert set(versions(plain_s3, filled).values()) == {2}
    client = make_client()
    for number in range(0, OBJECTS, 7):
        assert client.get_object(Bucket=filled, Key=f"k{number:03}")["Body"].read() == b"content %d" % number


def test_stop_and_what_stops_the_whole_job(cluster: Cluster, filled: str, settings: Any, tmp_path: Path):
    """A stop ends it with the rest open; a missing key file ends it with the reason, as text from the worker."""
    stop = threading.Event()

    def watch(event: Event) -> None:
        if event.kind == "finished":
            stop.set()

    job = settings()
    with Journal.open(tmp_path / "stopped", job) as journal:
        summary: Summary = run(job, journal, engine=cluster.engine, on_event=watch, stop=stop)
    assert summary.interrupted
    assert 0 < summary.counts["done"] < OBJECTS
    assert summary.counts["open"] == OBJECTS - summary.counts["done"]

    path = tmp_path / "key"
    path.write_bytes(bytes(range(128, 160)))
    broken = settings(keyring=KeyringSpec(kind="aes-file", path=str(path)), source=Location(bucket=filled, prefix="k0"))

    def remove_key(event: Event) -> None:
        path.unlink(missing_ok=True)

    with (
        Journal.open(tmp_path / "broken", broken) as journal,
        pytest.raises(MigrationError, match="ConfigurationError.*key"),
    ):
        run(broken, journal, engine=cluster.engine, on_event=remove_key)
