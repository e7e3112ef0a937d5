"""What becomes of the best lr and weight_decay when the net is twice as wide?

Three rules for AdamW and its like contradict each other: weight_decay grows with the width (Kosson
et al. 2025, arXiv:2510.19093), with its root (Fan et al. 2025, arXiv:2510.15262), or falls with its
square (nanochat's log, for Muon). Here the net of studies/batch_size.py, as PyTorch initialises
it, is trained at four widths; nothing is scaled with the width but the net.

    python -m wdstudy run studies/width.py
    python -m wdstudy report width
    python -m wdstudy predict width --at width=256

With two seeds lr moves with the power −0.26 of the width (95 % −0.38 … −0.14) and weight_decay with
+0.35 (+0.24 … +0.45), so that 1 / (lr · weight_decay) stays a fifth of the run: all three rules are
rejected. The pair for 128, told from 16 to 64, is as good as the best there, within 2 %. About a
minute on two cores.
"""

from batch_size import NextByte, along

from wdstudy import Scale, StudySpec


def study() -> StudySpec:
    return along(Scale("width", [16, 32, 64, 128], model=NextByte))
