"""The dashboard's server: what it reads, what it refuses, and what it sends of a large study."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_studies import grid_study, placed, study_of
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from wdstudy.errors import SpecError, StorageError
from wdstudy.live.artifacts import artifacts_folder, publish
from wdstudy.live.guards import at_home, is_local
from wdstudy.live.server import REPORTING, REPORTS, address, open_dashboard
from wdstudy.storage.opening import open_storage

SCHEMES = ["sqlite:///{}/a.db", "journal:///{}/a.journal"]


def stored(made: optuna.Study, url: str) -> optuna.Study:
    """A study made in memory, in a storage."""
    study = optuna.create_study(study_name=made.study_name, storage=open_storage(url))
    study.add_trials(made.get_trials(deepcopy=False))
    return study


@contextmanager
def served(url: str, artifacts: Path = Path("none")) -> Iterator[str]:
    with open_dashboard(open_storage(url, create=False), artifacts, "127.0.0.1", 0) as server:
        # It looks so often whether it is to stop: every half a second would be waited for.
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield address(server)
        server.shutdown()


def reply(url: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
        body: bytes = answer.read()
        return body


def detail(where: str, study: optuna.Study) -> Any:
    return json.loads(reply(f"{where}api/studies/{study._study_id}?after=0"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_shows_the_study_and_its_scalars(tmp_path: Path, scheme: str) -> None:
    url = scheme.format(tmp_path)
    study = stored(grid_study(), url)
    with served(url) as where:
        assert b"<html" in reply(f"{where}dashboard")
        found = detail(where, study)
    assert [t["number"] for t in found["trials"]] == list(range(12))
    attributes = {a["key"]: a["value"] for a in found["trials"][6]["user_attrs"]}
    assert float(attributes["final_val_loss"]) == pytest.approx(0.1)
    assert "val_loss" not in attributes  # a series, which it can't draw
    sortable = {a["key"] for a in found["union_user_attrs"] if a["sortable"]}
    assert {"final_val_loss", "final_decay_loss", "decay_share", "initial_loss"} <= sortable
    assert study.trials[6].user_attrs["val_loss"]  # the study itself is as it was


def test_it_sees_what_a_run_adds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    study = stored(grid_study(), url)
    with served(url) as where:
        assert len(detail(where, study)["trials"]) == 12
    study.add_trial(placed(0.5, 0.5, 1.0))
    with served(url) as where:
        study.ask().report(3.0, 1)
        found = detail(where, study)["trials"]
    assert len(found) == 14
    assert found[13]["intermediate_values"] == [{"step": 1, "value": 3.0}]


def test_it_reads_a_study_while_the_browser_loads_its_page(tmp_path: Path) -> None:
    class Counted(InMemoryStorage):
        read = threading.Semaphore(0)
        reads = 0

        def get_all_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
            Counted.reads += 1
            Counted.read.release()
            return super().get_all_trials(*args, **kwargs)

    storage = Counted()
    study = optuna.create_study(storage=storage)
    with open_dashboard(storage, tmp_path, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reply(f"{address(server)}dashboard")
        assert Counted.reads == 0  # the list of studies needs no trials
        reply(f"{address(server)}dashboard/studies/{study._study_id}")
        assert Counted.read.acquire(timeout=30)
        reply(f"{address(server)}dashboard/studies/99")  # one that is not there
        server.shutdown()


def test_it_only_reads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    study = stored(grid_study(), url)
    with served(url) as where:
        for method, path in (("DELETE", f"studies/{study._study_id}"), ("POST", "studies"),
                             ("PUT", f"studies/{study._study_id}/note")):  # fmt: skip
            with pytest.raises(urllib.error.HTTPError, match="403") as refused:
                reply(f"{where}api/{path}", method)
            assert b"only reads" in refused.value.read()
    assert len(study.trials) == 12


@pytest.mark.slow
def test_a_thousand_trials_of_300_epochs_are_a_small_reply(tmp_path: Path) -> None:
    url = f"journal:///{tmp_path}/a.journal"  # written in seconds
    loss = [1.0 / (i + 1) for i in range(300)]
    series = ("primary_loss", "decay_loss", "val_loss", "weight_norm", "learning_rate")
    attributes = {"step": list(range(300)), **dict.fromkeys(series, loss)}
    rows = [placed(10 ** (-3 + i / 500), 10 ** (-3 + (i * 37 % 1000) / 500), 1.0, **attributes)
            for i in range(1000)]  # fmt: skip
    for row in rows:
        row.intermediate_values = dict(enumerate(loss[:85]))
    study = stored(study_of(rows), url)
    with served(url) as where:
        body = reply(f"{where}api/studies/{study._study_id}?after=0")
    trials = json.loads(body)["trials"]
    assert len(trials) == 1000
    counts = [len(t["intermediate_values"]) for t in trials]
    assert REPORTING / 2 <= sum(c > 0 for c in counts) <= REPORTING
    assert max(counts) <= REPORTS
    shown = next(t for t in trials if t["intermediate_values"])
    assert shown["intermediate_values"][-1] == {"step": 84, "value": loss[84]}
    assert len(body) < 3_000_000


@pytest.mark.parametrize(
    ("called", "status"),
    [
        ("127.0.0.1:{}", 200), ("localhost:{}", 200), ("LOCALHOST.:9000", 200), ("[::1]:{}", 200),
        ("192.168.1.4", 200), ("evil.example:{}", 403), ("127.0.0.1.evil.example:{}", 403),
        ("localhost.evil.example", 403), ("", 403), ("evil.example@127.0.0.1", 403),
        ("[evil.example]:80", 403), (socket.gethostname() + ":{}", 403),
    ],
)  # fmt: skip
def test_a_page_whose_name_points_here_is_refused(tmp_path: Path, called: str, status: int) -> None:
    """DNS rebinding: the browser believes that it speaks with evil.example, and says so."""
    url = f"sqlite:///{tmp_path}/a.db"
    stored(grid_study(), url)
    with served(url) as where:
        port = where.rstrip("/").rpartition(":")[2]
        connection = http.client.HTTPConnection("127.0.0.1", int(port))
        connection.request("GET", "/api/studies", headers={"Host": called.format(port)})
        answer = connection.getresponse()
        assert (answer.status, b"made" in answer.read()) == (status, status == 200)
        connection.close()


def test_a_server_for_others_is_called_by_the_machines_names(tmp_path: Path) -> None:
    def asked(host: str, name: str) -> str:
        said: list[str] = []
        guarded = at_home(lambda environ, start: [start("200 OK", []) or b""], host)
        list(guarded({"HTTP_HOST": name}, lambda status, headers: said.append(status)))
        return said[0]

    for name in (socket.gethostname(), f"{socket.getfqdn()}:8080", "10.0.0.7:8080"):
        assert asked("0.0.0.0", name) == "200 OK"
    assert asked("gpu7.lab", "gpu7.lab:8080") == "200 OK"
    assert asked("0.0.0.0", "evil.example") == "403 Forbidden"


def test_it_may_listen_on_an_address_of_version_6(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/a.db")
    try:
        server = open_dashboard(storage, tmp_path, "::1", 0)
    except SpecError:
        pytest.skip("this machine has no IPv6")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert address(server).startswith("http://[::1]:")
        assert b"<html" in reply(f"{address(server)}dashboard")
        server.shutdown()


def test_addresses_that_can_not_be_taken_are_one_line(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/a.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SpecError, match=f"--port {port}: another program listens there"):
            open_dashboard(storage, tmp_path, "127.0.0.1", port)
    with pytest.raises(SpecError, match="from 0 to 65535"):
        open_dashboard(storage, tmp_path, "127.0.0.1", 99999)
    with pytest.raises(SpecError, match=r"--host 192\.0\.2\.1: this machine has no such address"):
        open_dashboard(storage, tmp_path, "192.0.2.1", 0)


def test_which_addresses_only_this_machine_reaches() -> None:
    assert [is_local(h) for h in ("127.0.0.1", "localhost", "127.3.2.1", "::1")] == [True] * 4
    assert [is_local(h) for h in ("0.0.0.0", "192.168.1.4", "example.org")] == [False] * 3


def figures(folder: Path, *names: str, body: bytes = b"picture") -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(body)
    return [folder / name for name in names]


def test_published_figures_are_served_and_replaced_rather_than_piled_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    study = stored(grid_study(), url)
    own = tmp_path / "heatmap.png"
    own.write_bytes(b"mine")
    folder = tmp_path / "a.db.artifacts"
    folder.mkdir()
    optuna.artifacts.upload_artifact(
        artifact_store=FileSystemArtifactStore(folder), file_path=str(own), study_or_trial=study
    )
    assert publish(study, figures(tmp_path / "f", "heatmap.png", "ridge.png"), folder) == 2
    again = figures(tmp_path / "f", "heatmap.png", "ridge.png", "curves.png", body=b"newer")
    assert publish(study, again, folder) == 3
    listed = get_all_artifact_meta(study)
    assert sorted(a.filename for a in listed) == [
        "curves.png", "heatmap.png", "heatmap.png", "ridge.png",
    ]  # fmt: skip
    assert len(list(folder.iterdir())) == 4
    with served(url, folder) as where:
        shown = {
            reply(f"{where}artifacts/{study._study_id}/{a['artifact_id']}")
            for a in detail(where, study)["artifacts"]
            if a["filename"] == "heatmap.png"
        }
    assert shown == {b"mine", b"newer"}


@pytest.mark.parametrize(
    ("name", "boxed"), [("page.html", True), ("a.svg", True), ("a.png", True), ("a.pdf", False)]
)
def test_an_artifact_is_a_document_of_its_own(tmp_path: Path, name: str, boxed: bool) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    study = stored(grid_study(), url)
    publish(study, figures(tmp_path / "f", name), tmp_path / "kept")
    (artifact,) = get_all_artifact_meta(study)
    with served(url, tmp_path / "kept") as where:
        path = f"{where}artifacts/{study._study_id}/{artifact.artifact_id}"
        with urllib.request.urlopen(path) as answer:
            policies = answer.headers.get_all("Content-Security-Policy") or []
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers.get("Access-Control-Allow-Origin") is None
        with urllib.request.urlopen(f"{where}dashboard") as answer:
            assert "sandbox" not in str(answer.headers.get_all("Content-Security-Policy"))
    assert ("sandbox allow-scripts" in policies) == boxed


def test_a_figure_that_was_deleted_in_the_dashboard_comes_back(tmp_path: Path) -> None:
    study = stored(grid_study(), f"sqlite:///{tmp_path}/a.db")
    paths = figures(tmp_path / "f", "heatmap.png")
    publish(study, paths, tmp_path / "kept")
    (key,) = (k for k in study._storage.get_study_system_attrs(study._study_id)
              if k.startswith("artifacts:"))  # fmt: skip
    study._storage.set_study_system_attr(study._study_id, key, json.dumps(None))
    publish(study, paths, tmp_path / "kept")
    attributes = study._storage.get_study_system_attrs(study._study_id)
    listed = [v for k, v in attributes.items() if k.startswith("artifacts:") and v != "null"]
    assert [json.loads(v)["filename"] for v in listed] == ["heatmap.png"]


def test_artifacts_lie_beside_the_storage(tmp_path: Path) -> None:
    assert artifacts_folder("sqlite:///x/wdstudy.db") == Path("x/wdstudy.db.artifacts")
    assert artifacts_folder("sqlite:////x/a.db?timeout=3") == Path("/x/a.db.artifacts")
    assert artifacts_folder("journal:///a.journal") == Path("a.journal.artifacts")
    assert artifacts_folder("postgresql://me:secret@host/db") == Path("wdstudy.artifacts")
    study = stored(grid_study(), f"sqlite:///{tmp_path}/a.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="name another --artifacts"):
        publish(study, figures(tmp_path / "f", "a.png"), tmp_path / "file")
