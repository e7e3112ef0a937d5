"""Where the formulas of a report come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A source of a formula: what it gives, who wrote it, where it stands."""

    gives: str
    source: str
    url: str


REFERENCES = (
    Reference(
        "coupled and decoupled weight decay",
        "Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization",
        "https://arxiv.org/abs/1711.05101",
    ),
    Reference(
        "timescale 1 / (lr · weight_decay)",
        "Wang & Aitchison 2024, How to set AdamW's weight decay as you scale model and dataset "
        "size",
        "https://arxiv.org/abs/2405.13698",
    ),
    Reference(
        "equilibrium of weight norm and angular update",
        "Kosson, Messmer & Jaggi 2024, Rotational Equilibrium: How Weight Decay Balances "
        "Learning Across Neural Networks",
        "https://arxiv.org/abs/2305.17212",
    ),
    Reference(
        "weight decay as an effective lr under normalisation",
        "van Laarhoven 2017, L2 Regularization versus Batch and Weight Normalization",
        "https://arxiv.org/abs/1706.05350",
    ),
    Reference(
        "sensitivity to lr",
        "Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training "
        "instabilities",
        "https://arxiv.org/abs/2309.14322",
    ),
    Reference(
        "axis plots, isolation plots, checks of a search space",
        "Godbole et al. 2023, Deep Learning Tuning Playbook",
        "https://github.com/google-research/tuning_playbook",
    ),
)
