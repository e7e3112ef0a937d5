"""The README's figure from the CSVs: how much faster, and how cost grows.

python benchmarks/figure.py      # reads and writes benchmarks/results/
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import pandas as pd
import seaborn as sns

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from tasks import HERE

ROWS = {
    "a": "Optuna script,\none trial at a time",
    "b": "the same,\nn_jobs=2",
    "c": "wdstudy, one lane,\none process",
    "d": "wdstudy, default",
    "e": "the limit: bare\ntraining steps",
}
COLOURS = dict(zip(ROWS, ["0.6", "0.75", "#7fb3d5", "#1f618d", "#e59866"], strict=True))
TASKS = {"ridge": "ridge regression", "mlp": "MLP", "resnet": "ResNet"}


def plot_speed(rows: pd.DataFrame, ax: Axes) -> Axes:
    """How many times faster a whole study is, with the spread over the rounds."""
    frame = rows.assign(
        task=[
            f"{TASKS[task]}\n{n} trials"
            for task, n in zip(rows.task, rows.study_trials, strict=True)
        ],
        way=rows.row.map(ROWS),
    )
    sns.barplot(
        frame,
        x="task",
        y="ratio",
        hue="way",
        hue_order=list(ROWS.values()),
        palette=list(COLOURS.values()),
        estimator="median",
        errorbar=("pi", 100),
        err_kws={"linewidth": 1, "color": "0.3"},
        ax=ax,
    )
    ax.set_yscale("log")
    top = frame["ratio"].max()
    ax.set_ylim(min(0.5, frame["ratio"].min() / 1.3), top * 1.6)
    ax.axhline(1, color="0.3", linewidth=0.8)
    most = frame.groupby(["way", "task"])["ratio"].max()
    bars = [container for container in ax.containers if isinstance(container, BarContainer)]
    for container, way in zip(bars, ROWS.values(), strict=True):
        for bar, task in zip(container, frame["task"].unique(), strict=True):
            median = bar.get_height()
            ax.annotate(
                f"{median:.1f}×" if median < 10 else f"{median:.0f}×",
                (bar.get_x() + bar.get_width() / 2, max(most[way, task], 1)),  # above its spread
                textcoords="offset points",
                xytext=(0, 3),
                ha="center",
                fontsize=8,
            )
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    ax.set(xlabel="", ylabel="times as fast, start-up and storage included")
    ax.set_title("A whole study, against a plain Optuna script", loc="left", fontsize=11)
    ax.legend(
        title=None,
        fontsize=8,
        frameon=False,
        loc="upper left",
        ncols=5,
        bbox_to_anchor=(-0.02, -0.12),
        columnspacing=1.1,
        handlelength=1,
    )
    return ax


def plot_lanes(scaling: pd.DataFrame, ax: Axes) -> Axes:
    """How many times the trials a second, against the lanes that train together."""
    lanes = scaling[scaling.kind == "lanes"].groupby(["task", "size"], as_index=False)["value"]
    frame = lanes.median()
    alone = frame[frame["size"] == 1].set_index("task")["value"]
    frame["speed"] = frame.task.map(alone) / frame["value"]
    sns.lineplot(frame, x="size", y="speed", hue="task", marker="o", palette="dark", ax=ax)
    if ax.get_legend():
        ax.get_legend().remove()
    for task, of_task in frame.groupby("task"):
        end = of_task.iloc[-1]
        ax.annotate(
            f" {TASKS[task]}",
            (end["size"], end["speed"]),
            textcoords="offset points",
            xytext=(5, 0),
            va="center",
            fontsize=9,
        )
    sizes = sorted(frame["size"].unique())
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlim(right=max(sizes) * 4)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set_yticks([1, 2, 5, 10, 20, 50], ["1×", "2×", "5×", "10×", "20×", "50×"])
    ax.set_ylim(0.7, max(60, frame["speed"].max() * 1.3))
    ax.axhline(1, color="0.3", linewidth=0.8)
    ax.set(xlabel="lanes: trials trained as one model", ylabel="times the training steps a second")
    ax.set_title("One training step, against one lane", loc="left", fontsize=11)
    return ax


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    suffix = "" if given.device == "cpu" else f"-{given.device.partition(':')[0]}"
    rows = pd.read_csv(given.results / f"compare{suffix}.csv")
    scaling = pd.read_csv(given.results / f"scaling{suffix}.csv")
    sns.set_theme(style="ticks", font_scale=0.9)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 4.8), width_ratios=[1.7, 1], layout="constrained"
    )
    plot_speed(rows, left)
    plot_lanes(scaling, right)
    sns.despine(figure)
    first = rows.iloc[0]
    rounds = rows.groupby("task")["repeat"].nunique().min()
    figure.supxlabel(
        f"bars: median of {rounds} rounds, lines: least to most · {first.cpu}, {first.cores} cores"
        f"{'' if first.device == 'cpu' else ', ' + first.device} · torch {first.torch}, "
        f"optuna {first.optuna} · {first.date}",
        fontsize=8,
        color="0.4",
    )
    path = given.results / f"speed{suffix}.png"
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(path)


if __name__ == "__main__":
    main()
