"""The contract of landscape: what it takes, what it leaves out, and that it never stumbles."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from known_surfaces import Sweep, bowl, grid, lopsided, scatter

from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.numbers.estimate import Estimate, cannot_say, reflected
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.errors import StudyError
from wdstudy.words import number

SWEEP = Sweep(noise=0.03, seeds=2, cliff=-1.0, without=True, points=grid(6, 6))


def trials(sweep: Sweep = SWEEP, slope: float = -1) -> pd.DataFrame:
    return sweep.trials(lopsided(slope), np.random.default_rng(0))


def estimates(found: Landscape) -> dict[str, Estimate]:
    return {f.name: v for f in fields(found) if isinstance(v := getattr(found, f.name), Estimate)}


def test_fields_and_json() -> None:
    found = landscape(trials())
    names = {f.name for f in fields(found)}
    assert names >= {
        "best", "slope", "frontier", "separability", "product", "apart_cost", "lr_sensitivity",
        "weight_decay_sensitivity", "valley_width", "edges", "diverged_share", "stable_lr",
        "baseline_gap", "verdict", "effects", "good_lr", "limit", "second_basin", "advice",
    }  # fmt: skip
    data = json.loads(json.dumps(found.as_data(), allow_nan=False))
    assert data["slope"]["value"] == found.slope.value
    assert data["verdict"][0] == {"text": str(found.verdict[0]), "about": "best", "numbers": ""}


def test_each_sentence_points_at_a_field() -> None:
    found = landscape(trials(), adaptive=True)
    assert {s.about for s in found.verdict} <= {f.name for f in fields(found)}
    assert all(any(c.isdigit() for c in s.text) for s in found.verdict[:-1])
    assert all(s.text.endswith(".") for s in found.verdict)
    assert "sampler" in found.verdict[-1].text


def test_verdict_reads_like_a_person() -> None:
    sweep = Sweep(noise=0.02, seeds=3, points=grid(8, 11))
    said = [str(s) for s in landscape(trials(sweep), name="val loss").verdict]
    assert said[0].startswith("Best cell: lr ")
    assert "(val loss 0.0" in said[0]
    assert "3 seeds" in said[0]
    assert any("when you double lr there, about halve weight_decay" in s for s in said)
    assert any(s.startswith("Tuning them one after the other") for s in said)
    assert any(s.startswith("The best weight_decay lies inside the range") for s in said)


def test_unfinished_and_misplaced_trials_change_nothing() -> None:
    frame = trials()
    junk = frame.head(6).assign(
        value=1e-9,
        diverged=False,
        state=["RUNNING", "WAITING", "FAIL", "TrialState.FAIL", "COMPLETE", "COMPLETE"],
    )
    junk.loc[junk.index[4], "lr"] = math.nan
    junk.loc[junk.index[5], "weight_decay"] = -1.0
    assert landscape(pd.concat([frame, junk], ignore_index=True)) == landscape(frame)


def test_values_of_diverged_trials_are_never_read() -> None:
    frame = trials()
    assert frame["diverged"].any()
    lured = frame.assign(value=frame["value"].where(~frame["diverged"], 1e-12), state="COMPLETE")
    assert landscape(lured) == landscape(frame.assign(state="COMPLETE"))


def test_pruned_trials_are_left_out_and_mentioned() -> None:
    frame = trials()
    good = frame.index[~frame["diverged"]][::7]
    frame.loc[good, ["state", "value"]] = ["PRUNED", 1e-6]
    found = landscape(frame)
    assert found.best.loss.value > 1e-3
    assert any(f"{len(good)} trials pruned" in str(s) for s in found.verdict)


def test_divergence_without_a_flag() -> None:
    frame = trials()
    bare = frame.drop(columns=["diverged", "state"])
    marked = bare.assign(
        diverged_at=np.where(frame["diverged"], 17.0, np.nan), state=frame["state"]
    )
    assert landscape(bare).diverged_share == landscape(frame).diverged_share
    assert landscape(marked) == landscape(frame)


def test_objects_and_strings_from_other_frames_are_read() -> None:
    frame = trials()
    loose = frame.astype({"diverged": object, "lr": object}).assign(
        seed=frame["seed"].map("s{}".format)
    )
    loose.loc[loose.index[0], "diverged"] = None
    assert landscape(loose).slope == landscape(frame).slope


def test_missing_columns_are_named() -> None:
    with pytest.raises(StudyError, match=r"no column 'lr'.*weight_decay"):
        landscape(pd.DataFrame({"weight_decay": [1.0], "value": [1.0]}))
    with pytest.raises(StudyError, match="no column 'final_val_loss'"):
        landscape(trials(), "final_val_loss")


def cut(which: str) -> pd.DataFrame:
    frame = trials()
    first_lr, some_wd = frame["lr"].iloc[0], frame["weight_decay"].iloc[4]
    match which:
        case "no row":
            return frame.head(0)
        case "none finished":
            return frame.assign(state="FAIL", value=np.nan, diverged=False)
        case "all diverged":
            return frame.assign(value=np.nan, diverged=True)
        case "one lr":
            return frame[frame["lr"] == first_lr]
        case "one weight_decay":
            return frame[frame["weight_decay"] == some_wd]
        case "one cell":
            return frame[(frame["lr"] == first_lr) & (frame["weight_decay"] == some_wd)]
        case "one trial":
            return frame.head(1)
        case "only without":
            return frame[frame["weight_decay"] == 0]
        case "all equal":
            return frame.assign(value=1.0, diverged=False)
        case "a diagonal":
            return frame[np.isclose(np.log10(frame["lr"] * frame["weight_decay"] + 1e-99), -4)]
    raise AssertionError(which)


CUTS = [
    "no row", "none finished", "all diverged", "one lr", "one weight_decay", "one cell",
    "one trial", "only without", "all equal", "a diagonal",
]  # fmt: skip


@pytest.mark.parametrize("which", CUTS)
def test_too_little_data_is_said_in_words(which: str) -> None:
    found = landscape(cut(which))
    assert not found.slope.known
    assert all(e.known or e.reason for e in estimates(found).values())
    assert found.verdict
    json.dumps(found.as_data(), allow_nan=False)


def test_nothing_finished_is_one_plain_sentence() -> None:
    assert str(landscape(cut("no row")).verdict[0]) == "No trial finished."
    said = landscape(cut("all diverged"))
    assert "none of 84 trials finished" in str(said.verdict[0])
    assert said.diverged_share.value == 1


def test_one_value_of_an_axis_is_mentioned() -> None:
    assert any("Only one lr was tried" in str(s) for s in landscape(cut("one lr")).verdict)


def test_values_that_are_not_positive_are_kept_as_they_are() -> None:
    frame = Sweep(noise=0.02).trials(bowl(-1), np.random.default_rng(0))
    raw = frame.assign(value=np.log(frame["value"]), initial_loss=math.log(2.3))
    found = landscape(raw)
    assert not found.logarithmic
    assert found.slope.value == pytest.approx(landscape(frame).slope.value, abs=1e-9)
    assert not found.valley_width.fixed_product.known


def test_random_rubble_never_raises() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 40))
        frame = pd.DataFrame(
            {
                "lr": 10.0 ** rng.integers(-4, 1, n),
                "weight_decay": rng.choice([0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1], n),
                "seed": rng.integers(0, 3, n),
                "value": rng.choice([0.1, 0.2, 0.5, 3.0, np.nan, np.inf], n),
                "diverged": rng.random(n) < 0.2,
                "state": rng.choice(["COMPLETE", "COMPLETE", "PRUNED", "FAIL"], n),
                "initial_loss": rng.choice([2.3, np.nan], n),
            }
        )
        if seed % 2:
            frame["lr"] *= rng.uniform(1, 10, n)
            frame["weight_decay"] *= rng.uniform(1, 10, n)
        json.dumps(landscape(frame).as_data(), allow_nan=False)


def test_same_frame_same_numbers() -> None:
    assert landscape(trials()) == landscape(trials())
    assert landscape(trials(), seed=1).slope != landscape(trials(), seed=2).slope


def test_five_thousand_trials_are_told_to_be_averaged() -> None:
    many = Sweep(points=scatter(5000, np.random.default_rng(0)))
    found = landscape(many.trials(lopsided(-1), np.random.default_rng(0)))
    assert found.slope.value == pytest.approx(-1, abs=0.05)
    assert "averaged in" in found.apart_cost.worst.reason


def test_estimate_says_what_it_is() -> None:
    assert str(cannot_say("no seeds")) == "cannot say: no seeds"
    assert str(Estimate(1.0, 0.5, 2.0, 3)) == "1 (95 % 0.5 … 2)"
    assert not Estimate(1.0).excludes_zero
    assert Estimate(-2.0, -3.0, -1.0).excludes_zero


def test_reflected_interval_reaches_back_over_the_bias_of_a_minimum() -> None:
    rng = np.random.default_rng(0)
    draws = 1.5 + 0.1 * rng.standard_normal(1000)  # biased by +0.5 about the value 1
    found = reflected(1.0, draws, 10, floor=0.0)
    assert found.low == pytest.approx(0.5 - 0.196, abs=0.02)
    assert found.high == pytest.approx(1.5 + 0.196, abs=0.02)


@pytest.mark.parametrize(
    ("value", "text"),
    [(5e-4, "5e-4"), (0.1, "0.1"), (3.0, "3"), (0.0, "0"), (2.5e-6, "2.5e-6"), (30000.0, "3e4")],
)
def test_numbers_as_one_would_type_them(value: float, text: str) -> None:
    assert number(value) == text


def test_a_maximised_share_is_judged_by_what_it_lacks_to_one() -> None:
    shares = trials().assign(value=lambda t: 1 / (1 + t["value"])).query("not diverged")
    cells = measured(shares, "value", minimize=False)
    assert cells.sign == "1 − "
    judged = cells.trials["value"] + shares["value"].to_numpy()
    assert judged.tolist() == pytest.approx([1.0] * len(shares))
    cells = measured(shares.assign(value=10 * shares["value"]), "value", minimize=False)
    assert cells.sign == "−"
    assert cells.trials["value"].tolist() == pytest.approx((-10 * shares["value"]).tolist())
    said = str(landscape(shares, name="val accuracy", minimize=False).verdict[0])
    assert "(1 − val accuracy 0." in said
