"""Several sets of adapters in one encoder: each says what it says alone, in one pass where it can be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emobridge.adapters import Adapters, use_adapters
from emobridge.bundle.sets import averaged, base_state, encode_by_set
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.encoders.base import state_digest
from emobridge.errors import UserError

ENCODERS = ["whisper", "wav2vec2-base", "hubert-large", "wavlm-base"]
LORA, WIDE = ("lora", ("r=2", "alpha=4")), ("lora", ("r=3", "alpha=3", "blocks=1"))
BOTTLENECK, BOTH = ("bottleneck", ("reduction=4",)), ("lora+bottleneck", ("lora.r=2", "bottleneck.reduction=4"))
GATING = ("gating", ())
MIXES = {"lora": (LORA, WIDE), "bottleneck": (LORA, BOTTLENECK), "twice": (BOTTLENECK, BOTH), "gating": (LORA, GATING)}


def stirred(adapters: Adapters, seed: int) -> Adapters:
    generator = torch.Generator().manual_seed(seed)
    for weight in adapters.parameters():
        weight.data.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    return adapters


def fitted(encoder, *kinds) -> list[Adapters]:
    """Sets in an encoder, all resting."""
    sets = []
    for seed, (names, words) in enumerate(kinds):
        sets.append(stirred(Adapters(encoder, names, words), seed))
        sets[-1].deactivate()
    return sets


def clips() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.standard_normal(size).astype(np.float32) for size in (4000, 2500, 3100, 2600)]


def alone(encoder, clip: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return encoder(*pad([clip])).hidden[:, 0]


def passes(encoder, sets, waves):
    """What each clip's set says of it, and how many passes that took."""
    found, count = {}, 0
    with torch.no_grad():
        for rows, said in encode_by_set(encoder, *pad(waves), sets):
            count += 1
            for place, row in enumerate(rows):
                found[row] = said.hidden[:, place, said.mask[place]]
    return [found[row] for row in range(len(waves))], count


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("name", ENCODERS)
def test_a_mixed_batch_says_what_each_set_says_alone(source, name, mix):
    plain, waves = load_encoder(source(name)), clips()
    wanted = [alone(plain, waves[0])]
    for seed, (names, words) in enumerate(MIXES[mix]):  # each in an encoder of its own
        own = load_encoder(source(name))
        stirred(Adapters(own, names, words), seed)
        wanted += [alone(own, clip) for clip in waves[1 + seed :: 2]]
    encoder = load_encoder(source(name))
    first, second = fitted(encoder, *MIXES[mix])
    order = [wanted[0], wanted[1], wanted[-1], wanted[2]]
    got, count = passes(encoder, [None, first, second, first], waves)
    for said, expected in zip(got, order):
        torch.testing.assert_close(said, expected, atol=1e-5, rtol=0)
    assert count == (1 if mix == "lora" else 3)
    assert (order[0] - alone(own, waves[0])).abs().max() > 1e-3, "the adapters matter"
    assert encoder.active_adapters is None and torch.equal(alone(encoder, waves[0]), wanted[0])


def test_long_clips_and_training_go_set_by_set(source):
    encoder, waves = load_encoder(source("whisper")), clips()
    first, second = fitted(encoder, LORA, WIDE)
    assert passes(encoder, [first, second, first, None], waves)[1] == 1
    encoder.train()
    assert passes(encoder, [first, second, first, None], waves)[1] == 3
    encoder.eval()
    waves[0] = np.random.default_rng(1).standard_normal(40_000).astype(np.float32)  # the window is 2 s
    got, count = passes(encoder, [first, second, first, None], waves)
    assert count == 3
    for set_, said, clip in zip([first, second, first, None], got, waves):
        with use_adapters(encoder, set_):
            torch.testing.assert_close(said, alone(encoder, clip), atol=1e-5, rtol=0)


def test_hooks_go_when_a_pass_fails(source):
    encoder = load_encoder(source("wavlm-base"))
    first, second = fitted(encoder, LORA, WIDE)
    wave, mask = pad(clips())
    with pytest.raises(ValueError, match="adapter_names"):
        list(encode_by_set(encoder, wave[:2], mask[:2], [first, second, None]))
    plain = alone(load_encoder(source("wavlm-base")), clips()[0])
    torch.testing.assert_close(alone(encoder, clips()[0]), plain, atol=0, rtol=0)


@pytest.mark.parametrize("mix", MIXES)
def test_sets_come_and_go_without_a_trace(source, mix):
    encoder, clip = load_encoder(source("wavlm-base")), clips()[0]
    plain, keys, digest, layers = alone(encoder, clip), set(encoder.state_dict()), encoder.digest, encoder.layers
    first, second = fitted(encoder, *MIXES[mix])
    with use_adapters(encoder, second):
        said = alone(encoder, clip)
        first.detach()
        assert torch.equal(alone(encoder, clip), said) and encoder.active_adapters is second
    second.detach()
    assert torch.equal(alone(encoder, clip), plain) and set(encoder.state_dict()) == keys
    assert (encoder.digest, encoder.layers, encoder.active_adapters, encoder.inactive_adapters) == (
        digest,
        layers,
        None,
        (),
    )
    Adapters(encoder, "lora", ("r=2",)).detach()
    assert torch.equal(alone(encoder, clip), plain)


def test_what_works_is_trained_and_nothing_else(source):
    encoder = load_encoder(source("hubert-base"))
    first, _ = fitted(encoder, LORA, WIDE)
    with use_adapters(encoder, first):
        assert {id(w) for w in encoder.parameters() if w.requires_grad} == {id(w) for w in first.parameters()}


def test_a_digest_tells_what_is_at_work(source):
    encoder = load_encoder(source("whisper"))
    base, sets = encoder.digest, fitted(encoder, LORA, LORA)
    for one in sets:
        one.update_digest()
    seen = {base}
    for one in sets:
        with use_adapters(encoder, one):
            seen.add(encoder.digest)
        assert encoder.digest == base
    assert len(seen) == 3


@pytest.mark.parametrize("name", ENCODERS)
def test_the_average_is_that_of_the_products(source, name):
    """By hand: one third of each s B A on the weights themselves; the third of three sets is the bare base."""
    encoder, clip = load_encoder(source(name)), clips()[0]
    first, second = fitted(encoder, LORA, WIDE)
    mean = averaged([first, None, second])
    assert encoder.active_adapters is None and mean in encoder.inactive_adapters
    with use_adapters(encoder, mean):
        got = alone(encoder, clip)
    plain = load_encoder(source(name))
    for one, scale in ((first, 4 / 2), (second, 3 / 3)):
        (lora,) = one.parts
        own = lora.tensors()
        for key in own:
            if "lora_A" in key:
                weight = plain.trunk().module.get_submodule(key.removesuffix(".lora_A.weight")).weight
                weight.data += scale / 3 * own[key.replace("lora_A", "lora_B")].data @ own[key].data
    torch.testing.assert_close(got, alone(plain, clip), atol=1e-5, rtol=0)
    assert (got - alone(load_encoder(source(name)), clip)).abs().max() > 1e-3


def test_the_average_of_none_is_none_and_of_others_is_refused(source):
    encoder = load_encoder(source("whisper"))
    assert averaged([None, None]) is None
    first, second = fitted(encoder, LORA, BOTTLENECK)
    with pytest.raises(UserError, match="'bottleneck' cannot be averaged: LoRA alone"):
        averaged([first, second])


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("name", ["whisper", "wavlm-base"])
def test_the_bases_own_state_whatever_is_in_it(source, name, mix):
    encoder, plain = load_encoder(source(name)), load_encoder(source(name))
    first, _ = fitted(encoder, *MIXES[mix])
    with use_adapters(encoder, first):
        state = base_state(encoder)
    assert state_digest(state) == state_digest(plain) and set(state) == set(plain.state_dict())


def test_while_one_is_merged_no_other_works(source):
    encoder, waves = load_encoder(source("whisper")), clips()
    first, second = fitted(encoder, LORA, WIDE)
    with use_adapters(encoder, first):
        wanted = alone(encoder, waves[0])
        first.merge()
        torch.testing.assert_close(passes(encoder, [first] * 4, waves)[0][0], wanted, atol=1e-4, rtol=1e-4)
        for sets in ([first, second, first, first], [second] * 4, [None] * 4):
            with pytest.raises(UserError, match="are merged into the encoder's weights"):
                passes(encoder, sets, waves)
        first.unmerge()
    assert passes(encoder, [first, second, first, None], waves)[1] == 1


def test_a_copy_in_another_encoder_says_the_same(source):
    encoder, other = load_encoder(source("hubert-base")), load_encoder(source("hubert-base"))
    first, _ = fitted(encoder, BOTH, GATING)
    copy = first.copy_to(other)
    with use_adapters(encoder, first):
        assert torch.equal(alone(other, clips()[0]), alone(encoder, clips()[0]))
    assert other.active_adapters is copy
