"""The card of a recogniser of several languages."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from emobridge.errors import UserError
from emobridge.report.card_head import IndexedScore, card_head, index_results
from emobridge.report.data import LIMITS
from emobridge.report.joined_card import card_of, joined_card


def test_it_names_languages_parts_and_limits_and_lets_no_markup_through(made):
    one = made("de", domains=(("<b>mine|", "en"), ("emodb", "de"))).join(made("it", adapters=None, temperature=1.5))
    index = index_results([IndexedScore("UA", "emovo", 0.5, 0.4, 0.6)])
    card = joined_card(one, ["runs/de", "runs/it"], {"it": card_head(["it"], "it", index) + "\n# it"})
    head = ModelCard(card).data
    assert head.language == ["de", "en", "it"]
    assert [(result.dataset_name, result.metric_value) for result in head.eval_results] == [("emovo", 0.5)]
    assert "| de | &lt;b>mine\\| (en), emodb (de) | source-only | 0 | head, lora | none |" in card
    assert "| it | ravdess (en), of it (it) | source-only | 0 | head | [card](languages/it/README.md) |" in card
    for words in (
        "Labels, in this order: anger, sadness, neutral",
        "Router: none",
        "confidence: 1.00 of de, 1.50 of it",
        "runs/de, runs/it",
        *LIMITS,
    ):
        assert words in card, words
    assert "Where the language is not known it answers" in card
    assert "<b>" not in card and "SYNTHETIC" not in card


def test_what_is_no_bundle_has_no_card(tmp_path):
    with pytest.raises(UserError, match="is no bundle"):
        card_of(tmp_path)
