"""Tables of runs, as studies: what stands in the table stands in the study."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

import wdstudy
from wdstudy import trials_frame
from wdstudy.__main__ import main
from wdstudy.analysis.numbers.reading import read_study
from wdstudy.errors import SourceError
from wdstudy.storage.opening import open_storage

LRS, DECAYS, SEEDS = (0.001, 0.01, 0.1), (0.0, 0.001, 0.01), (3, 7)


def sweep(**more: object) -> pd.DataFrame:
    """A full grid, its losses by formula."""
    rows = [
        {"lr": lr, "weight_decay": wd, "seed": seed, "val_loss": loss(lr, wd, seed), **more}
        for lr in LRS
        for wd in DECAYS
        for seed in SEEDS
    ]
    return pd.DataFrame(rows)


def loss(lr: float, weight_decay: float, seed: int) -> float:
    x, y = math.log10(lr) + 2, math.log10(max(weight_decay, 1e-4)) + 3
    return 0.2 + 0.1 * x * x + 0.05 * y * y + 0.001 * seed


def written(frame: pd.DataFrame, name: str = "sweep.csv") -> str:
    frame.to_csv(name, index=False)
    return name


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["read", *arguments]) == code
    told = capsys.readouterr()
    assert code == 0 or told.err.count("\n") == 1
    return told.out if code == 0 else told.err


def frame_of(name: str) -> pd.DataFrame:
    study = optuna.load_study(study_name=name, storage=open_storage(create=False))
    return trials_frame(study)


def values(frame: pd.DataFrame) -> dict[tuple[float, float, int], float]:
    keys = zip(frame["lr"], frame["weight_decay"], frame["seed"], strict=True)
    return dict(zip(keys, frame["value"], strict=True))


def test_every_row_is_a_trial_with_its_value(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sweep()
    told = said(capsys, written(table))
    assert "found: 18 runs in sweep.csv" in told
    assert "metric: val_loss, minimized by its name" in told
    assert "18 trials added" in told
    assert "next: python -m wdstudy report sweep" in told
    read = frame_of("sweep")
    truth = values(table.rename(columns={"val_loss": "value"}))
    assert values(read) == pytest.approx(truth)
    assert read.attrs["objective"] == "val_loss"
    assert read["final_val_loss"].tolist() == pytest.approx(table["val_loss"].tolist())


def test_read_again_adds_what_is_new(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = sweep()
    said(capsys, written(table[:10]))
    told = said(capsys, written(table))
    assert "8 trials added, 10 trials there already" in told
    assert "0 trials added, 18 trials there already" in said(capsys, written(table))
    assert values(frame_of("sweep")) == values(table.rename(columns={"val_loss": "value"}))
    kept = said(capsys, written(table[:3]))
    assert "15 trials that the source has no more, kept" in kept
    table.loc[0, "val_loss"] = 9.0
    assert "--anew" in said(capsys, written(table), code=2)
    said(capsys, written(table), "--anew")
    assert frame_of("sweep")["value"].max() == 9.0


def test_a_study_of_another_origin_is_left_alone(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optuna.create_study(study_name="sweep", storage="sqlite:///wdstudy.db")
    told = said(capsys, written(sweep()), code=2)
    assert "not read from another program; give --name" in told
    said(capsys, "sweep.csv", "--name", "mine")
    assert "was read in another way" in said(
        capsys, written(sweep(), "other.csv"), "--name", "mine", code=2
    )


@pytest.mark.parametrize(
    ("lr", "decay", "seed", "metric"),
    [
        ("learning_rate", "wd", "random_seed", "eval/loss"),
        ("optimizer.lr", "optimizer.weight_decay", "config.seed", "val/acc"),
        ("params_lr", "params_l2", "params_seed", "valid_nll"),
        ("learningRate", "weightDecay", "randomState", "Validation Loss"),
        ("base_lr", "l2_reg", "seed", "test_error"),
    ],
)
def test_names_are_guessed(
    in_folder: Path,
    capsys: pytest.CaptureFixture[str],
    lr: str,
    decay: str,
    seed: str,
    metric: str,
) -> None:
    names = {"lr": lr, "weight_decay": decay, "seed": seed, "val_loss": metric}
    told = said(capsys, written(sweep().rename(columns=names)))
    assert f"lr: the column '{lr}' (--lr-name for another)" in told
    assert f"metric: {metric}, m" in told
    read = frame_of("sweep")
    assert values(read) == pytest.approx(values(sweep().rename(columns={"val_loss": "value"})))
    assert read.attrs["minimize"] is (metric != "val/acc")


def test_names_are_told(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"lr": "a", "weight_decay": "b", "seed": "c", "val_loss": "d"}
    path = written(sweep().rename(columns=names))
    assert "say which it is with --lr-name. Columns: a, b, c, d" in said(capsys, path, code=2)
    flags = ["--lr-name", "a", "--weight-decay-name", "b", "--seed-name", "c", "--metric", "d"]
    assert "add --minimize or --maximize" in said(capsys, path, *flags, code=2)
    assert "metric: d, minimized as you say" in said(capsys, path, *flags, "--minimize")
    assert values(frame_of("sweep")) == values(sweep().rename(columns={"val_loss": "value"}))


def test_what_else_varies_is_chosen_faceted_or_taken_at_its_best(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = sweep(dropout=0.5).assign(val_loss=lambda t: t["val_loss"] + 1)
    both = pd.concat([sweep(dropout=0.1), worse])
    path = written(both)
    told = said(capsys, path)
    assert "the best over dropout was taken: 18 of 36 runs (dropout: 0.1, 0.5)" in told
    best = frame_of("sweep")
    assert (best["best_dropout"] == 0.1).all()
    assert best.attrs["others"] == {}
    assert any("the best over dropout" in note for note in best.attrs["notes"])
    assert values(best) == values(sweep().rename(columns={"val_loss": "value"}))
    told = said(capsys, path, "--where", "dropout=0.5", "--name", "half")
    assert "where dropout=0.5: 18 runs" in told
    assert frame_of("half")["value"].min() > 1
    told = said(capsys, path, "--facet", "dropout")
    assert "next: python -m wdstudy report sweep-0.1 sweep-0.5" in told
    assert values(frame_of("sweep-0.5")) == values(frame_of("half"))
    assert "no run has it; did you mean" in said(capsys, path, "--where", "dropout=0.51", code=2)
    assert "did you mean 'dropout'" in said(capsys, path, "--facet", "droput", code=2)


def test_what_follows_from_the_axes_is_no_other_setting(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sweep().assign(
        log_lr=lambda t: np.log10(t["lr"]),
        product=lambda t: t["lr"] * t["weight_decay"],
        decay_text=lambda t: t["weight_decay"].map(str),
    )
    told = said(capsys, written(table))
    assert "varied as well" not in told
    assert frame_of("sweep").attrs["others"] == {}


def test_cells_that_mix_a_setting_say_so(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sweep()
    table["width"] = [8, 16] * (len(table) // 2)
    table = table[table["seed"] == 3].assign(width=[8, 16, 8, 16, 8, 16, 8, 16, 8])
    told = said(capsys, written(table))
    assert "varied as well, one value a run, so the cells mix them (width: 8, 16)" in told
    assert frame_of("sweep").attrs["others"] == {"width": "8, 16"}


def test_a_mixture_of_optimizers_is_refused(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(pd.concat([sweep(optimizer="adamw"), sweep(optimizer="sgd")]))
    told = said(capsys, path, code=2)
    assert "--where optimizer=adamw or --where optimizer=sgd, or --facet optimizer" in told
    told = said(capsys, path, "--where", "optimizer=adamw")
    assert "optimizer: AdamW; its weight_decay is decoupled, as PyTorch has it" in told
    read = frame_of("sweep")
    assert (read.attrs["optimizer"], read.attrs["decay"][:9]) == ("AdamW", "decoupled")


def test_optimizers_that_follow_the_lr_are_a_mixture_too(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {0.001: "adamw", 0.01: "adam", 0.1: "sgd"}
    path = written(sweep().assign(optimizer=lambda t: t["lr"].map(names)))
    assert "the runs mix optimizers" in said(capsys, path, code=2)


def test_what_wandb_exports(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The columns of a project's page, as its button Export CSV writes them."""
    table = sweep().rename(columns={"val_loss": "val/loss", "lr": "optimizer.lr"})
    about = {"State": "finished", "Notes": "-", "User": "me", "Tags": "", "Runtime": "12"}
    table = table.assign(Name=[f"sunny-sweep-{i}" for i in range(18)], **about)
    table = table.assign(Created=[f"2026-01-01T00:00:{i:02d}.000Z" for i in range(18)])
    table["epoch"] = 10
    told = said(capsys, written(table))
    assert "varied as well" not in told
    assert "best over" not in told
    assert values(frame_of("sweep")) == values(sweep().rename(columns={"val_loss": "value"}))


def test_accuracy_in_per_cent_is_a_share(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sweep().assign(val_accuracy=lambda t: 100 - 10 * t["val_loss"]).drop(columns="val_loss")
    told = said(capsys, written(table))
    assert "maximized by its name" in told
    assert "val_accuracy is in per cent: divided by 100" in told
    read = frame_of("sweep")
    assert read["value"].tolist() == pytest.approx((table["val_accuracy"] / 100).tolist())
    assert read.attrs["minimize"] is False


def test_unfinished_failed_and_lost_runs(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sweep().astype(object)
    table["State"] = "finished"
    table.loc[0, ["State", "val_loss"]] = ["running", 0.3]
    table.loc[1, ["State", "val_loss"]] = ["crashed", None]
    table.loc[2, "val_loss"] = "nan"
    table.loc[3, "val_loss"] = "inf"
    table.loc[4, "val_loss"] = None
    table.loc[5, "lr"] = "fast"
    table.loc[6, "val_loss"] = "broken"
    told = said(capsys, written(table))
    assert "left out: 1 run still running" in told
    assert "left out: 1 run that failed" in told
    assert "left out: 2 runs without val_loss" in told
    assert "left out: 1 run without numbers lr > 0 and weight_decay ≥ 0" in told
    assert "2 runs diverged" in told
    read = frame_of("sweep")
    assert len(read) == 13
    assert (read["diverged"].sum(), (read["state"] == "PRUNED").sum()) == (2, 2)


def test_runs_of_one_cell_and_seed(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = sweep()
    again = table[:2].assign(val_loss=[0.5, 0.6])
    told = said(capsys, written(pd.concat([table, again, table[:1]])))
    assert "left out: 1 run that another row repeats" in told
    assert "2 further runs of one cell and seed: taken as more seeds" in told
    read = frame_of("sweep")
    cell = read[(read["lr"] == 0.001) & (read["weight_decay"] == 0)]
    assert sorted(cell["value"]) == sorted([*table["val_loss"][:2], 0.5, 0.6])
    assert cell["seed"].nunique() == 4
    told = said(capsys, written(table.drop(columns="seed")), "--name", "seedless")
    assert "9 further runs of one cell: taken as more seeds" in told
    assert set(frame_of("seedless")["seed"]) == {0, 1}


def test_curves_of_a_second_table(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = sweep().assign(run=[f"r{i}" for i in range(18)])
    rows = [
        {"run": run, "step": step, "val_loss": end + 10 - step, "train_loss": 2 * end,
         "weight_norm": 4.0}
        for run, end in zip(table["run"], table["val_loss"], strict=True)
        for step in range(1, 11)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv("curves.csv", index=False)
    told = said(capsys, written(table), "--curves", "curves.csv")
    assert "curves: val_loss, primary_loss (train_loss), weight_norm" in told
    assert "decay loss: ½ · weight_decay · ‖w‖², from the weight norm" in told
    study = optuna.load_study(study_name="sweep", storage="sqlite:///wdstudy.db")
    curves = wdstudy.curves_frame(study, ["val_loss", "decay_loss"])
    wide = curves.pivot_table(index=["trial", "step"], columns="series", values="value",
                              observed=True)  # fmt: skip
    truth = [row["val_loss"] for row in rows]
    assert wide["val_loss"].tolist() == pytest.approx(truth)
    decays = np.repeat(table["weight_decay"], 10) * 8
    assert wide["decay_loss"].tolist() == pytest.approx(decays.tolist())
    long = pd.DataFrame(rows).melt(["run", "step"], var_name="series")
    long.to_csv("long.csv", index=False)
    said(capsys, "sweep.csv", "--curves", "long.csv", "--name", "long")
    other = optuna.load_study(study_name="long", storage="sqlite:///wdstudy.db")
    pd.testing.assert_frame_equal(
        wdstudy.curves_frame(other), wdstudy.curves_frame(study), check_names=False
    )


def test_one_table_of_runs_and_steps(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.concat([sweep().assign(epoch=e, val_loss=lambda t: t["val_loss"] + 3 - e)  # noqa: B023
                       for e in (1, 2, 3)])  # fmt: skip
    told = said(capsys, written(table))
    assert "one row a run and step: the last step is the run" in told
    assert values(frame_of("sweep")) == pytest.approx(
        values(sweep().rename(columns={"val_loss": "value"}))
    )
    study = optuna.load_study(study_name="sweep", storage="sqlite:///wdstudy.db")
    assert len(wdstudy.curves_frame(study)) == 18 * 3


def test_what_wdstudy_exports_it_reads_back(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sweep()
    table.loc[4, "val_loss"] = math.inf
    said(capsys, written(table))
    first = frame_of("sweep")
    assert main(["export", "sweep", "--what", "trials", "--out", "out.csv"]) == 0
    said(capsys, "out.csv", "--metric", "final_val_loss")
    second = frame_of("out")
    columns = ["lr", "weight_decay", "seed", "value", "diverged", "state"]
    pd.testing.assert_frame_equal(first[columns], second[columns])


@pytest.mark.parametrize(
    "name",
    ["sweep.tsv", "semicolon.csv", "bom.csv", "utf16.csv",
     pytest.param("a.parquet", marks=pytest.mark.slow)],
)  # fmt: skip
def test_forms_of_a_table(in_folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    table = sweep()
    match name:
        case "sweep.tsv":
            table.to_csv(name, index=False, sep="\t")
        case "semicolon.csv":
            table.to_csv(name, index=False, sep=";", decimal=",")
        case "bom.csv":
            table.to_csv(name, index=False, encoding="utf-8-sig")
        case "utf16.csv":
            table.to_csv(name, index=False, encoding="utf-16")
        case _:
            table.to_parquet(name)
    said(capsys, name)
    assert values(frame_of(Path(name).stem)) == values(table.rename(columns={"val_loss": "value"}))


def test_a_frame(in_folder: Path) -> None:
    study = wdstudy.read(sweep(), "mine", storage=optuna.storages.InMemoryStorage())
    assert values(trials_frame(study)) == values(sweep().rename(columns={"val_loss": "value"}))
    lines: list[str] = []
    wdstudy.read(sweep(dropout=0.1), "mine", where={"dropout": 0.1}, say=lines.append)
    assert lines[0] == "found: 18 runs in the frame"
    with pytest.raises(SourceError, match="no such metric; did you mean 'val_loss'"):
        wdstudy.read(sweep(), "other", metric="valloss")


@pytest.mark.parametrize(
    "table",
    [
        sweep().assign(val_loss=0.5),  # all ties
        sweep().assign(weight_decay=0.0, lr=[0.001 * 1.5**i for i in range(18)]),
        sweep().assign(lr=0.1, weight_decay=[0.001 * 1.5**i for i in range(18)]),
        sweep().assign(val_loss=lambda t: 1 - t["val_loss"] / t["val_loss"].max()).rename(
            columns={"val_loss": "val_accuracy"}
        ),
        sweep().assign(val_accuracy=lambda t: (t["lr"] > 0.01).astype(float)).drop(
            columns="val_loss"
        ),
        sweep().assign(val_loss="nan"),
        sweep()[:1],
        sweep().assign(lr=1e-300),
        sweep().assign(val_loss=lambda t: t["val_loss"] * 1e300),
        sweep().assign(val_loss=lambda t: t["val_loss"] - 1),
    ],
    ids=["ties", "only 0", "one lr", "accuracy", "reaches 1", "all lost", "one run", "tiny lr",
         "huge", "negative"],
)  # fmt: skip
@pytest.mark.usefixtures("one_figure")
def test_odd_sweeps_end_in_a_report(
    in_folder: Path, capsys: pytest.CaptureFixture[str], table: pd.DataFrame
) -> None:
    told = said(capsys, written(table))
    one = table["lr"].nunique() == 1 or table["weight_decay"].nunique() == 1
    assert ("how lr and weight_decay work together can't be told" in told) is one
    study = optuna.load_study(study_name="sweep", storage="sqlite:///wdstudy.db")
    assert read_study(study).found.verdict
    assert all(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in study.trials)
    assert main(["report", "sweep"]) == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "holds no rows"),
        ("lr,weight_decay,val_loss\n", "holds no rows"),
        ("lr,weight_decay,val_loss\n1,2,3,4\n", "row 2: 4 cells under a header of 3"),
        ("lr,val_loss\n0.1,0.2\n", "no weight_decay that is known by its name"),
        ("weight_decay,val_loss\n0.1,0.2\n", "no lr that is known by its name"),
        ("lr,weight_decay\n0.1,0.2\n", "has no metric"),
        ("lr,weight_decay,val_loss\nx,0.1,0.2\n", "the column 'lr' would be lr, but it holds no"),
        ("lr,weight_decay,val_loss\n-1,0.1,0.2\n", "can be used: left out: 1 run without numbers"),
        ("lr,weight_decay,val_loss\n0.1,0.1,x\n", "has no metric"),
        ("lr,weight_decay,quux\n0.1,0.1,0.2\n", "does not say what it is judged by"),
        ("lr,wd,l2,val_loss\n1,1,1,1\n2,2,2,2\n", "next: python -m wdstudy report"),
        ("a.lr,b.lr,wd,val_loss\n1,1,1,1\n2,2,2,2\n", "--lr-name a.lr or --lr-name b.lr"),
    ],
)
def test_bad_tables_are_one_line(
    in_folder: Path, capsys: pytest.CaptureFixture[str], text: str, line: str
) -> None:
    Path("bad.csv").write_text(text)
    assert line in said(capsys, "bad.csv", code=0 if line.startswith("next") else 2)


def test_what_is_not_there(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'none.csv' is not there" in said(capsys, "none.csv", code=2)
    Path("empty").mkdir()
    assert "the folder 'empty' holds no sweep" in said(capsys, "empty", code=2)
    assert "--from" in said(capsys, "none.csv", "--from", "tables", code=2)
    written(sweep())
    assert "did you mean 'val_loss'" in said(capsys, "sweep.csv", "--metric", "valloss", code=2)
    assert "leave it out" in said(capsys, "sweep.csv", "--objective", "1", code=2)
    assert "write --where name=value" in said(capsys, "sweep.csv", "--where", "lr", code=2)


def test_a_study_of_each_value_of_a_number_is_a_sweep_along_it(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of studies read from elsewhere, one a value, the report along the scale is one command."""
    rows = [
        {"lr": lr, "weight_decay": decay, "batch_size": size, "net": net, "val_loss": lr + decay}
        for size in (8, 16, 32) for lr in (0.1, 0.3) for decay in (0.0, 0.1) for net in "ab"
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv("sweep.csv", index=False)
    read = ["read", "sweep.csv", "--where", "net=a", "--no-live"]
    assert main([*read, "--facet", "batch_size"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("report sweep-8 sweep-16 sweep-32 --scale batch_size")
    assert (
        main(["read", "sweep.csv", "--where", "batch_size=8", "--facet", "net", "--no-live"]) == 0
    )
    assert "--scale" not in capsys.readouterr().out.splitlines()[-1]
    assert main(read) == 0
    assert "report … --scale batch_size" in capsys.readouterr().out
