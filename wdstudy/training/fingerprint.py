"""What is trained, in a few numbers: whether a study file still means what its study recorded.

Names don't tell: a ReLU made a Tanh, or other labels, leave every name as it was. So the data, the
initial weights and the losses of a few fixed steps are taken down when a study is opened, and
compared when it goes on. Another machine rounds in another way, which must not count; so numbers
are compared as sketches: projections on fixed random directions, which rounding hardly moves.
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from wdstudy.space import TrialParams
from wdstudy.study.metrics import split
from wdstudy.study.optimizers import build_optimizer, optimizer_name, optimizer_options
from wdstudy.study.schedules import resolve_schedule
from wdstudy.study.spec import StudySpec
from wdstudy.training.data import TaskData
from wdstudy.training.randomness import seeded

_STEPS = 3
_PARAMS = TrialParams(lr=1e-3, weight_decay=1e-2)
"""Of the fixed steps, whatever is swept."""

_DIRECTIONS = 3
_MOST, _MOST_WHOLE = 100_000, 10_000_000
"""Numbers of a tensor of floats, and of one of whole numbers, that are looked at, evenly."""


def fingerprint(spec: StudySpec, data: TaskData | None, device: torch.device) -> dict[str, Any]:
    """What is trained, as plain data; of a loop of one's own the code of its file alone.

    Args:
        spec: The study; its path stands in `command`.
        data: The task's data on the device.
        device: Where it is trained.
    """
    source = _source(spec)
    if spec.task is None or data is None:
        return {"source": source}
    with seeded(0):
        model = spec.task.model().to(device)
        halves = data.train, data.val
        batches = [next(iter(half.epoch(Generator().manual_seed(0)))) for half in halves]
        x, y = batches[0]
        found: dict[str, Any] = {
            "source": source,
            "device": device.type,
            "model": _digest(re.sub(r" at 0x[0-9a-f]+", "", repr(model))),
            "weights": [sketch(p) for _, p in sorted(model.named_parameters())],
            "data": [sketch(part) for part in (*data.tensors(), *batches[0], *batches[1])],
        }
        if spec.task.augment is not None and isinstance(x, Tensor):
            # On the CPU: the random numbers of other devices are others.
            found["augmented"] = [sketch(spec.task.augment(x.cpu(), Generator().manual_seed(0)))]
        found["losses"] = _losses(spec, model, x, y, device)
        found["metrics"] = _metrics(spec, model, *batches[1])
    return found


def trains_the_same(
    one: tuple[StudySpec, TaskData | None],
    other: tuple[StudySpec, TaskData | None],
    device: torch.device,
) -> bool:
    """Whether two specs train the same, as far as can be seen without training them: the same
    data, weights, losses, with dropout as well, optimizer and schedule.
    """
    (a, data), (b, others) = one, other
    assert data is not None
    assert others is not None
    if data.train.steps != others.train.steps or a.total_steps(1) != b.total_steps(1):
        return False
    if optimizer_name(a.optimizer) != optimizer_name(b.optimizer):
        return False
    if optimizer_options(a.optimizer) != optimizer_options(b.optimizer):
        return False
    steps = max(a.total_steps(data.train.steps), 2)
    rates = [
        [
            resolve_schedule(spec.schedule, spec.warmup)(step, steps)
            for step in range(0, steps, -(-steps // 64))
        ]
        for spec in (a, b)
    ]
    if rates[0] != rates[1] or fingerprint(a, data, device) != fingerprint(b, others, device):
        return False
    return _noisy_losses(a, data, device) == _noisy_losses(b, others, device)


def _noisy_losses(spec: StudySpec, data: TaskData, device: torch.device) -> list[float]:
    """The losses of a few steps as they are trained, whatever is random in them seeded."""
    assert spec.task is not None
    with seeded(0):
        model = spec.task.model().to(device)
        x, y = next(iter(data.train.epoch(Generator().manual_seed(0))))
        return _losses(spec, model, x, y, device, noisy=True)


def sketch(tensor: Any) -> list[Any]:
    """A tensor's shape and content: a checksum of whole numbers, projections of others."""
    if not isinstance(tensor, Tensor):
        return [type(tensor).__name__]
    shape = list(tensor.shape)
    flat = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    flat = flat.detach().reshape(-1)
    if not flat.is_floating_point():
        return [shape, zlib.crc32(_some(flat, _MOST_WHOLE).numpy().tobytes())]
    values = _some(flat, _MOST).double()
    norm = float(values.norm())
    directions = torch.randn(
        _DIRECTIONS, len(values), generator=Generator().manual_seed(1), dtype=torch.float64
    )
    if not norm or not math.isfinite(norm):
        return [shape, str(norm)]
    return [shape, math.log(norm), *(directions @ values / norm).tolist()]


def _some(flat: Tensor, most: int) -> Tensor:
    return flat[:: max(1, -(-len(flat) // most))].cpu().contiguous()


def _losses(
    spec: StudySpec,
    model: torch.nn.Module,
    x: Any,
    y: Any,
    device: torch.device,
    *,
    noisy: bool = False,
) -> list[float]:
    """Of a few steps on one batch, without dropout: the same wherever random numbers differ.

    noisy: with it, as it is trained.
    """
    assert spec.task is not None
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    optimizer = build_optimizer(spec.optimizer, [named], [_PARAMS])
    model.train(noisy)
    losses = []
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=spec.precision == "bfloat16")
    for _ in range(_STEPS):
        model.zero_grad()
        with autocast:
            loss = spec.task.loss(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return [loss if math.isfinite(loss) else -1.0 for loss in losses]


def _metrics(spec: StudySpec, model: torch.nn.Module, x: Any, y: Any) -> list[float]:
    """Of one batch, in the order of their names: the objective may be one of them."""
    assert spec.task is not None
    averaged, whole = split(spec.task.metrics)
    with torch.no_grad():
        output = model.eval()(x)
        found = [float(f(output, y)) for _, f in sorted({**averaged, **whole}.items())]
    return [value if math.isfinite(value) else -1.0 for value in found]


def _source(spec: StudySpec) -> str:
    """A checksum of the study file's code, without its comments and its layout."""
    if not spec.command:
        return ""
    try:
        return _digest(ast.dump(ast.parse(Path(spec.command[0]).read_text(encoding="utf-8"))))
    except (OSError, ValueError, SyntaxError):
        return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
