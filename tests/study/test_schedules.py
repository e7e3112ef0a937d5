from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from wdstudy.errors import SpecError
from wdstudy.study.schedules import SCHEDULES, Schedule, check_schedule, resolve_schedule

TOTAL = 40


def of_torch(make: type[lr_scheduler.LRScheduler], **options: object) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, **options)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_linear_and_step_are_those_of_torch() -> None:
    references = {
        "cosine": of_torch(lr_scheduler.CosineAnnealingLR, T_max=TOTAL),
        "linear": of_torch(
            lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.0, total_iters=TOTAL
        ),
        "step": of_torch(lr_scheduler.MultiStepLR, milestones=[TOTAL // 2, 3 * TOTAL // 4]),
    }
    for name, rates in references.items():
        ours = [SCHEDULES[name](step, TOTAL) for step in range(TOTAL)]
        assert ours == pytest.approx(rates, abs=1e-9), name


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_rises_linearly_to_the_peak_and_joins_the_schedule(name: str) -> None:
    schedule = resolve_schedule(name, warmup=0.25)
    rates = [schedule(step, TOTAL) for step in range(TOTAL)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == pytest.approx(1.0, abs=0.05)
    assert max(rates) == 1.0
    assert all(b <= a for a, b in pairwise(rates[9:]))


def test_inverse_sqrt_halves_when_time_is_four_times_as_long() -> None:
    alone, behind = resolve_schedule("inverse_sqrt", 0), resolve_schedule("inverse_sqrt", 0.1)
    assert alone(15, 100) == pytest.approx(alone(3, 100) / 2)
    assert behind(79, 100) == pytest.approx(behind(19, 100) / 2)
    assert behind(39, 100) == pytest.approx(math.sqrt(10 / 40))


def test_a_callable_is_taken_as_it_is() -> None:
    assert resolve_schedule(lambda step, total: step / total, 0)(3, 6) == 0.5


@pytest.mark.parametrize(
    ("schedule", "warmup", "says"),
    [
        ("cosin", 0, "did you mean 'cosine'"),
        ("cosine", 1.0, "warmup=1.0"),
        ("linear", -1, "warmup"),
    ],
)
def test_what_cannot_be_scheduled_is_named(schedule: str, warmup: float, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        resolve_schedule(schedule, warmup)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (lambda step, total: 1 / 0, "fails: .*ZeroDivisionError"),
        (lambda step: 1.0, "fails: .*takes 1 positional argument"),
        (lambda step, total: "high", "fails: .*could not convert string to float"),
        (lambda step, total: math.nan, "returns nan"),
        (lambda step, total: 1.0 if step == 0 else -0.1, r"step=39, .*returns -0.1"),
    ],
)
def test_what_is_no_multiplier_is_found_before_training(schedule: Schedule, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_schedule(schedule, TOTAL)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_by_name_passes(name: str) -> None:
    for total in (1, 2, TOTAL):
        check_schedule(resolve_schedule(name, 0.1), total)
