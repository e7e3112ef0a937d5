"""The README's recipes for a loop of one's own, run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_tasks import blobs, mlp
from torch import Tensor, nn

README = Path(__file__).parents[2] / "README.md"
EPOCHS = 3
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
Series = dict[str, list[float]]


def blocks(heading: str) -> list[str]:
    """The Python blocks under a heading of the README."""
    section = README.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


LOOP, MATPLOTLIB, TENSORBOARD = blocks("Your own training loop")
(_OTHER,) = re.findall(r'track\("wandb".*?\)', README.read_text())
WANDB = re.sub(r"track\(.*?\)", _OTHER, TENSORBOARD)


def run(recipe: str, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """A recipe, its `...` being the README's loop, in a script that has what a script has."""
    (loop,) = re.findall(r"^for epoch.*?(?=^\S)", LOOP, re.DOTALL | re.MULTILINE)
    (x, y), (x_val, y_val) = blobs()

    def validate(model: nn.Module) -> Tensor:
        with torch.no_grad():
            return nn.functional.cross_entropy(model(x_val), y_val)

    script = "from wdstudy import LossRecorder\n" + recipe.replace("...\n", loop)
    assert "recorder.step(loss)" in script
    exec(
        compile(script, "README.md", "exec"),
        {
            "optimizer": optimizer,
            "model": model,
            "loader": list(zip(x.split(32), y.split(32), strict=True)),
            "loss_fn": nn.functional.cross_entropy,
            "epochs": EPOCHS,
            "validate": validate,
        },
    )


def by_hand(make: Callable[..., torch.optim.Optimizer]) -> Series:
    """Both losses as the formulas have them, summed at every step in Python."""
    torch.manual_seed(1)
    model = mlp()
    optimizer = make(model.parameters(), lr=0.05, weight_decay=0.1)
    (x, y), _ = blobs()
    found: Series = {"primary_loss": [], "decay_loss": [], "total_loss": []}
    for _ in range(EPOCHS):
        primary, decay = [], []
        for xs, ys in zip(x.split(32), y.split(32), strict=True):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(xs), ys)
            loss.backward()
            primary.append(loss.item())
            decay.append(0.5 * 0.1 * sum(p.square().sum().item() for p in model.parameters()))
            optimizer.step()
        found["primary_loss"].append(sum(primary) / len(primary))
        found["decay_loss"].append(sum(decay) / len(decay))
        found["total_loss"].append(found["primary_loss"][-1] + found["decay_loss"][-1])
    return found


@pytest.fixture(params=OPTIMIZERS)
def expected(
    request: pytest.FixtureRequest, in_folder: Path
) -> tuple[torch.optim.Optimizer, nn.Module, Series]:
    make = OPTIMIZERS[request.param]
    series = by_hand(make)
    torch.manual_seed(1)
    model = mlp()
    return make(model.parameters(), lr=0.05, weight_decay=0.1), model, series


Expected = tuple[torch.optim.Optimizer, nn.Module, Series]


def test_every_recipe_has_five_lines() -> None:
    for recipe in (MATPLOTLIB, TENSORBOARD, WANDB):
        assert len([line for line in recipe.splitlines() if line]) <= 5


def test_the_loop_itself(expected: Expected) -> None:
    optimizer, model, series = expected
    assert LOOP.count("recorder.curves.to_frame()") == 1
    run(LOOP.replace("to_frame()", "to_frame().to_csv('curves.csv')"), optimizer, model)
    curves = pd.read_csv("curves.csv")
    assert curves["step"].tolist() == [3, 6, 9]
    for name in ("primary_loss", "decay_loss"):
        assert curves[name].tolist() == pytest.approx(series[name], rel=1e-5)
    assert curves["val_loss"].notna().all()


def test_matplotlib(expected: Expected) -> None:
    import matplotlib.pyplot as plt

    optimizer, model, series = expected
    run(MATPLOTLIB, optimizer, model)
    lines = {str(line.get_label()): list(line.get_ydata()) for line in plt.gca().get_lines()}
    for name, values in series.items():
        assert lines[name] == pytest.approx(values, rel=1e-5)
    assert Path("losses.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_tensorboard(expected: Expected) -> None:
    from tracker_files import read

    optimizer, model, series = expected
    run(TENSORBOARD, optimizer, model)
    events = read(Path("runs/my-run"))
    for name, values in series.items():
        scalars = events.Scalars(f"Loss/{name.removesuffix('_loss')}")
        assert [e.step for e in scalars] == [3, 6, 9]
        assert [e.value for e in scalars] == pytest.approx(values, rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb(expected: Expected, no_account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracker_files import records, summary

    monkeypatch.setenv("WANDB_MODE", "offline")
    optimizer, model, series = expected
    run(WANDB, optimizer, model)
    (lines,) = records(Path()).values()
    rows = [line["history"]["item"] for line in lines if line["type"] == "history"]
    for name, values in series.items():
        assert [row[name] for row in rows] == pytest.approx(values, rel=1e-5)
    assert summary(lines)["state"] == "COMPLETE"
