"""What the live page costs, and how fast a large study opens in optuna-dashboard.

First studies/resnet.py is trained as `wdstudy run` trains it, and the time that went into pushing
its page is set beside the time of the run. Then studies of 20 and of 1,000 trials of 300 epochs are
written by formula, and opened in a headless Chromium, with `wdstudy dashboard` and with plain
optuna-dashboard: the time from the address to the moment at which the history, the heatmaps and the
curves are drawn.

    python benchmarks/dashboard.py
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from wdstudy import LossCurves
from wdstudy.launchers.local import run_local
from wdstudy.live.page import live_page, push
from wdstudy.live.pushing import LivePage
from wdstudy.run.progress import Silent
from wdstudy.run.triallog import TrialLog, reports
from wdstudy.storage.opening import open_storage
from wdstudy.study.file import SpecSource

sys.path.insert(0, str(Path(__file__).parent))
from machine import machine

STUDY = Path(__file__).parents[1] / "studies" / "resnet.py"
PROGRAMS = {
    "wdstudy dashboard": ["wdstudy", "dashboard", "--storage"],
    "optuna-dashboard": ["optuna-dashboard"],
}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]


def pushing(folder: Path, small: bool) -> dict[str, Any]:
    """Seconds of a run, and of the pushes in it."""
    changes = {"epochs": 2} if small else {}
    source = SpecSource(str(STUDY), {}, changes, {"lr": [0.01, 0.1], "seeds": 1} if small else {})
    page = LivePage(Silent(), "python -m wdstudy report resnet")
    began = time.perf_counter()
    spec = source.specs()[0]
    url = f"sqlite:///{folder}/run.db"
    with page:
        status = run_local(source, spec, url, page.display, opened=page.watch)
    seconds = time.perf_counter() - began
    return {
        "what": "push",
        "trials": status.done,
        "run_seconds": seconds,
        "push_seconds": page.budget.spent,
        "share": page.budget.spent / seconds,
        "pushes": page.budget.pushes,
    }


def write_study(url: str, trials: int, epochs: int, *, pruned: bool) -> None:
    """A study as training leaves it, of cells on a grid whose loss is a formula.

    With a pruner every trial reports, and more often.
    """
    columns = max(1, round(math.sqrt(trials)))
    rows = -(-trials // columns)
    lrs = np.logspace(-4, 0, columns).tolist()
    decays = [0.0, *np.logspace(-6, -1, rows - 1).tolist()]
    study = optuna.create_study(study_name="large", storage=open_storage(url))
    space = {"lr": lrs, "weight_decay": decays, "seeds": [0]}
    plan = {"space": space, "objective": "val_loss", "optimizer": "SGD", "decay_kind": "coupled",
            "decay": "pytorch", "sampler": "grid", "epochs": epochs}  # fmt: skip
    study.set_user_attr("wdstudy", {"schema": 1, "spec": plan, "steps_per_epoch": 10})
    cells = [(lr, decay) for lr in lrs for decay in decays][:trials]
    study.add_trials(
        [
            _trial(lr, decay, epochs, pruned, reports(number, trials))
            for number, (lr, decay) in enumerate(cells)
        ]
    )
    push(study, live_page(study, trials, "finished", "python -m wdstudy report large"))


def _trial(
    lr: float, weight_decay: float, epochs: int, pruned: bool, reporting: bool
) -> FrozenTrial:
    end = 0.1 + 0.05 * (math.log10(lr) + 1) ** 2 + 0.05 * (math.log10(weight_decay + 1e-7) + 3) ** 2
    noise = np.random.default_rng(0).lognormal(0, 0.05, epochs)
    recorder = _Trial()
    log = TrialLog(recorder, None, "val_loss", eager=pruned, reporting=reporting)  # type: ignore[arg-type]
    for epoch in range(1, epochs + 1):
        loss = float(end * (2.3 / end) ** (1 - epoch / epochs) * noise[epoch - 1])
        norm = 20.0 + 5 * loss
        log.log({"step": 10 * epoch, "primary_loss": loss, "val_loss": 1.1 * loss,
                 "decay_loss": 0.5 * weight_decay * norm**2, "val_accuracy": math.exp(-loss),
                 "weight_norm": norm, "learning_rate": lr * (1 - epoch / epochs)})  # fmt: skip
    curves: LossCurves = log.curves
    return create_trial(
        params={"lr": lr, "weight_decay": weight_decay, "seed": 0},
        distributions={"lr": FloatDistribution(1e-6, 1e3, log=True),
                       "weight_decay": FloatDistribution(0, 1e3), "seed": IntDistribution(0, 9)},
        value=log.value,
        intermediate_values=recorder.reports,
        user_attrs={**curves.to_attributes(), **curves.scalars(lr, weight_decay),
                    "initial_loss": 2.3, "train_seconds": 10.0, "worker": "host:1:abcd1234"},
    )  # fmt: skip


class _Trial:
    """Takes the reports of a TrialLog."""

    def __init__(self) -> None:
        self.reports: dict[int, float] = {}

    def report(self, value: float, step: int) -> None:
        self.reports[step] = value

    def set_user_attr(self, name: str, value: Any) -> None:
        pass


def opening(url: str, rounds: int) -> list[dict[str, Any]]:
    """Seconds from the address of a study to its drawn page, in both ways to look at it."""
    study = optuna.load_study(study_name="large", storage=open_storage(url))
    trials = study.get_trials(False)
    facts = {
        "trials": len(trials),
        "reports": sum(len(trial.intermediate_values) for trial in trials),
    }
    seconds: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    sizes = {}
    for _ in range(rounds):  # side by side, and each time as if nobody had asked before
        for program, times in seconds.items():
            with served(program, url) as where:
                times.append(_drawn_after(f"{where}dashboard/studies/{study._study_id}"))
                reply = f"{where}api/studies/{study._study_id}?after=0"
                with urllib.request.urlopen(reply) as answer:
                    sizes[program] = len(answer.read()) / 1e6
    return [
        {"what": f"open: {program}", **facts, "reply_megabytes": sizes[program],
         "open_seconds": statistics.median(times), "least": min(times), "most": max(times),
         "rounds": rounds}
        for program, times in seconds.items()
    ]  # fmt: skip


@contextmanager
def served(program: str, url: str) -> Iterator[str]:
    """The address of a dashboard that has just begun to listen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = Path(sys.executable).parent
    name, *arguments = PROGRAMS[program]
    command = [place / name, *arguments, url, "--port", str(port)]
    where = f"http://127.0.0.1:{port}/"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{where}api/meta"):
                break
            time.sleep(0.1)
        try:
            yield where
        finally:
            process.kill()


def _drawn_after(url: str) -> float:
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_function(
            "document.querySelectorAll(\"[id^='user-defined-plot:'] .main-svg\").length >= 3 "
            "&& document.querySelector('#plot-history .main-svg')",
            timeout=120_000,
        )
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => done()))")
        seconds = time.perf_counter() - began
        browser.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="see that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sizes = [(20, 20)] if given.small else [(20, 300), (1000, 300)]
    rounds = 1 if given.small else given.rounds
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        for trials, epochs in sizes:
            for pruned in (False, True):
                url = f"sqlite:///{folder}/{trials}-{pruned}.db"
                write_study(url, trials, epochs, pruned=pruned)
                rows += [{**row, "pruner": pruned} for row in opening(url, rounds)]
        rows.append(pushing(folder, given.small))
    given.out.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame([{**row, **machine()} for row in rows])
    frame.to_csv(given.out / "dashboard.csv", index=False)
    for row in rows:
        shown = (f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        print(" · ".join(shown))


if __name__ == "__main__":
    main()
