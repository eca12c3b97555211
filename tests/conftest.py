"""Fixtures that every room's tests share."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch: several tests run side by side
GENDERS = ("female", "male")  # of toy speakers, in turn
# The machine is not measured in tests, but where they are about that.
os.environ.setdefault("EMOBRIDGE_ENGINE", "torch")
os.environ.setdefault("EMOBRIDGE_PRECISION", "fp32")
# In a shell's background SIGINT is ignored, under nohup SIGHUP, and the processes of tests would inherit that.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


gc.disable()  # until all is collected: to look through what is imported for garbage took a third of that


def pytest_collection_finish():
    """What was imported stays to the end: to look through it for garbage took a tenth of the tests' time."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real corpora and weights; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("EMOBRIDGE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "corpora").is_dir() or not (folder / "weights").is_dir():
        pytest.skip(f"no real corpora and weights at {folder.name}/ (set EMOBRIDGE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def page_module():
    """A function that imports a module of docs/ by its name."""
    pytest.importorskip("mkdocstrings", reason="needs emobridge[docs]")

    def load(name):
        path = Path(__file__).parents[1] / "docs" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"docs_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def site_hooks(page_module):
    """docs/hooks.py, which makes pages of the documentation site from the package."""
    return page_module("hooks")


@pytest.fixture
def other_user(tmp_path_factory):
    """A function that calls another one as the user nobody, and gives back its result or its UserError as text.

    What the call needs must have been imported before. Skipped where the tests do not run as root.
    """
    if not hasattr(os, "fork") or os.getuid():
        pytest.skip("needs root, to become another user")
    import multiprocessing

    from emobridge.errors import UserError

    def work(call, results):
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            results.put(("result", call()))
        except UserError as error:
            results.put(("refused", str(error)))
        except BaseException as error:
            results.put(("error", repr(error)))

    def run(call):
        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        process = context.Process(target=work, args=(call, results))
        process.start()
        kind, value = results.get()
        process.join()
        assert kind != "error", value
        return value

    return run


@pytest.fixture
def open_folder():
    """A folder that every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def toy_speech():
    """A function to make a Speech of Gaussian features: one centre an emotion, the target's shifted away."""
    import numpy as np
    import torch

    from emobridge.data.speech import UNLABELLED, Speech
    from emobridge.types import Utterance

    def make(*, sources=("en",), speakers=4, each=3, emotions=2, width=4, shift=0.0, noise=0.3, extra=0, seed=0):
        """`each` utterances a speaker and emotion; `extra` target utterances a speaker without an emotion.

        speakers: of each source corpus, then of the target; one number for all.
        """
        rng = np.random.default_rng(seed)
        counts = (speakers,) * (len(sources) + 1) if isinstance(speakers, int) else speakers
        names = ("anger", "sadness", "neutral")[:emotions]
        centres = np.eye(3, width)[:emotions]
        utterances, labels, domains, features = [], [], [], []
        for domain, (corpus, count) in enumerate(zip((*sources, "xx"), counts)):
            away = shift if corpus == "xx" else 0.0
            for speaker in range(count):
                takes = [(label, take) for label in range(emotions) for take in range(each)]
                takes += [(UNLABELLED, take) for take in range(extra if corpus == "xx" else 0)]
                for label, take in takes:
                    emotion = None if label == UNLABELLED else names[label]
                    name = f"{corpus}-{speaker}-{emotion}-{take}"
                    about = {"language": corpus, "speaker": str(speaker), "gender": GENDERS[speaker % 2]}
                    utterances.append(Utterance(name, corpus, f"{name}.wav", emotion=emotion, **about))
                    labels.append(label)
                    domains.append(domain)
                    centre = centres[rng.integers(emotions)] if label == UNLABELLED else centres[label]
                    features.append(centre + away + noise * rng.standard_normal(width))
        values = torch.from_numpy(np.array(features, dtype=np.float32))
        return Speech(tuple(utterances), np.array(labels), np.array(domains), len(sources), values)

    return make


@pytest.fixture(scope="session")
def _recorded(tmp_path_factory):
    """Two manifests and their recordings: of two languages, four speakers each; anger is high and loud, sadness low."""
    import numpy as np
    import soundfile

    from emobridge.data.manifest import write_manifest
    from emobridge.types import Utterance

    folder = tmp_path_factory.mktemp("recorded")
    rng = np.random.default_rng(0)
    time = np.arange(4800) / 16000
    for corpus, pitch in (("en", 100.0), ("xx", 140.0)):
        rows = []
        for speaker in "abcd":
            for emotion, high in (("anger", 6.0), ("sadness", 1.0)):
                for take in range(2):
                    name = f"{corpus}-{speaker}-{emotion}-{take}"
                    wave = 0.05 * high * np.sin(2 * np.pi * pitch * high * time * rng.uniform(0.9, 1.1))
                    soundfile.write(folder / f"{name}.wav", wave + 0.01 * rng.standard_normal(len(time)), 16000)
                    path = str(folder / f"{name}.wav")
                    about = {"language": {"xx": "xh"}.get(corpus, corpus), "speaker": speaker}
                    about["gender"] = GENDERS["abcd".index(speaker) % 2]
                    rows.append(Utterance(name, corpus, path, emotion=emotion, **about))
        write_manifest(folder / f"{corpus}.jsonl", rows)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """No test reads or fills the user's own cache of features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOBRIDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def all_speech(monkeypatch):
    """Every recording counts as speech from its start to its end, for tests that `predict` tones and noise."""
    from emobridge.inference import segments
    from emobridge.types import SAMPLE_RATE

    monkeypatch.setattr(segments, "speech_segments", lambda pieces, **_: [(0.0, sum(map(len, pieces)) / SAMPLE_RATE)])


class _UndrawnError(Exception):
    """A figure was about to be made."""


@pytest.fixture(scope="session", autouse=True)
def _no_queue_of_seeds():
    """Devices that are not there are not seeded: torch would note the whole stack each time, 3 % of the tests' time."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        for device in (torch.cuda, torch.xpu, torch.mtia):
            if not device.is_available():
                patch.setattr(device, "manual_seed_all", lambda seed: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _confounds_once():
    """What loudness and length tell of the same corpus is computed once: 24 fits, in every small study anew."""
    from emobridge.audit import confound

    predict, known = confound._predict, {}

    def predicted(features, truth, folds):
        key = (features.shape, features.tobytes(), tuple(truth.tolist()), tuple(map(tuple, folds)))
        if key not in known:
            known[key] = predict(features, truth, folds)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confound, "_predict", predicted)
        yield


@pytest.fixture(scope="session", autouse=True)
def _undrawn():
    """Plots are empty, which spares half of a run; tests that look at pictures ask for `drawn`."""
    from emobridge.report import plots

    def undrawn(plot):
        @functools.wraps(plot)
        def draw(*data, **options):
            try:
                return plot(*data, **options)
            except _UndrawnError:
                return '<svg viewBox="0 0 1 1" xmlns="http://www.w3.org/2000/svg"></svg>'

        return draw

    def refuse(*size, **options):
        raise _UndrawnError

    new_figure = plots._new_figure
    with pytest.MonkeyPatch.context() as patch:
        for name, function in vars(plots).copy().items():
            if hasattr(function, "__wrapped__") and name != "_style":  # by _style(), as all that draw are
                patch.setattr(plots, name, undrawn(function))
        patch.setattr(plots, "_new_figure", refuse)
        yield new_figure


@pytest.fixture(scope="session")
def drawing(_undrawn):
    """A context in which plots are drawn, for what several tests share."""
    from emobridge.report import plots

    @contextlib.contextmanager
    def drawing():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plots, "_new_figure", _undrawn)
            yield

    return drawing


@pytest.fixture
def drawn(drawing):
    """Plots are drawn in this test."""
    with drawing():
        yield


@pytest.fixture
def recorded(_recorded, tmp_path, all_speech):
    """A copy of the two manifests en.jsonl and xx.jsonl and their 0.3 s recordings, to be changed at will.

    Their tones count as speech.
    """
    return Path(shutil.copytree(_recorded, tmp_path / "recorded"))


@pytest.fixture(scope="session")
def finished(_recorded):
    """The folder of a finished run from en.jsonl to xx.jsonl of `recorded`; its recogniser is in bundle/."""
    from emobridge.study.adapt import adapt

    out = _recorded.parent / "finished"
    adapt(
        source=(str(_recorded / "en.jsonl"),),
        target=str(_recorded / "xx.jsonl"),
        labels=("anger", "sadness"),
        method="pseudo-labels",
        out=str(out),
        store=str(_recorded.parent / "features"),
        seeds=2,
        folds=2,
        epochs=4,
    )
    return out


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """The folder of a Whisper encoder of two blocks of 16 with random weights; it hears two seconds at a time."""
    import json

    import torch
    from safetensors.torch import save_file

    from emobridge.encoders.whisper import Whisper

    config = {"model_type": "whisper", "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2}
    config |= {"encoder_ffn_dim": 32, "num_mel_bins": 80, "max_source_positions": 100}
    torch.manual_seed(1)
    state = Whisper(config).state_dict()
    folder = tmp_path_factory.mktemp("weights") / "tiny-whisper"
    folder.mkdir()
    tensors = {"model.encoder." + name.replace("blocks.", "layers."): value for name, value in state.items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@dataclass(frozen=True, slots=True)
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines of standard error that do not tell progress."""
        return [line for line in self.err.splitlines() if not re.fullmatch(r"[\w .-]+: \d+ of \d+", line)]


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """A function that runs a command line in this process."""
    from emobridge.cli.main import main

    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> Ran:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["emobridge", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stand-in of the model hub on this machine; see model_hub.py."""
    from model_hub import running_hub

    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))
    with running_hub(monkeypatch, tmp_path / "hub") as server:
        yield server


@pytest.fixture(scope="session")
def tiny_diarizer(tiny_encoder):
    """A function to make a diarizer of random weights; its words are those of `DiarizerSpec`."""
    import torch

    from emobridge.diarization.frame_model import Diarizer, DiarizerSpec, features_of_steps, make_head
    from emobridge.encoders import load_encoder

    encoder = load_encoder(tiny_encoder)

    def make(**options):
        words = {"labels": ("neutral", "anger", "sadness"), "encoder": str(tiny_encoder), "layer": "1"} | options
        spec = DiarizerSpec(digest=encoder.digest, **words)
        width = features_of_steps(spec, encoder)
        torch.manual_seed(0)
        head = make_head(spec, width).eval()
        return Diarizer(spec, encoder, head, torch.randn(width), torch.rand(width) + 0.1)

    return make


# Tiny random models of every family, written as the folders that a person downloads.
WHISPER = {
    "model_type": "whisper",
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "num_mel_bins": 80,
    "max_source_positions": 100,  # 2 s
}
SSL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 4, 4],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
# Base models: group norm, no normalisation of the input; large ones: layer norm everywhere.
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def write_whisper(folder: Path, prefix: str = "model.encoder.") -> Path:
    import torch
    from safetensors.torch import save_file

    from emobridge.encoders.whisper import Whisper

    torch.manual_seed(0)
    state = Whisper(WHISPER).state_dict()
    tensors = {prefix + name.replace("blocks.", "layers."): tensor.half() for name, tensor in state.items()}
    tensors["model.decoder.layers.0.fc1.bias"] = torch.zeros(3)
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(WHISPER))
    return folder


def write_byol_s(folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    from emobridge.encoders.byol_s import ByolS

    torch.manual_seed(0)
    encoder = ByolS()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.normal_(module.bias)
    folder.mkdir(exist_ok=True)
    save_file(encoder.state_dict(), folder / "model.safetensors")
    return folder


def write_ssl(folder: Path, name: str) -> Path:
    import torch
    import transformers

    family, size = name.split("-")
    config = transformers.AutoConfig.for_model(family, **SSL, **(BASE if size == "base" else LARGE))
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": size == "large"}))
    return folder


AST = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_length": 192}


def write_ast(folder: Path) -> Path:
    """As a checkpoint with a classifier has it; random position table and tokens, which begin as zeros."""
    import torch
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(0)
    model = ASTForAudioClassification(ASTConfig(**AST))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    ASTFeatureExtractor(max_length=192, mean=-5.0, std=4.0).save_pretrained(folder)
    return folder


@pytest.fixture
def stand_ins(monkeypatch):
    """Nobody compares the folder of a tiny encoder with the preset that it is given for."""
    for module in ("recipes.replication", "probe.encoders"):
        monkeypatch.setattr(f"emobridge.{module}.other_checkpoint", lambda name, folder: "")


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """name -> what load_encoder takes; a test's own random numbers are left alone, whichever test asks first."""

    import torch

    folders: dict[str, str] = {}

    def find(name: str) -> str:
        if name == "opensmile":
            pytest.importorskip("opensmile")
        if name in ("logmel", "opensmile", "emotion-cnn", "prosody"):
            return name
        if name not in folders:
            folder = tmp_path_factory.mktemp("weights") / name
            write = {"ast": write_ast, "whisper": write_whisper, "byol-s": write_byol_s}.get(name)
            with torch.random.fork_rng(devices=[]):
                folders[name] = str(write(folder) if write else write_ssl(folder, name))
        return folders[name]

    return find


@pytest.fixture(scope="session")
def made(source):
    """A function that makes a recogniser for a language: English heard by way of it too, all weights random."""

    import torch

    from emobridge.adapters import Adapters
    from emobridge.bundle import Recognizer, Spec, made_head
    from emobridge.encoders import load_encoder
    from emobridge.features.normalisation import Domain
    from emobridge.heads.base import Regressor

    def make(language, seed=0, *, adapters="lora", words=("r=2", "alpha=4"), name="whisper", encoder=None, **changes):
        torch.manual_seed(seed)
        encoder = encoder or load_encoder(source(name))
        about = {
            "labels": ("anger", "sadness", "neutral"),
            "encoder": source(name),
            "encoder_options": (),
            "digest": encoder.digest,
            "trained": "adapters" if adapters else "frozen",
            "layer": "0" if "layer-sum" in (adapters or "") else "1+2",
            "statistics": ("mean",),
            "normalise": "corpus",
            "by_corpus": (),
            "texts": ((), ()),
            "align": "none",
            "target_labels": "0",
            "head": "single",
            "head_options": (),
            "method": "source-only",
            "domains": (("ravdess", "en"), (f"of {language}", language)),
            "synthetic": False,
        }
        spec = Spec(**{**about, **changes})
        shape = (len(spec.layer.split("+")), encoder.width * len(spec.statistics))
        domains = [Domain(*names, torch.randn(shape), torch.rand(shape) + 0.5) for names in spec.domains]
        head = made_head(spec.head, spec.head_options, shape[0] * shape[1], max(len(spec.labels), 1))
        torch.nn.init.normal_(head.output.weight, std=0.05)  # no probability is near one
        if adapters:
            for weight in Adapters(encoder, adapters, words).parameters():
                torch.nn.init.normal_(weight, std=0.3)
        regressor = Regressor(head.output.in_features, spec.attributes) if spec.attributes else None
        return Recognizer(spec, encoder, domains, head, regressor=regressor)

    return make
