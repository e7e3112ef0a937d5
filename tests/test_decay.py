from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wdstudy import decay_kind, decay_loss, register_decay
from wdstudy.decay import weight_norm
from wdstudy.errors import OptimizerError

CLASSES = {
    name: cls
    for name, cls in vars(torch.optim).items()
    if isinstance(cls, type) and issubclass(cls, Optimizer) and cls is not Optimizer
}
WITHOUT_DECAY = {"Rprop", "LBFGS", "SparseAdam"}
VARIANTS = {
    **{name: cls for name, cls in CLASSES.items() if name not in WITHOUT_DECAY},
    # A momentum makes coupled and decoupled decay differ for SGD.
    "SGD": partial(torch.optim.SGD, momentum=0.9),
    "Adam decoupled": partial(torch.optim.Adam, decoupled_weight_decay=True),
    "NAdam decoupled": partial(torch.optim.NAdam, decoupled_weight_decay=True),
    "RAdam decoupled": partial(torch.optim.RAdam, decoupled_weight_decay=True),
}
LR, WEIGHT_DECAY = 0.03, 0.4


def weights_after(
    factory: Callable[..., Optimizer], weight_decay: float, by_hand: str | None = None
) -> Tensor:
    """Weights after eight steps on fixed gradients; decay by the class or by hand."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, 4, 3, generator=generator, dtype=torch.float64)
    weight = nn.Parameter(draw())
    optimizer = factory([weight], lr=LR, weight_decay=weight_decay)
    for _ in range(8):
        weight.grad = draw()
        if by_hand == "coupled":
            weight.grad += WEIGHT_DECAY * weight.detach()
        shrink = LR * WEIGHT_DECAY * weight.detach() if by_hand == "decoupled" else 0
        optimizer.step()
        weight.data -= shrink
    return weight.detach()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_kind_is_what_the_steps_of_the_class_do(name: str) -> None:
    factory = VARIANTS[name]
    measured = weights_after(factory, WEIGHT_DECAY)
    same = {
        kind: torch.allclose(measured, weights_after(factory, 0.0, kind), rtol=1e-9)
        for kind in ("coupled", "decoupled")
    }
    assert sum(same.values()) == 1, "the measurement must tell the two apart"
    optimizer = factory([nn.Parameter(torch.zeros(2, 2))], weight_decay=WEIGHT_DECAY)
    assert same[decay_kind(optimizer)]
    assert decay_kind(optimizer.param_groups[0]) == decay_kind(optimizer)


def test_every_class_of_torch_is_known() -> None:
    for cls in CLASSES.values():
        optimizer = cls([nn.Parameter(torch.ones(2, 2))])
        assert (decay_kind(optimizer) == "none") == (cls.__name__ in WITHOUT_DECAY)
        assert decay_kind(optimizer.param_groups[0]) == decay_kind(optimizer)


@pytest.mark.parametrize("name", sorted(WITHOUT_DECAY))
def test_a_class_without_weight_decay_has_no_decay_loss(name: str) -> None:
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    assert decay_loss(CLASSES[name]([weight])).item() == 0


def test_the_coupled_gradient_is_that_of_the_decay_loss() -> None:
    """One SGD step on the primary loss equals one on primary + decay loss without weight decay."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1)).double()
    x = torch.randn(8, 4, dtype=torch.float64)
    model(x).square().mean().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.7)
    before = [p.detach().clone().requires_grad_() for p in model.parameters()]
    penalty = 0.5 * 0.7 * sum(p.square().sum() for p in before)
    assert decay_loss(optimizer).item() == pytest.approx(float(penalty.detach()), rel=1e-12)
    gradients = torch.autograd.grad(penalty, before)
    expected = [
        b - p.grad - g for b, p, g in zip(before, model.parameters(), gradients, strict=True)
    ]
    optimizer.step()
    for parameter, value in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.detach(), value.detach(), rtol=1e-12, atol=0)


def ready(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Iterator[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    for shape in shapes:
        parameter = nn.Parameter(torch.randn(*shape, generator=generator).to(dtype))
        parameter.grad = torch.ones_like(parameter)
        yield parameter


def half(weight_decay: float, *tensors: Tensor) -> float:
    return (
        0.5 * weight_decay * float(sum(t.detach().abs().double().square().sum() for t in tensors))
    )


def test_groups_count_with_their_own_weight_decay() -> None:
    a, b, c = ready((3,), (4, 2), (5,))
    optimizer = torch.optim.AdamW(
        [
            {"params": [a], "weight_decay": 0.1},
            {"params": [b], "weight_decay": 2.0},
            {"params": [c]},
        ],
        weight_decay=0.0,
    )
    expected = [half(0.1, a), half(2.0, b), 0.0]
    assert decay_loss(optimizer, per_group=True).tolist() == pytest.approx(expected, rel=1e-6)
    assert decay_loss(optimizer).item() == pytest.approx(sum(expected), rel=1e-6)


def test_what_the_step_skips_does_not_count() -> None:
    used, frozen, unused = ready((3,), (3,), (3,))
    frozen.requires_grad_(False)
    unused.grad = None
    optimizer = torch.optim.SGD([used, frozen, unused], lr=0.1, weight_decay=0.5)
    assert decay_loss(optimizer).item() == pytest.approx(half(0.5, used), rel=1e-6)
    before = unused.detach().clone()
    optimizer.step()
    assert torch.equal(unused, before), "PyTorch does not decay it either"


def test_tied_weights_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

    model = Tied()
    model.head.weight.grad = torch.ones(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.5)
    assert decay_loss(optimizer).item() == pytest.approx(half(0.5, model.embed.weight), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_summed_in_float32(dtype: torch.dtype) -> None:
    (weight,) = ready((200, 50), dtype=dtype)
    loss = decay_loss(torch.optim.SGD([weight], lr=0.1, weight_decay=0.5))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(half(0.5, weight), rel=1e-5)


def test_mixed_and_complex_weights() -> None:
    (single,) = ready((3,))
    (double,) = ready((4,), dtype=torch.float64)
    (number,) = ready((5,), dtype=torch.complex64)
    optimizer = torch.optim.SGD([single, double, number], lr=0.1, weight_decay=0.5)
    assert decay_loss(optimizer).item() == pytest.approx(half(0.5, single, double, number))


def test_tensor_lr_and_tensor_weight_decay() -> None:
    (weight,) = ready((3,))
    optimizer = torch.optim.AdamW([weight], lr=torch.tensor(0.1), weight_decay=0.5)
    optimizer.param_groups[0]["weight_decay"] = torch.tensor(0.25)
    assert decay_loss(optimizer).item() == pytest.approx(half(0.25, weight), rel=1e-6)


def test_no_graph_is_built() -> None:
    (weight,) = ready((3,))
    loss = decay_loss(torch.optim.SGD([weight], lr=0.1, weight_decay=0.5))
    assert not loss.requires_grad
    assert loss.shape == ()


def test_the_norm_of_the_baseline_is_that_of_the_weights_that_would_decay() -> None:
    weight, bias = ready((4, 2), (2,))
    groups: list[dict[str, Any]] = [
        {"params": [weight], "weight_decay": 0.0},
        {"params": [bias], "weight_decay": 0.0, "no_decay": True},
    ]
    norm = weight_norm(torch.optim.SGD(groups, lr=0.1))
    assert norm.item() == pytest.approx(weight.detach().norm().item(), rel=1e-6)


def test_an_unknown_class_shows_the_line_that_registers_it() -> None:
    class Lion(Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.1, "weight_decay": 0.1, "betas": (0.9, 0.99)})

    (weight,) = ready((3,))
    optimizer = Lion([weight])
    with pytest.raises(OptimizerError, match=r'wdstudy\.register_decay\(Lion, "decoupled"\)'):
        decay_loss(optimizer)
    with pytest.raises(OptimizerError, match="ask decay_kind"):
        decay_kind(optimizer.param_groups[0])
    register_decay(Lion, "decoupled")
    assert decay_kind(optimizer) == "decoupled"
    assert decay_loss(optimizer).item() == pytest.approx(half(0.1, weight), rel=1e-6)
    with pytest.raises(OptimizerError, match="kind is 'l2'"):
        register_decay(Lion, "l2")  # type: ignore[arg-type]


def test_a_subclass_decays_as_its_parent() -> None:
    class MySGD(torch.optim.SGD):
        pass

    assert decay_kind(MySGD([nn.Parameter(torch.zeros(2))])) == "coupled"


def test_groups_that_decay_in_different_ways_are_asked_one_by_one() -> None:
    a, b = ready((2,), (2,))
    optimizer = torch.optim.Adam(
        [{"params": [a], "decoupled_weight_decay": True}, {"params": [b]}], weight_decay=0.1
    )
    with pytest.raises(OptimizerError, match="coupled, decoupled"):
        decay_kind(optimizer)
    assert [decay_kind(g) for g in optimizer.param_groups] == ["decoupled", "coupled"]
