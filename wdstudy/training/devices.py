"""Where a training runs."""

from __future__ import annotations

import gc

import torch

from wdstudy.errors import DeviceError


def available_devices() -> list[str]:
    """The devices of this machine, the best first."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def resolve_device(name: str) -> torch.device:
    """The device of this name; `"auto"` is the first of cuda, mps and cpu that is there.

    Raises:
        DeviceError: there is no such device here; the message lists those there are.
    """
    here = available_devices()
    if name == "auto":
        return torch.device(here[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in here:
        raise DeviceError(f"no device '{name}' on this machine; there are: {', '.join(here)}")
    return torch.device(wanted)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's, or the host's, memory is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def release_memory() -> None:
    """Give back what the device's allocator keeps for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_name(device: torch.device) -> str:
    """The device as reports name it: with the card's name where there is one."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
