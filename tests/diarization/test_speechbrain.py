"""SpeechBrain's checkpoint, on a tiny fabricated one: the same answers as its steps by hand, and bad files by name."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import soundfile
import torch
from torch.nn.functional import avg_pool1d, layer_norm
from transformers import WavLMConfig, WavLMModel

from emobridge.diarization.base import FrameModel
from emobridge.diarization.speechbrain import SpeechBrainDiarizer, is_speechbrain
from emobridge.errors import UserError

TINY = {
    "model_type": "wavlm", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "conv_dim": [8] * 7, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2, "num_buckets": 16, "max_bucket_distance": 40,
}  # fmt: skip
YAML = """\
HPARAMS_NEEDED: ["window_length", "stride", "encoder_dim", "out_n_neurons", "avg_pool", "label_encoder", "softmax"]
wav2vec2_hub: "someone/wavlm-tiny"
pretrained_path: /home/ywang/zed_pr/sed_hf
window_length: 1 # win_len = 0.02 * 1 = 0.02s
stride: 1
encoder_dim: 16
out_n_neurons: 4
__set_seed: !apply:speechbrain.utils.seed_everything [!ref <seed>]
input_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
wav2vec2: !new:speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2
    source: !ref <wav2vec2_hub>
    output_norm: True
    freeze: False
    save_path: wav2vec2_checkpoint
avg_pool: !new:speechbrain.nnet.pooling.Pooling1d
    pool_type: "avg"
    kernel_size: !ref <window_length>
output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <encoder_dim>
    n_neurons: !ref <out_n_neurons>
    bias: False
model: !new:torch.nn.ModuleList
    - [!ref <output_mlp>]
compute_cost: !name:speechbrain.nnet.losses.nll_loss
evil: !!python/object/apply:os.system ["touch /tmp/should-not-be-there"]
"""
BOMB = (
    "a0: &a0 [0, 0]\n"
    + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))
    + "stride: *a30"
)
LABELS = "'a' => 0\n'n' => 1\n'h' => 2\n's' => 3\n================\n'starting_index' => 0\n"
SECOND = 16_000


@pytest.fixture(scope="module")
def wavlm():
    torch.manual_seed(0)
    return WavLMModel(WavLMConfig.from_dict(TINY)).eval()


@pytest.fixture
def folder(tmp_path, wavlm):
    """A folder as SpeechBrain leaves it, and beside it that of the encoder."""
    place = tmp_path / "sed"
    place.mkdir()
    (place / "hyperparams.yaml").write_text(YAML.replace("!!python/object/apply:os.system", "!new:os.system"))
    (place / "label_encoder.txt").write_text(LABELS)
    write_state(place, wavlm.state_dict())
    torch.manual_seed(1)
    torch.save({"0.w.weight": torch.randn(4, 16)}, place / "model.ckpt")
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text(json.dumps(TINY))
    return place


def write_state(place, state):
    """Keys as of a model within a module, in the spelling of the torch of 2023."""
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    named = {}
    for name, tensor in state.items():
        for new, before in old.items():
            name = name.replace(new, before)
        named[f"model.{name}"] = tensor
    torch.save(named, place / "wav2vec2.ckpt")


def load(folder, **options):
    return SpeechBrainDiarizer.load(folder, encoder=folder.parent / "encoder", **options)


def sound(seconds=1.0, seed=0):
    wave = 0.01 * np.random.default_rng(seed).standard_normal(round(seconds * SECOND)) + 0.003
    return wave.astype(np.float32)


def by_hand(wavlm, folder, wave, window=1, stride=1):
    """SpeechBrain's steps, written out."""
    x = torch.from_numpy(wave)[None]
    x = x - x.mean()
    x = layer_norm(x, x.shape)
    with torch.no_grad():
        out = wavlm(x)[0]
        out = layer_norm(out, out.shape)
        out = avg_pool1d(out.transpose(1, 2), window, stride, ceil_mode=True).transpose(1, 2)
        logits = torch.nn.functional.linear(out, torch.load(folder / "model.ckpt")["0.w.weight"])
    return logits.softmax(-1)[0].numpy()


def test_answers_are_those_of_its_steps_by_hand(folder, wavlm):
    assert is_speechbrain(folder)
    model = load(folder)
    assert isinstance(model, FrameModel)
    assert (model.labels, model.frame_rate, model.synthetic) == (
        ("anger", "neutral", "happiness", "sadness"),
        50.0,
        False,
    )
    frames = model.frame_probabilities(sound())
    expected = by_hand(wavlm, folder, sound())
    assert frames.shape == (50, 4) and len(expected) == 49
    assert frames[:49] == pytest.approx(expected, abs=1e-5)
    assert (frames[49] == frames[48]).all()  # the last is repeated, as in the recipe
    assert frames.sum(1) == pytest.approx(np.ones(50), abs=1e-5) and np.ptp(frames) > 0.1


@pytest.mark.parametrize("samples", [1, 100, 399, 400, 401, 16_000, 31_999])
def test_any_length_has_its_number_of_frames(folder, samples):
    frames = load(folder).frame_probabilities(sound(samples / SECOND))
    assert frames.shape == (max(1, round(samples / SECOND * 50)), 4) and np.isfinite(frames).all()


def test_sound_that_is_no_number_makes_no_answer(folder):
    wave = sound()
    wave[5] = np.nan
    assert np.isnan(load(folder).frame_probabilities(wave)).all()


def test_silence_has_an_answer(folder):
    assert np.isfinite(load(folder).frame_probabilities(np.zeros(SECOND, np.float32))).all()


def test_frames_are_averaged_where_the_file_says_so(folder, wavlm):
    text = (folder / "hyperparams.yaml").read_text().replace("window_length: 1", "window_length: 5")
    (folder / "hyperparams.yaml").write_text(text.replace("stride: 1", "stride: 5"))
    model = load(folder)
    frames = model.frame_probabilities(sound())
    assert (model.frame_rate, frames.shape) == (10.0, (10, 4))
    assert frames == pytest.approx(by_hand(wavlm, folder, sound(), 5, 5), abs=1e-5)
    assert model.frame_probabilities(sound(0.01)).shape == (1, 4)


def test_the_preprocessor_decides_whether_waveforms_are_normalised(folder):
    quiet = load(folder).frame_probabilities(sound())
    (folder.parent / "encoder" / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert not np.allclose(load(folder).frame_probabilities(sound()), quiet, atol=1e-4)
    (folder.parent / "encoder" / "preprocessor_config.json").write_text('{"do_normalize": "yes"}')
    with pytest.raises(UserError, match="do_normalize: expected true or false"):
        load(folder)


@pytest.mark.parametrize("spelling", ["new", "old"])
def test_both_spellings_of_weight_norm_are_read(folder, wavlm, spelling):
    if spelling == "new":
        torch.save({f"model.{name}": tensor for name, tensor in wavlm.state_dict().items()}, folder / "wav2vec2.ckpt")
    assert load(folder).frame_probabilities(sound())[:49] == pytest.approx(by_hand(wavlm, folder, sound()), abs=1e-5)


def test_the_mask_of_pre_training_may_be_missing(folder, wavlm):
    write_state(folder, {name: tensor for name, tensor in wavlm.state_dict().items() if name != "masked_spec_embed"})
    assert load(folder).frame_probabilities(sound())[:49] == pytest.approx(by_hand(wavlm, folder, sound()), abs=1e-5)


def test_the_configuration_is_looked_for_in_the_caches(folder):
    with pytest.raises(UserError, match="someone/wavlm-tiny is not here; name its folder with --encoder"):
        SpeechBrainDiarizer.load(folder)
    place = folder / "wav2vec2_checkpoint" / "models--someone--wavlm-tiny" / "snapshots" / "0123"
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(TINY))
    assert SpeechBrainDiarizer.load(folder).frame_probabilities(sound()).shape == (50, 4)
    with pytest.raises(UserError, match=r"holds no config\.json"):
        SpeechBrainDiarizer.load(folder, encoder=folder)


def test_wavlm_large_is_known_by_its_numbers(folder):
    text = (folder / "hyperparams.yaml").read_text()
    (folder / "hyperparams.yaml").write_text(text.replace("someone/wavlm-tiny", "microsoft/wavlm-large"))
    with pytest.raises(UserError, match=r"wav2vec2\.ckpt: has 2 layers, and the configuration of its encoder 24"):
        SpeechBrainDiarizer.load(folder)


def test_a_checkpoint_with_code_is_refused_and_not_run(folder, tmp_path):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for write in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        for name in ("wav2vec2.ckpt", "model.ckpt"):
            before = (folder / name).read_bytes()
            write({"model.x": Code()}, folder / name)
            with pytest.raises(UserError, match=f"{name}: holds more than tensors, which is never loaded"):
                load(folder)
            (folder / name).write_bytes(before)
    assert not (tmp_path / "ran").exists()


def test_tags_of_the_yaml_are_not_run(folder, tmp_path):
    with (folder / "hyperparams.yaml").open("a") as file:
        file.write(f'more: !apply:os.system ["touch {tmp_path / "ran"}"]\n')
    load(folder)
    assert not (tmp_path / "ran").exists()
    (folder / "hyperparams.yaml").write_text(YAML)
    with pytest.raises(UserError, match=r"hyperparams\.yaml: not valid YAML"):
        load(folder)


def changed(state, **changes):
    return {**state, **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {name: t for name, t in state.items() if "feature_projection.projection.bias" not in name},
         "lacks the tensor 'feature_projection.projection.bias'"),
        (lambda state: changed(state, **{"model.decoder.weight": torch.zeros(2)}), "holds 'decoder.weight'"),
        (lambda state: changed(state, **{"other.weight": torch.zeros(2)}), "holds 'other.weight'; expected tensors"),
        (lambda state: {name.removeprefix("model."): tensor for name, tensor in state.items()}, "begin with 'model.'"),
        (lambda state: changed(state, **{"model.feature_projection.projection.bias": torch.zeros(7)}),
         r"'feature_projection.projection.bias' has the shape \(7,\), expected \(16,\)"),
        (lambda state: changed(state, **{"model.feature_projection.projection.bias": torch.full((16,), torch.nan)}),
         "holds numbers that are not finite"),
        (lambda state: changed(state, **{"model.x": torch.zeros(2, dtype=torch.long)}), "is no tensor of numbers"),
        (lambda state: {name: t for name, t in state.items() if ".layers.1." not in name}, "has 1 layers"),
        (lambda state: {}, "holds 'nothing'"),
        (lambda state: [1], "expected tensors with names, not list"),
        (lambda state: {1: torch.zeros(1)}, "expected tensors with names"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_named(folder, change, message):
    path = folder / "wav2vec2.ckpt"
    torch.save(change(torch.load(path)), path)
    with pytest.raises(UserError, match=rf"wav2vec2\.ckpt: .*{message}"):
        load(folder)


@pytest.mark.parametrize("name", ["wav2vec2.ckpt", "model.ckpt"])
@pytest.mark.parametrize("size", [0, 10, 0.5])
def test_a_truncated_checkpoint_is_named(folder, name, size):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(size * len(content)) if isinstance(size, float) else size])
    with pytest.raises(UserError, match=rf"{name}: is damaged, or no checkpoint of torch") as error:
        load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["wav2vec2.ckpt", "model.ckpt", "label_encoder.txt", "hyperparams.yaml"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert is_speechbrain(folder) == (name == "model.ckpt")
    with pytest.raises(UserError, match=name):
        load(folder)


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        (
            "hyperparams.yaml",
            "encoder_dim: 16",
            "encoder_dim: 8",
            r"model\.ckpt: holds 0\.w\.weight \(4, 16\)",
        ),
        ("hyperparams.yaml", "encoder_dim: 16", "encoder_dim: sixteen", "encoder_dim: expected a whole number"),
        (
            "hyperparams.yaml",
            "encoder_dim: 16",
            "encoder_dims: 16",
            "did you mean it by 'encoder_dims'",
        ),
        ("hyperparams.yaml", "stride: 1", "stride: 0", "stride: expected a whole number from 1, got 0"),
        ("hyperparams.yaml", "norm_type: sentence", "norm_type: global", "input_norm: expected norm_type: sentence"),
        ("hyperparams.yaml", "bias: False", "bias: True", "output_mlp: expected bias: False"),
        ("hyperparams.yaml", 'wav2vec2_hub: "someone/wavlm-tiny"', "wav2vec2_hub:", "wav2vec2_hub: expected the name"),
        ("hyperparams.yaml", "stride: 1", "stride: [", "not valid YAML"),
        ("hyperparams.yaml", "stride: 1", BOMB, "stride: expected a whole number from 1"),
        ("hyperparams.yaml", "stride: 1", "stride: 2026-99-99", "not valid YAML"),
        ("label_encoder.txt", "'s' => 3\n", "", r"label_encoder\.txt: 3 labels; hyperparams\.yaml has 4"),
        ("label_encoder.txt", "'s' => 3", "'s' => 4", r"indices from 0, got 0, 1, 2, 4"),
        ("label_encoder.txt", "'s' => 3", "'s' => 2", r"label_encoder\.txt:4: .*a second of it"),
        ("label_encoder.txt", "'s' => 3", "'h' => 3", r"label_encoder\.txt:4: .*a second of it"),
        ("label_encoder.txt", "'s' => 3", "'x7' => 3", r"label_encoder\.txt:4: unknown emotion label 'x7'"),
        ("label_encoder.txt", "'s' => 3", "s = 3", r"label_encoder\.txt:4: 's = 3'; expected a label and its index"),
        ("label_encoder.txt", "'s' => 3", "[]*10 => 3", "expected a label and its index"),
    ],
)
def test_values_that_do_not_fit_are_named(folder, name, before, after, message):
    text = (folder / name).read_text()
    assert before in text
    (folder / name).write_text(text.replace(before, after))
    with pytest.raises(UserError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**TINY, "model_type": "hubert"}, "expected the configuration of a WavLM"),
        ({**TINY, "num_hidden_layers": 100_000}, "configuration of its encoder 100000"),
        ({**TINY, "hidden_size": 0}, "makes no WavLM|has the shape"),
        ({**TINY, "num_attention_heads": 3}, "makes no WavLM"),
        ({**TINY, "conv_dim": 5}, "conv_dim"),
        ({**TINY, "conv_stride": [10**6] * 7}, "conv_stride .* expected frames of 20 ms"),
        ({**TINY, "conv_stride": [0] * 7}, "conv_stride .* expected a list of sizes"),
        ({**TINY, "hidden_act": "gelo"}, "makes no WavLM"),
        ({**TINY, "layer_norm_eps": "small"}, "makes no WavLM"),
        ([], "expected the configuration of a WavLM"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(folder, config, message):
    (folder.parent / "encoder" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        load(folder)


def test_large_files_of_text_are_not_read(folder):
    (folder / "hyperparams.yaml").write_text("#" * (1 << 20) + "\n")
    with pytest.raises(UserError, match="larger than 1,048,576 bytes"):
        load(folder)


def test_the_command_runs_it(folder, cli, tmp_path, all_speech):
    soundfile.write(tmp_path / "call.wav", sound(4.0), SECOND)
    (tmp_path / "ref.rttm").write_text("SPEAKER call 1 1.0 2.0 <NA> <NA> anger <NA> <NA>\n")
    words = ("--encoder", tmp_path / "encoder", "--out", tmp_path / "o.jsonl", "--reference", tmp_path / "ref.rttm")
    done = cli("diarize", folder, tmp_path / "call.wav", *words)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert rows[-1]["end"] == 4.0 and set(rows[0]["probabilities"]) == {"anger", "neutral", "happiness", "sadness"}
    assert "all, mean over utterances" in done.out
    done = cli("diarize", folder, tmp_path / "call.wav")
    assert done.code == 2 and "someone/wavlm-tiny is not here" in done.err
