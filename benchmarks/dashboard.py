"""What the live page costs, and how fast a large study opens in optuna-dashboard.

First studies/resnet.py is trained as `wdstudy run` trains it, and the time that went into pushing
its page is set beside the time of the run. Then a study of 1,000 trials of 300 epochs is written
by formula, and opened in a headless Chromium: the time from the address to the moment at which the
history, the heatmaps and the curves are drawn.

    python benchmarks/dashboard.py
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from wdstudy import LossCurves
from wdstudy.analysis.dashboard import address, open_dashboard
from wdstudy.analysis.live import LivePage
from wdstudy.analysis.live_page import live_page, push
from wdstudy.launchers.local import run_local
from wdstudy.progress import Silent
from wdstudy.storage import open_storage
from wdstudy.studyfile import SpecSource
from wdstudy.triallog import REPORT_GROWTH, SHOWN_GROWTH, TrialLog

sys.path.insert(0, str(Path(__file__).parent))
from machine import machine

STUDY = Path(__file__).parents[1] / "studies" / "resnet.py"
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


def large_study(url: str, trials: int, epochs: int, growth: float) -> optuna.Study:
    """A study as training leaves it, of cells on a grid whose loss is a formula."""
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
    study.add_trials([_trial(lr, decay, epochs, growth) for lr, decay in cells])
    return study


def _trial(lr: float, weight_decay: float, epochs: int, growth: float) -> FrozenTrial:
    end = 0.1 + 0.05 * (math.log10(lr) + 1) ** 2 + 0.05 * (math.log10(weight_decay + 1e-7) + 3) ** 2
    noise = np.random.default_rng(0).lognormal(0, 0.05, epochs)
    recorder = _Trial()
    log = TrialLog(recorder, None, "val_loss", eager=True)  # type: ignore[arg-type]
    log._growth = growth  # as of a training that takes its time: here it takes none
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


def opening(folder: Path, trials: int, epochs: int, *, pruned: bool) -> dict[str, Any]:
    """Seconds from the address of a large study to its drawn page, and the size of its data.

    A study with a pruner has some three times the reports.
    """
    url = f"sqlite:///{folder}/large-{pruned}.db"
    study = large_study(url, trials, epochs, REPORT_GROWTH if pruned else SHOWN_GROWTH)
    push(study, live_page(study, trials, "finished", "python -m wdstudy report large"))
    with open_dashboard(open_storage(url, create=False), folder, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = address(server)
        seconds = _drawn_after(f"{where}dashboard/studies/{study._study_id}")
        with urllib.request.urlopen(f"{where}api/studies/{study._study_id}?after=0") as answer:
            size = len(answer.read())
        server.shutdown()
    return {
        "what": "open, with a pruner" if pruned else "open",
        "trials": trials,
        "epochs": epochs,
        "reply_megabytes": size / 1e6,
        "reports_a_trial": max(len(t.intermediate_values) for t in study.get_trials(False)),
        "open_seconds": seconds,
    }


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
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        size = (30, 20) if given.small else (given.trials, given.epochs)
        rows = [opening(folder, *size, pruned=pruned) for pruned in (False, True)]
        rows.append(pushing(folder, given.small))
    given.out.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame([{**row, **machine()} for row in rows])
    frame.to_csv(given.out / "dashboard.csv", index=False)
    for row in rows:
        shown = (f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        print(" · ".join(shown))


if __name__ == "__main__":
    main()
