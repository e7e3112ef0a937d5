"""What becomes of the best lr and weight_decay when the batch doubles?

SGD's lr is said to grow with the batch (Goyal et al. 2017, arXiv:1706.02677), Adam's with its root
(Malladi et al. 2022, arXiv:2205.10287), and weight_decay with the root as well (Complete(d)P,
arXiv:2512.22382). Here a small net learns, by AdamW, the next byte of Python's own source from the
eight before it, ten times over the same 2,048 examples: too few for it, so that weight decay helps
also where lr is tuned.

    python -m wdstudy run studies/batch_size.py
    python -m wdstudy report batch_size
    python -m wdstudy predict batch_size --at batch_size=256

With two seeds lr moves with the power +0.58 of the batch (95 % +0.34 … +0.82) and weight_decay with
+0.47 (+0.36 … +0.57): Complete(d)P's roots fit, an lr in proportion is rejected. The pair for 128,
told from 16 to 64, is as good as the best there, within 2 %. About a minute on two cores.
"""

import torch
from torch import Tensor, nn
from transformer import python_source

from wdstudy import Scale, SearchSpace, StudySpec, Task, log_range

CONTEXT, CODES = 8, 128
Pair = tuple[Tensor, Tensor]


class NextByte(nn.Sequential):
    """The net of Bengio et al. 2003: what the last bytes mean, a hidden layer, the next byte."""

    def __init__(self, width: int = 64, meaning: int = 16) -> None:
        super().__init__(
            nn.Embedding(CODES, meaning),
            nn.Flatten(),
            nn.Linear(CONTEXT * meaning, width),
            nn.ReLU(),
            nn.Linear(width, CODES),
        )


def contexts(examples: int = 2048) -> tuple[Pair, Pair]:
    """Eight bytes `[N, 8]` and the one after them `[N]`, drawn from all over the source."""
    (text, following), _ = python_source(CONTEXT, 1_000_000)
    order = torch.randperm(len(text), generator=torch.Generator().manual_seed(0))
    x, y = (part.clamp(max=CODES - 1)[order] for part in (text, following[:, -1]))
    return (x[:examples], y[:examples]), (x[examples : 3 * examples], y[examples : 3 * examples])


def study() -> StudySpec:
    return along(Scale("batch_size", [16, 32, 64, 128]))


def along(scale: Scale) -> StudySpec:
    """The same sweep along any scale."""
    return StudySpec(
        task=Task(model=NextByte, data=contexts, loss=nn.functional.cross_entropy),
        space=SearchSpace(
            lr=log_range(10**-3.5, 10**-0.5, 7),
            weight_decay=[0, *log_range(0.1, 10, 7)],
            seeds=2,
            scale=scale,
        ),
        optimizer="adamw",
        epochs=10,
        batch_size=32,
    )
