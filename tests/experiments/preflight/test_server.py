"""The tracking server before anything runs. mlflow is not imported, no server outside this machine is asked."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from experiments.preflight import server
from experiments.preflight.server import server_fault


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine that is listened to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def unused() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        return int(closing.getsockname()[1])


def test_a_store_that_can_be_used_is_no_fault(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert server_fault() is None
    for uri in (
        *(f"http://127.0.0.1:{port}", f"http://me:word@127.0.0.1:{port}/base", "sqlite:///new/mlflow.db", "sqlite://"),
        *(
            f"sqlite:///{tmp_path}/mlflow.db",
            f"file://{tmp_path}/mlruns",
            "mlruns",
            "databricks",
            "databricks://profile",
        ),
    ):
        with subtests.test(msg=uri):
            assert server_fault(uri) is None


def test_a_store_that_cannot_be_used_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    closed = unused()
    for uri, said in (
        (
            f"http://me:geheim@127.0.0.1:{closed}",
            rf"http://\*\*\*@127.0.0.1:{closed}: 127.0.0.1:{closed} cannot be reached",
        ),
        ("http://no.such.host.invalid", "no.such.host.invalid:80 cannot be reached"),
        ("http://me:geheim@host:port", "not an address"),
        ("postgresql+json://me:geh/geheim#?@127.0.0.1:9/db", "127.0.0.1:9 cannot be reached"),  # a driver that is there
        ("https://", "names no host"),
        ("htp://me:geheim@host", r"htp:// is unknown \(known: http, https"),
        ("sqlite:///file/mlflow.db", r"nothing can be written into .*/file; make it writable"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with subtests.test(msg=uri):
            fault = server_fault()
            assert fault is not None
            assert fault.startswith("MLFLOW_TRACKING_URI = ")
            assert "unset it to use mlflow.db here" in fault
            assert "geheim" not in fault
            with pytest.raises(ValueError, match=said):
                raise ValueError(fault)


def test_the_drivers_are_those_that_sqlalchemy_takes() -> None:
    for dialect, driver in server.DRIVERS.items():
        assert make_url(f"{dialect}://host/db").get_dialect().driver == driver.casefold()


def test_a_database_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    for uri, driver, package in (
        ("postgresql://me:geheim@127.0.0.1/db", "psycopg", "'psycopg[binary]'"),
        ("postgresql+psycopg2://127.0.0.1/db", "psycopg2", "psycopg2-binary"),
        ("mysql+pymysql://127.0.0.1/db", "pymysql", "pymysql"),
        ("mysql://127.0.0.1/db", "MySQLdb", "mysqlclient"),
        ("mssql+://127.0.0.1/db", "pyodbc", "pyodbc"),
    ):
        fault = server_fault(uri)
        assert fault is not None
        assert f"its driver {driver} is not installed; pip install {package}, or" in fault
        assert "geheim" not in fault


def test_a_store_in_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.os, "access", lambda place, mode: False)
    for uri in (f"sqlite:///{tmp_path}/mlflow.db", f"file://{tmp_path}/a/b"):
        assert f"nothing can be written into {tmp_path}; make it writable" in str(server_fault(uri))


def test_a_server_that_keeps_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up of a name, too, which keeps no time limit of its own."""
    monkeypatch.setattr(server, "PATIENCE", 0.2)
    monkeypatch.setattr(
        server.socket, "create_connection", lambda *arguments, **settings: time.sleep(5) or socket.socket()
    )
    started = time.monotonic()
    assert "cannot be reached (no answer within 0.2 s)" in str(server_fault("http://silent.example.org"))
    assert time.monotonic() - started < 5
