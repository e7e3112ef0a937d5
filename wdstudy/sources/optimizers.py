"""The optimizer of a sweep, by its name, and what weight_decay does in it."""

from __future__ import annotations

from wdstudy.errors import WdstudyError


def decay_of(optimizer: str | None) -> tuple[str, str] | None:
    """The class of an optimizer of PyTorch and the kind of its decay; None if it is not known."""
    if optimizer is None:
        return None
    import torch  # a second, for those that tell their optimizer

    from wdstudy.decay import decay_kind

    last = optimizer.replace("'>", "").rpartition(".")[2].lower()
    last = last.partition("_torch")[0]  # adamw_torch_fused, as Transformers has it
    classes = {
        name.lower(): cls for name, cls in vars(torch.optim).items() if isinstance(cls, type)
    }
    found = classes.get(last)
    if found is None or not issubclass(found, torch.optim.Optimizer):
        return None
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    try:
        kind = decay_kind(found([weight], lr=0.1))  # type: ignore[call-arg]
    except (TypeError, ValueError, WdstudyError):
        return None
    return (found.__name__, str(kind)) if kind != "none" else None
