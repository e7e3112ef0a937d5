"""What becomes of the best lr and weight_decay when training takes twice as long?

AdamW's weights are an average over the last 1 / (lr · weight_decay) steps. The best such memory
is said to be a number of epochs (Wang & Aitchison 2024, arXiv:2405.13698), or a share of the run
that falls with what is seen (Bergsma et al. 2025, arXiv:2505.13738), while lr is to fall with the
root of that (Complete(d)P, arXiv:2512.22382). Here the net of studies/batch_size.py goes 5 to
40 times over the same 2,048 examples: the longer, the more of them it can learn by heart.

    python -m wdstudy run studies/horizon.py
    python -m wdstudy report horizon
    python -m wdstudy predict horizon --at epochs=80

With two seeds lr moves with the power −0.93 of the epochs (95 % −1.10 … −0.76), weight_decay with
+0.17 (+0.10 … +0.24), and the memory in epochs with +0.76: all of these rules are rejected. The
pair for 40, told from 5 to 20, costs 0.3 % more than the best there (95 %: at most 2.1 %). About a
minute and a half on two cores.
"""

from batch_size import along

from wdstudy import Scale, StudySpec


def study() -> StudySpec:
    return along(Scale("epochs", [5, 10, 20, 40]))
