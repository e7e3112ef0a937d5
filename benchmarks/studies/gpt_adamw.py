"""A GPT of one layer that reads a little of Python's own source once: AdamW.

studies/transformer.py in small: 64 symbols, the commonest bytes, rather than 256.
"""

import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))
from transformer import Block, Halves, next_byte_loss, python_source

SYMBOLS = 64


class GPT(nn.Module):
    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(SYMBOLS, width), nn.Embedding(length, width)
        self.block, self.norm = Block(width, heads=2), nn.LayerNorm(width)
        for weight in (self.embedding.weight, self.position.weight):
            nn.init.normal_(weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x) + self.position.weight
        return self.norm(self.block(x)) @ self.embedding.weight.T  # one weight, tied


def source(length: int, windows: int, val: int) -> Halves:
    """Stretches of the library's source, `[N, length]`, and the symbol after each of theirs."""
    size = length + 1
    halves = python_source(length, size * windows, size * val)
    counts = torch.bincount(halves[0][0].flatten(), minlength=256)
    symbol = torch.zeros(256, dtype=torch.long)  # of all that are rarer as well
    symbol[counts.argsort(descending=True)[: SYMBOLS - 1]] = torch.arange(1, SYMBOLS)
    (x, y), (x_val, y_val) = halves
    return (symbol[x], symbol[y]), (symbol[x_val], symbol[y_val])


def study(length: int = 24, windows: int = 2560, val: int = 512, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="gpt_adamw",
        task=Task(
            model=partial(GPT, length, 32),
            data=partial(source, length, windows, val),
            loss=next_byte_loss,
        ),
        space=SearchSpace(
            lr=log_range(10**-3.5, 10**-0.5, 13),
            weight_decay=[0, *log_range(10 ** (-5 / 3), 100, 12)],
            seeds=seeds,
        ),
        optimizer=partial(torch.optim.AdamW, betas=(0.9, 0.95)),
        no_decay="biases_and_norms",
        schedule="cosine",
        warmup=0.1,
        epochs=1,
        batch_size=16,
        record_every=40,
        device="cpu",
    )
