"""SpeechBrain's speechbrain/emotion-diarization-wavlm-large, from a folder with its files; SpeechBrain is not needed.

Wang, Ravanelli, Nfissi & Yacoubi 2023 (arXiv:2306.12991): WavLM-large, fine-tuned, and a linear layer on each frame.

    hyperparams.yaml     sizes, and how input and output are normalised (its !new:, !ref ... are read and never run)
    wav2vec2.ckpt        the state of WavLM, its keys after "model."
    model.ckpt           the linear layer "0.w.weight" (C, D), without a bias
    label_encoder.txt    'a' => 0, 'n' => 1, 'h' => 2, 's' => 3

The steps are those of SpeechBrain's `inference/diarization.py` for one recording: the mean of the waveform is taken
away (`input_norm`), then layer_norm of the waveform where the encoder's preprocessor has `do_normalize`, WavLM without
an attention mask, layer_norm over all frames and features together (`output_norm`), the mean over `window_length`
frames every `stride`, the linear layer, softmax. Frames are 20 ms apart; the last one is repeated up to the end of the
sound, as the recipe does with its last prediction.

Verified on public pages: the files and their sizes (model.ckpt of 17 kB holds 4 x 1024 numbers and no bias, and
wav2vec2.ckpt of 1.26 GB the 315,453,120 of WavLM-large), the order of the labels, hyperparams.yaml, the code of these
steps, WavLM-large's config.json. Not verified, since the weights were
not at hand: the keys of wav2vec2.ckpt (from the classes that write it), both spellings of weight norm among them; that
WavLM-large's preprocessor normalises (so its authors trained it; where a preprocessor_config.json is at hand, it says).
Ours: a long recording goes through in windows, each of which is normalised by itself. SpeechBrain would take it whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, layer_norm, pad

from emobridge.data.devices import device_of, single_precision
from emobridge.diarization.base import Waveform
from emobridge.diarization.speechbrain_files import Hyperparameters, read_labels, read_state
from emobridge.encoders import hub_folders
from emobridge.errors import UserError
from emobridge.files import is_readable, read_json
from emobridge.types import SAMPLE_RATE, short_repr

HYPERPARAMETERS, ENCODER_STATE, HEAD_STATE = "hyperparams.yaml", "wav2vec2.ckpt", "model.ckpt"
LABEL_ENCODER, HEAD_WEIGHT, PREFIX = "label_encoder.txt", "0.w.weight", "model."
FRAME_SECONDS = 0.02
STRIDES = (5, 2, 2, 2, 2, 2, 2)  # of the convolutions, where a configuration does not say
MOST_BLOCKS = 200
# s of a window, and around a frame. Ours: attention reaches over all of a window; of a recording of ZED (up to 15 s),
# all goes through at once, as it does in SpeechBrain.
MOST_SECONDS_AT_ONCE, SECONDS_AROUND = 30.0, 2.5
# The published config.json of microsoft/wavlm-large, where it differs from the library's defaults (wavlm-base).
WAVLM_LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True,
}  # fmt: skip
PRETRAINING_ONLY = frozenset({"masked_spec_embed"})  # of pre-training alone


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class SpeechBrainDiarizer:
    """SpeechBrain's frame model. It keeps the protocol `diarization.base.FrameModel`."""

    labels: tuple[str, ...]
    encoder: Any  # WavLM, a module
    weight: Tensor  # (C, D) of the linear layer
    settings: Hyperparameters
    normalises: bool  # whether the encoder takes waveforms of mean 0 and deviation 1

    context = SECONDS_AROUND
    longest = MOST_SECONDS_AT_ONCE
    synthetic = False

    @classmethod
    def load(cls, folder: str | Path, *, encoder: str | Path | None = None) -> SpeechBrainDiarizer:
        """The model in a folder. Where its WavLM has been moved, nothing is needed: the folder holds its weights.

        encoder: a folder with the config.json (and preprocessor_config.json) of the model that was fine-tuned; by
        default that in the hub's cache on this machine, else the published one of microsoft/wavlm-large.
        Errors: UserError naming the file for one that is missing, damaged, holds code, or does not fit the others.
        """
        folder = Path(folder)
        settings = Hyperparameters.read(folder / HYPERPARAMETERS)
        labels = read_labels(folder / LABEL_ENCODER)
        head = read_state(folder / HEAD_STATE)
        expected = (settings.labels, settings.width)
        if set(head) != {HEAD_WEIGHT} or head[HEAD_WEIGHT].shape != expected:
            shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in head.items())
            raise UserError(
                f"{folder / HEAD_STATE}: holds {shapes[:200] or 'nothing'}; expected {HEAD_WEIGHT} {expected}"
            )
        if not bool(head[HEAD_WEIGHT].isfinite().all()):
            raise UserError(f"{folder / HEAD_STATE}: holds numbers that are not finite")
        if len(labels) != settings.labels:
            raise UserError(f"{folder / LABEL_ENCODER}: {len(labels)} labels; {HYPERPARAMETERS} has {settings.labels}")
        config, normalises = _configuration(settings, encoder, folder)
        model = _open_wavlm(config, read_state(folder / ENCODER_STATE), folder / ENCODER_STATE)
        if model.config.hidden_size != settings.width:
            raise UserError(
                f"{folder / HYPERPARAMETERS}: encoder_dim is {settings.width}, and the encoder has "
                f"{model.config.hidden_size}"
            )
        return cls(labels, model, head[HEAD_WEIGHT].float(), settings, normalises)

    @property
    def frame_rate(self) -> float:
        """Hz: 50 where an answer is given for each frame."""
        return 1 / (FRAME_SECONDS * self.settings.stride)

    def frame_probabilities(self, wave: Waveform) -> Waveform:
        """(T,) of at most `longest` s -> (F, C), each row sums to 1; F = round(T / 16000 * frame_rate), at least 1.

        Rows are NaN where the encoder gives numbers that are not finite.
        """
        device = device_of(self.encoder)
        with torch.inference_mode(), single_precision(device):
            frames = self._frames(torch.from_numpy(wave).to(device, torch.float32)[None])[0]
            logits = (frames @ self.weight.to(device).T).double().cpu()
        count = max(1, round(len(wave) / SAMPLE_RATE * self.frame_rate))
        rows = torch.arange(count).clamp(max=len(logits) - 1)
        probabilities: Waveform = logits.softmax(1).float()[rows].numpy()
        return probabilities

    def _frames(self, wave: Tensor) -> Tensor:
        """(1, T) -> (1, F', D): what the linear layer sees; F' a frame or so less than a count by duration."""
        least = _receptive_field(self.encoder.config)
        wave = pad(wave, (0, max(0, least - wave.shape[1])))
        if self.settings.removes_mean:
            wave = wave - wave.mean()
        if self.normalises:
            wave = layer_norm(wave, wave.shape[1:])
        hidden: Tensor = self.encoder(wave).last_hidden_state
        if self.settings.output_norm:
            hidden = layer_norm(hidden, hidden.shape[1:])
        window, stride = self.settings.window, self.settings.stride
        if (window, stride) == (1, 1):
            return hidden
        window = min(window, hidden.shape[1])
        return avg_pool1d(hidden.transpose(1, 2), window, stride, ceil_mode=True).transpose(1, 2)


def is_speechbrain(folder: str | Path) -> bool:
    """Whether a folder holds the files of SpeechBrain's emotion diarization."""
    return all((Path(folder) / name).is_file() for name in (HYPERPARAMETERS, ENCODER_STATE, LABEL_ENCODER))


def _configuration(settings: Hyperparameters, encoder: str | Path | None, folder: Path) -> tuple[dict[str, Any], bool]:
    """The configuration of WavLM, and whether waveforms are normalised for it."""
    for candidate in _config_folders(settings.hub, encoder, folder):
        if is_readable(candidate / "config.json"):
            config = read_json(candidate / "config.json")
            if not isinstance(config, dict) or config.get("model_type") != "wavlm":
                raise UserError(
                    f"{candidate / 'config.json'}: expected the configuration of a WavLM, such as {settings.hub}"
                )
            usual = config.get("feat_extract_norm", "group") == "layer"
            return config, _normalises(candidate, usual)
    if encoder is not None:
        raise UserError(f"{encoder}: holds no config.json; expected the folder of {settings.hub}")
    if settings.hub != "microsoft/wavlm-large":
        raise UserError(f"{folder}: the configuration of {settings.hub} is not here; name its folder with --encoder")
    return dict(WAVLM_LARGE), True


def _config_folders(hub: str, encoder: str | Path | None, folder: Path) -> Iterator[Path]:
    """Folders that may hold the configuration: the one that is named, or the caches."""
    if encoder is not None:
        yield Path(encoder).expanduser()
        return
    name = "models--" + hub.replace("/", "--")
    yield from sorted((folder / "wav2vec2_checkpoint" / name / "snapshots").glob("*"))
    yield from (snapshot for snapshot in hub_folders() if snapshot.parent.parent.name == name)


def _normalises(folder: Path, usual: bool) -> bool:
    if not is_readable(folder / "preprocessor_config.json"):
        return usual
    settings = read_json(folder / "preprocessor_config.json")
    value = settings.get("do_normalize", True) if isinstance(settings, dict) else None
    if not isinstance(value, bool):
        raise UserError(f"{folder / 'preprocessor_config.json'}: do_normalize: expected true or false")
    return value


def _open_wavlm(config: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> Any:
    """WavLM with the tensors of a checkpoint. Errors: UserError where they do not fit the configuration."""
    from transformers import WavLMConfig, WavLMModel

    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    if not tensors or len(tensors) < len(state):
        other = next((name for name in state if not name.startswith(PREFIX)), "nothing")
        raise UserError(f"{path}: holds {other[:80]!r}; expected tensors whose names begin with {PREFIX!r}")
    _check_size(config, tensors, path)
    try:
        with torch.device("meta"):
            model = WavLMModel(WavLMConfig.from_dict({**config, "layerdrop": 0.0, "add_adapter": False,
                                                      "apply_spec_augment": False}))  # fmt: skip
    except Exception as error:  # the library's own kinds, of a configuration that somebody else wrote
        raise _no_wavlm(path, error) from error
    own = model.state_dict()
    tensors = {_present_name(name, own): tensor for name, tensor in tensors.items()}
    missing = [name for name in own if name not in tensors and name not in PRETRAINING_ONLY]
    extra = [name for name in tensors if name not in own and name not in PRETRAINING_ONLY]
    if missing or extra:
        what = f"lacks the tensor {missing[0]!r}" if missing else f"holds {extra[0][:80]!r}, which no such WavLM has"
        raise UserError(f"{path}: {what}; is it of another encoder?")
    for name, weight in own.items():
        tensor = tensors.setdefault(name, torch.zeros(weight.shape))  # only of PRETRAINING_ONLY
        if tensor.shape != weight.shape:
            raise UserError(f"{path}: {name!r} has the shape {tuple(tensor.shape)}, expected {tuple(weight.shape)}")
        if not bool(tensor.sum().isfinite()):
            raise UserError(f"{path}: {name!r} holds numbers that are not finite")
    used = {name: nn.Parameter(tensors[name].float(), requires_grad=False) for name in own}
    model.load_state_dict(used, assign=True)
    model.train(False)
    try:
        with torch.inference_mode():
            model(torch.zeros(1, _receptive_field(model.config)))
    except Exception as error:
        raise _no_wavlm(path, error) from error
    return model


def _no_wavlm(path: Path, error: Exception) -> UserError:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return UserError(f"{path.parent}: its encoder's configuration makes no WavLM ({reason})")


def _check_size(config: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse a configuration of another depth before anything is made by it, however deep."""
    layers = {match[1] for name in tensors if (match := re.match(r"encoder\.layers\.(\d{1,4})\.", name))}
    deep = config.get("num_hidden_layers", 12)
    if deep != len(layers) or len(layers) > MOST_BLOCKS:
        raise UserError(f"{path}: has {len(layers)} layers, and the configuration of its encoder {str(deep)[:20]}")
    strides = config.get("conv_stride", STRIDES)
    if not isinstance(strides, (list, tuple)) or not all(type(stride) is int and stride > 0 for stride in strides):
        raise UserError(f"{path.parent}: conv_stride of its encoder's configuration: expected a list of sizes")
    if len(strides) > MOST_BLOCKS or math.prod(strides) != FRAME_SECONDS * SAMPLE_RATE:
        raise UserError(f"{path.parent}: conv_stride of its encoder's configuration: expected frames of 20 ms")


def _present_name(name: str, own: Mapping[str, Tensor]) -> str:
    """The name that this library has for a tensor; weight norm was spelt in another way before torch 2.1."""
    for number, old in enumerate(("weight_g", "weight_v")):
        new = f"parametrizations.weight.original{number}"
        for before, after in ((old, new), (new, old)):
            if name.endswith(f".{before}") and name not in own:
                return name.removesuffix(before) + after
    return name


def _receptive_field(config: Any) -> int:
    """Samples that the first frame depends on."""
    field = 1
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride))):
        field = (field - 1) * stride + kernel
    return field
