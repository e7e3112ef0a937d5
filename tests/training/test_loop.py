from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from small_tasks import blobs, mlp
from torch import Generator, Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, TrialParams
from wdstudy.meter import Measurement
from wdstudy.training.data import TaskData
from wdstudy.training.loop import Training, mean_angle
from wdstudy.training.randomness import RandomStream

CPU = torch.device("cpu")
PARAMS = [TrialParams(lr=0.05, weight_decay=0.01, seed=3)]
MakeSpec = Callable[..., StudySpec]


def measure(spec: StudySpec, params: Sequence[TrialParams] = PARAMS) -> list[Measurement]:
    assert spec.task is not None
    data = TaskData(spec.task.data(), spec.batch_size, CPU)
    return list(Training(spec, params, data, CPU))


def final(measurements: list[Measurement], name: str) -> float:
    return float(measurements[-1].series[name][0])


def dropout_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_final_losses_equal_a_plain_script_to_the_last_bit(
    make_spec: MakeSpec, optimizer: str
) -> None:
    classes = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    task = Task(dropout_net, blobs, nn.functional.cross_entropy)
    ours = measure(make_spec(task=task, optimizer=optimizer, schedule="cosine", epochs=4))

    (x, y), (x_val, y_val) = blobs()
    torch.manual_seed(3)
    model = dropout_net()
    order = Generator().manual_seed(3)
    plain = classes[optimizer](model.parameters(), lr=0.05, weight_decay=0.01)
    cosine = torch.optim.lr_scheduler.LambdaLR(
        plain, lambda t: 0.5 * (1 + math.cos(math.pi * t / 12))
    )
    for _ in range(4):
        losses = []
        for index in torch.randperm(96, generator=order).split(32):
            plain.zero_grad()
            loss = nn.functional.cross_entropy(model(x[index]), y[index])
            loss.backward()
            plain.step()
            cosine.step()
            losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        val_loss = nn.functional.cross_entropy(model(x_val), y_val).item()
    assert final(ours, "primary_loss") == sum(losses) / 3
    assert final(ours, "val_loss") == val_loss


def test_every_field_has_a_lane_dimension_and_a_point_an_epoch(make_spec: MakeSpec) -> None:
    measurements = measure(make_spec(epochs=3, angular_update=True))
    assert [m.series["step"].tolist() for m in measurements] == [[3], [6], [9]]
    for m in measurements:
        assert {values.shape for values in m.series.values()} == {(1,)}
        assert m.initial_loss.shape == m.diverged_at.shape == (1,)
    assert set(measurements[0].series) == {
        "step", "primary_loss", "decay_loss", "weight_norm", "learning_rate",
        "angular_update", "val_loss", "val_accuracy",
    }  # fmt: skip


def test_record_points_in_steps_do_not_change_the_training(make_spec: MakeSpec) -> None:
    often = measure(make_spec(epochs=3, record_every=2))
    seldom = measure(make_spec(epochs=3))
    assert [int(m.series["step"][0]) for m in often] == [2, 4, 6, 8, 9]
    assert final(often, "val_loss") == final(seldom, "val_loss")
    means = sum(
        m.series["primary_loss"][0] * n for m, n in zip(often, (2, 2, 2, 2, 1), strict=True)
    )
    assert means / 9 == pytest.approx(
        sum(m.series["primary_loss"][0] for m in seldom) / 3, rel=1e-12
    )


def test_the_outer_random_state_neither_changes_nor_matters(make_spec: MakeSpec) -> None:
    spec = make_spec(task=Task(dropout_net, blobs, nn.functional.cross_entropy))
    assert spec.task is not None
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = measure(spec)
    assert torch.equal(before, torch.get_rng_state())
    values = []
    for m in Training(spec, PARAMS, TaskData(blobs(), 32, CPU), CPU):
        torch.randn(100)  # somebody else draws between the record points
        values.append(m.series["val_loss"][0])
    assert values == [m.series["val_loss"][0] for m in first]


def test_seeds_differ(make_spec: MakeSpec) -> None:
    runs = {final(measure(make_spec(), [TrialParams(0.05, 0.01, seed)]), "val_loss")
            for seed in range(3)}  # fmt: skip
    assert len(runs) == 3


def test_the_decay_loss_is_that_of_the_group(make_spec: MakeSpec) -> None:
    """With lr so small that nothing moves, it is half of weight_decay times the squared norm."""
    still = [TrialParams(1e-12, 0.4)]
    m = measure(make_spec(), still)[-1].series
    assert m["decay_loss"][0] == pytest.approx(0.2 * m["weight_norm"][0] ** 2, rel=1e-5)
    weights = measure(make_spec(no_decay="biases_and_norms"), still)[-1].series
    assert weights["weight_norm"][0] < m["weight_norm"][0]
    assert weights["decay_loss"][0] == pytest.approx(0.2 * weights["weight_norm"][0] ** 2, rel=1e-5)


def test_the_independent_form_is_the_pytorch_form_on_another_axis(make_spec: MakeSpec) -> None:
    independent = make_spec(optimizer="adamw", decay="independent", schedule="cosine")
    pytorch = make_spec(optimizer="adamw", schedule="cosine")
    ours = measure(independent, [TrialParams(0.05, 0.001)])
    theirs = measure(pytorch, [TrialParams(0.05, 0.001 / 0.05)])
    assert final(ours, "val_loss") == final(theirs, "val_loss")


def test_bfloat16_trains_near_float32(make_spec: MakeSpec) -> None:
    half = final(measure(make_spec(precision="bfloat16")), "val_loss")
    full = final(measure(make_spec()), "val_loss")
    assert half != full
    assert half == pytest.approx(full, rel=0.05)


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 1e30), (partial(torch.optim.SGD), 1e4)])
def test_a_lane_that_explodes_is_found_at_its_step(
    make_spec: MakeSpec, optimizer: object, lr: float
) -> None:
    def squares(output: Tensor, y: Tensor) -> Tensor:
        return output.square().mean()

    spec = make_spec(task=Task(mlp, blobs, squares), optimizer=optimizer)
    first = measure(spec, [TrialParams(lr, 0.0)])[0]
    assert 1 <= first.diverged_at[0] <= 3
    assert math.isfinite(first.initial_loss[0])


def test_a_loss_that_merely_rises_has_diverged_past_the_stated_factor(make_spec: MakeSpec) -> None:
    def rising(output: Tensor, y: Tensor) -> Tensor:
        return -output.mean() * 0 + next(steps) + output.sum() * 0

    def run(factor: float) -> list[int]:
        nonlocal steps
        steps = iter([1.0, 2, 3, *[0] * 1, 6, 6, 6, *[0] * 1])
        spec = make_spec(task=Task(mlp, blobs, rising), diverged_factor=factor)
        return [int(m.diverged_at[0]) for m in measure(spec)]

    steps = iter([0.0])
    assert run(5.0) == [0, 6]
    assert run(7.0) == [0, 0]


def test_the_angle_of_an_update() -> None:
    old = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    new = torch.tensor([[0.0, 2.0], [5.0, 5e-4]])
    assert mean_angle([old], [new]).tolist() == pytest.approx([math.pi / 2, 1e-4], rel=1e-3)
    both = mean_angle([old, old], [new, old])
    assert both[0].item() == pytest.approx(math.pi / 2 / math.sqrt(2))


def test_a_stream_goes_on_where_it_was() -> None:
    torch.manual_seed(5)
    expected = [torch.rand(1).item() for _ in range(4)]
    stream = RandomStream(5, CPU)
    drawn = []
    for _ in range(2):
        with stream:
            drawn += [torch.rand(1).item() for _ in range(2)]
        torch.rand(7)
    assert drawn == expected


def test_augmentation_sees_training_batches_only(make_spec: MakeSpec) -> None:
    seen = []

    def augment(x: Tensor, generator: Generator) -> Tensor:
        seen.append(len(x))
        return x + torch.randn(x.shape, generator=generator)

    task = Task(mlp, blobs, nn.functional.cross_entropy, augment=augment)
    first = final(measure(make_spec(task=task)), "val_loss")
    assert seen == [32] * 6
    assert first == final(measure(make_spec(task=task)), "val_loss")
    assert first != final(measure(make_spec()), "val_loss")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_repeats_itself_and_is_near_the_cpu(make_spec: MakeSpec) -> None:
    cuda = torch.device("cuda:0")
    spec = make_spec(task=Task(mlp, blobs, nn.functional.cross_entropy))
    runs = [
        [m.series["val_loss"][0] for m in Training(spec, PARAMS, TaskData(blobs(), 32, cuda), cuda)]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] == pytest.approx([m.series["val_loss"][0] for m in measure(spec)], rel=1e-3)


def test_a_space_is_not_needed_to_train() -> None:
    spec = StudySpec(
        space=SearchSpace([0.1], [0]), task=Task(mlp, blobs, nn.functional.cross_entropy), epochs=1
    )
    assert math.isfinite(final(measure(spec), "val_loss"))
