"""torch.compile for the forward and backward pass, where it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def compiled(function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    """A function as torch.compile makes it: slow when first called, for each shape of its input.

    Dropout draws the masks that it draws uncompiled. On CUDA all of its kernels start as one
    graph; what it returns is then overwritten by the next call, so a copy is handed out.
    """
    graphs = device.type == "cuda"
    options: dict[str, Any] = {"fallback_random": True, "triton.cudagraphs": graphs}
    fast = torch.compile(function, options=options)

    def replayed(*args: Any) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return fast(*args).clone()

    return replayed if graphs else fast
