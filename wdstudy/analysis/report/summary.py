"""All that a report says, as plain data: what `summary.json` holds and `report --json` prints."""

from __future__ import annotations

import json
from typing import Any

from wdstudy.analysis.numbers.estimate import as_data
from wdstudy.analysis.numbers.reading import Read
from wdstudy.analysis.report.design import story_data
from wdstudy.analysis.report.scale import course_data
from wdstudy.analysis.report.text import caveats, still_improving
from wdstudy.analysis.views.design import DesignInfo, design_if_any


def summary(read: Read, design: DesignInfo | None = None) -> dict[str, Any]:
    """The numbers and sentences of a study.

    A number that carries its uncertainty is an estimate, `{value, low, high, n, reason}`: its 95 %
    interval, what it rests on, and why it is not known, or its caveat. What is not finite is null.
    A sentence is `{text, about, numbers}`, `about` being the key of `landscape` that it rests on.
    These keys stay; others may join them.

    Args:
        read: The study.
        design: As from `design_if_any(read.trials)`, where that is at hand.

    Returns:
        study: Its name.
        trials: How many are in each state: `COMPLETE`, `PRUNED`, …
        diverged: How many trials diverged.
        objective, minimize: What a trial's value is, and whether low is good.
        other_parameters: What varies beside lr, weight_decay and seed: name → values in words.
        landscape:
            name: The word for the loss. trials, cells: How many count.
            best: `lr, weight_decay, loss, seen, seeds, diverged_seeds, gap, ties, tied, regret,
                timescale`; `tied` are the cells `[lr, weight_decay]` that the noise does not tell
                from it.
            effects: One an lr: `lr, without, best_weight_decay, gain, gain_chance, harms_from`
                (factor of the loss → weight_decay), and `changes`: `{weight_decay, loss}`.
            good_lr: `factor, with_decay, without, gained`: ranges of lr, and the lr that only
                weight decay makes good.
            limit: `slope, slope_above, factor, bends_at, lr, weight_decay`: where harm begins.
            slope, ridge: Of the best weight_decay along lr; `ridge` has `slope, bend, lr,
                weight_decay`.
            frontier, frontier_line: Of the largest weight_decay without harm; `slope, factor, lr,
                weight_decay`.
            separability: `additive, interaction_p`. product: `product, lr, weight_decay`.
            apart_cost: Of tuning one after the other: `lr_first, weight_decay_first, worst`, …
            lr_sensitivity, weight_decay_sensitivity, diverged_share, baseline_gap, noise:
                Estimates.
            valley_width: `fixed_weight_decay, fixed_product, factor`.
            edges: `axis, where, low, high, at_lower, at_upper, top, firm, extend_to`, of each axis.
            stable_lr: `weight_decay, lr, diverges_at, n`, of each weight_decay.
            second_basin: `lr, weight_decay, above, over`, or null.
            logarithmic: Whether differences are shares of the loss.
            suggestion: `action, lr, weight_decay, why`.
            advice, verdict: Sentences: what to do, and all that can be said.
        design: Of a study that designed itself, else null: `asked, scouts, stages, batches, path,
            questions, stopped`. scouts: `runs, seconds, rows`. Each of stages: `stage, trials,
            done, seconds, batches`; of batches: `batch, stage, reason, trials, done, seconds`; of
            path: the `best` cell after a `batch`, and how many `trials` were done; of questions:
            `name, asked, width, answered, says, given_up, trials`, widths as shares of the loss or
            in decades, trials what it would take. stopped: `reason, why`; null while it goes on.
        transfer: Of a study along a scale, else null; `landscape` is that of its largest value.
            scale, values, name, trials: What it is along, and what counts.
            places: One a value: `value, lr, weight_decay, product, tau_share, tau_epochs, limit,
                own_lr, own_weight_decay, banks, best_lr, best_weight_decay, loss, trials`: the
                optimum by the law of all values, by this value alone, and the best pair trained.
            exponents: Quantity → the power of the scale with which it moves.
            straight, shape: Whether the optima lie on one power law, and the basin that is shared:
                `shared, p, depth, cells, misfit`.
            rules: One a published rule: `rule, powers, verdict, text`; of rule: `name, says,
                powers, setting, source`.
            test: The largest value predicted from the others: `value, lr, weight_decay, best, loss,
                regret, kept, reason`.
            next: Twice the largest value: `scale, value, lr, weight_decay, limit, kept, stake,
                beyond`; or `reason`.
            planes: One a value: `value, landscape`.
            advice, notes: Sentences, and what is left out.
        still_improving: Whether the best trials were, in a sentence.
        caveats: What is missing from the data.
        record: The study's description of itself, as it was recorded.
    """
    trials, curves = read.whole.trials, read.whole.curves
    design = design or design_if_any(read.trials)
    return {
        "study": read.name,
        "trials": {str(k): int(v) for k, v in trials["state"].value_counts().items()},
        "diverged": int(trials["diverged"].sum()),
        "objective": trials.attrs.get("objective"),
        "minimize": trials.attrs.get("minimize"),
        "other_parameters": trials.attrs.get("others", {}),
        "landscape": read.found.as_data(),
        "design": None if design is None else story_data(design),
        "transfer": None if read.along is None else course_data(read.along),
        "still_improving": still_improving(read.trials, read.curves),
        "caveats": caveats(trials, curves),
        "record": as_data(read.whole.record.as_data()),
    }


def as_json(data: Any) -> str:
    """Strict JSON that people can read, with a line end."""
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
