"""The ResNet of studies/resnet.py on four fifths of the digits, where no cell diverges.

A diverged trial ends early in wdstudy and not in a script written by hand, which would flatter
wdstudy.
"""

import sys
from functools import partial
from pathlib import Path

import torch
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import digits

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))
from resnet import resnet


def study(epochs: int = 10, side: int = 7) -> StudySpec:
    return StudySpec(
        name="resnet",
        task=Task(
            model=partial(resnet, channels=1, blocks=1),
            data=digits,
            loss=nn.functional.cross_entropy,
        ),
        space=SearchSpace(
            lr=log_range(1e-3, 0.1, side), weight_decay=[0, *log_range(1e-4, 1e-2, side)]
        ),
        optimizer=partial(torch.optim.SGD, momentum=0.9),
        schedule="cosine",
        epochs=epochs,
        batch_size=64,
    )
