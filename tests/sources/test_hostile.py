"""Tables that nobody meant: they are read, or refused in one line that can be printed."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import optuna
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

import wdstudy
from wdstudy import trials_frame
from wdstudy.__main__ import main
from wdstudy.errors import WdstudyError

HEADS = st.sampled_from(
    ["lr", "weight_decay", "seed", "val_loss", "val_acc", "optimizer", "step", "state", "run",
     "dropout", "", "value", "train_loss", "=cmd", "lr\n", "\x1b[2J", "diverged", "weight_norm"]
)  # fmt: skip
CELLS = st.sampled_from(
    ["0.1", "1e-3", "0", "-1", "nan", "inf", "-inf", "", "x", "1e400", "1e-400", "1,5", "0x10",
     "True", "adamw", "sgd", "running", "failed", "finished", "7", "1_000", "\0", "\ud800", "٣",
     "1e308", "99", "100", "1.0", "None", "\x1b[2J", "'", '"', "=1+1", "9" * 30]
)  # fmt: skip
TABLES = st.lists(HEADS, min_size=1, max_size=7).flatmap(
    lambda head: st.lists(st.lists(CELLS, min_size=len(head), max_size=len(head)), max_size=8).map(
        lambda rows: [head, *rows]
    )
)
FULL = ["lr", "weight_decay", "val_loss", "seed", "dropout"]


def outcome(path: Path) -> optuna.Study | str:
    """The study, or the line that says why there is none."""
    storage = optuna.storages.InMemoryStorage()
    try:
        return wdstudy.read(path, storage=storage)
    except WdstudyError as error:
        assert storage.get_all_studies() == []
        return str(error)


def check(found: optuna.Study | str) -> None:
    if isinstance(found, str):
        assert found
        return
    for trial in found.trials:
        assert 0 < trial.params["lr"] < math.inf
        assert 0 <= trial.params["weight_decay"] < math.inf
        assert trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        assert trial.state == TrialState.PRUNED or math.isfinite(trial.value or 0.0)
    frame = trials_frame(found)
    assert not frame[["lr", "weight_decay", "seed"]].duplicated().any()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TABLES, st.sampled_from([",", ";", "\t"]))
@example([["lr", "weight_decay", "val_loss"], ["0.1", "0", "nan"]], ",")
def test_any_table_is_read_or_refused(
    tmp_path: Path, table: list[list[str]], separator: str
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(table)
    path = tmp_path / "hostile.csv"
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    check(outcome(path))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(CELLS, min_size=5, max_size=5), min_size=1, max_size=12))
def test_any_cells_under_a_good_header(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "cells.csv"
    text = io.StringIO()
    csv.writer(text).writerows([FULL, *rows, ["0.1", "0.1", "0.5", "1", "0"]])
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    check(outcome(path))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bytes.csv"
    path.write_bytes(data)
    check(outcome(path))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("latin.csv", "lr,weight_decay,val_loss\n0.1,0.1,0.1 ü\n".encode("latin-1")),
        ("long.csv", b"lr,weight_decay,val_loss\n0.1,0.1," + b"9" * 200_000 + b"\n"),
        ("bad.parquet", b"PAR1 no parquet"),
        ("empty.parquet", b""),
        ("some.bin", bytes(range(256))),
        ("short.db", b"SQLite format 3\0"),
        ("escape\x1b[2J.csv", b"lr\n1\n"),
        ("log.journal", b'{"op_code": 99}\n'),
        ("run-1.wandb", b":W&B\xe1\xbe\x00garbage"),
    ],
)
def test_files_that_are_no_tables(
    in_folder: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes
) -> None:
    Path(name).write_bytes(data)
    assert main(["read", name]) == 2
    told = capsys.readouterr().err
    assert told.startswith("wdstudy: ")
    assert told.count("\n") == 1
    assert told.strip().isprintable()


def test_what_stands_in_a_table_is_printed_spelled_out(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["lr", "weight_decay", "val_loss", "o\x1b[2J"],
            *(["0.1", str(i), "0.1", f"\x1b[{i % 2}m"] for i in range(4))]  # fmt: skip
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    Path("a.csv").write_text(text.getvalue())
    assert main(["read", "a.csv"]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert main(["report", "a"]) == 0
    assert "\x1b" not in Path("reports/a/report.html").read_text()
