"""The model card names data, scores, limits and licences, and parses as a hub reads it."""

from __future__ import annotations

import json
from dataclasses import replace

from emobridge.corpora import licence_of, ravdess
from emobridge.report.data import LIMITS
from emobridge.report.model_card import model_card


def test_it_says_what_the_recogniser_is(record):
    card = model_card(record)
    row = next(
        r for r in record.scores if (r.method, r.side, r.measure, r.seed) == ("pseudo-labels", "target", "UA", "all")
    )
    assert f"| {100 * row.value:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f}) | {row.n} | 3 |" in card
    for words in (
        "Labels, in this order: anger, happiness, neutral, sadness",
        "Normalisation: speaker",
        "Source: ravdess (en, 672 utterances, 24 speakers)",
        "Target: emodb (de, 339 utterances, 10 speakers)",
        f"ravdess: {ravdess.LICENCE}",
        record.command,
        record.held_out,
        "emobridge 0.1.0",
        *LIMITS,
    ):
        assert words in card, words
    assert "SYNTHETIC" not in card


def test_the_head_is_safe_yaml_whatever_the_language_is_called(record):
    corpora = (replace(record.corpora[0], language='x"]\nlicense: mit'), record.corpora[1])
    head = model_card(replace(record, corpora=corpora)).split("---\n")[1].splitlines()
    assert len(head) == 5
    assert json.loads(head[0].removeprefix("language: ")) == ["de", 'x"]\nlicense: mit']


def test_unknown_licences_and_synthetic_speech_are_named(record, synthetic):
    assert "not known to emobridge" in licence_of("my recordings")
    assert "*SYNTHETIC run. Mean over seeds" in model_card(synthetic)
    corpora = (replace(record.corpora[0], corpus="<b>mine", speakers=None), record.corpora[1])
    card = model_card(replace(record, corpora=corpora))
    assert "&lt;b>mine (en, 672 utterances, speakers unknown)" in card and "<b>" not in card


def test_no_folder_of_the_machine_stands_in_a_card(record):
    command = "emobridge adapt --source /home/ann/en.jsonl --target '/home/ann/my calls/de.jsonl' --out ../run"
    skipped = ("/home/ann/a.wav: not readable as audio",)
    card = model_card(replace(record, command=command, skipped=skipped, name="a and/or b"))
    assert "ann" not in card.split("## How it was made")[1] and "/home" not in card
    assert "emobridge adapt --source en.jsonl --target de.jsonl --out ../run" in card and "a and/or b" in card
