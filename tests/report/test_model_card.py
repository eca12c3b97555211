"""The model card names data, scores, limits and licences, and parses as a hub reads it."""

from __future__ import annotations

from dataclasses import replace

from huggingface_hub import ModelCard

from emobridge.corpora import licence_of, ravdess
from emobridge.report.card_head import results_in
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
    head = ModelCard(model_card(replace(record, corpora=corpora))).data
    assert head.language == ["de", 'x"]\nlicense: mit'] and head.license == "other"


def test_the_index_has_the_scores_of_the_recogniser_in_the_bundle(record):
    (result, *others) = ModelCard(model_card(record)).data.eval_results
    row = next(
        r for r in record.scores if (r.method, r.side, r.measure, r.seed) == (record.method, "target", "UA", "all")
    )
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("emodb", "recall", round(row.value, 4))
    assert f"95 % interval: {100 * row.low:.1f} to {100 * row.high:.1f} per cent" in result.metric_name
    assert [other.metric_type for other in others] == ["accuracy", "f1"]
    source = tuple(row for row in record.scores if row.side == "source")
    assert ModelCard(model_card(replace(record, scores=source))).data.eval_results is None


def test_results_of_a_card_are_read_back_and_of_a_strange_one_there_are_none(record):
    (result,) = results_in(model_card(record))
    assert result["dataset"]["name"] == "emodb" and len(result["metrics"]) == 3
    for card in ("# no head", "---\n[\n---\n", "---\n3\n---\n", "---\nmodel-index: [3]\n---\n", "---\na: b"):
        assert results_in(card) == []


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
