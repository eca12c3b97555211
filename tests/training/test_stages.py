"""Fits in stages: what each learns and leaves alone, and that nothing is lost or done twice."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from emobridge import registry
from emobridge.bundle import Recognizer
from emobridge.cache import Cache
from emobridge.data.manifest import read_manifest
from emobridge.data.speech import Fold, Speech
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.inference.evaluate import evaluate
from emobridge.inference.predict import predict
from emobridge.settings import Adapt, write_settings
from emobridge.study.adapt import train
from emobridge.study.cases import draft
from emobridge.study.prepare import resolve, start
from emobridge.training import loop as training
from emobridge.training import stages
from emobridge.training.case import Case
from emobridge.training.hardware import Accelerated
from emobridge.training.stages import FitContext, Fitted, run_stages
from emobridge.training.steps import SingleSteps

CNN = {"encoder": "emotion-cnn", "layer": "0", "method": "fine-tuned", "target_labels": "0"}


@pytest.fixture
def settings(recorded, tmp_path, source):
    """A request of a fit of a second or less; LoRA of rank 2 without dropout, where adapters are trained."""

    def make(**changes) -> Adapt:
        plain = {
            "source": (str(recorded / "en.jsonl"),),
            "target": str(recorded / "xx.jsonl"),
            "labels": ("anger", "sadness"),
            "encoder": str(source("whisper")),
            "method": "ft-lora",
            "target_labels": "all",
            "normalise": "none",
            "layer": "2",
            "out": str(tmp_path / "run"),
            "store": str(tmp_path / "store"),
        }
        plain |= {"seeds": 1, "folds": 2, "epochs": 2, "batch_size": 8, "learning_rate": 0.01, "crop": 0.2}
        values = {**plain, **changes}
        if "lora" in values["method"] or values["method"] == "two-stage":
            values = {"adapter_options": ("lora.r=2", "lora.dropout=0"), **values}
        return Adapt.of(**values)

    return make


def fold() -> Fold:
    """Speaker d of each side is scored."""
    return Fold(tuple(range(12)), tuple(range(12, 16)), tuple(range(16, 28)), tuple(range(28, 32)))


def decided(request: Adapt) -> tuple[Case, Speech]:
    """The case of the request's own method, and the speech."""
    started = start(resolve(request), lambda speech: None, cache=Cache(None))
    return started.decision.cases[-1], started.prepared.speech


def fitted(request: Adapt, **place) -> Fitted:
    return run_stages(*decided(request), fold(), 0, FitContext(**place))


def weights(one: Fitted) -> dict[str, torch.Tensor]:
    own = {f"encoder.{name}": tensor for name, tensor in one.encoder.state_dict().items()}
    return own | {f"head.{name}": tensor for name, tensor in one.head.state_dict().items()}


def plain(name: str) -> str:
    """The name of a weight in an encoder without LoRA."""
    return name.replace(".base_layer", "")


def same(one: dict, two: dict, **near) -> None:
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, **(near or {"rtol": 0, "atol": 0}), msg=name)


def test_ft_lora_adds_a_language_to_what_fine_tuning_made(settings):
    tuned = fitted(settings(method="fine-tuned", target_labels="0"))
    added = fitted(settings())
    assert (tuned.trained, added.trained) == ("end-to-end", "end-to-end+adapters")
    base = {plain(name): tensor for name, tensor in added.encoder.state_dict().items() if "lora_" not in name}
    same(tuned.encoder.state_dict(), base)
    stock = load_encoder(settings().features.encoder).state_dict()
    assert any((stock[name] - tensor).abs().max() > 1e-4 for name, tensor in base.items()), "the first stage trains it"
    assert all(tensor.abs().max() > 0 for name, tensor in added.encoder.state_dict().items() if "lora_B" in name), (
        "and the second the adapters"
    )
    same(tuned.head.state_dict(), added.before[0][0].state_dict())
    assert not torch.equal(added.before[0][0].output.weight, added.head.output.weight), "the head goes on"


def test_only_what_a_stage_names_is_trained(settings):
    lora = fitted(settings(method="lora", target_labels="0"))
    stock = load_encoder(settings().features.encoder).state_dict()
    same(stock, {plain(name): one for name, one in lora.encoder.state_dict().items() if "lora_" not in name})
    some = fitted(settings(method="fine-tuned", target_labels="0", blocks="1"))
    changed = {
        name.split(".")[1] for name, one in some.encoder.state_dict().items() if not torch.equal(one, stock[name])
    }
    assert changed == {"1"}


@pytest.mark.parametrize("method", ["fine-tuned", "lora", "ft-dual", "ft-joint", "ft-lora", "two-stage"])
def test_a_stage_learns_from_its_sides_alone(settings, method, monkeypatch):
    seen = []
    original = stages.fit_alone
    monkeypatch.setattr(stages, "fit_alone", lambda fit, *more: seen.append(fit.task) or original(fit, *more))
    needs = "target_labels" in registry.load("methods", method).needs
    fitted(settings(method=method, target_labels="all" if needs else "0", epochs=1))
    wanted = {
        "fine-tuned": [(12, None)],
        "lora": [(12, None)],
        "ft-dual": [(12, None), (None, 12)],
        "ft-joint": [(12, 12)],
        "ft-lora": [(12, None), (None, 12)],
        "two-stage": [(12, None), (None, 12)],
    }[method]
    assert [tuple(part and len(part.rows) for part in (task.source, task.labelled_target)) for task in seen] == wanted


def test_one_language_after_the_other_ends_apart_in_the_two_directions(settings, recorded):
    """FT(dual) of methods A: the order of the languages is that of training. All at once it would be no order."""
    one = fitted(settings(method="ft-dual"))
    swapped = {"source": (str(recorded / "xx.jsonl"),), "target": str(recorded / "en.jsonl")}
    other = fitted(settings(method="ft-dual", **swapped))
    assert one.trained == other.trained == "end-to-end"
    tuned = fitted(settings(method="fine-tuned", target_labels="0"))
    same(tuned.head.state_dict(), one.before[0][0].state_dict())
    assert not torch.equal(one.head.output.weight, tuned.head.output.weight), "the head goes on"
    apart = max(
        (one.encoder.state_dict()[name] - weight).abs().max() for name, weight in other.encoder.state_dict().items()
    )
    assert apart > 1e-3


def test_two_stages_train_the_same_adapters(settings):
    one, two = fitted(settings(method="lora", target_labels="0")), fitted(settings(method="two-stage"))
    assert one.trained == two.trained == "adapters" and len(two.encoder.active_adapters.parts) == 1
    assert one.encoder.state_dict().keys() == two.encoder.state_dict().keys()


def test_methods_share_the_stage_that_they_begin_with(settings, tmp_path, monkeypatch):
    alone = fitted(settings())
    tuned = fitted(settings(method="fine-tuned", target_labels="0"), shared=Cache(tmp_path / "kept"))
    count = []
    original = stages.fit_alone
    monkeypatch.setattr(stages, "fit_alone", lambda *given: count.append(1) or original(*given))
    added = fitted(settings(), shared=Cache(tmp_path / "kept"))
    assert len(count) == 1, "the second stage"
    same(weights(alone), weights(added))
    again = fitted(settings(method="fine-tuned", target_labels="0"), shared=Cache(tmp_path / "kept"))
    assert len(count) == 1
    same(weights(tuned), weights(again))
    fitted(settings(method="fine-tuned", target_labels="0", learning_rate=0.02), shared=Cache(tmp_path / "kept"))
    assert len(count) == 2, "other settings, another result"


class Interrupted(Exception):
    pass


TRAIN_EPOCH = training._epoch


def counted_epochs(monkeypatch, stop):
    """The numbers of the epochs that are trained from here on; after `stop` of them, if any, a fit is interrupted."""
    epochs = []

    def counted(*given):
        if len(epochs) == stop:
            raise Interrupted
        epochs.append(given[3])
        return TRAIN_EPOCH(*given)

    monkeypatch.setattr(training, "_epoch", counted)
    return epochs


def test_an_interrupted_fit_goes_on_in_its_stage(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "Plan", functools.partial(training.Plan, checkpoint_every=0.0))
    options = settings(adapter_options=("lora.r=2", "lora.dropout=0.3"))
    whole = fitted(options)
    for after in (1, 2, 3):
        before = counted_epochs(monkeypatch, after)
        with pytest.raises(Interrupted):
            fitted(options, path=tmp_path / "work" / "one")
        rest = counted_epochs(monkeypatch, None)
        again = fitted(options, path=tmp_path / "work" / "one")
        assert before + rest == [0, 1, 0, 1], "two stages of two epochs, none twice"
        same(weights(whole), weights(again))
        assert whole.log == again.log and [point.epoch for point in whole.log] == [0, 1, 2, 3]
        assert [cost.stage for cost in again.costs] == [1, 2]
        assert not list((tmp_path / "work").iterdir()), "nothing is left lying about"


def test_a_checkpoint_of_adapters_holds_no_weight_of_the_encoder(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "Plan", functools.partial(training.Plan, checkpoint_every=0.0))
    original = training.State.save
    names = []

    def looked(self):
        original(self)
        with safe_open(self.problem.checkpoint, framework="pt") as file:
            names.extend(name for name in file.keys() if name.startswith("model."))  # noqa: SIM118

    monkeypatch.setattr(training.State, "save", looked)
    fitted(settings(method="lora", target_labels="0"), path=tmp_path / "one")
    assert names and all("lora_" in name or name.startswith("model.head.") for name in names)


@pytest.mark.parametrize("change", [{"accumulate": 3}, {"checkpointing": True}])
def test_what_spares_memory_changes_no_number(settings, change, monkeypatch):
    monkeypatch.setattr(stages, "Plan", functools.partial(training.Plan, eps=1e-3))  # of Adam: rounding stays rounding
    near = {"rtol": 1e-3, "atol": 1e-5}
    same(weights(fitted(settings())), weights(fitted(settings(**change))), **near)


@pytest.mark.parametrize("family", ["wav2vec2-base", "wavlm-large", "hubert-base"])
def test_checkpointing_changes_no_number_of_any_family(settings, source, family, monkeypatch):
    monkeypatch.setattr(stages, "Plan", functools.partial(training.Plan, eps=1e-3))
    plain = {"encoder": str(source(family)), "method": "lora", "target_labels": "0"}
    one, two = (fitted(settings(**plain, checkpointing=wanted)) for wanted in (False, True))
    same(weights(one), weights(two), rtol=1e-3, atol=1e-5)


def test_a_step_sees_clips_of_like_lengths_together(settings, recorded, monkeypatch):
    import soundfile

    for place, path in enumerate(sorted(recorded.glob("en-*.wav"))):
        soundfile.write(path, np.random.default_rng(place).standard_normal(1600 * (1 + place)) * 0.1, 16000)
    seen = []
    original = SingleSteps._backward

    def looked(self, state, batch, *more):
        seen.append(state.inputs.seconds[state.examples.rows[batch]])
        return original(self, state, batch, *more)

    monkeypatch.setattr(SingleSteps, "_backward", looked)
    fitted(settings(method="fine-tuned", target_labels="0", crop=9.0, batch_size=4, epochs=1))
    assert len(seen) == 3 and sorted(torch.cat(seen).tolist()) == pytest.approx([0.1 * n for n in range(1, 13)])
    assert all(float(some.max() - some.min()) < 0.65 for some in seen), "at random most batches spread wider"


def test_a_head_of_frames_learns_from_a_frozen_encoder(settings):
    options = settings(method="source-only", head="attentive", train="head", target_labels="0", align="none")
    one = fitted(options)
    assert one.trained == "frozen" and one.built.task.inputs.frames and not one.built.task.inputs.modules()
    grads = [name for name, weight in one.head.named_parameters() if weight.grad is None or not weight.grad.abs().max()]
    assert grads == [], "attention too has something to learn, which one frame alone would not give it"


def test_a_language_is_added_and_the_first_one_kept(settings, tmp_path):
    """All comes back from the folder: the head of each language, the encoder's own weights, the adapters."""
    options = settings(head="attentive", bundle="adapted")
    both = train(options)
    assert both.recognizer.spec.trained == "end-to-end+adapters" and both.recognizer.languages == ("en", "xh")
    loaded = Recognizer.load(both.recognizer.save(tmp_path / "bundle", "card"))
    tuned = train(
        settings(
            head="attentive", method="fine-tuned", target_labels="0", bundle="adapted", out=str(tmp_path / "tuned")
        )
    )
    for recognizer in (both.recognizer, loaded, tuned.recognizer):  # a source that is joined has no temperature
        recognizer.branches = tuple(
            dataclasses.replace(branch, spec=dataclasses.replace(branch.spec, temperature=1.0, source_temperature=1.0))
            for branch in recognizer.branches
        )
    spoken = [list(read_manifest(path)) for path in (options.data.source[0], options.data.target)]
    for utterances, first in zip(spoken, (True, False)):
        said, again, before = (
            [one.probabilities for one in predict(recognizer, utterances)]
            for recognizer in (both.recognizer, loaded, tuned.recognizer)
        )
        np.testing.assert_allclose(said, again, atol=1e-6)
        assert np.allclose(said, before, atol=1e-5) == first, "the source is heard as fine-tuning left it"
    assert evaluate(loaded, spoken[1]) == evaluate(both.recognizer, spoken[1])


def test_a_method_that_mixes_vectors_says_that_it_cannot_mix_frames(settings):
    with pytest.raises(UserError, match="mixes vectors, and this head sees frames"):
        fitted(settings(method="soft-pseudo-labels", head="attentive", train="head", align="none"))


def test_memory_that_does_not_suffice_names_what_to_lower(settings, monkeypatch):
    def full(*given):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 8 bytes")

    monkeypatch.setattr(SingleSteps, "_backward", full)
    with pytest.raises(
        UserError, match=r"out of memory in a training step of [48] utterances of up to 0.2 s: lower batch"
    ):
        fitted(settings())


def test_a_loss_that_is_not_a_number_names_the_batch_and_keeps_the_last_checkpoint(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "Plan", functools.partial(training.Plan, checkpoint_every=0.0))
    method = registry.load("methods", "fine-tuned")
    original = method.loss

    def bad(self, step):
        return {
            name: value * (float("nan") if step.progress >= 0.5 else 1) for name, value in original(self, step).items()
        }

    monkeypatch.setattr(method, "loss", bad)
    options = settings(method="fine-tuned", target_labels="0")
    with pytest.raises(UserError, match=r"'cross-entropy' is nan in epoch 1, batch 0, seed 0 \(en-.*\.\.\.\): lower"):
        fitted(options, path=tmp_path / "work" / "one")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["one.checkpoint"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "logmel", "layer": "0"}, "encoder logmel has nothing to train: choose another --method"),
        ({"encoder": "emotion-cnn", "layer": "0"}, "encoder emotion-cnn has no transformer blocks"),
        ({"target_labels": "0"}, "needs labels of the target"),
        ({"adapters": "lra", "adapter_options": ()}, "unknown adapter 'lra'"),
        ({"method": "fine-tuned", "blocks": "7", "target_labels": "0"}, "unknown block to train '7'"),
        ({"method": "lora"}, "method lora cannot use target labels"),
        ({"normalise": "speaker+text"}, "work on frozen features, not with method ft-lora"),
        ({**CNN, "checkpointing": True}, "checkpointing: encoder emotion-cnn has no transformer"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(settings, change, message):
    with pytest.raises(UserError, match=message) as caught:
        train(settings(**change))
    assert "\n" not in str(caught.value)


def test_precision_is_single_on_a_cpu_unless_asked_for(settings):
    assert Accelerated().precision == "fp32" and Accelerated().processes == 1
    request = resolve(settings(precision="bf16"))
    plain, case = draft(request, load_encoder(request.features.encoder))
    assert (plain.training.precision, case.training.precision) == ("auto", "bf16"), "the baseline trains no encoder"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_precision_that_was_chosen_for_this_machine_has_a_key_of_its_own(settings, monkeypatch, precision):
    """A fit in bf16 must not be taken for one in single precision where both were asked for as auto."""
    monkeypatch.setattr("emobridge.training.hardware.training_precision", lambda: precision)
    request = resolve(settings())
    automatic = draft(request, load_encoder(request.features.encoder))[1]
    request = resolve(settings(precision=precision))
    assert automatic.key == draft(request, load_encoder(request.features.encoder))[1].key
    assert automatic.training.precision == precision


def test_two_precisions_in_one_process():
    product = {}
    for precision in ("fp32", "bf16", "fp32"):
        with Accelerated(precision).autocast():
            product[precision] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    assert product == {"fp32": torch.float32, "bf16": torch.bfloat16}


def test_a_regressor_is_kept_between_stages(settings, tmp_path, monkeypatch):
    """Attributes of the source alone: the second stage, which must not see them, leaves the regressor as it was."""
    case, plain = decided(settings())
    case = dataclasses.replace(case, attributes=("arousal",))
    rows = np.where(plain.is_target, np.nan, np.linspace(-0.9, 0.9, len(plain.label)))
    speech = dataclasses.replace(plain, attributes=rows[:, None])
    fits = []
    original = stages.fit_alone
    monkeypatch.setattr(stages, "fit_alone", lambda fit, *more: fits.append(fit.task) or original(fit, *more))
    place = FitContext(shared=Cache(tmp_path / "kept"))
    first = run_stages(case, speech, fold(), 0, place)
    known = [int((~task.attributes.isnan()).sum()) for task in fits]
    assert known == [12, 0], "the target has none"
    second = run_stages(case, speech, fold(), 0, place)
    assert len(fits) == 2, "both stages were read"
    same(first.regressor.state_dict(), second.regressor.state_dict())
    alone = dataclasses.replace(decided(settings(method="fine-tuned", target_labels="0"))[0], attributes=("arousal",))
    one = run_stages(alone, speech, fold(), 0)
    assert torch.equal(one.regressor.weight, first.regressor.weight)
    other = dataclasses.replace(speech, attributes=-speech.attributes)
    run_stages(case, other, fold(), 0, place)
    assert len(fits) == 5, "other attributes are another stage"
    log = [point.term for point in first.log]
    assert "1 - CCC arousal, stage 1" in log and "1 - CCC arousal, stage 2" in log


def test_attributes_are_regressed_from_what_a_head_of_frames_represents(settings):
    """Attentive statistics pooling (methods A): the regressor sees its representation, and the encoder its gradient."""
    plain = {"method": "source-only", "target_labels": "0", "head": "attentive", "align": "none", "batch_size": 12}
    changes = {"train": "end-to-end", "crop": 1.0, "epochs": 30, "learning_rate": 0.003}
    case, speech = decided(settings(**plain, **changes))
    case = dataclasses.replace(case, attributes=("arousal",))
    rows = np.where(speech.is_target, np.nan, 0.5 - speech.label)
    speech = dataclasses.replace(speech, attributes=rows[:, None])
    one = run_stages(case, speech, fold(), 0)
    assert one.regressor.in_features == one.head.output.in_features
    values = [point.value for point in one.log if point.term == "1 - CCC arousal"]
    assert len(values) == 30 and values[-1] < 0.3 < values[0]


# What each of several processes runs: the fit of a manifest, and what it ends with in a file.
SHARED = """
import functools, json, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from emobridge.cache import Cache
from emobridge.data.speech import Fold
from emobridge.settings import Adapt, from_mapping, read_mapping
from emobridge.study.cases import draft
from emobridge.study.prepare import resolve, start
from emobridge.training import loop as training
from emobridge.training import stages
torch.set_num_threads(1)
path, out, stop = sys.argv[1:]
stages.Plan = functools.partial(training.Plan, checkpoint_every=0.0, eps=1e-3)
request = from_mapping(read_mapping(path), path, Adapt)
started = start(resolve(request), lambda speech: None, cache=Cache(None))
case = started.decision.cases[-1]
fold = Fold(tuple(range(12)), tuple(range(12, 16)), tuple(range(16, 28)), tuple(range(28, 32)))
hardware = stages.hardware_of(case)
epoch, count = training._epoch, []
def counted(*given):
    count.append(given[3])
    if len(count) == int(stop):
        raise KeyboardInterrupt
    return epoch(*given)
training._epoch = counted
place = stages.FitContext(hardware, Path(out) / "work" / "fit")
one = stages.run_stages(case, started.prepared.speech, fold, 0, place)
own = {f"encoder.{name}": tensor.contiguous() for name, tensor in one.encoder.state_dict().items()}
own |= {f"head.{name}": tensor for name, tensor in one.head.state_dict().items()}
save_file(own, Path(out) / f"{hardware.rank}-of-{hardware.processes}.safetensors", {"epochs": json.dumps(count)})
"""


def run_processes(options: Adapt, folder: Path, count: int, stop: int = 0) -> subprocess.CompletedProcess:
    folder.mkdir(exist_ok=True)
    write_settings(folder / "settings.toml", options)
    (folder / "shared.py").write_text(SHARED)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    words += [folder / "shared.py", folder / "settings.toml", folder, str(stop)]
    return subprocess.run(
        list(map(str, words)), env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow  # four starts of two processes
def test_two_processes_interrupted_and_resumed_are_one_with_twice_the_batch(settings, tmp_path, monkeypatch):
    options = settings(batch_size=4, accumulate=4)  # of a last batch of four one process has nothing
    cut = run_processes(options, tmp_path / "two", 2, stop=4)
    assert cut.returncode and not list((tmp_path / "two").glob("*-of-2.safetensors"))
    again = run_processes(options, tmp_path / "two", 2)
    assert again.returncode == 0, again.stderr[-2000:]
    with safe_open(tmp_path / "two" / "0-of-2.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["epochs"]) == [1], "the last epoch of the second stage"
    first, second = (load_file(tmp_path / "two" / f"{rank}-of-2.safetensors") for rank in (0, 1))
    same(first, second)
    monkeypatch.setattr(stages, "Plan", functools.partial(training.Plan, eps=1e-3))
    same(weights(fitted(settings(batch_size=8))), first, rtol=1e-4, atol=1e-6)
    other = weights(fitted(options))
    assert any((first[name] - tensor).abs().max() > 1e-3 for name, tensor in other.items()), "half of it is another run"


@pytest.mark.parametrize("family", ["whisper", "wav2vec2-base", "wavlm-large"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_model_ends_at_the_layer_that_is_read(settings, source, family, checkpointing, monkeypatch):
    """No weight lies behind it that training cannot reach; blocks there are not computed."""
    adapters = "lora+bottleneck+gating"
    options = {"adapters": adapters, "adapter_options": ("lora.r=2", "lora.dropout=0", "bottleneck.reduction=4")}
    options |= {"encoder": str(source(family)), "method": "lora", "target_labels": "0", "layer": "1"}
    before = load_encoder(source(family))
    last = before.trunk().module.get_submodule(before.trunk().blocks[-1])
    calls: list[type] = []
    original = type(last).forward

    def counted(block, *inputs, **named):
        calls.append(type(block))
        return original(block, *inputs, **named)

    monkeypatch.setattr(type(last), "forward", counted)
    fit = fitted(settings(**options, checkpointing=checkpointing))
    passes, blocks = len(calls), len(before.trunk().blocks)
    assert blocks == 2 and passes
    trained = fit.encoder.active_adapters.parameters()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in trained)
    calls.clear()
    fitted(settings(**options | {"layer": "2"}, checkpointing=checkpointing))
    assert len(calls) == 2 * passes and fit.encoder.last_layer == blocks


def test_weight_decay_shrinks_what_is_trained(settings):
    plan = {"method": "lora", "target_labels": "0", "epochs": 30, "learning_rate": 0.01}
    plain, decayed = (fitted(settings(**plan, weight_decay=decay)) for decay in (0.0, 1.0))
    norms = [sum(w.norm() for w in fit.encoder.active_adapters.parameters()) for fit in (plain, decayed)]
    assert norms[1] < 0.9 * norms[0]
