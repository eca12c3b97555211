"""Small valid models of every kind: bundles, folders of encoders, checkpoints; see `_doors`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from _doors import RATE, Door, tone

from emobridge.types import Utterance

# ---------------------------------------------------------------- bundles


LABELS = ("anger", "neutral", "sadness")


def _recognizer(folder: Path, *, adapters: str = "", trained: str = "frozen", encoder: str = "") -> Any:
    import torch

    from emobridge.adapters import Adapters
    from emobridge.bundle import Recognizer, Spec, made_head
    from emobridge.encoders import load_encoder
    from emobridge.features.normalisation import Domain

    torch.manual_seed(0)
    model = load_encoder(encoder or "logmel")
    about = {item.name: item.default for item in fields(Spec)} | {
        "labels": LABELS,
        "encoder": encoder or "logmel",
        "encoder_options": (),
        "digest": model.digest,
        "trained": trained,
        "layer": "1" if encoder else "0",
        "statistics": ("mean",),
        "normalise": "corpus",
        "by_corpus": (),
        "texts": ((), ()),
        "align": "none",
        "target_labels": "0",
        "head": "single",
        "head_options": (),
        "method": "source-only",
        "domains": (("ravdess", "en"), ("calls", "de")),
        "synthetic": False,
    }
    spec = Spec(**about)
    if adapters:
        for weight in Adapters(model, adapters, ("r=2", "alpha=4")).parameters():
            torch.nn.init.normal_(weight, std=0.3)
    shape = (1, model.width)
    domains = [Domain(*names, torch.randn(shape), torch.rand(shape) + 0.5) for names in spec.domains]
    head = made_head(spec.head, (), shape[1], len(LABELS))
    torch.nn.init.normal_(head.output.weight, std=0.05)
    return Recognizer(spec, model, domains, head)


def _answers(folder: Path) -> list[str]:
    import torch

    from emobridge.bundle import Recognizer
    from emobridge.inference.features import encode
    from emobridge.inference.predict import predictions_from

    recognizer = Recognizer.load(folder / "bundle")
    soundfile.write(folder / "clip.wav", tone(0.5), RATE)
    with torch.random.fork_rng(devices=[]):
        rows = [Utterance(str(folder / "clip.wav"), "calls", str(folder / "clip.wav"), language="de", speaker="a")]
        pooled = encode(recognizer, [tone(0.5)], [recognizer.last.adapters])
        (prediction,) = predictions_from(recognizer, rows, torch.stack(pooled))
    lines = [f"{name} {value:.3f}" for name, value in zip(prediction.labels, prediction.probabilities)]
    return [*lines, ascii((recognizer.spec.method, recognizer.spec.normalise, recognizer.spec.domains))]


def bundles() -> Iterator[Door]:
    ends = (".json", ".safetensors")

    def plain(folder: Path) -> None:
        _recognizer(folder).save(folder / "bundle", "card")

    def unsigned(folder: Path) -> None:
        plain(folder)
        path = folder / "bundle" / "bundle.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["sha256"]
        path.write_text(json.dumps(content), encoding="utf-8")

    def adapted(folder: Path) -> None:
        whisper = _write_whisper(folder / "encoder")
        _recognizer(folder, adapters="lora", trained="adapters", encoder=str(whisper)).save(folder / "bundle", "card")

    def end_to_end(folder: Path) -> None:
        whisper = _write_whisper(folder / "encoder")
        _recognizer(folder, trained="end-to-end", encoder=str(whisper)).save(folder / "bundle", "card")

    yield Door("bundles", "bundle", plain, _answers, ends, exact=True)
    yield Door("bundles", "bundle without a checksum", unsigned, _answers, ("bundle.json",))
    yield Door("bundles", "bundle with LoRA", adapted, _answers, (*(f"bundle{end}" for end in ends),), exact=True)
    yield Door("bundles", "adapters of peft", adapted, _peft, ("adapter_config.json", "adapter_model.safetensors"))
    yield Door("bundles", "adapters", adapted, _adapters, ("adapters/adapters.json",))
    yield Door("bundles", "bundle end to end", end_to_end, _answers, ("model.safetensors",))


def _peft(folder: Path) -> list[str]:
    from emobridge.adapters import Adapters
    from emobridge.encoders import load_encoder

    for path in (folder / "bundle" / "adapters").glob("*.json"):
        if path.name != "adapter_config.json":
            path.unlink()
    return _facts_of(Adapters.load(folder / "bundle" / "adapters", load_encoder(folder / "encoder")))


def _adapters(folder: Path) -> list[str]:
    from emobridge.adapters import Adapters
    from emobridge.encoders import load_encoder

    return _facts_of(Adapters.load(folder / "bundle" / "adapters", load_encoder(folder / "encoder")))


def _facts_of(adapters: Any) -> list[str]:
    return [ascii((adapters.names, adapters.options)), *(f"{weight.shape}" for weight in adapters.parameters())]


# ---------------------------------------------------------------- encoders


WHISPER = {
    "model_type": "whisper",
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "num_mel_bins": 80,
    "max_source_positions": 100,
    "scale_embedding": False,
    "activation_function": "gelu",
    "init_std": 0.02,
}
SSL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 4],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
AST = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_length": 64}


def _write_whisper(folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    from emobridge.encoders.whisper import Whisper

    torch.manual_seed(0)
    state = Whisper(WHISPER).state_dict()
    folder.mkdir(parents=True)
    tensors = {"model.encoder." + name.replace("blocks.", "layers."): tensor for name, tensor in state.items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(WHISPER))
    return folder


def _write_sharded(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    home = _write_whisper(folder)
    tensors = load_file(home / "model.safetensors")
    (home / "model.safetensors").unlink()
    parts = {"model-1-of-2.safetensors": sorted(tensors)[::2], "model-2-of-2.safetensors": sorted(tensors)[1::2]}
    for name, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, home / name)
    index = {"metadata": {}, "weight_map": {key: name for name, keys in parts.items() for key in keys}}
    (home / "model.safetensors.index.json").write_text(json.dumps(index))


def _write_ssl(folder: Path, family: str, large: bool) -> None:
    import torch
    import transformers

    norm = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True} if large else {}
    torch.manual_seed(0)
    transformers.AutoModel.from_config(
        transformers.AutoConfig.for_model(family, **{"feat_extract_norm": "group", **SSL, **norm})
    ).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": large, "sampling_rate": RATE}))


def _write_ast(folder: Path) -> None:
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    torch.manual_seed(0)
    ASTModel(ASTConfig(**AST)).save_pretrained(folder)
    ASTFeatureExtractor(max_length=64, mean=-5.0, std=4.0).save_pretrained(folder)


def _write_state(folder: Path, name: str) -> None:
    import torch
    from safetensors.torch import save_file

    from emobridge.encoders import load_encoder

    torch.manual_seed(0)
    options = {"weights": "random"} if name == "byol-s" else {}
    folder.mkdir(parents=True)
    save_file(load_encoder(name, **options).state_dict(), folder / "model.safetensors")


def configs() -> Iterator[Door]:
    families: dict[str, Callable[[Path], object]] = {
        "whisper": _write_whisper,
        "whisper in two files": _write_sharded,
        "wav2vec2": lambda folder: _write_ssl(folder, "wav2vec2", large=False),
        "hubert": lambda folder: _write_ssl(folder, "hubert", large=True),
        "wavlm": lambda folder: _write_ssl(folder, "wavlm", large=False),
        "ast": _write_ast,
        "byol-s": lambda folder: _write_state(folder, "byol-s"),
        "emotion-cnn": lambda folder: _write_state(folder, "emotion-cnn"),
    }
    for name, write in families.items():

        def write_folder(folder: Path, write: Callable[[Path], object] = write) -> None:
            write(folder / "e")

        has_config = name not in ("byol-s", "emotion-cnn")
        yield Door("configs", name, write_folder, _encode, (".json",) if has_config else (".safetensors",))
        if name in ("whisper", "wav2vec2", "ast"):
            yield Door("configs", f"{name}, weights", write_folder, _encode, (".safetensors",))
            yield Door("configs", f"{name}, random weights", write_folder, _encode_random, ("config.json",))


def _encode_random(folder: Path) -> list[str]:
    return _encode(folder, weights="random")


def _encode(folder: Path, **options: str) -> list[str]:
    import torch

    from emobridge.encoders import load_encoder

    encoder = load_encoder(folder / "e", **options)
    wave = torch.from_numpy(tone(0.6))[None]
    with torch.inference_mode():
        layers = encoder(wave, torch.ones(wave.shape, dtype=torch.bool))
    hidden = layers.hidden
    lines = [f"{type(encoder).__name__}: {encoder.layers} layers of {encoder.width}, {encoder.frame_rate:g} Hz"]
    lines.append(f"hidden {tuple(hidden.shape)} mean {float(hidden.mean()):.4g} deviation {float(hidden.std()):.4g}")
    return [*lines, f"options {encoder.options}"]


# ---------------------------------------------------------------- checkpoints


class _Inputs:
    """What a training checkpoint needs of its inputs."""

    def __init__(self) -> None:
        import torch

        self.moments = torch.zeros(2, 3)

    def modules(self) -> tuple[Any, ...]:
        return ()

    def state(self) -> dict[str, Any]:
        return {"moments": self.moments}

    def restore(self, state: dict[str, Any]) -> None:
        self.moments = state["moments"]


def _state(trained: bool, checkpoint: Path | None = None) -> Any:
    from types import SimpleNamespace

    import torch

    from emobridge.methods.base import Examples
    from emobridge.training.state import Problem, State

    torch.manual_seed(0)
    model, inputs = torch.nn.Linear(3, 2), _Inputs()
    task: Any = SimpleNamespace(inputs=inputs)
    nothing: Any = None
    state = State(Problem(task, nothing, nothing, 0, checkpoint=checkpoint), model)
    state.resume(torch.optim.Adam(model.parameters()))
    if trained:
        model(torch.ones(4, 3)).square().sum().backward()
        state.optimiser.step()
        state.epoch, inputs.moments = 3, torch.ones(2, 3)
        state.examples = Examples(torch.arange(3), torch.tensor([0, 1, 0]), torch.ones(3))
        state.note("validation loss", 0.5, 10)
    return state


def _hash_of(*parts: Any) -> str:
    import torch

    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.numpy().tobytes() if isinstance(part, torch.Tensor) else repr(part).encode())
    return digest.hexdigest()[:12]


def _resume(folder: Path) -> list[str]:
    import torch

    with torch.random.fork_rng(devices=[]):
        state = _state(trained=False, checkpoint=folder / "c.checkpoint")
    if not state.epoch:
        return []
    moments = [value for weight in state.optimiser.state_dict()["state"].values() for value in weight.values()]
    parts = (*state.model.state_dict().values(), *state.best.values(), *moments, state.examples.rows, state.log)
    return [f"epoch {state.epoch}, {_hash_of(*parts, state.inputs.moments, state.best_loss)}"]


def _stage(folder: Path) -> list[str]:
    import torch

    from emobridge.training.checkpoints import load_stage

    model = torch.nn.Linear(3, 2)
    stage = load_stage(model, folder / "s.safetensors")
    return [] if stage is None else [_hash_of(*model.state_dict().values(), stage)]


def _write_stage(folder: Path) -> None:
    from emobridge.training.checkpoints import LogPoint, save_stage

    save_stage(_state(trained=True).model, [LogPoint(0, "cross-entropy", 0.5)], None, folder / "s.safetensors")


def _write_fit(folder: Path) -> None:
    from emobridge.cache import Cache

    (folder / "work").mkdir()
    tensors = {"probabilities": np.linspace(0, 1, 6).reshape(3, 2)}
    Cache(folder / "work").write("k", tensors, {"log": "[]", "costs": "[]"})


def _fit(folder: Path) -> list[str]:
    from emobridge.cache import Cache

    stored = Cache(folder / "work").read("k")
    if stored is None:
        return []
    return [*(f"{key} {value.tolist()}" for key, value in stored[0].items()), ascii(sorted(stored[1].items()))]


def _probe_unit() -> Any:
    from emobridge.probe.units import ProbeUnit

    return ProbeUnit("logmel", "none", "emodb", "speaker", "single", ("0",))


def _write_probe_unit(folder: Path) -> None:
    from emobridge.probe.units import Outcome, UnitCache, UnitPredictions

    part = UnitPredictions("emodb", 0, np.arange(3), np.zeros(3, np.int64), np.full((1, 3, 2), 0.5))
    outcome = Outcome(_probe_unit(), (part,), np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2)))
    UnitCache(folder).write(outcome, "k")


def _read_probe_unit(folder: Path) -> list[str]:
    from emobridge.probe.units import UnitCache

    outcome = UnitCache(folder).read(_probe_unit(), "k")
    return [] if outcome is None else [ascii(outcome)]


KEYS = [f"{number:032x}" for number in range(1, 9)]


def _write_store(folder: Path) -> None:
    from emobridge.features import shards

    store, before = shards.Shards(folder / "store"), shards.MAX_UNINDEXED
    shards.MAX_UNINDEXED = 1  # so that there is an index
    try:
        for first in (0, 2, 4, 6):
            tensors = {str(layer): np.full((2, 3), first + layer, np.float32) for layer in range(2)}
            store.write(KEYS[first : first + 2], tensors)
    finally:
        shards.MAX_UNINDEXED = before


def _store(folder: Path) -> list[str]:
    """What the store has of the keys, read as `FeatureStore.extract` reads it."""
    from emobridge.features.shards import CorruptShard, Shards

    store = Shards(folder / "store")
    store.refresh()
    while True:
        places = store.find(KEYS)
        there = [row for row in range(len(KEYS)) if places[row, 0] >= 0]
        try:
            values = store.read_rows(places[there], ("0", "1"), 3)
        except CorruptShard:
            continue
        return [f"{KEYS[row][-2:]} {values[index].tolist()}" for index, row in enumerate(there)]


def checkpoints() -> Iterator[Door]:
    yield Door(
        "checkpoints",
        "training checkpoint",
        lambda folder: _state(trained=True, checkpoint=folder / "c.checkpoint").save(),
        _resume,
        exact=True,
    )
    yield Door("checkpoints", "stage", _write_stage, _stage, exact=True)
    yield Door("checkpoints", "fit", _write_fit, _fit, exact=True)
    yield Door("checkpoints", "probe unit", _write_probe_unit, _read_probe_unit, exact=True)
    yield Door("checkpoints", "feature store", _write_store, _store, exact=True)
