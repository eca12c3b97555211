"""The loop: it learns, it is repeatable, and an interruption changes nothing."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from toys import case_of

from emobridge import registry
from emobridge.data.manifest import read_manifest
from emobridge.data.speech import Fold, Speech
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.heads.base import Regressor
from emobridge.heads.nonlinear import Nonlinear
from emobridge.heads.single import Single
from emobridge.methods.pseudo_labels import PseudoLabels
from emobridge.methods.source_only import SourceOnly
from emobridge.options import options_of
from emobridge.scores.measures.ccc import Ccc
from emobridge.scores.measures.ua import Ua
from emobridge.training import loop as room
from emobridge.training.adam import Adam
from emobridge.training.checkpoints import LogPoint
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, Workspace, fit, probabilities
from emobridge.training.tasks import Built, build

PLAN = Plan(epochs=12, batch_size=10, learning_rate=0.01, checkpoint_every=0)


@dataclass
class Ended:
    """What a run leaves behind."""

    model: nn.Module
    log: tuple[LogPoint, ...]
    epochs: int = 0

    @property
    def weights(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def values(self, term: str) -> list[float]:
        return [point.value for point in self.log if point.term == term]


def fold_of(speech) -> Fold:
    """Speaker 3 validates, speaker 2 is scored, the others train."""
    groups = {"source": [], "source_test": [], "target": [], "target_test": [], "validation": []}
    for row, one in enumerate(speech.utterances):
        side = "target" if speech.is_target[row] else "source"
        part = {"2": f"{side}_test", "c": f"{side}_test", "3": "validation", "d": "validation"}.get(one.speaker, side)
        if part != "validation" or side == "source":
            groups[part].append(row)
    return Fold(**{name: tuple(rows) for name, rows in groups.items()})


@pytest.fixture
def speech(toy_speech):
    return toy_speech(each=4, extra=3, noise=0.5, shift=0.5)


class Interrupted(Exception):
    pass


def run(speech, method=None, *, head=Single, plan=PLAN, seed=0, checkpoint=None, stop=None, **changes) -> Ended:
    """A run from fresh objects, as a new process has them; `stop` interrupts it after so many epochs."""
    method = method or PseudoLabels(interval=3)
    names = changes.pop("attributes", ())
    torch.manual_seed(seed)
    options = case_of(method=method.name, **changes)
    encoder = load_encoder("emotion-cnn", seed=5) if options.train == "end-to-end" else None
    one: Built = build(speech, fold_of(speech), options, method, (), encoder=encoder)
    classifier = head(one.task.inputs.width, 2)
    regressor = Regressor(classifier.output.in_features, names) if names else None
    ended = Ended(Model(one.task.inputs, classifier, regressor), ())

    def on_epoch(done: int, total: int) -> None:
        ended.epochs = done
        assert total == plan.epochs
        if done == stop:
            raise Interrupted

    ended.log = fit(
        one.task,
        method,
        classifier,
        plan,
        seed=seed,
        regressor=regressor,
        validation=one.validation,
        workspace=Workspace(checkpoint, on_epoch),
    )
    return ended


def same(one: Ended, two: Ended) -> bool:
    """To the last bit."""
    tensors = zip(one.weights.items(), two.weights.items(), strict=True)
    return one.log == two.log and all(a == b and torch.equal(x, y) for (a, x), (b, y) in tensors)


def test_the_loss_falls(speech):
    loss = run(speech, SourceOnly(), head=lambda *sizes: Single(*sizes, input_dropout=0.0)).values("cross-entropy")
    assert len(loss) == PLAN.epochs
    assert loss[-1] < 0.8 * loss[0]


def test_a_seed_repeats_itself_and_another_differs(speech):
    one, again, other = run(speech), run(speech), run(speech, seed=1)
    assert same(one, again)
    assert not any(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_random_numbers_elsewhere_neither_change_a_run_nor_are_changed(speech):
    method = SourceOnly()
    one = build(speech, fold_of(speech), case_of(), method, ())
    weights = []
    for before in (1, 2):
        torch.manual_seed(0)
        head = Nonlinear(one.task.inputs.width, 2)
        torch.manual_seed(before)
        state = torch.get_rng_state()
        fit(one.task, method, head, PLAN, seed=7)
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(head.clip[0].weight)
    assert torch.equal(*weights)


def test_the_log_has_each_term_of_each_epoch_in_order(speech):
    ended = run(speech)
    assert [point.epoch for point in ended.log if point.term == "cross-entropy"] == list(range(12))
    assert [point.epoch for point in ended.log if point.term == "pseudo-labelled share"] == [3, 6, 9]
    assert [point.epoch for point in ended.log] == sorted(point.epoch for point in ended.log)
    assert ended.epochs == 12


def test_the_first_epoch_by_hand(speech):
    """One batch with all utterances: the mean loss before the step, and Adam's first step of the learning rate."""
    method = SourceOnly()
    one = build(speech, fold_of(speech), case_of(align="none"), method, ())
    torch.manual_seed(0)
    head = Single(4, 2, input_dropout=0.0)
    start = head.output.weight.detach().clone().numpy()
    x, label = one.task.inputs.x.numpy(), one.task.source.label.numpy()
    logits = x @ start.T + head.output.bias.detach().numpy()
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(label)), label]).mean()
    gradient = (p - np.eye(2)[label]).T @ x / len(label)
    log = fit(one.task, method, head, Plan(epochs=1, batch_size=1000, learning_rate=0.01), seed=0)
    assert log == (LogPoint(0, "cross-entropy", pytest.approx(loss, rel=1e-4)),)
    np.testing.assert_allclose(head.output.weight.detach().numpy(), start - 0.01 * np.sign(gradient), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "weight_decay", "betas", "eps"),
    [({}, 0.0, (0.9, 0.999), 1e-8), ({"weight_decay": 0.3, "betas": (0.5, 0.7), "eps": 0.1}, 0.3, (0.5, 0.7), 0.1)],
)
def test_adam_by_hand(speech, changes, weight_decay, betas, eps):
    """Kingma & Ba 2015, algorithm 1, on the gradient of the loss and of weight_decay / 2 of the squared weights."""
    one = build(speech, fold_of(speech), case_of(align="none"), SourceOnly(), ())
    torch.manual_seed(0)
    head = Single(4, 2)
    weight = np.hstack([head.output.weight.detach().numpy(), head.output.bias.detach().numpy()[:, None]])
    x, label = one.task.inputs.x.numpy(), one.task.source.label.numpy()
    x = np.hstack([x, np.ones((len(x), 1), np.float32)])
    first = second = np.zeros_like(weight)
    for step in range(1, 5):
        p = np.exp(x @ weight.T)
        gradient = (p / p.sum(1, keepdims=True) - np.eye(2)[label]).T @ x / len(label) + weight_decay * weight
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        update = first / (1 - betas[0] ** step) / (np.sqrt(second / (1 - betas[1] ** step)) + eps)
        weight = weight - 0.05 * update
    plan = Plan(epochs=4, batch_size=1000, learning_rate=0.05, **changes)
    fit(one.task, SourceOnly(), head, plan, seed=0)
    np.testing.assert_allclose(head.output.weight.detach().numpy(), weight[:, :-1], atol=1e-5)


def test_the_learning_rate_decays_every_ten_epochs(speech, monkeypatch):
    rates = []
    step = Adam.step

    def noted(self):
        rates.append(self.param_groups[0]["lr"])
        step(self)

    monkeypatch.setattr(Adam, "step", noted)
    run(speech, plan=Plan(epochs=21, batch_size=1000, learning_rate=0.1, decay=0.5))
    assert rates == pytest.approx([0.1] * 10 + [0.05] * 10 + [0.025])


@pytest.mark.parametrize("stop", [1, 2, 3, 7, 10, 11])
def test_an_interrupted_run_goes_on_and_ends_the_same(speech, tmp_path, stop):
    checkpoint = tmp_path / "a.checkpoint"
    whole = run(speech, head=Nonlinear)
    with pytest.raises(Interrupted):
        run(speech, head=Nonlinear, checkpoint=checkpoint, stop=stop)
    assert checkpoint.exists() == (stop > 1)
    calls = []
    original = room._epoch
    room._epoch = lambda *arguments: calls.append(arguments[3]) or original(*arguments)
    try:
        assert same(run(speech, head=Nonlinear, checkpoint=checkpoint), whole)
    finally:
        room._epoch = original
    assert calls == list(range(stop - 1, 12)), "it goes on, it does not begin anew"
    assert not checkpoint.exists()


TRAINED = [head for head in registry.names("heads") if not registry.load("heads", head).closed_form]
BY_GRADIENTS = [
    name
    for name in registry.names("methods")
    if not registry.load("methods", name).needs_closed_form and "phones" not in registry.load("methods", name).needs
]
REFUSED = ("layer-anchoring", "single")  # nothing that is trained lies before what it anchors


def pairs_of_methods_and_heads():
    """Each method with one head, which go in turn; all others are slow."""
    pairs = [pair for pair in itertools.product(BY_GRADIENTS, TRAINED) if pair != REFUSED]
    turn = {(name, TRAINED[number % len(TRAINED)]) for number, name in enumerate(BY_GRADIENTS)} - {REFUSED}
    missing = set(BY_GRADIENTS) - {name for name, _ in turn}
    turn |= {next(pair for pair in pairs if pair[0] == name) for name in missing}
    assert {head for _, head in turn} == set(TRAINED), "each head comes once and more"
    return [pair if pair in turn else pytest.param(*pair, marks=pytest.mark.slow) for pair in pairs]


def narrow(head):
    """A head of eight wherever its width is an option."""
    return functools.partial(head, **{name: 8 for name in ("hidden", "attention") if name in options_of(head)})


@pytest.mark.parametrize(("name", "head"), pairs_of_methods_and_heads())
def test_every_method_and_head_goes_on_after_many_interruptions(speech, tmp_path, name, head):
    checkpoint = tmp_path / "a.checkpoint"
    method, head = registry.load("methods", name), narrow(registry.load("heads", head))
    plan = Plan(epochs=36, batch_size=20, learning_rate=0.01, checkpoint_every=0)
    whole = run(speech, method(), head=head, plan=plan)
    for stop in (2, 9, 30, 31, 34):
        with pytest.raises(Interrupted):
            run(speech, method(), head=head, plan=plan, checkpoint=checkpoint, stop=stop)
    assert same(run(speech, method(), head=head, plan=plan, checkpoint=checkpoint), whole)


@pytest.mark.parametrize("stop", [2, 6, 9])
def test_early_stopping_goes_on_too(speech, tmp_path, stop):
    plan = Plan(epochs=60, batch_size=10, learning_rate=0.3, patience=6, checkpoint_every=0)
    whole = run(speech, plan=plan, patience=6)
    assert 9 < len(whole.values("validation loss")) < 60, "it stops, and after the interruptions"
    checkpoint = tmp_path / "a.checkpoint"
    with pytest.raises(Interrupted):
        run(speech, plan=plan, patience=6, checkpoint=checkpoint, stop=stop)
    assert same(run(speech, plan=plan, patience=6, checkpoint=checkpoint), whole)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "no metadata"])
def test_a_damaged_checkpoint_starts_over(speech, tmp_path, damage):
    checkpoint = tmp_path / "a.checkpoint"
    with pytest.raises(Interrupted):
        run(speech, checkpoint=checkpoint, stop=5)
    if damage == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-50])
    elif damage == "empty":
        checkpoint.write_bytes(b"")
    elif damage == "text":
        checkpoint.write_text("not a checkpoint")
    else:
        save_file({"a": torch.zeros(1)}, checkpoint)
    assert same(run(speech, checkpoint=checkpoint), run(speech))


def test_checkpoints_come_no_oftener_than_asked(speech, tmp_path):
    checkpoint = tmp_path / "a.checkpoint"
    plan = Plan(epochs=12, batch_size=10, checkpoint_every=1000)
    with pytest.raises(Interrupted):
        run(speech, plan=plan, checkpoint=checkpoint, stop=11)
    assert not checkpoint.exists()


def test_early_stopping_keeps_the_best_epoch(speech):
    plan = Plan(epochs=60, batch_size=10, learning_rate=0.3, patience=4)
    ended = run(speech, plan=plan, patience=4)
    loss = ended.values("validation loss")
    best = int(np.argmin(loss))
    assert len(loss) == best + 1 + 4, "it stops after four epochs without a lower one"
    until = run(speech, plan=Plan(epochs=best + 1, batch_size=10, learning_rate=0.3))
    # The other run has the validation speakers in no part either: its fold is the same.
    assert all(torch.equal(ended.weights[name], until.weights[name]) for name in ended.weights)


def test_the_validation_loss_by_hand(speech):
    method = SourceOnly()
    one = build(speech, fold_of(speech), case_of(patience=5), method, ())
    torch.manual_seed(0)
    head = Single(4, 2)
    log = fit(one.task, method, head, Plan(epochs=1, patience=5), seed=0, validation=one.validation)
    inputs, known = one.validation
    p = head(inputs.x[:, None], torch.ones(len(inputs.x), 1, dtype=torch.bool)).softmax(1)
    expected = -p[torch.arange(len(p)), known.label].log().mean()
    assert log[-1] == LogPoint(0, "validation loss", pytest.approx(expected.item(), rel=1e-5))


def test_the_two_sides_weigh_the_same_in_validation(speech):
    """Three source utterances for each of the target's: the loss is the mean of the two sides' means."""
    plain = fold_of(speech)
    of_source = list(plain.validation)
    of_target = [row for row in plain.target_test if speech.label[row] >= 0][: len(of_source) // 3]
    rows = (*of_source, *of_target)
    one = build(speech, replace(plain, validation=rows), case_of(patience=5), SourceOnly(), ())
    torch.manual_seed(0)
    head = Single(4, 2)
    log = fit(one.task, SourceOnly(), head, Plan(epochs=1, patience=5), seed=0, validation=one.validation)
    inputs, known = one.validation
    p = head(inputs.x[:, None], torch.ones(len(inputs.x), 1, dtype=torch.bool)).softmax(1)
    each = -p[torch.arange(len(p)), known.label].log()
    at = len(of_source)
    expected = (each[:at].mean() + each[at:].mean()) / 2
    assert abs(each.mean() - expected) > 1e-3, "which the plain mean is not"
    assert log[-1] == LogPoint(0, "validation loss", pytest.approx(expected.item(), rel=1e-5))


def test_the_error_of_both_sides_by_hand(speech):
    """1 - UA of each side, and their mean; the epoch where it is lowest is kept."""
    plain = fold_of(speech)
    of_source = [row for row in plain.validation if speech.label[row] == 1 or row % 2]  # of unlike sizes
    of_target = [row for row in plain.target_test if speech.label[row] >= 0]
    one = build(speech, replace(plain, validation=(*of_source, *of_target)), case_of(patience=5), SourceOnly(), ())
    torch.manual_seed(0)
    head = Single(4, 2, input_dropout=0.0)
    plan = Plan(epochs=8, batch_size=10, learning_rate=0.03, patience=8, validate_by="ua")
    log = fit(one.task, SourceOnly(), head, plan, seed=0, validation=one.validation)
    inputs, known = one.validation
    said = probabilities(Model(inputs, head), inputs, known.rows).argmax(1).tolist()
    at, labels = len(of_source), known.label.tolist()
    expected = 1 - (Ua()(labels[:at], said[:at], labels=(0, 1)) + Ua()(labels[at:], said[at:], labels=(0, 1))) / 2
    errors = [point.value for point in log if point.term == "validation error"]
    assert len(errors) == 8 and min(errors) == pytest.approx(expected, abs=1e-6) and len(set(errors)) > 1


def test_a_patience_of_all_epochs_keeps_the_best_and_never_stops(speech):
    plan = Plan(epochs=40, batch_size=10, learning_rate=0.3, patience=40)
    ended = run(speech, plan=plan, patience=40)
    loss = ended.values("validation loss")
    best = int(np.argmin(loss))
    assert len(loss) == 40 and best < 35
    until = run(speech, plan=Plan(epochs=best + 1, batch_size=10, learning_rate=0.3))
    assert all(torch.equal(ended.weights[name], until.weights[name]) for name in ended.weights)


def test_without_patience_validation_is_only_noted(speech):
    method = SourceOnly()
    one = build(speech, fold_of(speech), case_of(), method, ())
    log = fit(one.task, method, Single(4, 2), Plan(epochs=30, learning_rate=1.0), seed=0, validation=one.validation)
    assert len([point for point in log if point.term == "validation loss"]) == 30


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_a_users_mistake(speech, bad):
    class Bad(SourceOnly):
        def loss(self, step):
            logits = step.model.classify(step.represent())
            return {"good": logits.sum() * 0, "bad": logits.sum() * bad}

    with pytest.raises(UserError, match=f"the loss term 'bad' is {bad} in epoch 0, batch 0, seed 0: lower"):
        run(speech, Bad(), plan=Plan(epochs=2, batch_size=1000))


def test_terms_are_summed_and_logged_apart(speech):
    class Two(SourceOnly):
        def loss(self, step):
            half = super().loss(step)["cross-entropy"] / 2
            return {"one": half, "two": half}

    two, one = run(speech, Two()), run(speech, SourceOnly())
    np.testing.assert_allclose(two.values("one"), np.array(one.values("cross-entropy")) / 2, rtol=1e-4)
    assert two.values("one") == two.values("two")
    torch.testing.assert_close(two.weights, one.weights, rtol=1e-4, atol=1e-5)


def test_probabilities_are_without_dropout_and_leave_the_mode(speech):
    inputs = Frozen(torch.randn(9, 4))
    model = Model(inputs, Nonlinear(4, 3))
    model.train()
    one, two = (probabilities(model, inputs, torch.tensor([3, 1])) for _ in range(2))
    assert model.training and torch.equal(one, two) and one.shape == (2, 3) and not one.requires_grad
    torch.testing.assert_close(one.sum(1), torch.ones(2))
    torch.testing.assert_close(one, probabilities(model, inputs, torch.arange(9))[[3, 1]])


def test_the_head_is_left_in_evaluation_mode(speech):
    method, head = SourceOnly(), Nonlinear(4, 2)
    fit(build(speech, fold_of(speech), case_of(), method, ()).task, method, head, PLAN, seed=0)
    assert not head.training


# The encoder is trained too


@pytest.fixture
def heard(recorded):
    """The recordings as a Speech without features."""
    utterances = [one for name in ("en", "xx") for one in read_manifest(recorded / f"{name}.jsonl")]
    label = np.array([("anger", "sadness").index(one.emotion) for one in utterances])
    return Speech(tuple(utterances), label, np.array([int(one.corpus == "xx") for one in utterances]), 1)


END_TO_END = {"train": "end-to-end", "align": "none", "crop": 0.3, "encoder": "emotion-cnn"}


def test_the_encoder_is_trained_and_the_loss_falls(heard):
    plan = Plan(epochs=6, batch_size=8, learning_rate=0.01)
    ended = run(heard, SourceOnly(), plan=plan, head=lambda *sizes: Single(*sizes, input_dropout=0.0), **END_TO_END)
    fresh = load_encoder("emotion-cnn", seed=5)
    for name, weight in fresh.named_parameters():
        assert not torch.equal(weight, ended.weights[f"extra.0.{name}"]), name
    assert ended.values("cross-entropy")[-1] < 0.5 * ended.values("cross-entropy")[0]


def test_an_interrupted_end_to_end_run_ends_the_same(heard, tmp_path, monkeypatch):
    """Between two looks at the moments the interrupted run must go on with those of the last look."""
    monkeypatch.setattr(room, "REFRESH", 3)
    plan = Plan(epochs=6, batch_size=8, learning_rate=0.01, patience=5, checkpoint_every=0)
    options = {**END_TO_END, "normalise": "speaker", "patience": 5}

    def made(**more):
        return run(heard, PseudoLabels(interval=2), plan=plan, **options, **more)

    whole, checkpoint = made(), tmp_path / "a.checkpoint"
    assert same(whole, made())
    for stop in (3, 5):
        with pytest.raises(Interrupted):
            made(checkpoint=checkpoint, stop=stop)
        assert same(made(checkpoint=checkpoint), whole), stop


def with_attributes(speech) -> Speech:
    """Arousal is the first feature, squeezed; valence, known of every other utterance, less the second."""
    first, second = np.tanh(speech.features.numpy()[:, :2].T)
    valence = np.where(np.arange(len(first)) % 2, -second, np.nan)
    return replace(speech, attributes=np.stack([first, valence], 1).astype(float))


BOTH = ("arousal", "valence")


def test_attributes_are_learnt_beside_the_emotions_whatever_the_method(speech):
    speech = with_attributes(speech)
    for method in (SourceOnly(), PseudoLabels(interval=3), registry.load("methods", "dann")()):
        ended = run(speech, method, plan=replace(PLAN, epochs=40, learning_rate=0.03), attributes=BOTH)
        for name in BOTH:
            values = ended.values(f"1 - CCC {name}")
            assert values[0] > 0.5 > values[-1], (method.name, name)
        assert ended.values("cross-entropy")


def test_without_a_regressor_nothing_changes(speech):
    assert same(run(speech), run(with_attributes(speech)))


def test_an_interruption_changes_nothing_of_attributes(speech, tmp_path):
    speech, path = with_attributes(speech), tmp_path / "checkpoint"
    plan = replace(PLAN, patience=12)
    whole = run(speech, plan=plan, attributes=BOTH)
    assert "regressor.weight" in whole.weights
    with pytest.raises(Interrupted):
        run(speech, plan=plan, attributes=BOTH, checkpoint=path, stop=5)
    assert same(whole, run(speech, plan=plan, attributes=BOTH, checkpoint=path))


def test_rows_whose_attributes_are_hidden_teach_nothing(speech):
    """All of arousal is hidden: its weights stay as they were, and its term is 0."""
    speech = with_attributes(speech)
    torch.manual_seed(0)
    ended = run(replace(speech, attributes=speech.attributes * [np.nan, 1]), attributes=BOTH)
    assert set(ended.values("1 - CCC arousal")) == {0.0}
    torch.manual_seed(0)
    Single(4, 2)
    before = Regressor(4, BOTH).weight
    assert torch.equal(ended.weights["regressor.weight"][0], before[0])
    assert not torch.equal(ended.weights["regressor.weight"][1], before[1])


def test_one_class_has_no_cross_entropy(speech):
    speech = with_attributes(speech)
    one = build(replace(speech, label=speech.label * 0), fold_of(speech), case_of(labels=("anger",)), SourceOnly(), ())
    head, regressor = Single(4, 1), Regressor(4, BOTH)
    log = fit(one.task, SourceOnly(), head, PLAN, seed=0, regressor=regressor)
    assert {point.term for point in log} == {"1 - CCC arousal", "1 - CCC valence"}


def test_validation_adds_the_mean_of_the_sides(speech):
    """One epoch at no speed to speak of: what validates is what was there before, 1 - CCC of each side by hand."""
    speech = with_attributes(speech)
    plain = fold_of(speech)
    target = tuple(row for row in plain.target if speech.utterances[row].speaker == "0" and speech.label[row] >= 0)
    rest = tuple(row for row in plain.target if speech.utterances[row].speaker != "0")
    fold = replace(plain, validation=(*plain.validation, *target), target=rest)
    one = build(speech, fold, case_of(), SourceOnly(), ())
    inputs, known = one.validation
    plan = Plan(epochs=1, learning_rate=1e-12, patience=5)
    losses = []
    for regressor in (None, Regressor(4, BOTH)):
        torch.manual_seed(3)
        head = Single(4, 2)
        log = fit(one.task, SourceOnly(), head, plan, seed=0, regressor=regressor, validation=one.validation)
        losses += [point.value for point in log if point.term == "validation loss"]
    said = regressor(inputs.batch(known.rows)).detach().numpy()
    truth, expected = speech.attributes[list(fold.validation)], []
    for side in (0, 1):
        for column in (0, 1):
            mine = (known.corpus.numpy() == side) & ~np.isnan(truth[:, column])
            expected.append(1 - Ccc()(truth[mine, column].tolist(), said[mine, column].tolist()))
    assert losses[1] - losses[0] == pytest.approx(np.mean(expected), abs=1e-5)


def test_a_part_of_a_batch_weighs_as_many_utterances_as_it_has(speech):
    """CCC of each part by hand: of one step over all that is drawn, in three parts, at no speed to speak of."""
    speech = with_attributes(speech)
    one = build(speech, fold_of(speech), case_of(align="none"), SourceOnly(), ())
    torch.manual_seed(3)
    head, regressor = Single(4, 2), Regressor(4, BOTH)
    plan = Plan(epochs=1, learning_rate=1e-12, batch_size=1000, accumulate=3)
    log = {point.term: point.value for point in fit(one.task, SourceOnly(), head, plan, seed=0, regressor=regressor)}
    rows = one.task.source.rows
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    for column, name in enumerate(BOTH):
        expected = 0.0
        for part in rows[order].tensor_split(3):
            said = regressor(one.task.inputs.batch(part)).detach()[:, column]
            truth = one.task.attributes[part, column]
            known = ~truth.isnan()
            expected += len(part) / len(rows) * (1 - Ccc()(truth[known].tolist(), said[known].tolist()))
        assert log[f"1 - CCC {name}"] == pytest.approx(expected, abs=1e-5)


def test_the_rate_falls_every_ten_epochs_or_as_asked():
    plain = Plan(decay=0.5)
    assert [plain.rate_share(epoch) for epoch in (0, 9, 10, 19, 20, 35)] == [1, 1, 0.5, 0.5, 0.25, 0.125]
    late = Plan(decay=0.5, decay_from=5, decay_every=1)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, range(5, 26), gamma=0.5)
    for epoch in range(12):
        assert late.rate_share(epoch) == optimiser.param_groups[0]["lr"]
        optimiser.step()
        schedule.step()
