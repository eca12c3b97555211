"""What every adapter does on every encoder that has transformer blocks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from emobridge import registry
from emobridge.adapters import Adapters
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError

ENCODERS = ["whisper", "wav2vec2-base", "wav2vec2-large", "hubert-base", "wavlm-base", "wavlm-large"]
SMALL = {"lora": ["lora.r=2", "lora.alpha=4"], "bottleneck": ["bottleneck.reduction=4"], "gating": [], "layer-sum": []}
TOGETHER = "lora+bottleneck+gating+layer-sum"
SHORT = ("whisper", "wavlm-large")  # of each kind of encoder one that has all adapters one by one, too


def small_options(names: str) -> list[str]:
    return [word for name in names.split("+") for word in SMALL[name]]


def speech() -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(0)
    return pad([random.standard_normal(size).astype(np.float32) for size in (4000, 2500)])


def hidden_states(encoder, train: bool = False):
    encoder.train(train)
    with torch.set_grad_enabled(train):
        layers = encoder(*speech())
    return layers.hidden * layers.mask[None, :, :, None]


def stir(weights) -> None:
    """Weights that begin at zero hide others: here none is."""
    generator = torch.Generator().manual_seed(0)
    for weight in weights:
        weight.data.copy_(0.3 * torch.randn(weight.shape, generator=generator))


def test_all_are_tried():
    assert set(registry.names("adapters")) == set(SMALL)


@pytest.fixture(params=ENCODERS)
def encoder(source, request):
    return load_encoder(source(request.param))


@pytest.mark.parametrize(
    ("encoder", "names"),
    [
        pytest.param(name, names, marks=() if names == TOGETHER or name in SHORT else pytest.mark.slow)
        for name in ENCODERS
        for names in (*SMALL, TOGETHER)
    ],
    indirect=["encoder"],
)
def test_every_weight_is_alive(encoder, names):
    """Moved, it moves the output; it has a gradient; and no weight of the encoder itself has one."""
    adapters = Adapters(encoder, names, small_options(names))
    weights = adapters.parameters()
    assert weights and {id(w) for w in weights} == {id(w) for w in encoder.parameters() if w.requires_grad}
    stir(weights)
    before = hidden_states(encoder)
    for weight in weights:
        before_change = weight.data.clone()
        weight.data += 0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        assert (hidden_states(encoder) - before).abs().max() > 1e-6
        weight.data.copy_(before_change)
    hidden_states(encoder, train=True).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in weights)
    assert all(w.grad is None for w in encoder.parameters() if not w.requires_grad)


@pytest.mark.parametrize("names", ["lora", "bottleneck", "lora+bottleneck"])
def test_it_begins_where_the_encoder_stood_and_leaves_it_so(encoder, names):
    plain, keys = hidden_states(encoder), set(encoder.state_dict())
    adapters = Adapters(encoder, names, small_options(names))
    torch.testing.assert_close(hidden_states(encoder), plain, atol=1e-5, rtol=0)
    stir(adapters.parameters())
    assert (hidden_states(encoder) - plain).abs().max() > 1e-3
    adapters.detach()
    torch.testing.assert_close(hidden_states(encoder), plain, atol=0, rtol=0)
    assert set(encoder.state_dict()) == keys and not any(w.requires_grad for w in encoder.parameters())


def test_lora_can_be_merged_into_the_weights(encoder):
    plain = hidden_states(encoder)
    adapters = Adapters(encoder, "lora", small_options("lora"))
    stir(adapters.parameters())
    before, name = hidden_states(encoder), encoder.trunk().blocks[0] + "." + encoder.trunk().inner
    inner = encoder.trunk().module.get_submodule(name)
    plain_weight = inner.base_layer.weight.clone()
    adapters.merge()
    torch.testing.assert_close(hidden_states(encoder), before, atol=1e-4, rtol=1e-4)
    assert not torch.equal(inner.base_layer.weight, plain_weight)
    adapters.merge()  # once more changes nothing
    adapters.detach()
    torch.testing.assert_close(hidden_states(encoder), plain, atol=1e-5, rtol=0)


def test_what_is_merged_comes_out_again(encoder):
    adapters = Adapters(encoder, "lora", small_options("lora"))
    stir(adapters.parameters())
    before, name = hidden_states(encoder), encoder.trunk().blocks[0] + "." + encoder.trunk().inner
    inner = encoder.trunk().module.get_submodule(name)
    plain_weight = inner.base_layer.weight.clone()
    adapters.merge()
    adapters.unmerge()
    torch.testing.assert_close(inner.base_layer.weight, plain_weight, atol=1e-6, rtol=0)
    torch.testing.assert_close(hidden_states(encoder), before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("names", ["gating", "layer-sum", "lora+bottleneck"])
def test_what_is_no_map_cannot_be_merged(source, names):
    encoder = load_encoder(source("whisper"))
    adapters = Adapters(encoder, names, small_options(names))
    stir(adapters.parameters())
    expected = hidden_states(encoder)
    with pytest.raises(UserError, match="cannot be merged"):
        adapters.merge()
    assert torch.equal(hidden_states(encoder), expected)


def test_what_comes_in_is_in_the_encoders_mode(encoder):
    Adapters(encoder, TOGETHER, small_options(TOGETHER))
    assert not encoder.training and not any(module.training for module in encoder.modules())


def test_a_sum_of_layers_begins_as_their_mean(encoder):
    plain, layers = hidden_states(encoder), encoder.layers
    adapters = Adapters(encoder, "layer-sum")
    assert encoder.layers == 1
    torch.testing.assert_close(hidden_states(encoder), plain.mean(0, keepdim=True), atol=1e-5, rtol=0)
    adapters.detach()
    assert encoder.layers == layers and torch.equal(hidden_states(encoder), plain)
    Adapters(encoder, "layer-sum", ["layers=1+2"])
    torch.testing.assert_close(hidden_states(encoder), plain[1:].mean(0, keepdim=True), atol=1e-5, rtol=0)


def test_gating_multiplies_what_goes_into_every_block(encoder):
    trunk = encoder.trunk()
    blocks = [trunk.module.get_submodule(path) for path in trunk.blocks]
    seen: list[torch.Tensor] = []
    adapters = Adapters(encoder, "gating", ["start=1"])
    (gates,) = (part.gates for part in adapters.parts)
    assert [tuple(gate.weight.shape) for gate in gates] == [(encoder.width,)] * len(blocks)
    stir(adapters.parameters())
    hooks = [block.register_forward_pre_hook(lambda _block, inputs: seen.append(inputs[0])) for block in blocks]
    states = hidden_states(encoder)
    for hook in hooks:
        hook.remove()
    for gate, h, x in zip(gates, states, seen):
        mask = h.abs().sum(-1, keepdim=True) > 0  # padding is zero in `states`
        expected = h / (1 + torch.exp(-gate.weight.detach()))
        torch.testing.assert_close((x[:, : h.shape[1]] * mask), expected * mask, atol=1e-5, rtol=1e-5)


def test_gating_begins_near_where_the_encoder_stood(encoder):
    plain, keys = hidden_states(encoder), set(encoder.state_dict())
    adapters = Adapters(encoder, "gating")
    assert all((weight == 3.0).all() for weight in adapters.parameters())
    near = torch.nn.functional.cosine_similarity(hidden_states(encoder).flatten(1), plain.flatten(1))
    assert near.min() > 0.95
    adapters.detach()
    assert torch.equal(hidden_states(encoder), plain) and set(encoder.state_dict()) == keys
    Adapters(encoder, "gating", ["start=50"])
    torch.testing.assert_close(hidden_states(encoder), plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("names", ["gating", "lora+bottleneck+gating"])
def test_a_model_that_ends_early_yields_the_same_layers(encoder, names):
    adapters = Adapters(encoder, names, small_options(names))
    stir(adapters.parameters())
    states = hidden_states(encoder)
    encoder.stop_after(1)
    torch.testing.assert_close(hidden_states(encoder), states[:2], atol=0, rtol=0)


@pytest.mark.parametrize("names", [*SMALL, TOGETHER])
def test_what_is_saved_comes_back(source, encoder, names, tmp_path):
    adapters = Adapters(encoder, names, small_options(names))
    stir(adapters.parameters())
    expected = hidden_states(encoder)
    adapters.save(tmp_path)
    adapters.detach()
    again = Adapters.load(tmp_path, encoder)
    assert again.names == names
    torch.testing.assert_close(hidden_states(encoder), expected, atol=0, rtol=0)


@pytest.mark.parametrize("name", ["lora", "bottleneck", "gating"])
def test_chosen_blocks_alone_are_changed(encoder, name):
    adapters = Adapters(encoder, name, [*small_options(name), f"{name}.blocks=1"])
    plain = hidden_states(encoder)
    stir(adapters.parameters())
    changed = hidden_states(encoder)
    assert torch.equal(changed[:2], plain[:2]) and (changed[2] - plain[2]).abs().max() > 1e-3


BAD = {
    "unknown": ("lara", (), "unknown adapter 'lara'"),
    "twice": ("lora+lora", (), "lora occurs twice"),
    "no such option": ("lora", ("rank=2",), "unknown option of adapter lora 'rank'"),
    "of none": ("lora+gating", ("r=2",), "unknown adapter in option 'r'"),
    "no rank": ("lora", ("r=0",), "r: expected 1 or more"),
    "no block": ("lora", ("blocks=7",), "unknown block of adapter lora '7'"),
    "no layer": ("layer-sum", ("layers=3",), "unknown layer of adapter layer-sum '3'"),
    "no gated block": ("gating", ("blocks=7",), "unknown block of adapter gating '7'"),
    "the second too narrow": ("bottleneck+lora", ("bottleneck.reduction=99",), "reduction 99 of width 16"),
    "too narrow": ("bottleneck", ("reduction=99",), "reduction 99 of width 16 leaves nothing"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_named_and_changes_nothing(source, case):
    names, options, message = BAD[case]
    encoder = load_encoder(source("whisper"))
    plain, trained = hidden_states(encoder), [weight.requires_grad for weight in encoder.parameters()]
    assert any(trained)
    with pytest.raises(UserError) as error:
        Adapters(encoder, names, options)
    assert message in str(error.value)
    assert encoder.active_adapters is None and [weight.requires_grad for weight in encoder.parameters()] == trained
    assert torch.equal(hidden_states(encoder), plain)


@pytest.mark.parametrize("name", ["logmel", "byol-s", "emotion-cnn"])
def test_an_encoder_without_blocks_takes_none(source, name):
    with pytest.raises(UserError, match="no transformer blocks"):
        Adapters(load_encoder(source(name)), "lora")


def test_an_adapter_of_another_model_or_rank_is_refused(source, tmp_path):
    first, other = load_encoder(source("wavlm-base")), load_encoder(source("hubert-base"))
    Adapters(first, "lora", ["r=2"]).save(tmp_path)
    plain = hidden_states(other)
    with pytest.raises(UserError, match=r"of another base model \(hf-ssl"):
        Adapters.load(tmp_path, other)
    (tmp_path / "adapters.json").write_text((tmp_path / "adapters.json").read_text().replace("r=2", "r=3"))
    with pytest.raises(UserError, match=r"expected \(3, .*of another rank or base model"):
        Adapters.load(tmp_path, load_encoder(source("wavlm-base")))
    with pytest.raises(UserError, match="no adapters there"):
        Adapters.load(tmp_path / "nothing", other)
    assert torch.equal(hidden_states(other), plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": 3}, "adapters.json: cannot be read .options: expected a list of texts"),
        ({"options": ["r=2", None]}, "options: expected a list of texts"),
        ({"options": ["rank"]}, "option 'rank': expected NAME=VALUE"),
        ({"options": ["r=0"]}, "r: expected 1 or more"),
        ({"adapters": ["lora"]}, "adapters: expected text"),
        ({"adapters": "lore"}, "did you mean 'lora'"),
        ({"digest": None}, "digest: expected text"),
        ({"digest": "0"}, "adapters of another base model"),
        (..., "adapters.json: is not valid JSON"),
    ],
)
def test_what_an_adapters_file_says_is_checked(source, tmp_path, change, message):
    encoder = load_encoder(source("whisper"))
    adapters = Adapters(encoder, "lora", ("r=2",))
    adapters.save(tmp_path)
    adapters.detach()
    path = tmp_path / "adapters.json"
    text = "[" * 3000 if change is ... else json.dumps(json.loads(path.read_text()) | change)
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        Adapters.load(tmp_path, encoder)
    assert str(tmp_path) in str(caught.value) and encoder.active_adapters is None
