"""LoRA is peft's: others read what we write, and we what they write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModel, HubertConfig, HubertModel, WavLMConfig, WavLMModel, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emobridge.adapters import Adapters
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.encoders.hf_ssl import HfSsl
from emobridge.errors import UserError


def stir(weights) -> None:
    generator = torch.Generator().manual_seed(0)
    for weight in weights:
        weight.data.copy_(0.3 * torch.randn(weight.shape, generator=generator))


def wave() -> torch.Tensor:
    return torch.randn(1, 3000, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", ["wav2vec2-base", "hubert-large"])
def test_a_user_of_peft_gets_the_same(source, tmp_path, name):
    encoder = load_encoder(source(name))
    adapters = Adapters(encoder, "lora", ["r=2", "alpha=6"])
    stir(adapters.parameters())
    adapters.save(tmp_path)
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(source(name)), str(tmp_path)).eval()
    values = wave()
    if encoder.normalises:
        values = (values - values.mean()) / (values.var(unbiased=False) + 1e-7).sqrt()
    with torch.no_grad():
        expected = model(values).last_hidden_state
        got = encoder(*pad([wave()[0].numpy()])).hidden[-1]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_a_user_of_peft_gets_the_same_from_whisper(source, tmp_path):
    """Whose blocks are named otherwise here."""
    encoder = load_encoder(source("whisper"), padding="full")
    adapters = Adapters(encoder, "lora", ["r=2", "alpha=6"])
    stir(adapters.parameters())
    adapters.save(tmp_path)
    adapters.detach()
    stock = WhisperEncoder(WhisperConfig(**json.loads((Path(source("whisper")) / "config.json").read_text())))
    weights = {name.replace("blocks.", "layers."): tensor for name, tensor in encoder.state_dict().items()}
    stock.load_state_dict({name: weights[name] for name in stock.state_dict()})
    model = PeftModel.from_pretrained(stock, str(tmp_path)).eval()
    Adapters.load(tmp_path, encoder)
    with torch.no_grad():
        mel = encoder.log_mel(wave(), torch.tensor([3000]))
        expected = model.base_model.model(mel).last_hidden_state
        got = encoder.layers_of(mel)[-1]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_what_peft_wrote_is_read(source, tmp_path):
    maps = ["q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense"]
    model = get_peft_model(
        AutoModel.from_pretrained(source("hubert-base")), LoraConfig(r=3, lora_alpha=9, target_modules=maps)
    )
    stir(weight for weight in model.parameters() if weight.requires_grad)
    model.save_pretrained(tmp_path)
    encoder = load_encoder(source("hubert-base"))
    Adapters.load(tmp_path, encoder)
    with torch.no_grad():
        expected = model.eval()(wave()).last_hidden_state
        torch.testing.assert_close(encoder(*pad([wave()[0].numpy()])).hidden[-1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("more", [{"use_dora": True}, {"use_rslora": True}, {"alpha_pattern": {"q_proj": 3}}])
def test_what_is_no_plain_lora_is_refused(source, tmp_path, more):
    model = AutoModel.from_pretrained(source("hubert-base"))
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], **more)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="expected plain LoRA"):
        Adapters.load(tmp_path, load_encoder(source("hubert-base")))


def test_what_is_no_safetensors_is_refused(source, tmp_path):
    encoder = load_encoder(source("hubert-base"))
    Adapters(encoder, "lora", ["r=2"]).save(tmp_path / "pickled")
    (tmp_path / "pickled" / "adapter_model.safetensors").rename(tmp_path / "pickled" / "adapter_model.bin")
    with pytest.raises(UserError, match="other formats than safetensors"):
        Adapters.load(tmp_path / "pickled", load_encoder(source("hubert-base")))


@pytest.mark.parametrize("name", ["hubert", "wavlm"])
def test_large_models_have_as_many_weights_as_published(name):
    """Goncalves et al. 2024: 24 x (4 x 32 x 2048 + 2 x 32 x 5120), on shapes alone."""
    from emobridge.encoders.hf_ssl import HfSsl

    with torch.device("meta"):
        from transformers import AutoConfig

        sizes = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
        config = AutoConfig.for_model(name, **sizes, feat_extract_norm="layer", do_stable_layer_norm=True)
        encoder = HfSsl(AutoModel.from_config(config), normalises=True)
        encoder.digest = "of no weights"
        adapters = Adapters(encoder, "lora")
    assert sum(weight.numel() for weight in adapters.parameters()) == 14_155_776


@pytest.mark.parametrize("change", [{"r": [2]}, {"r": 10**9}, {"lora_alpha": "x"}, {"lora_dropout": None}, ...])
def test_a_strange_configuration_of_peft_is_one_line(source, tmp_path, change):
    encoder = load_encoder(source("whisper"))
    adapters = Adapters(encoder, "lora", ("r=2",))
    adapters.save(tmp_path)
    adapters.detach()
    (tmp_path / "adapters.json").unlink()
    path = tmp_path / "adapter_config.json"
    path.write_text('{"a": ' * 3000 if change is ... else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"adapter_config\.json: ") as caught:
        Adapters.load(tmp_path, encoder)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("family", ["hubert", "wavlm"])
def test_the_weights_that_goncalves_et_al_count(family):
    """Methods A: rank 32 on six maps of each of 24 blocks of a large encoder, 4.3 % of its about 329 M."""
    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    kind = {"hubert": (HubertConfig, HubertModel), "wavlm": (WavLMConfig, WavLMModel)}[family]
    with torch.device("meta"):
        model = kind[1](kind[0](**sizes, feat_extract_norm="layer", do_stable_layer_norm=True))
        encoder = HfSsl(model, True)
        adapters = Adapters(encoder, "lora")
    assert sum(weight.numel() for weight in adapters.parameters()) == 14_155_776
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(329e6, rel=0.01)
