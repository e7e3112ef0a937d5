"""Every study file trains with --quick and ends in a report; their parts do what they say."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from optuna.trial import TrialState
from torch import nn

from wdstudy import decay_kind, open_study
from wdstudy.__main__ import main
from wdstudy.images import digits
from wdstudy.study.file import SpecSource, load_specs

STUDIES = Path(__file__).parents[1] / "studies"
FILES = sorted(STUDIES.glob("*.py"))
RUNS = [
    pytest.param(
        path, "", marks=() if path.stem == "custom_loop" else pytest.mark.slow, id=path.stem
    )
    for path in FILES
]
RUNS += [pytest.param(STUDIES / "ridge.py", "ridge", id="the first of ridge")]


def module(name: str) -> ModuleType:
    """A study file as it is run."""
    load_specs(STUDIES / f"{name}.py")
    return sys.modules[f"study_file_{name}"]


@pytest.mark.parametrize(("path", "only"), RUNS)
def test_a_quick_run_trains_every_cell_and_is_reported(
    in_folder: Path, path: Path, only: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(path), "--quick", *(["--only", only] if only else [])]) == 0
    specs = list(SpecSource(str(path), quick=True, only=only).specs())
    names = [spec.name for spec in specs]
    values = {spec.name: 1 if spec.space.scale is None else 2 for spec in specs}
    said = capfd.readouterr().err
    assert said.splitlines()[-1] == f"next: python -m wdstudy report {' '.join(names)}"
    assert "can't be stacked" not in said
    for name in names:
        trials = open_study(name).trials
        assert len(trials) == 9 * values[name]
        complete = [t for t in trials if t.state == TrialState.COMPLETE]
        others = [t for t in trials if t.state != TrialState.COMPLETE]
        assert len(complete) >= 5
        assert all(t.value is not None and math.isfinite(t.value) for t in complete)
        assert all("diverged_at" in t.user_attrs for t in others)
    assert main(["report", *names]) == 0
    pages = [Path("reports", name, "report.html") for name in names]
    pages += [Path("reports/comparison/report.html")] if len(names) > 1 else []
    assert all(page.stat().st_size > 100_000 for page in pages)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_header_says_question_and_cost(path: Path) -> None:
    text = path.read_text()
    header = text.split('"""')[1]
    assert "?" in header.splitlines()[0]
    assert "on two cores" in " ".join(header.split())
    assert f"run studies/{path.name}" in header
    assert len(text.splitlines()) <= 120


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgdw_is_sgd_with_the_shrink_beside_it(momentum: float) -> None:
    torch.manual_seed(0)
    sgdw = module("optimizers").SGDW
    mine, theirs = (nn.Parameter(torch.randn(4, 3).double()) for _ in range(2))
    theirs.data.copy_(mine.data)
    decayed = sgdw([mine], lr=0.1, weight_decay=0.3, momentum=momentum)
    plain = torch.optim.SGD([theirs], lr=0.1, momentum=momentum)
    for _ in range(5):
        mine.grad = torch.randn(4, 3).double()
        theirs.grad = mine.grad.clone()
        before = theirs.detach().clone()
        decayed.step()
        plain.step()
        theirs.data -= 0.1 * 0.3 * before
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert decay_kind(decayed) == "decoupled"
    assert decayed.param_groups[0]["weight_decay"] == 0.3


def test_muon_for_filters_is_pytorchs_muon_and_pytorchs_adamw() -> None:
    torch.manual_seed(0)
    conv, bias = nn.Parameter(torch.randn(8, 4, 3, 3)), nn.Parameter(torch.randn(8))
    matrix, vector = (nn.Parameter(p.detach().clone()) for p in (conv.flatten(1), bias))
    options = {"lr": 0.02, "weight_decay": 0.5}
    mine = module("optimizers").MuonForFilters([conv, bias], **options)
    theirs = [
        torch.optim.Muon([matrix], adjust_lr_fn="match_rms_adamw", **options),
        torch.optim.AdamW([vector], **options),
    ]
    start = matrix.detach().clone()
    for _ in range(6):
        conv.grad, bias.grad = torch.randn_like(conv), torch.randn_like(bias)
        matrix.grad, vector.grad = conv.grad.flatten(1).clone(), bias.grad.clone()
        kept = conv.grad
        mine.step()
        for optimizer in theirs:
            optimizer.step()
        assert conv.grad is kept
    torch.testing.assert_close(bias, vector, rtol=0, atol=0)
    moved = (matrix - start).norm()
    assert (conv.flatten(1) - matrix).norm() < 0.02 * moved  # PyTorch's steps are bfloat16
    assert decay_kind(mine) == "decoupled"


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_orthogonal_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = module("optimizers").orthogonal(matrix)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    spectrum = torch.linalg.svdvals(found)
    assert 0.6 < spectrum.min() < spectrum.max() < 1.3
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_the_output_of_the_scale_invariant_network_ignores_the_size_of_its_weights() -> None:
    torch.manual_seed(0)
    network = module("scale_invariant").network(16)
    x = torch.randn(5, 1, 8, 8)
    before = network(x)
    with torch.no_grad():
        for size, weight in zip((0.1, 3, 70), network.parameters(), strict=True):
            weight *= size
    torch.testing.assert_close(network(x), before)


def test_the_transformer_reads_the_library_the_same_way_every_time_and_never_ahead() -> None:
    transformer = module("transformer")
    (x, y), (x_val, _) = transformer.python_source(64, 100_000)
    again = transformer.python_source(64, 100_000)
    torch.testing.assert_close(again[0][0], x)
    torch.testing.assert_close(x[:, 1:], y[:, :-1])
    assert bytes(x_val.flatten().tolist()[:20]) not in bytes(x.flatten().tolist())
    torch.manual_seed(0)
    model = transformer.GPT(64, 32, 4, 2).eval()
    changed = x[:2].clone()
    changed[:, 40:] = 7
    torch.testing.assert_close(model(changed)[:, :40], model(x[:2])[:, :40])
    assert model(changed)[:, 40:].sub(model(x[:2])[:, 40:]).abs().max() > 1e-3


def test_the_resnet_is_a_small_one_on_mislabelled_digits_and_resnet_20_on_the_hub() -> None:
    (small,) = load_specs(STUDIES / "resnet.py")
    (real,) = load_specs(STUDIES / "resnet.py", {"data": "cifar10"})
    assert (small.name, real.name) == ("resnet", "resnet-cifar10")
    weights = [
        sum(weight.numel() for weight in spec.task.model().parameters())
        for spec in (small, real)
        if spec.task
    ]
    assert weights[0] < 100_000 < 270_000 < weights[1] < 275_000  # 0.27 million: He et al. 2016
    assert small.task
    (x, y), (_, y_val) = small.task.data()
    (x_right, y_right), (_, y_val_right) = digits(len(x))
    assert torch.equal(x, x_right)
    assert 0.3 < (y != y_right).float().mean() < 0.4  # of two fifths drawn anew, a tenth stay
    assert torch.equal(y_val, y_val_right)
    assert 0 in small.space.weight_decay
    assert len(small.space.seed_list) == 2
