"""What holds for every method: it sees what it names, and nothing else."""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import types
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from toys import case_of, with_phones

from emobridge import registry
from emobridge.data.speech import Fold, Speech, budget
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.heads.linear import Linear
from emobridge.methods.base import Labelled, Phones, Stage, Step, Task, Trait, as_probabilities
from emobridge.options import options_of
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit, probabilities
from emobridge.training.tasks import build
from emobridge.types import Utterance

WORDS = frozenset({"source_labels", "target_audio", "target_labels"})  # what is of the two languages
METHODS = registry.names("methods")
SECRET = 97  # the class of every target utterance: no number of a row, and no label of the source
RATING = 0.8125  # of every target utterance, exact in single precision: no feature, and no attribute of the source


class Anything:
    """A method for any `needs` and `takes`."""

    name = "anything"

    def __init__(self, needs=frozenset(), takes=frozenset()) -> None:
        self.needs, self.takes = frozenset(needs), frozenset(takes)

    def prepare(self, task: Task, model: object) -> None:
        self.task = task


def fold_of(speech: Speech) -> Fold:
    """Speakers 0 and 1 of each side train, the others are scored."""
    rows: list[list[int]] = [[], [], [], []]
    for row, utterance in enumerate(speech.utterances):
        rows[2 * int(speech.is_target[row]) + int(utterance.speaker not in ("0", "1", "a", "b"))].append(row)
    return Fold(*map(tuple, rows))


@pytest.fixture
def secret(toy_speech) -> Speech:
    """A Speech whose target labels can be told from all other numbers."""
    speech = toy_speech(each=2, extra=1)
    label = speech.label.copy()
    label[speech.is_target] = SECRET
    attributes = np.where(speech.is_target[:, None], RATING, np.linspace(-0.5, 0.5, len(label))[:, None])
    return with_phones(dataclasses.replace(speech, label=label, attributes=attributes.repeat(2, 1)))


def reachable(root: object) -> Iterator[object]:
    """Every object that can be got at from `root`, but modules, classes and the globals of functions."""
    seen, stack = {id(root)}, [root]
    while stack:
        item = stack.pop()
        yield item
        if isinstance(item, types.FunctionType):
            referents = [*(item.__closure__ or ()), item.__defaults__, item.__kwdefaults__]
        else:
            referents = gc.get_referents(item)
        for referent in referents:
            skipped = isinstance(referent, types.ModuleType | type | types.BuiltinFunctionType) or referent is None
            if not skipped and id(referent) not in seen:
                seen.add(id(referent))
                stack.append(referent)


def numbers(value: object) -> set[int]:
    """All whole numbers in an array or tensor, and in the memory that it looks into."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.int64:
        memory = torch.empty(0, dtype=torch.int64).set_(value.untyped_storage())
        return set(memory.tolist())
    if isinstance(value, np.ndarray) and value.dtype.kind == "i":
        while isinstance(value.base, np.ndarray):
            value = value.base
        return set(value.ravel().tolist())
    return {value} if type(value) is int else set()


def rated(value: object) -> bool:
    """Whether a target attribute is in a number, an array or tensor, or the memory that it looks into."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        memory = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())
        return bool((memory == RATING).any())
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        while isinstance(value.base, np.ndarray):
            value = value.base
        return bool((value == RATING).any())
    return type(value) is float and value == RATING


def secrets_in(root: object) -> list[object]:
    """What tells a target label."""
    return [
        item
        for item in reachable(root)
        if SECRET in numbers(item)
        or rated(item)
        or (isinstance(item, Utterance) and {item.emotion, item.arousal, item.valence, item.dominance} != {None})
    ]


def test_the_walk_finds_a_label_wherever_it_hides(secret):
    hidden = torch.tensor([1, SECRET])
    for root in (
        [secret],
        {"a": (hidden,)},
        hidden[:1],
        secret.label[:1],
        lambda: hidden,
        Labelled(torch.arange(1), hidden),
        secret.utterances,
        functools.partial(print, hidden),
        iter([hidden]),
        torch.tensor([1.0, RATING])[:1],
        np.array([1.0, RATING])[:1],
        dataclasses.replace(secret.utterances[0], emotion=None, valence=3.0),
    ):
        assert secrets_in(root), root
    assert not secrets_in((torch.tensor([1.0, 97.0]), np.arange(9), Utterance("a", "b", "c"), [torch.nn.Linear(2, 2)]))


@pytest.mark.parametrize("name", METHODS)
def test_needs_and_takes_are_known_words(name):
    method = registry.load("methods", name)
    assert isinstance(method.needs, frozenset) and isinstance(method.takes, frozenset)
    assert method.needs | method.takes <= WORDS | {"traits", "emotions", "phones"}
    assert not method.needs & method.takes
    assert method.needs, "a method that needs nothing learns nothing"


@pytest.mark.parametrize(
    "seen",
    [frozenset(needs) for size in range(1, 4) for needs in itertools.combinations(sorted(WORDS), size)],
    ids=sorted,
)
@pytest.mark.parametrize("align", ["none", "coral"])
@pytest.mark.parametrize("by", ["needs", "takes"])
def test_a_task_holds_what_is_named_and_nothing_else(toy_speech, seen, align, by):
    speech = toy_speech(each=2, extra=1)
    fold = fold_of(speech)
    labelled = budget(speech, fold, "3", seed=0)
    method = Anything(**{by: seen})
    task = build(speech, fold, case_of(align=align), method, labelled).task
    assert (task.source is not None) == ("source_labels" in seen)
    assert (task.labelled_target is not None) == ("target_labels" in seen)
    assert (task.target is not None) == ("target_audio" in seen)
    sources, unlabelled = len(fold.source), len(fold.target) - 3 * ("target_labels" in seen)
    doubled = 2 if align == "coral" else 1
    expected = doubled * sources * (task.source is not None) + 3 * (task.labelled_target is not None)
    expected += unlabelled * (task.target is not None)
    assert len(task.inputs.x) == expected, "what is not named is not among the inputs"
    parts = [part.rows for part in (task.source, task.labelled_target) if part] + [task.target] * (
        task.target is not None
    )
    assert sorted(torch.cat(parts).tolist()) == list(range(expected)), "each input is one thing"
    if task.source:
        assert task.source.label.tolist() == speech.label[list(fold.source)].tolist() * doubled
    if task.labelled_target:
        assert task.labelled_target.label.tolist() == speech.label[list(labelled)].tolist()


@pytest.mark.parametrize("align", ["none", "coral"])
@pytest.mark.parametrize("name", METHODS)
def test_target_labels_beyond_the_budget_are_not_within_reach(secret, name, align):
    method = registry.load("methods", name)()
    built = build(secret, fold_of(secret), case_of(align=align), method, ())
    method.prepare(built.task, Model(built.task.inputs, Linear(built.task.inputs.width, 2)))
    assert secrets_in(built.task) == [] and secrets_in(method) == []
    assert secrets_in(built.test) == []


@pytest.fixture(scope="module")
def heard(_recorded):
    """Recordings as a Speech without features."""
    from emobridge.settings import Data
    from emobridge.study.reading import read_speech

    labels = ("anger", "sadness")
    data = Data(source=(str(_recorded / "en.jsonl"),), target=str(_recorded / "xx.jsonl"), labels=labels)
    return read_speech(data, labels)[0]


@pytest.mark.parametrize("name", METHODS)
def test_nor_are_they_where_the_encoder_is_trained(heard, name):
    speech, label = heard, heard.label.copy()
    label[speech.is_target] = SECRET
    speech = dataclasses.replace(speech, label=label, attributes=np.where(speech.is_target, RATING, 0.5)[:, None])
    speech = with_phones(speech)
    method = registry.load("methods", name)()
    case = case_of(encoder="emotion-cnn", train="end-to-end", align="none", method=name)
    built = build(speech, fold_of(speech), case, method, (), encoder=load_encoder("emotion-cnn"))
    method.prepare(built.task, Model(built.task.inputs, Linear(built.task.inputs.width, 2)))
    assert len(built.task.inputs.utterances) > 0
    assert secrets_in((built.task, method, built.test)) == []


@pytest.mark.parametrize(
    "seen",
    [frozenset(needs) for size in range(1, 4) for needs in itertools.combinations(sorted(WORDS), size)],
    ids=sorted,
)
@pytest.mark.parametrize("align", ["none", "coral"])
def test_attributes_are_those_of_the_labels_that_are_seen(secret, seen, align):
    fold = fold_of(secret)
    label = np.minimum(secret.label, 1)
    labelled = tuple(row for row in fold.target if secret.utterances[row].emotion)[:2]
    attributes = secret.attributes.copy()
    attributes[list(labelled)] = [[0.25, 0.75], [0.75, 0.25]]
    speech = dataclasses.replace(secret, label=label, attributes=attributes)
    task = build(speech, fold, case_of(align=align, target_labels="2"), Anything(seen), labelled).task
    assert len(task.attributes) == len(task.inputs.x)
    assert not rated(task.attributes), "an unlabelled target row is hidden"
    unknown = task.attributes.isnan()
    if task.source:
        expected = torch.from_numpy(speech.attributes[list(fold.source)]).float()
        assert torch.equal(task.attributes[task.source.rows], expected.repeat(2 if align == "coral" else 1, 1))
        unknown[task.source.rows] = True
    if task.labelled_target:
        assert task.attributes[task.labelled_target.rows].tolist() == [[0.25, 0.75], [0.75, 0.25]]
        unknown[task.labelled_target.rows] = True
    assert unknown.all(), "and nothing else is known"


@pytest.mark.parametrize("sides", [("source",), ("target",), ("source", "target")])
def test_a_stage_sees_attributes_of_its_sides_alone(secret, sides):
    fold = fold_of(secret)
    labelled = tuple(row for row in fold.target if secret.utterances[row].emotion)[:2]
    task = build(secret, fold, case_of(target_labels="2"), Anything(WORDS), labelled).task
    seen = Stage(sides, "frozen").of(task)
    for side, part in (("source", task.source), ("target", task.labelled_target)):
        is_seen = not seen.attributes[part.rows].isnan().any()
        assert is_seen == (side in sides)
        assert is_seen or seen.attributes[part.rows].isnan().all()
    assert any(map(rated, reachable(seen))) == ("target" in sides), "what is hidden is nowhere in its memory"


def test_within_the_budget_they_are_those_of_the_budget_only(secret):
    fold = fold_of(secret)
    label = secret.label.copy()
    labelled = tuple(row for row in fold.target if secret.utterances[row].emotion)[:2]
    label[list(labelled)] = 1
    attributes = secret.attributes.copy()
    attributes[list(labelled)] = 0.25
    speech = dataclasses.replace(secret, label=label, attributes=attributes)
    built = build(speech, fold, case_of(target_labels="2"), Anything(WORDS), labelled)
    assert built.task.labelled_target.label.tolist() == [1, 1]
    assert secrets_in(built.task) == []


def test_of_a_benchmark_with_a_list_only_the_lists_labels_are_within_reach(secret):
    """Every target utterance is labelled; a person gave two of the labels, one of a scored speaker."""
    fold, label = fold_of(secret), secret.label.copy()
    listed = [fold.target[0], fold.target_test[0]]
    label[listed[0]] = 1
    secret = dataclasses.replace(secret, attributes=secret.attributes.copy())
    secret.attributes[listed[0]] = 0.25
    ids = frozenset(secret.utterances[row].id for row in listed)
    speech = dataclasses.replace(secret, label=label, visible=ids)
    labelled = budget(speech, fold, "2", 0)
    assert labelled == (listed[0],), "the scored speaker's label is not for training"
    for name in METHODS:
        method = registry.load("methods", name)()
        built = build(speech, fold, case_of(target_labels="2"), method, labelled)
        method.prepare(built.task, Model(built.task.inputs, Linear(built.task.inputs.width, 2)))
        if "target_labels" in method.needs | method.takes:
            assert built.task.labelled_target.label.tolist() == [1]
        else:
            assert built.task.labelled_target is None
        assert secrets_in((built.task, method, built.test)) == []


def test_a_method_that_reaches_for_what_it_did_not_name_gets_nothing(secret):
    task = build(secret, fold_of(secret), case_of(), Anything({"source_labels"}), ()).task
    assert task.labelled_target is None and task.target is None
    for attribute in ("target_labels", "label", "labels", "speech", "fold", "utterances", "test"):
        assert not hasattr(task, attribute) and not hasattr(task.inputs, attribute)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.labelled_target = "listed"


def test_a_method_that_needs_target_audio_says_so_where_there_is_none(toy_speech):
    speech = toy_speech()
    fold = dataclasses.replace(fold_of(speech), target=())
    with pytest.raises(UserError, match="method anything needs unlabelled target audio, and there is none"):
        build(speech, fold, case_of(), Anything({"target_audio"}), ())


@pytest.mark.parametrize("count", ["0", "3"])
@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_draws_is_sound_and_repeatable(toy_speech, name, count):
    speech = with_phones(toy_speech(extra=2))
    fold = fold_of(speech)
    draws = []
    for _ in range(2):
        method = registry.load("methods", name)()
        chosen = budget(speech, fold, count, seed=0) if "target_labels" in method.needs | method.takes else ()
        task = build(speech, fold, case_of(), method, chosen).task
        method.prepare(task, Model(task.inputs, Linear(4, 2)))
        generator = torch.Generator().manual_seed(3)
        size = len(task.inputs.x)

        def predict(rows):
            return torch.stack([rows / 100, 1 - rows / 100], 1)

        drawn = [method.examples(epoch, predict, generator) for epoch in range(61)]
        assert drawn[0] is not None, "the loop has nothing else to begin with"
        for examples in drawn:
            if examples is not None:
                assert len(examples.rows) == len(examples.label) == len(examples.weight) > 0
                assert int(examples.rows.min()) >= 0 and int(examples.rows.max()) < size
                label = as_probabilities(examples.label, 2)
                assert (label >= 0).all() and torch.allclose(label.sum(1), torch.ones(len(label)), atol=1e-4)
                assert float(examples.weight.mean()) == pytest.approx(1, rel=1e-4) and (examples.weight >= 0).all()
        draws.append([examples for examples in drawn if examples is not None])
    for examples, two in zip(*draws):
        assert torch.equal(examples.rows, two.rows) and torch.equal(examples.label, two.label)


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_is_scalars_by_name_that_can_be_minimised(toy_speech, name):
    method = registry.load("methods", name)()
    speech = with_phones(toy_speech())
    task = build(speech, fold_of(speech), case_of(), method, ()).task
    torch.manual_seed(0)
    model = Model(task.inputs, Linear(4, 2))
    own_module = method.prepare(task, model)
    generator = torch.Generator().manual_seed(0)
    drawn = method.examples(0, lambda rows: probabilities(model, task.inputs, rows), generator)
    rows, label, weight = drawn.rows[:8], drawn.label[:8], drawn.weight[:8]
    terms = method.loss(Step(model, task.inputs.batch(rows), rows, label, weight, 0.5, task.inputs.batch, generator))
    assert terms and all(isinstance(term, str) and value.shape == () for term, value in terms.items())
    sum(terms.values()).backward()
    for part in (model.head, *([own_module] if own_module is not None else [])):
        for value in part.parameters():
            assert torch.isfinite(value.grad).all() and value.grad.abs().max() > 0


def soon(kind):
    """A method that does in the first epochs all that it does."""
    options = options_of(kind)
    return kind(**{name: epochs for name, epochs in (("interval", 2), ("warm_up", 1)) if options.get(name, 0) > epochs})


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(1, (0, 0)), (2, (0,)), (2, (1, 1, 1)), (2, (0, 1, 0))],
    ids=["a class", "a row", "a class of two", "two classes"],
)
@pytest.mark.parametrize("unlabelled", [0, 1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_a_loss_of_the_smallest_sizes_is_finite(name, classes, unlabelled, labels):
    """One source row, one class present, a batch of one row, no unlabelled row: through every epoch of a training."""
    method = soon(registry.load("methods", name))
    if classes == 1 and "emotions" in method.needs:
        pytest.skip("needs two classes")
    random = torch.Generator().manual_seed(0)
    inputs = Frozen(torch.randn(len(labels) + unlabelled + 1, 3, generator=random))
    target = torch.arange(len(labels) + 1, len(labels) + 1 + unlabelled)
    labelled = Labelled(torch.tensor([len(labels)]), torch.tensor([0]))
    traits = (Trait("gender", torch.full((len(inputs.x),), -1), 2),)
    present = torch.ones(len(inputs.x), 1, dtype=torch.bool)
    task = Task(
        inputs,
        classes,
        Labelled(torch.arange(len(labels)), torch.tensor(labels)),
        labelled if "target_labels" in method.needs else None,
        target if "target_audio" in method.needs | method.takes else None,
        traits=traits,
        phones=Phones(("a",), present, lambda rows, generator: inputs.x[rows][:, None]),
    )
    if "phones" in method.needs and not unlabelled:
        pytest.skip("needs a phone of both languages")
    torch.manual_seed(0)
    head = Linear(3, classes, hidden=1)
    log = fit(task, method, head, Plan(epochs=7, batch_size=1, learning_rate=0.01), seed=0)
    assert log and all(np.isfinite(point.value) for point in log)
    assert all(torch.isfinite(weight).all() for weight in head.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_an_easy_task(toy_speech, name):
    speech = with_phones(toy_speech(noise=0.1))
    fold = fold_of(speech)
    method = registry.load("methods", name)()
    labelled = budget(speech, fold, "4", seed=0) if "target_labels" in method.needs else ()
    built = build(speech, fold, case_of(), method, labelled)
    torch.manual_seed(0)
    head = Linear(4, 2)
    fit(built.task, method, head, Plan(epochs=35, learning_rate=0.02), seed=0)
    tests = torch.arange(len(fold.source_test) + len(fold.target_test))
    head.eval()
    predictions = head(built.test.batch(tests)[:, None], torch.ones(len(tests), 1, dtype=torch.bool)).argmax(1)
    assert predictions.tolist() == speech.label[[*fold.source_test, *fold.target_test]].tolist()
