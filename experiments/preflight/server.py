"""The tracking store that MLFLOW_TRACKING_URI names: known, with its driver, and answering. mlflow is not imported."""

from __future__ import annotations

import os
import socket
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from benchmark.output.secrets import MASK, mask

VARIABLE = "MLFLOW_TRACKING_URI"
PATIENCE = 1.5  # seconds, the look-up of the host's name among them
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
# SQLAlchemy 2.1's, where the address names none
DRIVERS = {"postgresql": "psycopg", "mysql": "MySQLdb", "mssql": "pyodbc"}
MODULES = {"mysqldb": "MySQLdb"}  # of the drivers whose module is called otherwise
PACKAGES = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
KNOWN = "http, https, sqlite, postgresql, mysql, mssql, file"
ELSEWHERE = ("databricks", "databricks-uc", "uc")  # names of settings of their own, with no address to try


def server_fault(uri: str | None = None) -> str | None:
    """Why the store cannot be used, with the remedy; None if it can, or if nothing but using it would tell."""
    uri = os.environ.get(VARIABLE, "") if uri is None else uri
    if not uri or uri in ELSEWHERE:
        return None
    shown = f"{VARIABLE} = {mask(uri)}"
    remedy = f"correct {VARIABLE}, or unset it to use mlflow.db here"
    try:
        parts = urlsplit(mask(uri).replace(f"{MASK}@", ""))  # a password may hold what would end a host
        dialect, host, port = parts.scheme.split("+")[0], parts.hostname, parts.port
    except ValueError as error:
        return f"{shown}: not an address ({error}); {remedy}"
    if dialect in ("", "file", "sqlite"):
        return _folder_fault(parts, shown, remedy)
    if dialect not in PORTS:
        plugins = {point.name for point in entry_points(group="mlflow.tracking_store")}
        known = dialect in plugins or dialect in ELSEWHERE
        return None if known else f"{shown}: {dialect}:// is unknown (known: {KNOWN}); {remedy}"
    if not host:
        return f"{shown}: names no host; {remedy}"
    if dialect in DRIVERS:
        name = parts.scheme.partition("+")[2] or DRIVERS[dialect]
        driver = MODULES.get(name, name)
        if find_spec(driver) is None:
            package = PACKAGES.get(driver, driver)
            return f"{shown}: its driver {driver} is not installed; pip install {package}, or {remedy}"
    elif parts.scheme in getproxies() and not proxy_bypass(host):
        return None  # the proxy alone can reach it
    port = port or PORTS[dialect]
    if why := _unreachable(host, port):
        return f"{shown}: {host}:{port} cannot be reached ({why}); start the server, or {remedy}"
    return None


def _folder_fault(parts: SplitResult, shown: str, remedy: str) -> str | None:
    """Of a database or a store in files, whose folders MLflow makes: where nothing can be made or written."""
    path = unquote(parts.path)
    if parts.scheme == "sqlite":
        if not path.strip("/"):  # in memory
            return None
        place = Path(path[1:]).absolute().parent  # sqlite:///relative, sqlite:////absolute
    else:
        place = Path(path).absolute()
    folder = next(one for one in (place, *place.parents) if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return f"{shown}: nothing can be written into {folder}; make it writable, or {remedy}"
    return None


def _unreachable(host: str, port: int) -> str | None:
    """Why no connection is made within PATIENCE. In a thread: the look-up of a name keeps no time limit."""
    said = [f"no answer within {PATIENCE:g} s"]

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=PATIENCE).close()
            said.clear()
        except (OSError, UnicodeError) as error:  # the latter: a host's name that cannot be one
            said[0] = getattr(error, "strerror", None) or str(error) or type(error).__name__

    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return said[0] if said else None
