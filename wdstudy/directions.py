"""Which way an objective is better, by its name."""

from __future__ import annotations

import re
from typing import Literal

from wdstudy.errors import SpecError

Direction = Literal["minimize", "maximize"]

_LOW = (
    "loss losses error errors err mse rmse mae nll bce ce perplexity ppl bpb wer cer fid regret "
    "distance divergence kl"
)
_HIGH = (
    "accuracy acc top1 top5 f1 auc auroc auprc ap map precision recall sensitivity specificity "
    "reward return score r2 iou miou dice bleu rouge psnr ssim kappa mcc correlation pearson "
    "spearman likelihood"
)
_WORDS: dict[str, Direction] = {
    **dict.fromkeys(_LOW.split(), "minimize"),
    **dict.fromkeys(_HIGH.split(), "maximize"),
}


def direction_of(objective: str) -> Direction:
    """`minimize` or `maximize`, where the name of a series says it; the last word that does counts.

    >>> direction_of("val_loss"), direction_of("val_top5_accuracy"), direction_of("val_f1_error")
    ('minimize', 'maximize', 'minimize')

    Raises:
        SpecError: the name does not say.
    """
    for word in reversed(re.split(r"[^a-z0-9]+", objective.lower())):
        if word in _WORDS:
            return _WORDS[word]
    raise SpecError(
        f"objective '{objective}' does not say whether low or high is good; give "
        "direction='minimize' or direction='maximize'"
    )
