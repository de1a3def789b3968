"""The page of clients, which a run of all of them writes, has a row for each that exists, and no red cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clients.matrix import BACKENDS, CLIENTS, PAGE, Matrix, client_of

from support.names_of_tests import names_of_tests
from support.places import OPERATIONS

FOLDER = Path(__file__).parents[1] / "clients"
TABLE = [line.strip("|").split("|") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
HEADINGS, _, *ROWS = [[cell.strip() for cell in line] for line in TABLE]


def test_each_client_has_a_row_for_each_backend() -> None:
    """A client that is added or removed takes the page along."""
    found = [(cells[0], cells[2]) for cells in ROWS]
    wanted = [(client.title, BACKENDS[backend]) for client in CLIENTS.values() for backend in client.backends]
    assert sorted(found) == sorted(wanted)
    assert ["Client", "Version", "Backend", *OPERATIONS, "Opened"] == HEADINGS


def test_no_cell_is_red() -> None:
    """Each operation that passes at the backend passes through the endpoint, and each object was opened."""
    for cells in ROWS:
        assert "yes" in cells, cells
        assert set(cells[3:-1]) <= {"yes", "–"}, cells
        assert cells[1], f"{cells[0]} says no version"
        assert int(cells[-1]) > 0, cells


def test_each_test_of_a_client_is_registered() -> None:
    """Neither a client without a row nor a row without a client."""
    names = {name for file in FOLDER.glob("test_*.py") for name in names_of_tests(file) if name.startswith("test_")}
    assert {name.removeprefix("test_") for name in names} == set(CLIENTS)


def test_a_client_without_a_row_is_an_error() -> None:
    """It would not be missed on the page."""
    with pytest.raises(LookupError, match="is in no row"):
        client_of("tests/clients/test_tools.py::test_another[moto-plain]")
    with pytest.raises(LookupError, match="is in no row"):
        client_of("tests/clients/test_tools.py::test_aws[another-serve]")


def run_of(client: str, backend: str, way: str, *, outcome: str = "passed", opened: int = 2) -> list[pytest.TestReport]:
    """What pytest reports of one client at one place."""
    nodeid = f"tests/clients/test_tools.py::test_{client}[{backend}-{way}]"
    said = [("did", ["put", "get"]), ("opened", opened if way == "serve" else 0)]
    return [
        pytest.TestReport(nodeid, ("", 0, ""), {}, how, None, when, user_properties=said if when == "teardown" else [])
        for when, how in (("setup", "passed"), ("call", outcome), ("teardown", "passed"))
    ]


@pytest.mark.parametrize(
    ("changed", "whole"),
    [({}, True), ({"outcome": "skipped"}, False), ({"outcome": "failed"}, False), ({"opened": 0}, False)],
    ids=["all", "one-skipped", "one-failed", "nothing-opened-by-java"],
)
def test_only_a_whole_run_is_a_page(changed: dict[str, Any], whole: bool) -> None:
    """What was not tried, not passed, or not opened by the official client at one place, is not taken for whole."""
    matrix = Matrix()
    assert matrix.empty
    assert not matrix.whole
    for name, client in CLIENTS.items():
        for backend in client.backends:
            for way in ("plain", "serve"):
                last = (name, backend, way) == ("s5cmd", "minio", "serve")
                for report in run_of(name, backend, way, **(changed if last else {})):
                    assert not matrix.whole
                    matrix.take(report)
    assert matrix.whole is whole


def test_what_passes_at_the_backend_alone_is_red() -> None:
    """It is what the page is for."""
    matrix = Matrix()
    for report in (*run_of("aws", "moto", "plain"), *run_of("aws", "moto", "serve")[:2]):
        matrix.take(report)
    row = next(line for line in matrix.text(versions=False).splitlines() if line.startswith("| AWS CLI v1 |"))
    assert row.count("**no**") == 2
