"""Who answers: the branch of a told language, and without one what was chosen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from emobridge.adapters import use_adapters
from emobridge.bundle.router import confidences
from emobridge.data.audio import read_audio
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.features.familiarity import Familiarity
from emobridge.inference import routing
from emobridge.inference.compare import TOLD, compare
from emobridge.inference.evaluate import evaluate
from emobridge.inference.features import encode, stored_features
from emobridge.inference.predict import predict
from emobridge.inference.routing import UNTOLD, learn_router, sets_of, without_language
from emobridge.scores.entropy import entropy
from emobridge.settings import Answering


@pytest.fixture
def rows(recorded):
    """Sixteen utterances of speakers who are not told apart: eight "de", eight "it"."""
    found = [*read_manifest(recorded / "en.jsonl"), *read_manifest(recorded / "xx.jsonl")]
    spoken = {"en": "de", "xx": "it"}
    return [replace(one, corpus="of " + spoken[one.corpus], language=spoken[one.corpus]) for one in found[::2]]


@pytest.fixture
def both(made):
    return made("de", 1).join(made("it", 2))


def table(said) -> torch.Tensor:
    return torch.tensor([one.probabilities for one in said])


def by_hand(recognizer, rows) -> torch.Tensor:
    """(N, B, C): each clip by itself through each branch, its adapters alone at work."""
    found = []
    for one in rows:
        wave = read_audio(one.path, one.start, one.end)
        each = []
        for branch in recognizer.branches:
            with use_adapters(recognizer.encoder, branch.adapters):
                pooled = torch.stack(encode(recognizer, [wave], [branch.adapters]))
            each.append(branch.probabilities(pooled, branch.domain(one.corpus, one.language), None)[0])
        found.append(torch.stack(each))
    return torch.stack(found)


def unknown(rows):
    return [without_language(one) for one in rows]


def near(got, wanted) -> None:
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_a_manifest_of_mixed_languages_is_answered_by_each_ones_branch(made, rows, kind):
    other = {} if kind == "lora" else {"adapters": "bottleneck", "words": ("reduction=4",)}
    both = made("de", 1).join(made("it", 2, **other))
    mixed = [one for pair in zip(rows[:8], rows[8:]) for one in pair]
    each = by_hand(both, mixed)
    places = torch.tensor([0, 1] * 8)
    got = table(predict(both, mixed))
    near(got, each[torch.arange(16), places])
    assert (got - each[torch.arange(16), 1 - places]).abs().amax(1).min() > 1e-3, "another branch says otherwise"


def test_a_clip_goes_through_all_branches_in_one_pass_and_alone(both, rows, monkeypatch):
    sizes, encode = [], both.encoder.encode
    monkeypatch.setattr(both.encoder, "encode", lambda wave, lengths: sizes.append(len(wave)) or encode(wave, lengths))
    list(predict(both, rows[:3], Answering(untold="confident")))
    list(predict(both, unknown(rows[:3]), Answering(untold="confident")))
    assert sizes == [1, 1, 1, 2, 2, 2]


def test_the_target_answers_where_nothing_is_told(both, rows):
    each = by_hand(both, unknown(rows))
    near(table(predict(both, unknown(rows))), each[:, 1])
    near(table(predict(both, unknown(rows), Answering.of(untold="target"))), each[:, 1])


def test_the_surest_answers(made, rows):
    both = made("de", 5).join(made("it", 6))
    each = by_hand(both, unknown(rows))
    best = entropy(each).argmin(1)
    assert 0 < best.float().mean() < 1, "else one branch would do"
    near(table(predict(both, unknown(rows), Answering.of(untold="confident"))), each[torch.arange(16), best])


def test_the_average_is_of_adapters_and_of_heads(both, rows):
    with use_adapters(both.encoder, both.average):
        pooled = torch.stack([encode(both, [read_audio(one.path)], [both.average])[0] for one in rows])
    each = torch.stack([one.probabilities(pooled, one.domains[-1], None) for one in both.branches], 1)
    near(table(predict(both, unknown(rows), Answering.of(untold="averaged"))), each.mean(1))


@pytest.mark.parametrize("hears_base", [False, True])
def test_a_router_answers_as_it_learnt(both, rows, tmp_path, hears_base):
    both.router = learn_router(both, rows, hears_base=hears_base, store=tmp_path)
    each = by_hand(both, unknown(rows))
    x = confidences(each)
    if hears_base:
        base = torch.stack([encode(both, [read_audio(one.path)], [None])[0] for one in rows])
        x = torch.cat([x, both.select(base).flatten(1)], 1)
    assert both.router.mean.shape == (x.shape[1],)
    best = both.router.probabilities(x).argmax(1)
    got = table(predict(both, unknown(rows), Answering.of(untold="routed")))
    near(got, each[torch.arange(16), best])
    found = {(one.mode, one.language): one for one in compare(both, rows, store=tmp_path)}
    assert {one.seen for one in found.values()} == {"not recorded"}, "heads made here were trained on nothing"
    share = (best == torch.tensor([0] * 8 + [1] * 8)).float()
    assert found["routed", "de"].own_branch == pytest.approx(share[:8].mean().item())
    assert share.mean() > (0.9 if hears_base else 0.6), "the two languages differ in pitch"


def test_a_router_is_in_the_bundle(both, rows, tmp_path):
    both.router = learn_router(both, rows, store=tmp_path / "store")
    loaded = type(both).load(both.save(tmp_path / "bundle", "card"))
    near(
        table(predict(loaded, unknown(rows), Answering.of(untold="routed"))),
        table(predict(both, unknown(rows), Answering.of(untold="routed"))),
    )
    assert both.join(both, replace=True).router is None


def test_a_told_language_is_answered_so_in_every_mode(both, rows):
    wanted = table(predict(both, rows))
    for mode in ("target", "averaged", "confident"):
        near(table(predict(both, rows, Answering.of(untold=mode))), wanted)


def test_a_language_without_a_branch(both, made, rows):
    french = [replace(one, language="fr", corpus="new") for one in rows]
    with pytest.raises(UserError, match=r"language 'fr': not one of this recogniser's \(de, it, en\)"):
        next(predict(both, french))
    with pytest.raises(UserError, match="language 'fr'"):
        evaluate(both, french)
    near(
        table(predict(both, french, Answering.of(untold="confident"))),
        table(predict(both, unknown(rows), Answering.of(untold="confident"))),
    )
    alone = made("de", 1)
    near(table(predict(alone, french)), by_hand(alone, french)[:, 0])


REFUSED = {
    "no such mode": (lambda both, made: both, "surest", "unknown mode for untold languages 'surest'"),
    "no router": (lambda both, made: both, "routed", "mode 'routed': this recogniser has no router"),
    "no LoRA": (
        lambda both, made: both.join(made("fr", adapters="bottleneck", words=("reduction=4",))),
        "averaged",
        "'bottleneck' cannot be averaged",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mode_that_cannot_be_is_refused_before_anything_is_read(both, made, case):
    change, mode, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        list(predict(change(both, made), [], Answering.of(untold=mode)))


def test_one_utterance_a_language_is_enough(both, rows, tmp_path):
    each = [rows[0], rows[8]]
    both.router = learn_router(both, each, store=tmp_path)
    assert [row.n for row in compare(both, each, store=tmp_path) if row.mode == "routed"] == [1, 1]
    assert len(list(predict(both, unknown(rows[:1]), Answering.of(untold="routed")))) == 1


def test_a_router_needs_several_languages_and_speech_in_each(both, made, rows, tmp_path):
    with pytest.raises(UserError, match="made for de alone"):
        learn_router(made("de"), rows, store=tmp_path)
    with pytest.raises(UserError, match="nobody speaks 'it'"):
        learn_router(both, rows[:8], store=tmp_path)


def test_scores_are_those_of_the_predictions_in_every_mode(both, rows, tmp_path):
    """Features from the store, each branch's under a key of its own."""
    some = [replace(one, emotion="neutral") if place % 3 == 0 else one for place, one in enumerate(rows)]
    both.router = learn_router(both, some, store=tmp_path)
    for mode in (None, *UNTOLD):
        asked = some if mode is None else unknown(some)
        guess = [one.label for one in predict(both, asked, Answering.of(untold=mode))]
        (wa,) = [
            one
            for one in evaluate(both, asked, untold=mode, store=tmp_path)
            if (one.measure, one.seed) == ("WA", "all")
        ]
        assert wa.value == pytest.approx(sum(a == b.emotion for a, b in zip(guess, some)) / len(some))
        assert (wa.source, wa.target) == ("ravdess", "of de+of it" if mode is None else "und")
        compared = [one for one in compare(both, some, store=tmp_path) if one.mode == (mode or TOLD)]
        assert [one.language for one in compared] == ["de", "it"]
        for place, one in enumerate(compared):
            truth = [(g, row.emotion) for g, row in zip(guess, some)][8 * place : 8 * place + 8]
            hits, counts = Counter(t for g, t in truth if g == t), Counter(t for _, t in truth)
            assert one.ua == pytest.approx(sum(hits[t] / counts[t] for t in counts) / len(counts)) and one.n == 8
    assert {one.mode: one.own_branch for one in compare(both, some, store=tmp_path)}[TOLD] == 1.0


def test_what_is_compared(both, rows, tmp_path):
    found = compare(both, rows, store=tmp_path)
    assert list(dict.fromkeys(one.mode for one in found)) == ["told", "target", "averaged", "confident"], "no router"
    own = {(one.mode, one.language): one.own_branch for one in found}
    assert own["target", "de"] == 0 and own["target", "it"] == 1 and own["averaged", "it"] is None
    with pytest.raises(UserError, match="has no router"):
        compare(both, rows, modes=["routed"], store=tmp_path)
    with pytest.raises(UserError, match="nothing to compare: no labelled utterance is in de, it, en"):
        compare(both, unknown(rows), store=tmp_path)


def test_merged_predictions(both, rows):
    wanted = table(predict(both, rows[:8]))
    with both.merged("de"):
        torch.testing.assert_close(table(predict(both, rows[:8])), wanted, atol=1e-4, rtol=0)
        with pytest.raises(UserError, match="are merged into the encoder's weights"):
            list(predict(both, rows[4:12]))
    near(table(predict(both, rows[:8])), wanted)


def with_familiarity(recognizer, seed):
    """The recogniser, its last branch with a familiarity."""
    torch.manual_seed(seed)
    width = recognizer.domains[0].mean.numel()
    familiarity = Familiarity(torch.randn(3, width), torch.rand(width) + 0.5, torch.tensor([0.5, 1.0, 1.2]))
    (branch,) = recognizer.branches
    recognizer.branches = (replace(branch, familiarity=familiarity),)
    return recognizer


def unfamiliarity_by_hand(recognizer, row, branch, adapters) -> float:
    with use_adapters(recognizer.encoder, adapters):
        pooled = torch.stack(encode(recognizer, [read_audio(row.path, row.start, row.end)], [adapters]))
    domain = branch.domain(row.corpus, row.language)
    return float(branch.unfamiliarity(branch.normalised(pooled, domain, None)))


@pytest.mark.parametrize("untold", UNTOLD)
def test_unfamiliarity_is_that_of_the_branch_that_answered(made, rows, untold):
    both = with_familiarity(made("de", 1), 1).join(with_familiarity(made("it", 2), 2))
    both.router = learn_router(both, rows)
    nobody = unknown(rows)
    answered = list(predict(both, nobody, Answering.of(untold=untold)))
    each = by_hand(both, nobody)
    for row, prediction, probabilities in zip(nobody, answered, each):
        by_branch = [unfamiliarity_by_hand(both, row, branch, branch.adapters) for branch in both.branches]
        if untold == "averaged":
            expected = min(unfamiliarity_by_hand(both, row, branch, both.average) for branch in both.branches)
        else:
            chosen = torch.tensor(prediction.probabilities)
            expected = by_branch[int((probabilities - chosen).abs().sum(1).argmin())]
        assert prediction.unfamiliarity == pytest.approx(expected, abs=1e-4)
    assert len({round(prediction.unfamiliarity, 4) for prediction in answered}) > 8


def test_unfamiliarity_is_of_the_clip_alone(made, rows):
    """Whoever speaks, and whatever is beside it: a speaker's own moments would make all music ordinary."""
    it = with_familiarity(made("it", 2, normalise="speaker"), 2)
    spoken = [replace(row, speaker="one") for row in rows]
    together = [prediction.unfamiliarity for prediction in predict(it, spoken)]
    alone = [next(iter(predict(it, [row]))).unfamiliarity for row in rows]
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_recogniser_without_familiarity_measures_none(both, rows):
    assert {prediction.unfamiliarity for prediction in predict(both, rows)} == {None}
    mixed = made_half(both)
    measured = [prediction.unfamiliarity for prediction in predict(mixed, rows)]
    assert [value is None for value in measured] == [row.language == "it" for row in rows]


def made_half(both):
    """Both languages, of which "de" alone has a familiarity."""
    de, it = both.branches
    width = de.domains[0].mean.numel()
    familiarity = Familiarity(torch.zeros(1, width), torch.ones(width), torch.tensor([0.0, 1.0]))
    both.branches = (replace(de, familiarity=familiarity), it)
    return both


def test_every_mode_goes_by_the_probabilities_that_each_branch_s_temperature_gives(made, rows):
    """One branch is made all but certain: it is the surest everywhere, and the mean leans towards it."""
    plain = [made(language, seed, adapters=None) for language, seed in (("de", 1), ("it", 2))]
    hot = [made("de", 1, adapters=None, temperature=1e-2), made("it", 2, adapters=None, temperature=3.0)]
    alike, apart = (first.join(second) for first, second in (plain, hot))
    clips = unknown(rows)
    before, after = by_hand(alike, clips), by_hand(apart, clips)
    for index, temperature in enumerate((1e-2, 3.0)):
        expected = (before[:, index].log() / temperature).softmax(1)
        torch.testing.assert_close(after[:, index], expected, atol=1e-3, rtol=0)
    assert torch.equal(after.argmax(2), before.argmax(2))
    best = entropy(after).argmin(1)
    assert (best == 0).float().mean() > 0.9 > (entropy(before).argmin(1) == 0).float().mean()
    near(table(predict(apart, clips, Answering(untold="confident"))), after[torch.arange(len(clips)), best])


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_answers_do_not_depend_on_how_many_are_computed_at_a_time(made, rows, monkeypatch, at_once):
    recognizer = made("de", 1, normalise="speaker")
    rows = [*rows, *(replace(row, id=f"{row.id} again", speaker=None) for row in rows[:2])]
    modes = {row: recognizer.last for row in range(len(rows))}
    features, _ = stored_features(recognizer, rows, [sets_of(recognizer, recognizer.last)] * len(rows), None)
    expected, _ = routing.answers(recognizer, rows, modes, features)
    monkeypatch.setattr(routing, "ANSWERED_AT_ONCE", at_once)
    torch.testing.assert_close(routing.answers(recognizer, rows, modes, features)[0], expected)
