"""Agreement of two recognisers, and what of a sign foretells harm."""

from __future__ import annotations

import numpy as np
import pytest

from emobridge.scores.harm import LEAST_ADAPTED, LEAST_AGREEMENT, HarmSign, agreement, reasons_of


def test_agreement_is_of_the_most_probable_classes():
    first, second = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 1, 2]]
    assert agreement(first, second) == 0.5 and agreement(first, 0.4 + 0.1 * first) == 1
    assert np.isnan(agreement(first[:0], second[:0]))


@pytest.mark.parametrize(
    ("share", "utterances", "only_label", "expected"),
    [
        (LEAST_AGREEMENT, LEAST_ADAPTED, "", []),
        (LEAST_AGREEMENT - 0.01, LEAST_ADAPTED, "", ["agree"]),
        (1.0, LEAST_ADAPTED - 1, "", ["unlabelled utterances"]),
        (0.1, 3, "", ["agree", "unlabelled utterances"]),
        (1.0, LEAST_ADAPTED, "anger", ["every answer is anger"]),
        (float("nan"), LEAST_ADAPTED, "", []),
    ],
)
def test_what_foretells_harm(share, utterances, only_label, expected):
    sign = HarmSign(utterances=utterances, agreement=share, compared=80)
    reasons = reasons_of(sign, only_label)
    assert len(reasons) == len(expected) and all(word in reason for word, reason in zip(expected, reasons))
