"""What does weight decay do where there is nothing to regularise?

A byte-level GPT reads the source text of Python's own standard library once, so that every batch is
new to it and training and validation loss fall together. Weight decay still changes where training
gets to (D'Angelo et al. 2024, arXiv:2310.04415): AdamW's weights are an average over the last
1 / (lr · weight_decay) steps (Wang & Aitchison 2024, arXiv:2405.13698). About four
minutes on two cores.

    python -m wdstudy run studies/transformer.py
    python -m wdstudy report transformer
"""

import sysconfig
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range

Halves = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.to_qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        q, k, v = (part.transpose(-2, -3) for part in (q, k, v))  # [batch, heads, length, size]
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(-2, -3).flatten(-2))
        return x + self.mlp(x)


class GPT(nn.Module):
    def __init__(self, length: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(256, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for weight in (self.embedding.weight, self.position.weight):
            nn.init.normal_(weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x) + self.position.weight
        return self.norm(self.blocks(x)) @ self.embedding.weight.T  # one weight, tied


def python_source(length: int, size: int, val_size: int = 50_000) -> Halves:
    """The library's modules in the order of their names; every tenth is kept to validate on."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    held_out = set(files[::10])
    texts = ([f for f in files if f not in held_out], files[::10])
    train, val = (b"".join(f.read_bytes() for f in part) for part in texts)
    return windows(train[:size], length), windows(val[:val_size], length)


def windows(text: bytes, length: int) -> tuple[Tensor, Tensor]:
    """Stretches of bytes and the byte after each of them, both `[N, length]`."""
    codes = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
    codes = codes[: len(codes) // (length + 1) * (length + 1)].reshape(-1, length + 1)
    return codes[:, :-1].contiguous(), codes[:, 1:].contiguous()


def next_byte_loss(output: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output.flatten(0, -2), y.flatten())


def study(size: int = 500_000, length: int = 64, width: int = 64, layers: int = 2) -> StudySpec:
    return StudySpec(
        task=Task(
            model=partial(GPT, length, width, heads=4, layers=layers),
            data=partial(python_source, length, size),
            loss=next_byte_loss,
        ),
        space=SearchSpace(
            lr=log_range(1e-3, 10**-1.5, 4), weight_decay=[0, *log_range(0.1, 10, 5)]
        ),
        optimizer=partial(torch.optim.AdamW, betas=(0.9, 0.95)),
        no_decay="biases_and_norms",
        schedule="cosine",
        warmup=0.1,
        epochs=1,
        batch_size=32,
        record_every=48,
    )
