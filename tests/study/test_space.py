"""The feature space: silhouettes and components by hand, and which space each number is of."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toys import case_of

from emobridge.data.speech import everything
from emobridge.features.normalisation import coral_by_layer, covariance_roots, recolour
from emobridge.heads.linear import Linear
from emobridge.heads.single import Single
from emobridge.settings import Split
from emobridge.study import space as module
from emobridge.study.space import embedding, principal, silhouette, trained_sample
from emobridge.training.inputs import domains_of
from emobridge.training.tasks import build, normalised_rows


@pytest.fixture
def embedded(toy_speech):
    """A function from a head and fields of a case to the speech and its embedding."""

    def make(head=None, speech=None, align="none", **options):
        case = case_of(align=align, **options)
        speech = speech or toy_speech(shift=3.0)
        fold = everything(speech, Split(), 0)
        built = build(speech, fold, case, case.make_method(), ())
        head = (head or Single(speech.features.shape[1], 2)).eval()
        recognizer = SimpleNamespace(domains=built.learner.domains, head=head)
        return speech, embedding(speech, recognizer, case, trained_sample(fold, built))

    return make


def test_a_silhouette_of_four_points_by_hand():
    x = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [7.0, 4.0]])
    groups = "aabb"
    distance = np.sqrt(((x[:, None] - x[None]) ** 2).sum(2))
    found = []
    for place, other, far in ((0, 1, (2, 3)), (1, 0, (2, 3)), (2, 3, (0, 1)), (3, 2, (0, 1))):
        a, b = distance[place, other], distance[place, list(far)].mean()
        found.append((b - a) / max(a, b))
    assert min(found) < 0 < max(found)
    assert silhouette(x, groups) == pytest.approx(np.mean(found))


def test_clusters_of_emotions_in_which_languages_mix():
    rng = np.random.default_rng(0)
    centres = np.repeat([[0, 0, 0], [9, 0, 0]], 40, axis=0)
    x = centres + rng.standard_normal((80, 3))
    assert silhouette(x, ["anger"] * 40 + ["sadness"] * 40) > 0.7
    assert abs(silhouette(x, ["en", "de"] * 40)) < 0.05


@pytest.mark.parametrize("groups", ["aaaa", "aaab", ["a", "a", None, None], ["a", "a", "b", None]])
def test_what_is_undefined_is_nan(groups):
    assert math.isnan(silhouette(np.eye(4), groups))


def test_points_without_a_group_are_left_out():
    x = np.array([[0.0], [1.0], [5.0], [6.0], [100.0]])
    assert silhouette(x, ["a", "a", "b", "b", None]) == silhouette(x[:4], "aabb")


def test_the_explained_share_is_that_of_the_covariance():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 5))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T  # its covariance is the identity
    turned = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    points, explained = principal(x * np.sqrt([4.0, 3.0, 2.0, 0.7, 0.3]) @ turned)
    assert explained == pytest.approx((0.4, 0.3, 0.2))
    assert np.cov(points.T) == pytest.approx(np.diag([4.0, 3.0, 2.0]), abs=1e-9)


def test_fewer_components_than_three_and_points_all_alike():
    points, explained = principal(np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert points.shape == (2, 3) and explained == pytest.approx((1.0, 0.0, 0.0))
    points, explained = principal(np.ones((4, 6)))
    assert not points.any() and explained == (0.0, 0.0, 0.0)


def test_the_spaces_of_a_head_that_learns_no_representation(embedded):
    head = Single(4, 2)
    with torch.no_grad():
        head.output.weight.copy_(torch.tensor([[1.0, -1.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]]))
    speech, found = embedded(head, normalise="corpus")
    before, trained, after = found.spaces
    assert found.after is after and [space.width for space in found.spaces] == [4, 4, 2]
    assert "normalised by corpus" in trained.name and "logits" in after.name
    x = speech.features.numpy()[np.random.default_rng(0).permutation(len(x_ := speech.features))]
    source = speech.features.numpy()[~speech.is_target]
    assert len(x) == len(x_) == found.measured == found.utterances
    order = np.random.default_rng(0).permutation(len(x))
    languages = [speech.utterances[row].language for row in order]
    scaled = (x - source.mean(0)) / source.std(0)
    assert before.by_language == pytest.approx(silhouette(scaled, languages), abs=1e-5)
    assert before.by_language > 0.4 > 0.1 > trained.by_language, "the shift is gone"
    assert after.by_emotion > trained.by_emotion > before.by_emotion
    assert found.languages == tuple(languages)
    assert found.emotions == tuple(speech.utterances[row].emotion for row in order)


def test_a_learnt_representation_is_what_is_after(embedded):
    _, found = embedded(Linear(4, 2, hidden=7))
    assert [space.width for space in found.spaces] == [4, 4, 7, 2]
    assert found.after.width == 7 and "represents" in found.after.name


def test_coral_recolours_the_source_alone(embedded):
    _, plain = embedded(normalise="corpus")
    _, aligned = embedded(normalise="corpus", align="coral")
    assert "recoloured" in aligned.spaces[1].name
    assert aligned.spaces[0] == plain.spaces[0] and aligned.spaces[1].points != plain.spaces[1].points


def test_a_target_without_labels(embedded, toy_speech):
    speech = toy_speech()
    bare = replace(speech, label=np.where(speech.is_target, -1, speech.label))
    _, found = embedded(speech=bare)
    assert {language for language, emotion in zip(found.languages, found.emotions) if emotion is None} == {"xx"}
    assert not math.isnan(found.spaces[0].by_emotion), "that of the source"
    none = replace(speech, label=np.full(len(speech.label), -1))
    assert math.isnan(embedded(speech=none)[1].spaces[0].by_emotion)


def test_of_many_some_are_measured_and_fewer_drawn(embedded, monkeypatch):
    monkeypatch.setattr(module, "MEASURED", 30)
    monkeypatch.setattr(module, "DRAWN", 10)
    speech, found = embedded()
    assert (found.measured, found.utterances) == (30, len(speech.utterances))
    assert {len(space.points) for space in found.spaces} == {len(found.emotions), len(found.languages)} == {10}
    assert set(found.languages) == {"en", "xx"}, "in random order"
    assert np.abs([space.points for space in found.spaces]).max() <= 1
    assert embedded(Single(4, 2))[1].spaces[:2] == found.spaces[:2], "the same are drawn again"
    assert found.without_points().spaces[0].points == ()


def test_an_encoder_that_was_trained_has_none(embedded, toy_speech):
    speech = replace(toy_speech(), features=None)
    assert embedding(speech, SimpleNamespace(), case_of(), None) is None


def test_how_unfamiliar_the_target_is_to_the_source(embedded, toy_speech):
    _, away = embedded(speech=toy_speech(shift=3.0, speakers=8), normalise="corpus")
    _, near = embedded(speech=toy_speech(shift=0.0, speakers=8), normalise="corpus")
    assert away.unfamiliar[0] == 1.0
    assert near.unfamiliar[0] < 0.2
    assert max(near.unfamiliar[1], away.unfamiliar[1]) < 0.2, "a shift is gone by the corpus's own moments"


def test_a_source_of_one_speaker_does_not_tell_what_is_unfamiliar(embedded, toy_speech):
    _, found = embedded(speech=toy_speech(speakers=(1, 4), each=12))
    assert found.unfamiliar is None


@pytest.mark.parametrize("layers", [1, 3])
def test_layers_that_are_normalised_one_at_a_time_are_those_of_all(embedded, toy_speech, layers):
    speech = toy_speech()
    features = torch.stack([speech.features * (layer + 1) + layer for layer in range(layers)], 1)
    speech = replace(speech, features=features, layers=tuple(map(str, range(layers))))
    width = layers * speech.features.shape[2]
    _, found = embedded(Single(width, 2), speech=speech, normalise="speaker", align="coral")
    domains = domains_of(features, speech.domain_of, speech.corpora, "speaker", speech.target)
    x = normalised_rows(speech, range(len(features)), domains, "speaker").flatten(1)
    source = ~torch.from_numpy(speech.is_target)
    x[source] = recolour(
        x[source], coral_by_layer(covariance_roots(x[source], -0.5, layers), covariance_roots(x[~source], 0.5, layers))
    )
    order = np.random.default_rng(0).permutation(len(x))
    languages = [speech.utterances[row].language for row in order]
    assert found.spaces[1].width == width
    assert found.spaces[1].by_language == pytest.approx(silhouette(x.numpy()[order], languages), abs=1e-5)
