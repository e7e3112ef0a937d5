"""What the replays come to: trials to each answer by method and task, against the goals; a figure.

python benchmarks/standings.py       # reads results/design.csv, draws results/design.png
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import pandas as pd
import seaborn as sns

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from replays import RESULTS

CSV, PNG = RESULTS / "design.csv", RESULTS / "design.png"
SHOWN = {
    "a": "(a)",
    "effects": "effects",
    "b": "(b)",
    "b_coarse": "(b) to 0.7",
    "b_slope": "(b) by slope",
}
LIMITS = ("b", "b_coarse", "b_slope")
LABELS = {
    "design": "--design, no range known",
    "grid": "7 × 7 × 2 grid, range known",
    "suggest": "5 × 5 grid, range wrong, then suggest",
    "random": "random, range known",
    "tpe": "TPE, two seeds, range known",
    "tpe1": "TPE, one seed, range known",
    "gp": "GP, two seeds, range known",
}
COLOURS = dict(zip(LABELS, ["black", *sns.color_palette("colorblind", 6)], strict=True))
TITLES = {
    "a": "a cell within 2 % of the best",
    "effects": "what weight decay gains",
    "b": "that, and where it begins to harm",
}
"""What is known for good after so many trials."""

NEVER = 400
"""Where the figure puts what a run never had."""

RATIO, SHARE, MORE = 1.3, 0.9, 5


def kept(rows: pd.DataFrame, path: Path = CSV) -> pd.DataFrame:
    """The rows, written in place of those of the same tables and methods, beside the others."""
    if path.exists():
        old, keys = pd.read_csv(path), ["table", "method"]
        again = old.set_index(keys).index.isin(rows.set_index(keys).index)
        rows = pd.concat([old[~again], rows], ignore_index=True)
    order = rows["method"].map([*LABELS].index)
    rows = rows.assign(order=order).sort_values(["table", "order", "replay"]).drop(columns="order")
    rows.to_csv(path, index=False, float_format="%.4g")
    return rows.reset_index(drop=True)


def standings(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a table and method: median and worst trials, and how often it never came to it."""
    lines = []
    for (table, method), part in rows.groupby(["table", "method"], sort=False):
        line: dict[str, object] = {"table": table, "method": method, "replays": len(part)}
        line["trials"] = f"{part['trials'].median():.0f}"
        for column, label in SHOWN.items():
            line[label] = _told(part[column])
            line[f"{label} lanes"] = _told(part[f"{column}_price"])
        line["false"] = f"{part['contradicted'].sum()} of {part['statements'].sum()}"
        if method == "design":
            line["ratio"] = _told(part["ratio"].fillna(math.inf))
            line["≤ 1.3"] = f"{100 * (part['ratio'] <= RATIO).mean():.0f} %"
            line["stops"] = ", ".join(f"{k} {n}" for k, n in part["stop"].value_counts().items())
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def _told(values: pd.Series) -> str:
    """`24 (57; never 3)`: median, worst of those that had it, and those that had not."""
    never, had = int((values == math.inf).sum()), values[values < math.inf]
    if had.empty:
        return "never"
    rest = f"; never {never}" if never else ""
    middle = values.median()
    return (
        f"{middle:.3g} ({had.max():.3g}{rest})"
        if middle < math.inf
        else (f"never (best {had.min():.3g}{rest})")
    )


def goals(rows: pd.DataFrame) -> pd.DataFrame:
    """The goals by table: medians against each other.

    A grid or a sampler that never had an answer is taken to have it at its end: more is not claimed
    of the design. `suggest` stops by itself, and where that is without the answer there is none.
    """
    lines = []
    for table, part in rows.groupby("table", sort=False):
        at = dict(iter(part.groupby("method")))
        if "design" not in at:
            continue
        own, line = at["design"], {"table": table}
        for method in ("tpe", "tpe1"):
            if method in at:
                most = _bound(at[method], "a") + MORE
                line[f"(a) {method}, plus 5"] = _against(float(own["a"].median()), most)
        for method, part_of in (("grid", 2), ("suggest", 4)):
            for column in LIMITS if method in at else ():
                ends = method != "suggest"
                most = _bound(at[method], column) if ends else float(at[method][column].median())
                label = f"{SHOWN[column]} {method}, by {part_of}"
                line[label] = _against(float(own[column].median()), most / part_of)
        share = float((own["ratio"] <= RATIO).mean())
        line["(c) stops within 1.3"] = f"{100 * share:.0f} % {'✓' if share >= SHARE else '✗'}"
        lines.append(line)
    return pd.DataFrame(lines)


def _bound(part: pd.DataFrame, column: str) -> float:
    """The median, a run that never had it counted with all that it trained."""
    values = part[column]
    return float(values.where(values < math.inf, part["trials"]).median())


def _against(own: float, most: float) -> str:
    if math.isinf(own):
        return f"never, {most:.0f} ✗"
    return f"{own:.0f} {'≤' if own <= most else '>'} {most:.0f} {'✓' if own <= most else '✗'}"


def plot(rows: pd.DataFrame) -> Figure:
    """Trials to the answers by task and method: medians, and from the least to the most."""
    sns.set_theme(style="whitegrid", context="notebook")
    methods = [method for method in LABELS if method in set(rows["method"])]
    tasks = sorted(rows["table"].unique())
    figure, axes = plt.subplots(
        1, len(TITLES), figsize=(15, 1.5 + 1.1 * len(tasks)), sharey=True, layout="constrained"
    )
    for ax, (column, title) in zip(axes, TITLES.items(), strict=True):
        shown = rows.assign(
            trials=rows[column].clip(upper=NEVER), method=rows["method"].map(LABELS)
        )
        sns.pointplot(
            shown,
            x="trials",
            y="table",
            hue="method",
            order=tasks,
            hue_order=[LABELS[m] for m in methods],
            palette=[COLOURS[m] for m in methods],
            estimator="median",
            errorbar=("pi", 100),
            dodge=0.65,
            linestyle="none",
            markersize=6,
            err_kws={"linewidth": 1.4},
            ax=ax,
        )
        _finish(ax, title)
    handles, labels = axes[0].get_legend_handles_labels()
    for ax in axes:
        ax.get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _finish(ax: Axes, title: str) -> None:
    ax.set_xscale("log")
    ax.set_xlim(1.6, 1.3 * NEVER)
    ticks = [2, 5, 10, 20, 50, 100, 200]
    ax.set_xticks([*ticks, NEVER], [*map(str, ticks), "never"])
    ax.minorticks_off()
    ax.set(title=title, xlabel="trials until it stays known", ylabel="")
    for between in range(1, len(ax.get_yticks())):
        ax.axhline(between - 0.5, color="0.8", linewidth=0.8)


def main() -> None:
    rows = pd.read_csv(CSV)
    print(standings(rows).to_string(index=False))
    print(goals(rows).to_string(index=False))
    plot(rows).savefig(PNG, dpi=110)


if __name__ == "__main__":
    main()
