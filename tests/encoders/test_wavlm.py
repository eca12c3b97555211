"""WavLM's attention calls its modules and stays what it was."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModel

from emobridge.encoders._wavlm import CallingAttention, call_modules

SAMPLES = (1600, 900)  # of two clips


@pytest.fixture(params=["wavlm-base", "wavlm-large"])
def stock(source, request):
    return AutoModel.from_pretrained(source(request.param), attn_implementation="eager").eval()


def outputs(model, masked: bool):
    wave = torch.randn(2, SAMPLES[0], generator=torch.Generator().manual_seed(0))
    mask = torch.arange(SAMPLES[0]) < torch.tensor(SAMPLES)[:, None]
    with torch.no_grad():
        return model(
            torch.where(mask, wave, 0.0) if masked else wave,
            attention_mask=mask.long() if masked else None,
            output_hidden_states=True,
            output_attentions=True,
        )


@pytest.mark.parametrize("masked", [False, True])
def test_the_output_is_the_librarys_and_weights_are_there_on_request(stock, masked):
    mended = copy.deepcopy(stock)
    call_modules(mended)
    expected, got = outputs(stock, masked), outputs(mended, masked)
    for ours, other in zip(got.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, other, atol=1e-5, rtol=0)
    assert len(got.attentions) == len(expected.attentions) == 2
    for ours, other in zip(got.attentions, expected.attentions):
        torch.testing.assert_close(ours.sum(3), torch.ones(ours.shape[:3]))
        torch.testing.assert_close(ours.mean(1), other[:, 0], atol=1e-5, rtol=0)
        assert not torch.allclose(ours[:, 0], ours[:, 1]), "each head has its own"


@pytest.mark.parametrize("name", ["q_proj", "k_proj", "v_proj", "out_proj"])
def test_each_module_is_called(stock, name):
    """Not so in the library's version, or this file could go."""
    called = []
    mended = copy.deepcopy(stock)
    call_modules(mended)
    for model in (stock, mended):
        attention = model.encoder.layers[1].attention
        getattr(attention, name).register_forward_hook(lambda *_, model=model: called.append(model is mended))
        outputs(model, masked=False)
    assert called == [True]


def test_dropout_falls_on_the_weights(stock):
    call_modules(stock)
    attention = stock.encoder.layers[0].attention
    assert isinstance(attention, CallingAttention)
    attention.dropout = 1.0
    hidden, bias = torch.randn(1, 5, 16), torch.zeros(2, 5, 5)
    torch.testing.assert_close(
        attention.train().torch_multi_head_self_attention(hidden, None, bias)[0],
        attention.out_proj.bias.expand(1, 5, 16),
    )
