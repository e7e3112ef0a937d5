"""The sentences about a scale: plain, sure as far as it goes, and with their numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from known_scales import ScaledSweep, bowl, only_harms

from wdstudy import transfer
from wdstudy.analysis.numbers.transferfindings import Transfer


def said(plane, **sweep) -> tuple[Transfer, list[str]]:
    found = transfer(ScaledSweep(**sweep).trials(plane, np.random.default_rng(0)))
    return found, [str(sentence) for sentence in found.advice]


def test_what_surely_moves_is_said_per_doubling() -> None:
    found, (lr, decay, rules, test) = said(bowl(0.5, 0.5))
    assert re.match(r"Each time batch_size doubles, the best lr surely grows by a factor of 1\.\d+",
                    lr)  # fmt: skip
    factor = float(re.search(r"factor of (\d\.\d+)", lr).group(1))
    assert factor == pytest.approx(2 ** found.exponents["lr"].value, abs=0.01)
    assert "The best weight_decay surely grows" in decay
    assert "the memory of the weights stays about" in decay  # as many runs at each batch
    assert "“linear in the batch” and" not in rules.split("rejected")[0].split("fit;")[0]
    assert "as good as the best that was measured there" in test


def test_what_stays_is_said_to_hardly_move() -> None:
    _, sentences = said(bowl(0.0, 0.0))
    assert "the best lr hardly moves" in sentences[0]
    assert "surely" not in sentences[0] + sentences[1]


def test_noise_makes_it_not_shown_and_never_absent() -> None:
    _, sentences = said(bowl(0.3, 0.0), noise=0.12, seeds=2, values=(32, 64, 128))
    text = " ".join(sentences)
    assert "hardly" not in sentences[0]
    assert "nan" not in text
    assert "is not shown to move" in text or "may do anything" in text or "can't be said" in text


def test_only_harm_is_told_with_its_limit() -> None:
    _, sentences = said(only_harms(0.5, -0.5))
    assert "weight decay only harms at every batch_size" in sentences[1]
    assert "the largest that does no harm surely falls by a factor of 1.4" in sentences[1]


@pytest.mark.parametrize("plane", [bowl(2, -2), bowl(0, 0), only_harms(0.5, 0.0)])
def test_every_sentence_can_be_read_aloud(plane) -> None:
    found, sentences = said(plane, noise=0.05)
    assert 3 <= len(sentences) <= 4
    for sentence, numbers in zip(sentences, found.advice, strict=True):
        assert sentence.endswith(".")
        assert not re.search(r"nan|inf\b|None|%%|  |\.\.", sentence + numbers.numbers)
        assert len(sentence) < 480
