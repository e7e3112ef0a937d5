"""Real database servers in temporary directories, and the storages that runs may share."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

PASSWORD = "pl4nted-p4ssword"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A database server of ours: its URL, and the means to stop and start it."""

    start_command: list[str]
    url: str
    port: int
    stop_signal: int
    user: str | None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.start_command,
            user=self.user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, "the server ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.1)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(self.stop_signal)
        self.process.wait(60)

    def kill(self) -> None:
        """As a crash: its children notice by themselves, and end."""
        assert self.process is not None
        children = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True
        ).stdout.split()
        self.process.kill()
        self.process.wait(60)
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < deadline, "the server's children live on"
            time.sleep(0.05)


def _owner(folder: Path) -> str | None:
    """Servers refuse to run as root: then they run as nobody, who gets the folder."""
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, "nobody")
    return "nobody"


def _skip(reason: str) -> NoReturn:
    """Skip, unless whoever runs the tests has promised that the server is there."""
    if "WDSTUDY_NO_SKIP" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Not under pytest's own: nobody may not enter that, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="wd", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL from the system's package; `.ci/run` installs it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if not found:
        _skip("no PostgreSQL on this machine: install the package postgresql")
    binaries = found[-1]
    with _folder() as folder:
        user = _owner(folder)
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "wd", "-A", "scram-sha-256",
             "--pwfile", secret, "-E", "UTF8", "--no-sync"],
            user=user, check=True, stdout=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        port = free_port()
        server = Server(
            [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port),
             "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"],
            f"postgresql://wd:{PASSWORD}@127.0.0.1:{port}/", port, signal.SIGINT, user,
        )  # fmt: skip
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """A MariaDB from the system's package; `.ci/run` installs it."""
    binary, install = (
        shutil.which("mariadbd", path="/usr/sbin:/usr/bin"),
        shutil.which("mariadb-install-db"),
    )
    if binary is None or install is None:
        _skip("no MariaDB on this machine: install the package mariadb-server")
    with _folder() as folder:
        user = _owner(folder)
        data = f"--datadir={folder / 'data'}"
        subprocess.run(
            [install, "--no-defaults", data, "--auth-root-authentication-method=normal",
             "--skip-test-db"],
            user=user, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        (folder / "init.sql").write_text(
            # A line is a statement.
            f"CREATE USER IF NOT EXISTS wd@localhost IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO wd@localhost;\n"
        )
        (folder / "init.sql").chmod(0o644)
        port = free_port()
        server = Server(
            [binary, "--no-defaults", data, f"--port={port}", f"--socket={folder / 's'}",
             f"--pid-file={folder / 'pid'}", "--bind-address=127.0.0.1",
             f"--init-file={folder / 'init.sql'}"],
            f"mysql://wd:{PASSWORD}@127.0.0.1:{port}/", port, signal.SIGTERM, user,
        )  # fmt: skip
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres(postgres_server: Server) -> str:
    """The URL of an empty database."""
    import psycopg

    name = f"db{time.monotonic_ns()}"
    with psycopg.connect(postgres_server.url + "postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.url + name


@pytest.fixture
def mariadb(mariadb_server: Server) -> str:
    """The URL of an empty database."""
    import pymysql

    name = f"db{time.monotonic_ns()}"
    with pymysql.connect(
        host="127.0.0.1", port=mariadb_server.port, user="wd", password=PASSWORD
    ) as connection:
        connection.cursor().execute(f"CREATE DATABASE {name}")
    return mariadb_server.url + name


@pytest.fixture(
    params=[
        "sqlite",
        "journal",
        pytest.param("postgres", marks=pytest.mark.slow),
        pytest.param("mariadb", marks=pytest.mark.slow),
    ]
)
def shared_url(request: pytest.FixtureRequest, in_folder: Path) -> str:
    """Every kind of storage that runs may share, empty."""
    if request.param in ("sqlite", "journal"):
        return f"{request.param}:///shared.{request.param}"
    return str(request.getfixturevalue(request.param))
