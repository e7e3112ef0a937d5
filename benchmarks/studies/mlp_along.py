"""An MLP on 512 digits, two fifths mislabelled, along the batch and along its width: AdamW."""

from functools import partial

from mlp import mlp
from torch import nn

from wdstudy import Scale, SearchSpace, StudySpec, Task, log_range
from wdstudy.images import digits


def along(scale: Scale) -> StudySpec:
    return StudySpec(
        name=f"mlp_{scale.name}",
        task=Task(
            model=partial(mlp, 128),
            data=partial(digits, train=512, wrong=0.4),
            loss=nn.functional.cross_entropy,
        ),
        space=SearchSpace(
            lr=log_range(1e-4, 1e-1, 7),
            weight_decay=log_range(10**-2.5, 10, 8),
            seeds=6,
            scale=scale,
        ),
        optimizer="adamw",
        schedule="cosine",
        epochs=30,
        batch_size=64,
        record_every=10**6,
        device="cpu",
    )


STUDIES = [
    along(Scale("batch_size", [16, 32, 64, 128])),
    along(Scale("width", [32, 64, 128, 256], model=mlp)),
]
