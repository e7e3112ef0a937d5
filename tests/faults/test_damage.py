"""Studies whose attributes hold anything at all are read, as far as they are whole."""

from __future__ import annotations

import math
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from ground import run, wait_for, workers_of
from made_studies import grid_study
from small_tasks import STUDY_FILE

from wdstudy import write_report
from wdstudy.__main__ import main
from wdstudy.analysis.frames.studies import best_lines
from wdstudy.analysis.numbers.nextsweep import next_sweep
from wdstudy.analysis.numbers.reading import read_study
from wdstudy.analysis.report.explorer import explorer_data
from wdstudy.analysis.report.numbers import effect_rows, number_rows
from wdstudy.analysis.report.setup import how_it_was_run
from wdstudy.analysis.report.summary import as_json, summary
from wdstudy.analysis.report.text import (
    caveats,
    decay_meaning,
    headline,
    still_improving,
    trial_table,
)
from wdstudy.errors import WdstudyError
from wdstudy.record import STUDY_KEY
from wdstudy.storage.opening import open_storage

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
    best_lines(study)
    read = read_study(study)
    headline(read.trials, read.record)
    decay_meaning(read.record)
    how_it_was_run(read.trials, read.record)
    effect_rows(read.found)
    number_rows(read.found, read.record)
    as_json(summary(read))
    caveats(read.trials, read.curves)
    trial_table(read.trials)
    still_improving(read.trials, read.curves)
    explorer_data(read.trials, read.curves, read.found.best.tied)
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


ATTRIBUTES = [
    (f"{of}_{kind}_attributes", "value_json") for of in ("study", "trial")
    for kind in ("user", "system")
]  # fmt: skip
COLUMNS = [
    *ATTRIBUTES * 3, ("trial_params", "distribution_json"), ("trials", "state"),
    ("trials", "datetime_start"), ("trial_values", "value"), ("study_directions", "direction"),
]  # fmt: skip
TEXTS: list[str | bytes] = [
    "", "{", "[1.0,", '"\\ud800"', '"\\ud', "NaN", '"abc"', '{"lr": NaN}', "null", "[[]]",
    b'"\xff"', b"\x00", '{"name": "FloatDistribution", "attributes": {}}',
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study file, and a database and a journal that hold what it trains, twice."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("linear.py").write_text(STUDY_FILE.replace("PAUSE", "0"))
        for url in ("sqlite:///wd.db", "journal:///wd.journal"):
            for name in ("linear", "other"):
                assert main(run_of(name, url)) == 0
    return folder


def run_of(name: str, url: str) -> list[str]:
    flags = ["--jobs", "1", "--lanes", "12", "--no-live"]
    return ["run", "linear.py", "--name", name, "--storage", url, *flags]


def cut_text(rng: random.Random) -> str:
    """Something in the database that is cut, or no JSON, or of another type."""
    with closing(sqlite3.connect("wd.db")) as connection:
        for _ in range(rng.choice([1, 1, 3])):
            table, column = rng.choice(COLUMNS)
            ids = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            if not ids:
                continue
            row, old = rng.choice(ids)
            new = rng.choice(TEXTS)
            if rng.random() < 0.4 and isinstance(old, str):
                new = old[: rng.randrange(len(old))]
            value = "CAST(? AS TEXT)" if isinstance(new, bytes) else "?"
            with suppress(sqlite3.IntegrityError):
                query = f"UPDATE {table} SET {column} = {value} WHERE rowid = ?"
                connection.execute(query, (new, row))
        connection.commit()
    return "sqlite:///wd.db"


def broken_pages(rng: random.Random) -> str:
    """Bytes, or whole pages, overwritten at random places."""
    content = bytearray(Path("wd.db").read_bytes())
    for _ in range(rng.choice([1, 3, 10])):
        size = rng.choice([1, 16, 200, 4096])
        at = rng.randrange(100, len(content) - size)
        content[at : at + size] = rng.randbytes(size)
    Path("wd.db").write_bytes(content)
    return "sqlite:///wd.db"


def broken_lines(rng: random.Random) -> str:
    """Lines of the journal cut, garbled, doubled, taken away or put in."""
    lines = Path("wd.journal").read_bytes().splitlines(keepends=True)
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.randrange(len(lines))
        line = lines[at]
        lines[at] = rng.choice([
            line[: rng.randrange(len(line))] + b"\n", line[:-1], line + b"\n", b"[1]\n" + line,
            line.replace(b"0", b"\x00"), rng.randbytes(50) + b"\n", line[: len(line) // 2],
            line.replace(b'"op_code":8', b'"op_code":99'), line.replace(b"trial_id", b"trial"),
            line.replace(b'"value', b'"valu\xff'), line + b'{"op_code":6}\n',
        ])  # fmt: skip
    Path("wd.journal").write_bytes(b"".join(lines))
    return "journal:///wd.journal"


@pytest.mark.parametrize("harm", [cut_text, broken_pages, broken_lines])
@pytest.mark.parametrize("seed", range(4))
def test_every_command_on_a_damaged_storage_does_its_work_or_says_why_in_a_line(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    harm: Callable[[random.Random], str],
    seed: int,
) -> None:
    monkeypatch.setattr("wdstudy.storage.patient.PATIENCE_SECONDS", 3.0)
    rng = random.Random(seed)
    for round in range(6):
        folder = tmp_path / str(round)
        shutil.copytree(whole, folder)
        monkeypatch.chdir(folder)
        url = harm(rng)
        reading = [["list"], ["suggest", "linear"], ["export", "linear", "--out", "a.csv"]]
        reading += [["report", "linear"]] if round == 0 else []
        commands = [[*arguments, "--storage", url] for arguments in reading]
        for command in [*commands, run_of("other", url), run_of("linear", url)]:
            code = main(command)
            told = [s for s in capfd.readouterr().err.splitlines() if s.startswith("wdstudy: ")]
            assert (code, len(told)) in ((0, 0), (2, 1)), (round, command, told)
            assert not any("out of reach" in line for line in told), (round, command, told)
        assert all((page / "report.html").is_file() for page in Path().glob("reports/*"))


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_study_that_is_deleted_while_it_runs_ends_the_run_in_a_line(
    study_file: Callable[..., Path], kind: str, jobs: int
) -> None:
    url = f"{kind}:///wd.{kind}"
    process = run(study_file(0.1), url, "--jobs", str(jobs), "--no-live")
    wait_for(url, 2)
    workers = workers_of(process.pid)
    optuna.delete_study(study_name="linear", storage=open_storage(url))
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2, told
    assert "Traceback" not in told
    (line,) = [line for line in told.splitlines() if line.startswith("wdstudy: ")]
    assert "the study 'linear' was deleted from" in line
    assert len(workers) == (jobs if jobs > 1 else 0)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
