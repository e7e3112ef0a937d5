"""The live page of a study: what it says, when it is pushed, by whom, and what it weighs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from made_studies import designed_study, grid_study, placed, study_of, trained
from optuna.trial import TrialState
from optuna_dashboard import get_note, save_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.landscape import landscape_of_study
from wdstudy.live.note import HEADING, escaped
from wdstudy.live.page import live_page, push
from wdstudy.live.pushing import EVERY, SHARE, Budget, Lease, LivePage
from wdstudy.run.progress import Silent
from wdstudy.run.status import Status
from wdstudy.storage.opening import open_storage

COMMAND = "python -m wdstudy report made"


def space(lrs: Any, weight_decays: Any, seeds: int = 1) -> dict[str, Any]:
    return {"space": {"lr": list(lrs), "weight_decay": list(weight_decays),
                      "seeds": list(range(seeds))}}  # fmt: skip


def shown(study: optuna.Study) -> dict[str, Any]:
    """The figures as the dashboard reads them back."""
    attributes = study._storage.get_study_system_attrs(study._study_id)
    return {
        name.removeprefix("wdstudy-"): json.loads(text)
        for name, text in get_plotly_graph_objects(attributes).items()
    }


def pushed(study: optuna.Study, target: int = 12, state: str = "running") -> dict[str, Any]:
    push(study, live_page(study, target, state, COMMAND))
    return shown(study)


def heat(figure: dict[str, Any]) -> dict[str, Any]:
    return next(t for t in figure["data"] if t["type"] == "heatmap")


def trace(figure: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((t for t in figure["data"] if t.get("name") == name and t["x"]), None)


def test_the_heatmap_holds_the_numbers_of_the_study() -> None:
    study = grid_study(seeds=2, diverges=lambda lr, wd: lr == 1.0 and wd == 0.1)
    figures = pushed(study)
    assert set(figures) == {"objective", "decay", "curves"}
    table = heat(figures["objective"])
    # From the bottom: weight_decay 0, the gap, 0.001, 0.01, 0.1; lr from the left.
    assert table["text"][3] == ["0.22", "0.1", "0.22"]
    assert [len(row) for row in table["z"]] == [3] * 5
    assert table["z"][1] == [None] * 3
    assert table["z"][4][2] is None  # diverged
    low, best = min(v for row in table["z"] for v in row if v is not None), table["z"][3][1]
    assert best == low
    assert 10**best == pytest.approx(0.1005, rel=1e-3)
    assert trace(figures["objective"], "diverged")["x"] == [2.5]
    assert trace(figures["objective"], "best cell")["x"] == [1.5]
    axis = figures["objective"]["layout"]["yaxis"]
    assert axis["ticktext"] == ["0", "0.001", "0.01", "0.1"]
    assert axis["tickvals"][1] - axis["tickvals"][0] > 1  # 0 is apart
    assert "validation loss" in figures["objective"]["layout"]["title"]["text"]


def test_what_ties_with_the_best_is_circled() -> None:
    def level(lr: float, weight_decay: float, seed: int) -> float:
        wobble = math.sin(37 * math.log(lr) + 11 * math.log(weight_decay + 1e-9) + 5 * seed)
        return 0.5 * math.exp((weight_decay == 0.1) + 0.05 * wobble)

    study = grid_study(seeds=2, loss=level)
    tied = landscape_of_study(trials_frame(study), record_of(study)).best.tied
    assert tied
    rings = trace(pushed(study)["objective"], "as good as the best, within the noise")
    assert rings is not None
    assert rings["x"] == [[0.01, 0.1, 1.0].index(lr) + 0.5 for lr, _ in tied]
    alone = pushed(grid_study(diverges=lambda lr, wd: True))
    assert trace(alone["objective"], "as good as the best, within the noise") is None


def test_the_decay_loss_of_a_decoupled_optimizer_is_called_a_diagnostic() -> None:
    for kind, is_diagnostic in (("decoupled", True), ("coupled", False)):
        figures = pushed(grid_study(optimizer="AdamW", decay_kind=kind))
        for name in ("decay", "curves"):
            title = figures[name]["layout"]["title"]["text"].partition("</b>")[0]
            assert ("(a diagnostic)" in title) is is_diagnostic


def test_curves_are_thinned_and_tell_their_values() -> None:
    study = grid_study(points=500)
    lines = trace(pushed(study)["curves"], "primary loss")
    cells = 12
    assert len(lines["x"]) <= cells * 41
    assert lines["text"][-2] == "0.52, epoch 500"  # the last cell's last point is kept
    assert all(0 <= y <= 4 for y in lines["y"] if y is not None)


def test_trials_in_training_show_their_newest_value_until_one_of_the_cell_has_ended() -> None:
    done = trained(0.1, 0.01, points=4)
    training = [
        placed(0.1, 0.01, state=TrialState.RUNNING, step=[10], val_loss=[9.0], primary_loss=[9.0]),
        placed(1.0, 0.01, state=TrialState.RUNNING, step=[10], val_loss=[0.05],
               primary_loss=[7.0], decay_loss=[0.5]),
    ]  # fmt: skip
    study = study_of([done, *training], **space([0.1, 1.0], [0, 0.01]))
    figures = pushed(study, target=4)
    table = heat(figures["objective"])
    assert table["text"] == [["", ""], ["", ""], ["0.1", "0.05"]]  # the planned cells are there
    assert trace(figures["objective"], "best cell")["x"] == [0.5]  # of those that have ended
    assert trace(figures["objective"], "in training")["x"] == [0.88, 1.88]
    assert heat(figures["decay"])["text"][2][1] == "0.5"
    assert "1 of 4 trials" in figures["objective"]["layout"]["title"]["text"]


def test_samples_are_points_with_weight_decay_0_apart() -> None:
    rng = np.random.default_rng(0)
    rows = [placed(10**x, 10**y if i % 5 else 0.0, 1 + x * x + y * y)
            for i, (x, y) in enumerate(rng.uniform(-3, 0, (30, 2)))]  # fmt: skip
    figure = pushed(study_of(rows, sampler="tpe"), target=30)["objective"]
    assert figure["layout"]["xaxis"]["type"] == figure["layout"]["yaxis"]["type"] == "log"
    assert len(figure["data"][0]["x"]) == 30
    assert figure["layout"]["yaxis"]["ticktext"][0] == "0"
    assert min(figure["data"][0]["y"]) == figure["layout"]["yaxis"]["tickvals"][0]


def test_a_study_in_which_nothing_has_happened_or_all_diverged_has_a_page() -> None:
    assert pushed(study_of([], **space([0.1], [0.1]))) == {}
    lost = grid_study(
        diverges=lambda lr, wd: True, **space([0.01, 0.1, 1.0], [0, 0.001, 0.01, 0.1])
    )
    figures = pushed(lost)
    assert len(trace(figures["objective"], "diverged")["x"]) == 12
    assert "none of 12 trials" in get_note(lost)


BEGUN: dict[str, Any] = {
    "step": [10],
    "primary_loss": [1.0],
    "decay_loss": [0.0],
    "val_loss": [1.0],
}
FIRST = {
    "nothing has decayed": [trained(0.1, 0.0)],
    "one trial": [trained(0.1, 0.01)],
    "one row": [trained(0.1, 0.0), trained(0.01, 0.0)],
    "no record point": [placed(0.1, 0.0, state=TrialState.RUNNING)],
    "one record point": [placed(0.1, 0.0, state=TrialState.RUNNING, **BEGUN)],
    "only a diverged trial": [trained(0.1, 0.0, diverged=True)],
    "only a failed trial": [placed(0.1, 0.0, state=TrialState.FAIL)],
}


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
@pytest.mark.parametrize("first", FIRST)
def test_the_first_trials_of_a_study_have_a_page(first: str, sampler: str) -> None:
    study = study_of(FIRST[first], sampler=sampler, **space([0.01, 0.1], [0, 0.01]))
    has_values = first not in ("no record point", "only a failed trial")
    assert ("objective" in pushed(study, target=4)) is has_values
    assert "of 4 trials done" in get_note(study)


@pytest.mark.slow
def test_a_large_page_stays_below_two_megabytes(tmp_path: Path) -> None:
    axis = np.logspace(-4, 0, 20).tolist()
    decays = [0.0, *np.logspace(-6, -1, 19).tolist()]
    made = grid_study(
        lrs=axis, weight_decays=decays, seeds=2, points=2000, **space(axis, decays, 2)
    )
    pushed(made, target=800)
    attributes = made._storage.get_study_system_attrs(made._study_id)
    once = sum(len(k) + len(str(v)) for k, v in attributes.items())
    assert 100_000 < once < 2_000_000
    pushed(made, target=800)  # in place of the first
    again = made._storage.get_study_system_attrs(made._study_id)
    assert sum(len(k) + len(str(v)) for k, v in again.items()) == pytest.approx(once, rel=0.01)
    largest = trace(shown(made)["curves"], "primary loss")
    assert len(largest["x"]) <= 12 * 12 * 41


def test_the_note_says_state_verdict_decay_and_command_and_is_no_markup() -> None:
    study = grid_study("a_b *c* $x$ <i>", seeds=2, model="net")
    pushed(study, target=24, state="finished")
    note = get_note(study)
    assert note.startswith(HEADING)
    assert "**finished: 24 of 24 trials done**" in note
    assert note.index("### What to do") < note.index("### Numbers")
    assert "- Train with lr 0.1 and weight\\_decay 0.01" in note
    assert "Best cell: lr 0.1, weight\\_decay 0.01" in note
    assert "SGD is coupled" in note
    assert f"    {COMMAND}" in note
    assert "$" not in note.replace("\\$", "")
    assert escaped("a_b *c* $x$ <i> [l](u) | `d`\n# e") == (
        "a\\_b \\*c\\* \\$x\\$ \\<i\\> \\[l\\](u) \\| \\`d\\` \\# e"
    )


def test_the_note_of_a_study_that_only_diverged_has_nothing_to_do() -> None:
    study = grid_study(diverges=lambda lr, wd: True)
    pushed(study, target=24)
    note = get_note(study)
    assert "### Verdict so far, on 12 of 24 trials" in note
    assert "- Nothing can be said: none of 12 trials finished with a finite value." in note
    assert "What to do" not in note


def test_what_its_reader_wrote_into_the_note_is_kept() -> None:
    study = grid_study()
    save_note(study, "Mine.\n")
    pushed(study)
    pushed(study)
    note = get_note(study)
    assert note.startswith(f"Mine.\n{HEADING}")
    assert note.count(HEADING) == 1


def test_pushes_keep_to_their_share_of_the_time_and_are_15_seconds_apart() -> None:
    for cost in (0.01, 0.3, 2.0):
        budget = Budget(start=0.0)
        now, times = 0.0, []
        while now < 3600:
            now += 0.25
            if budget.due(now):
                times.append(now)
                budget.spend(now, now + cost)
                now += cost
                if cost < 1:  # a first push that is dear is not known before
                    assert budget.spent <= SHARE * now
        assert budget.spent <= SHARE * 3600
        assert times[0] == EVERY
        assert min(np.diff(times)) >= EVERY
        assert len(times) >= 3600 * min(1 / 16, SHARE / cost) * 0.9


def test_in_a_journal_pushes_lie_further_and_further_apart() -> None:
    budget, count = Budget(growth=0.1, start=0.0), 0
    for now in range(36_000):
        if budget.due(float(now)):
            budget.spend(float(now), now + 0.01)
            count += 1
    assert 50 < count < 80


def test_one_run_pushes_until_it_ends_or_is_not_heard_of(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/a.db")
    study = optuna.create_study(storage=storage)
    first, second = (Lease(storage, study._study_id) for _ in range(2))
    assert first.take(100.0, 60)
    assert not second.take(110.0, 60)
    assert first.take(150.0, 60)
    assert not second.take(200.0, 60)
    assert second.take(211.0, 60)  # the first was not heard of
    assert not first.take(220.0, 60)
    first.release()  # it is not his any more
    assert not first.take(230.0, 60)
    second.release()
    assert first.take(231.0, 60)


def test_a_run_that_was_killed_does_not_keep_the_right_to_push() -> None:
    study = optuna.create_study()
    study._storage.set_study_system_attr(
        study._study_id, "wdstudy:live", {"name": _name_of_nobody(), "until": 1e12}
    )
    assert Lease(study._storage, study._study_id).take(0.0, 60)


def _name_of_nobody() -> str:
    """A worker of this machine that has ended."""
    import subprocess
    import sys

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    from wdstudy.workers import worker_name

    place, _, token = worker_name("0").rpartition(":")
    return f"{place.rpartition(':')[0]}:{ended.pid}:{token}"


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        self.lines.append(line)


class Broken(optuna.storages.InMemoryStorage):
    """A storage that takes everything but figures and notes."""

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        raise RuntimeError("disk full")


def test_a_push_that_fails_is_told_once_and_nothing_else_happens() -> None:
    said = Said()
    study = optuna.create_study(storage=Broken())
    with LivePage(said, COMMAND) as page:
        page.watch(study)
        page.budget._start -= 1000
        for _ in range(3):
            page.budget._ended -= 1000
            page.display.show(Status(4))
    assert page.budget.pushes == 4
    assert said.lines == [
        "optuna-dashboard's page is not renewed (RuntimeError: disk full); training goes on"
    ]


def test_without_live_nothing_is_pushed() -> None:
    study = grid_study()
    with LivePage(Silent(), COMMAND, on=False) as page:
        page.watch(study)
        page.display.show(Status(12))
    assert shown(study) == {}


def test_the_note_of_a_design_tells_its_newest_batch_and_what_is_open() -> None:
    study = designed_study(stop=None)
    running = placed(0.1, 0.3, None, TrialState.RUNNING, stage="seeds", reason="which_one", batch=6)
    study.add_trial(running)
    note = live_page(study, 500, "running", COMMAND).note
    assert "37 trials done" in note
    assert "500" not in note  # what nobody knows
    assert "batch 6, 1 trial, seeds: which\\_one" in note
    assert "the best cell, answered: another cell" in note
    assert "What to do so far, on 37 trials" in note
    limited = designed_study(stop=None, asked={"best": 0.02, "trials": 60})
    assert "37 trials of at most 60 done" in live_page(limited, 60, "running", COMMAND).note


def test_a_stopped_design_is_whole_and_its_reason_stands_with_what_to_do() -> None:
    page = live_page(designed_study(), 500, "finished", COMMAND)
    assert "You have your answer" in page.note
    assert "choosing better would gain about 1 %" in page.note
    assert "so far" not in page.note
    assert "so far" not in page.figures["objective"].layout.title.text
    assert "37 trials" in page.figures["objective"].layout.title.text


def test_far_off_samples_do_not_stretch_the_plane() -> None:
    study = designed_study()
    for lr in (1e-6, 900.0):
        study.add_trial(placed(lr, 0.0, 2.0, stage="find", reason="all diverged", batch=1))
    study.add_trial(placed(0.05, 0.005, 2.0, stage="find", reason="x", batch=1))
    study.add_trial(placed(0.07, 0.007, 2.0, stage="find", reason="x", batch=1))
    axis = pushed(study)["objective"]["layout"]["xaxis"]
    low, high = axis["range"]
    assert -3 < low < high < 2  # decades
    assert {"1e-6", "900"} <= set(axis["ticktext"])
