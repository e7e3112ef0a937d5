"""Studies whose attributes hold anything at all are read, as far as they are whole."""

from __future__ import annotations

import math
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from made_studies import grid_study

from wdstudy import write_report
from wdstudy.analysis.frames.studies import best_line
from wdstudy.analysis.numbers.nextsweep import next_sweep
from wdstudy.analysis.numbers.reading import read_study
from wdstudy.analysis.report.explorer import explorer_data
from wdstudy.analysis.report.text import (
    caveats,
    decay_meaning,
    estimates,
    headline,
    how_it_was_run,
    still_improving,
    trial_table,
)
from wdstudy.errors import WdstudyError
from wdstudy.record import STUDY_KEY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # of numpy, over the garbage
]

JUNK: list[Any] = [
    None, "x", "", 0, -1, math.inf, math.nan, -math.inf, True, [], {}, [1, 2], ["a", None],
    [[1], [2]], {"a": [1]}, {"lr": "x"}, list(range(3000)), 10**30, "\x1b[31m", [1e308] * 5,
    [True, False], {"lr": [None]}, "2024", [0.1, "0.2"],
]  # fmt: skip
OF_TRIALS = [
    "step", "primary_loss", "decay_loss", "val_loss", "val_accuracy", "weight_norm",
    "learning_rate", "final_val_loss", "final_primary_loss", "initial_loss", "seed",
    "train_seconds", "worker", "diverged_at", "decay_share", "error", "enqueued_by",
    "last_seen", "curves_thinned", "val_x",
]  # fmt: skip
OF_SPEC = [
    "space", "optimizer", "optimizer_options", "decay", "decay_kind", "epochs", "objective",
    "sampler", "metrics", "settings", "warmup", "train", "model",
]  # fmt: skip
OF_RECORD = [
    "spec", "schema", "adaptive", "versions", "steps_per_epoch", "parameters", "command",
    "fingerprint", "device",
]  # fmt: skip
SPACE = {"lr": [0.01, 0.1, 1.0], "weight_decay": [0.0, 0.01, 0.1]}


def damaged(rng: random.Random) -> Any:
    """A study of 18 trials with garbage in some attributes of some trials, and in its record."""
    lrs, weight_decays = SPACE.values()
    space = {**SPACE, "seeds": [0, 1]}
    study = grid_study("made", lrs, weight_decays, seeds=2, points=3, space=space)
    for trial in study.get_trials(deepcopy=False):  # in memory these are the study's own
        for _ in range(rng.choice([0, 0, 1, 2])):
            trial.user_attrs[rng.choice(OF_TRIALS)] = rng.choice(JUNK)
    record = dict(study.user_attrs[STUDY_KEY])
    for _ in range(rng.choice([0, 1, 2, 3])):
        spec = dict(record["spec"]) if isinstance(record.get("spec"), dict) else {}
        if rng.random() < 0.5:
            record["spec"] = {**spec, rng.choice(OF_SPEC): rng.choice(JUNK)}
        else:
            record[rng.choice(OF_RECORD)] = rng.choice(JUNK)
    study.set_user_attr(STUDY_KEY, record if rng.random() < 0.9 else rng.choice(JUNK))
    return study


def tell_everything(study: Any) -> None:
    best_line(study)
    read = read_study(study)
    headline(read.trials, read.record)
    decay_meaning(read.record)
    how_it_was_run(read.trials, read.record)
    estimates(read.found, read.record)
    caveats(read.trials, read.curves)
    trial_table(read.trials)
    still_improving(read.trials, read.curves)
    explorer_data(read.trials, read.curves)
    next_sweep(read.found, read.record)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_whole_is_told_and_what_is_not_is_one_line(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(12):
        with suppress(WdstudyError):  # a line for the user; anything else is a fault of ours
            tell_everything(damaged(rng))


@pytest.mark.parametrize("seed", range(3))
def test_a_report_of_a_damaged_study_is_written(tmp_path: Path, seed: int) -> None:
    rng = random.Random(100 + seed)
    with suppress(WdstudyError):
        assert write_report(damaged(rng), tmp_path).is_file()
