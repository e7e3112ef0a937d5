"""A study's page in optuna-dashboard, in a real, headless Chromium, while the study runs."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta

from wdstudy.analysis.views.heatmap import short
from wdstudy.errors import WdstudyError
from wdstudy.live.artifacts import publish
from wdstudy.live.server import address, open_dashboard
from wdstudy.storage.opening import open_storage, open_study

pytestmark = pytest.mark.slow

PANELS = "[id='user-defined-plot:wdstudy-{}'] .main-svg"
STATE = """id => {
    const plot = document.getElementById('user-defined-plot:wdstudy-' + id);
    return plot && plot.data ? {title: plot.layout.title.text, data: plot.data} : null;
}"""


OFTEN = """
import sys
from wdstudy.__main__ import main
from wdstudy.live import pushing

# On a busy machine, where a push takes long, a page is renewed.
pushing.EVERY, pushing.SHARE = 3.0, 0.5
sys.exit(main())
"""


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that a test starts, ended after it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(processes: list[subprocess.Popen[str]], *command: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    processes.append(process)
    return process


def opened(browser: Any, port: int, number: int = 1) -> Any:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    deadline = time.monotonic() + 60
    while True:
        try:
            page.goto(f"http://127.0.0.1:{port}/dashboard/studies/{number}")
            return page
        except Exception:  # it does not listen yet
            assert time.monotonic() < deadline
            time.sleep(0.2)


def panels(page: Any, timeout: float = 120) -> dict[str, Any]:
    """The three panels, once they are drawn."""
    for name in ("objective", "decay", "curves"):
        page.wait_for_selector(PANELS.format(name), state="attached", timeout=timeout * 1000)
    return {name: page.evaluate(STATE, name) for name in ("objective", "decay", "curves")}


def done(panel: dict[str, Any]) -> int:
    """How many trials a panel's note says are done."""
    return int(panel["title"].partition(" of 12 trials")[0].rpartition(">")[2])


@pytest.mark.parametrize("program", ["optuna-dashboard", "wdstudy dashboard"])
def test_the_panels_appear_while_the_study_runs_and_are_renewed(
    study_file: Callable[..., Path],
    browser: Any,
    processes: list[subprocess.Popen[str]],
    program: str,
) -> None:
    path, port = study_file(pause=0.8), free_port()
    # One lane, so that trials end one by one; the run is stopped once its page was renewed.
    run = started(processes, sys.executable, "-c", OFTEN, "run", str(path), "--jobs", "1",
                  "--lanes", "1")  # fmt: skip
    deadline = time.monotonic() + 120
    url = ["sqlite:///wdstudy.db"]
    while True:
        try:
            open_study("linear", url[0])
            break
        except WdstudyError:  # not yet
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.5)
    plain = [str(Path(sys.executable).with_name("optuna-dashboard")), *url]
    ours = [sys.executable, "-m", "wdstudy", "dashboard"]
    started(processes, *(plain if program == "optuna-dashboard" else ours), "--port", str(port))
    page = opened(browser, port)
    early = panels(page)
    assert run.poll() is None, "the run ended before the panels were there"
    assert 0 <= done(early["objective"]) < 12
    page.wait_for_function(
        f"() => ({STATE})('objective') && !({STATE})('objective').title.includes("
        f"'>{done(early['objective'])} of 12 trials')",
        timeout=120_000,
    )
    assert run.poll() is None, "the panels were renewed after the run only"
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert "not renewed" not in said
    study = open_study("linear", open_storage(url[0]))
    finished = [t for t in study.trials if t.state.name == "COMPLETE"]
    page.reload()
    late = panels(page)
    assert done(late["objective"]) == len(finished)
    heat = next(t for t in late["objective"]["data"] if t["type"] == "heatmap")
    texts = {text for row in heat["text"] for text in row if text}
    assert {short(t.values[0]) for t in finished} == texts
    page.goto(f"http://127.0.0.1:{port}/dashboard/studies/1/note")
    page.wait_for_selector("text=Live, by wdstudy")
    note = page.inner_text("body")
    assert f"stopped: {len(finished)} of 12 trials done" in note
    assert "python -m wdstudy report linear" in note
    assert "How the decay is counted" in note


def test_a_page_among_the_artifacts_can_not_read_the_dashboard(
    tmp_path: Path, browser: Any
) -> None:
    page_of_theirs = tmp_path / "page.html"
    page_of_theirs.write_text(
        "<script>fetch('/api/studies').then(() => { document.title = 'it reads' })"
        ".catch(() => { document.title = 'refused' })</script>"
    )
    storage = open_storage(f"sqlite:///{tmp_path}/a.db")
    study = optuna.create_study(storage=storage)
    publish(study, [page_of_theirs], tmp_path / "kept")
    (artifact,) = get_all_artifact_meta(study)
    with open_dashboard(storage, tmp_path / "kept", "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"{address(server)}artifacts/{study._study_id}/{artifact.artifact_id}")
        page.wait_for_function("document.title !== ''")
        assert page.title() == "refused"
        page.close()
        server.shutdown()
