"""Features as they are, and recordings that go through an encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from emobridge.data.audio import read_audio
from emobridge.data.batching import pad
from emobridge.data.manifest import read_manifest
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features.normalisation import fit_domain, normalise_features
from emobridge.features.pooling import pool
from emobridge.training.inputs import FrontEnd, Frozen, Recordings, domains_of, take_rows
from emobridge.types import SAMPLE_RATE

CORPORA = (("en", "en"), ("xx", "xx"))


@pytest.fixture
def encoder():
    torch.set_num_threads(1)
    return load_encoder("emotion-cnn")


@pytest.fixture
def utterances(recorded):
    """Five of each language."""
    return [*list(read_manifest(recorded / "en.jsonl"))[::3][:5], *list(read_manifest(recorded / "xx.jsonl"))[::3][:5]]


def recordings(encoder, utterances, **changes) -> Recordings:
    own = {
        name: changes.pop(name) for name in ("layers", "statistics", "normalise", "crop", "frames") if name in changes
    }
    front = FrontEnd(encoder, **{"layers": (0,), "statistics": ("mean",), "normalise": "corpus", **own})
    plain = {"domain_of": [int(one.corpus == "xx") for one in utterances], "corpora": CORPORA, "target": 1}
    return Recordings(front, utterances, **{**plain, **changes})


def pooled(encoder, utterances) -> torch.Tensor:
    with torch.no_grad():
        waves = [read_audio(one.path) for one in utterances]
        return torch.cat([pool(encoder(*pad([wave])), ("mean",))[0] for wave in waves])


def test_frozen_features_are_what_they_are():
    x = torch.arange(12.0).reshape(4, 3)
    inputs = Frozen(x)
    assert inputs.width == 3 and inputs.modules() == ()
    assert torch.equal(inputs.batch(torch.tensor([2, 0, 2])), x[[2, 0, 2]])
    inputs.refresh()
    assert torch.equal(inputs.batch(torch.arange(4), torch.Generator()), x)


@pytest.mark.parametrize("moved", [True, False])
def test_copies_stand_behind_what_they_are_copies_of(moved):
    """Written where there is room for them, or elsewhere; features of two layers lie side by side."""
    whole = torch.full((5, 2, 2), torch.nan)
    whole[:3] = torch.arange(12.0).reshape(3, 2, 2)
    roomy, tight = Frozen(whole[:3], whole=whole), Frozen(whole[:3].clone())
    copies = -roomy.x[:2]
    room = roomy.room(2)
    together = roomy.with_copies(copies if moved else room.copy_(copies))
    assert torch.equal(together.x, torch.cat([roomy.x, copies])) and together.copies == 2
    assert torch.equal(tight.with_copies(copies).x, together.x) and tight.with_copies(copies).copies == 2
    assert together.x.data_ptr() == whole.data_ptr() and torch.equal(roomy.x, tight.x), "nothing of it was moved"


def test_a_clip_that_is_not_finite_is_named_where_others_are(encoder, utterances, monkeypatch):
    inputs = recordings(encoder, utterances, normalise="none")
    inputs.refresh()
    forward = type(encoder).forward

    def sour(rows):
        def spoiled(self, wave, mask):
            layers = forward(self, wave, mask)
            layers.hidden[:, rows] = torch.inf
            return layers

        monkeypatch.setattr(type(encoder), "forward", spoiled)

    sour([1])
    with pytest.raises(UserError, match=f"{utterances[3].id}: encoder emotion-cnn gives numbers that are not finite"):
        inputs.batch(torch.tensor([2, 3, 4]))
    sour([0, 1, 2])  # the encoder has diverged: the loss will tell
    assert not inputs.batch(torch.tensor([2, 3, 4])).isfinite().any()


def test_without_normalisation_a_trained_encoder_keeps_its_scale(encoder, utterances):
    inputs = recordings(encoder, utterances, normalise="none")
    inputs.refresh()
    assert len(inputs.domains) == 2 and all(torch.equal(one.mean, torch.zeros(128)) for one in inputs.domains)
    with torch.no_grad():
        got = torch.cat([inputs.batch(torch.tensor([row])) for row in range(10)])
    torch.testing.assert_close(got, pooled(encoder, utterances), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
def test_several_layers_lie_side_by_side_each_normalised_by_itself(source, utterances, normalise, frames):
    encoder = load_encoder(source("whisper"))
    several = recordings(encoder, utterances, layers=(2, 1), normalise=normalise, frames=frames)
    several.refresh()
    rows = torch.tensor([7])
    alone = []
    for layer in (2, 1):
        inputs = recordings(encoder, utterances, layers=(layer,), normalise=normalise, frames=frames)
        inputs.refresh()
        alone.append(inputs.batch(rows))
    with torch.no_grad():
        together = several.batch(rows)
    parts = [part.hidden if frames else part for part in (together, *alone)]
    torch.testing.assert_close(parts[0], torch.cat(parts[1:], -1).detach(), atol=1e-4, rtol=1e-4)
    assert several.width == parts[0].shape[-1] and several.domains[0].mean.shape == (2, encoder.width)
    again = recordings(encoder, utterances, layers=(2, 1), normalise=normalise, frames=frames)
    again.restore(several.state())
    with torch.no_grad():
        after = again.batch(rows)
    torch.testing.assert_close(after.hidden if frames else after, parts[0])


@pytest.mark.parametrize("normalise", ["corpus", "speaker"])
def test_recordings_are_pooled_and_normalised_as_features_are(encoder, utterances, normalise):
    inputs = recordings(encoder, utterances, normalise=normalise)
    inputs.refresh()
    x = pooled(encoder, utterances)
    for place, rows in enumerate((slice(0, 5), slice(5, 10))):
        domain = fit_domain("", "", x[rows])
        torch.testing.assert_close(inputs.domains[place].mean, domain.mean)
        speakers = [one.speaker for one in utterances[rows]] if normalise == "speaker" else None
        with torch.no_grad():
            got = torch.cat([inputs.batch(torch.tensor([row])) for row in range(10)])[rows]
        torch.testing.assert_close(got, normalise_features(x[rows], domain, speakers), atol=1e-4, rtol=1e-4)


def test_a_pooled_look_leaves_the_mode_and_the_batch_statistics(encoder, utterances):
    encoder.train()
    inputs = recordings(encoder, utterances)
    inputs.refresh()  # fresh batch norms learn once, at the first look
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    inputs.refresh()
    assert encoder.training
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


def test_crops_are_of_one_length_and_of_the_generator(encoder, utterances, monkeypatch):
    inputs = recordings(encoder, utterances, crop=0.2)
    seen = []
    encode = inputs._layers
    monkeypatch.setattr(inputs, "_layers", lambda waves: seen.append(waves) or encode(waves))
    rows = torch.tensor([0, 1, 0])
    for seed in (0, 0, 1):
        inputs.batch(rows, inputs.draws(3, torch.Generator().manual_seed(seed)))
    inputs.batch(rows)
    first, again, other, whole = ([np.asarray(wave) for wave in waves] for waves in seen)
    assert {len(wave) for wave in first} == {round(0.2 * SAMPLE_RATE)}
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[0], first[2])
    assert [len(wave) for wave in whole] == [4800] * 3


def test_a_short_recording_repeats_itself_in_a_crop_before_batch_norms(encoder, utterances):
    inputs = recordings(encoder, utterances, crop=0.7)
    assert inputs.seconds is None, "all are of one length"
    wave = inputs._wave(0, 0)
    plain = read_audio(utterances[0].path)
    assert len(wave) == round(0.7 * SAMPLE_RATE)
    np.testing.assert_array_equal(wave, np.tile(plain, 3)[: len(wave)])


def test_without_batch_norms_a_short_recording_stays_as_it_is_and_a_long_one_is_cropped(source, utterances):
    plain = read_audio(utterances[0].path)
    for crop, length in ((0.7, len(plain)), (0.2, round(0.2 * SAMPLE_RATE))):
        inputs = recordings(load_encoder(source("whisper")), utterances, crop=crop)
        assert len(inputs._wave(0, 0)) == length
        assert float(inputs.seconds[0]) == pytest.approx(length / SAMPLE_RATE)


def test_frames_are_those_of_the_layer_and_normalised_as_the_mean_frame_is(source, utterances):
    encoder = load_encoder(source("whisper"))
    inputs, plain = (recordings(encoder, utterances, frames=frames) for frames in (True, False))
    for one in (inputs, plain):
        one.refresh()
    with torch.no_grad():
        rows = torch.tensor([2, 6])
        frames, mean = inputs.batch(rows), plain.batch(rows)
    assert len(frames) == 2 and frames.hidden.shape[2] == inputs.width == encoder.width
    for row in (0, 1):
        torch.testing.assert_close(frames.hidden[row][frames.mask[row]].mean(0), mean[row], rtol=1e-4, atol=1e-4)
    assert torch.equal(frames[torch.tensor([1])].mask, frames.mask[1:])


def test_an_encoder_that_stays_as_it_is_is_not_trained(source, utterances):
    encoder = load_encoder(source("whisper")).requires_grad_(False)
    assert recordings(encoder, utterances).modules() == ()


def test_gradients_reach_the_encoder(encoder, utterances):
    encoder.train()
    inputs = recordings(encoder, utterances, crop=0.5)
    assert inputs.modules() == (encoder,)
    inputs.batch(torch.arange(4), inputs.draws(4, torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())


def test_the_learner_tells_the_domains_and_learns_anew_with_who_leads(encoder, utterances):
    learner = recordings(encoder, utterances)
    learner.refresh()
    leads = recordings(encoder, utterances[:5], learner=learner, leads=True)
    follows = recordings(encoder, utterances[5:], learner=learner)
    before = learner.domains
    follows.refresh()
    assert learner.domains is before and follows.domains is before
    with torch.no_grad():
        encoder.norms[2].bias.add_(1.0)
    follows.refresh()
    assert learner.domains is before, "only who leads makes the learner learn"
    leads.refresh()
    assert learner.domains is not before and leads.domains is learner.domains
    torch.testing.assert_close(learner.domains[1].mean, pooled(encoder, utterances[5:]).mean(0))


def test_no_recordings_at_all(encoder, utterances):
    learner = recordings(encoder, utterances)
    inputs = recordings(encoder, [], learner=learner)
    inputs.refresh()
    assert inputs.mean.shape == (0, 128)


def test_a_stretch_of_a_file_is_what_is_heard(encoder, utterances):
    some = [replace(utterances[0], start=0.1, end=0.25)]
    assert len(recordings(encoder, some, domain_of=[0])._wave(0, None)) == round(0.15 * SAMPLE_RATE)


def test_domains_are_those_of_their_corpora():
    x = torch.tensor([[0.0], [2.0], [10.0], [14.0], [100.0]])
    corpora = (("a", "en"), ("b", "de"), ("c", "it"))
    own = domains_of(x, [0, 0, 1, 1, 2], corpora, "corpus", 2)
    assert [(one.corpus, one.language, one.mean.item()) for one in own] == [
        ("a", "en", 1.0),
        ("b", "de", 12.0),
        ("c", "it", 100.0),
    ]
    assert [one.mean.item() for one in domains_of(x, [0, 0, 1, 1, 2], corpora, "none", 2)] == [6.5] * 3
    assert [one.mean.item() for one in domains_of(x, [1, 1, 1, 1, 2], corpora, "speaker", 2)] == [6.5, 6.5, 100.0]


@pytest.mark.parametrize("rows", [[], [0], [2], [1, 2, 3], [3, 2], [0, 2], [0, 1, 2, 3]])
def test_rows_that_follow_one_another_are_a_view(rows):
    x = torch.arange(12.0).reshape(4, 3)
    taken = take_rows(x, rows)
    assert torch.equal(taken, x[torch.tensor(rows, dtype=torch.int64)])
    is_view = taken.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert is_view == (rows in ([0], [2], [1, 2, 3], [0, 1, 2, 3]))


def test_rows_of_no_domain_take_no_part():
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    corpora = (("a", "en"), ("b", "de"))
    for normalise in ("none", "corpus"):
        whole = domains_of(x, np.array([0, 0, -1, 1, 1, -1]), corpora, normalise, 1)
        part = domains_of(x[[0, 1, 3, 4]], np.array([0, 0, 1, 1]), corpora, normalise, 1)
        assert all(torch.equal(first.mean, second.mean) for first, second in zip(whole, part))
