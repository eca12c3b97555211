"""Methods on arrays: what a method sees, every size, and the manners of scikit-learn."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import emobridge
from emobridge import ArrayRecognizer, UserError, fit_arrays, registry
from emobridge.bundle import made_head
from emobridge.methods.dann import Dann
from emobridge.methods.source_only import SourceOnly
from emobridge.options import Plugin
from emobridge.scores.calibration import expected_calibration_error

METHODS = [name for name in registry.names("methods") if not registry.load("methods", name).stages]
ARRAY_METHODS = [name for name in METHODS if not {"traits", "phones"} & registry.load("methods", name).needs]


def blobs(count: int = 10, width: int = 4, shift: float = 1.0, seed: int = 0):
    """Two emotions in a source and, shifted, in a target of `count` rows each."""
    generator = np.random.default_rng(seed)
    label = np.tile(["angry", "sad"], count)
    X = generator.normal(0, 0.3, (2 * count, width)) + np.where(label == "sad", 2.0, 0.0)[:, None]
    domain = np.repeat([0, 1], count)
    return X + shift * domain[:, None], label, domain


class Spy(SourceOnly):
    """Writes down the task; options of a method show what it `needs` and `takes`."""

    needs = frozenset({"source_labels"})
    takes = frozenset()

    def prepare(self, task, model):
        super().prepare(task, model)
        type(self).seen = task


class Audio(Spy):
    needs = frozenset({"source_labels", "target_audio"})


class Labels(Spy):
    needs = frozenset({"source_labels", "target_audio"})
    takes = frozenset({"target_labels"})


@pytest.mark.parametrize("method", ARRAY_METHODS)
@pytest.mark.parametrize(
    ("source", "target", "width", "standardise"),
    [
        pytest.param(10, 10, 4, "none", marks=pytest.mark.slow),  # as test_every_method_learns, with more rows
        (10, 10, 1, "domain"),
        pytest.param(10, 1, 4, "domain", marks=pytest.mark.slow),
        (10, 1, 1, "none"),
        (2, 1, 1, "domain"),
        (1, 1, 1, "none"),
        (1, 1, 1, "domain"),
    ],
)
def test_every_method_works_on_every_size(method, source, target, width, standardise):
    X, y, domain = blobs(10, width)
    rows = [*range(source), *range(10, 10 + target)]
    if source == 1 and "emotions" in registry.load("methods", method).needs:
        with pytest.raises(UserError, match=f"method {method} needs two or more different labels, and there is one"):
            fit_arrays(X[rows], y[rows], domain[rows], method)
        return
    recognizer = fit_arrays(X[rows], y[rows], domain[rows], method, epochs=32, standardise=standardise, batch_size=7)
    p = recognizer.predict_proba(X)
    assert p.shape == (20, min(source, 2)) and np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    assert set(recognizer.predict(X)) <= set(recognizer.classes_)
    assert recognizer.log_ and all(np.isfinite(point.value) for point in recognizer.log_)
    assert recognizer.predict_proba(X[:0]).shape == (0, min(source, 2)), "no row is a size too"
    np.testing.assert_allclose(recognizer.predict_proba(X[:1]), p[:1], rtol=1e-5)


@pytest.mark.parametrize("method", ARRAY_METHODS)
def test_every_method_learns(method):
    X, y, domain = blobs(40, 4)
    recognizer = fit_arrays(X, y, domain, method, learning_rate=0.03, standardise="domain")
    assert recognizer.score(X[40:], y[40:]) > 0.9, "standardised by domain, the shift of the target is gone"
    assert (recognizer.predict(X[:40], sample_domain=domain[:40]) == y[:40]).mean() > 0.9


def test_a_method_sees_what_it_declares():
    X, y, domain = blobs(6)
    X = X.astype(np.float32)
    fit_arrays(X, y, domain, Spy, epochs=1)
    assert Spy.seen.target is None and Spy.seen.labelled_target is None
    np.testing.assert_array_equal(Spy.seen.inputs.x, X[:6])
    assert Spy.seen.source.rows.tolist() == list(range(6)) and Spy.seen.source.label.tolist() == [0, 1] * 3
    assert Spy.seen.source.corpus.tolist() == [0] * 6 and Spy.seen.traits == () and Spy.seen.attributes is None
    fit_arrays(X, y, domain, Audio, epochs=1)
    assert Audio.seen.target.tolist() == list(range(6, 12)) and Audio.seen.labelled_target is None
    np.testing.assert_array_equal(Audio.seen.inputs.x, X)
    order = np.random.default_rng(1).permutation(12)
    fit_arrays(X[order], y[order], domain[order], Audio, epochs=1, class_weights=False)
    np.testing.assert_array_equal(Audio.seen.inputs.x[:6], X[order][domain[order] == 0])
    assert not Audio.seen.class_weights


def test_labels_of_the_target_are_handed_over_only_where_that_is_said():
    X, y, domain = blobs(6)
    y = np.where(np.arange(12) > 8, None, y)
    fit_arrays(X, y, domain, Labels, epochs=1)
    assert Labels.seen.labelled_target is None and Labels.seen.target.tolist() == list(range(6, 12))
    fit_arrays(X, y, domain, Labels, epochs=1, use_target_labels=True)
    assert Labels.seen.labelled_target.rows.tolist() == [6, 7, 8]
    assert Labels.seen.labelled_target.label.tolist() == [0, 1, 0]
    assert Labels.seen.labelled_target.corpus.tolist() == [1, 1, 1] and Labels.seen.target.tolist() == [9, 10, 11]
    with pytest.raises(UserError, match="method audio cannot use target labels"):
        fit_arrays(X, y, domain, Audio, epochs=1, use_target_labels=True)
    y = np.where((np.arange(12) >= 6) & (y == "sad"), "new", y)
    assert fit_arrays(X, y, domain, "source-only", epochs=1).classes_.tolist() == ["angry", "sad"]
    new = fit_arrays(X, y, domain, "source-only", epochs=1, use_target_labels=True)
    assert new.classes_.tolist() == ["angry", "new", "sad"]


@pytest.mark.parametrize("method", ARRAY_METHODS)
def test_labels_of_the_target_change_nothing_without_it(method):
    X, y, domain = blobs(8)
    first = fit_arrays(X, y, domain, method, epochs=32)
    second = fit_arrays(X, np.where(domain == 1, None, y), domain, method, epochs=32)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_it_is_the_same_training_as_that_of_adapt():
    """The head, the task and the loop are put together as `training.stages` does."""
    from emobridge.methods.base import Labelled, Task
    from emobridge.training.inputs import Frozen
    from emobridge.training.loop import Model, Plan, fit, probabilities

    X, y, domain = blobs(10)
    x = torch.from_numpy(X.astype(np.float32))
    label, corpus = torch.tensor([0, 1] * 5), torch.zeros(10, dtype=torch.int64)
    task = Task(Frozen(x), 2, Labelled(torch.arange(10), label, corpus), None, torch.arange(10, 20))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        head = made_head("linear", (), 4, 2)
    fit(task, Dann(strength=0.5), head, Plan(epochs=5), seed=3)
    expected = probabilities(Model(task.inputs, head).eval(), task.inputs, torch.arange(20)).double()
    recognizer = fit_arrays(X, y, domain, "dann", method_options={"strength": "0.5"}, epochs=5, seed=3)
    np.testing.assert_array_equal(recognizer.predict_proba(X), (expected / expected.sum(1, keepdim=True)).numpy())


def test_a_seed_is_a_training_and_random_numbers_are_left_alone():
    X, y, domain = blobs(8)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    method = "soft-pseudo-labels"
    first, again, other = (fit_arrays(X, y, domain, method, epochs=5, seed=seed).predict_proba(X) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["sad", "angry"], ["angry", "sad"]),
        ([3, 1], [1, 3]),
        ([2.5, 0.0], [0.0, 2.5]),
        ([True, False], [False, True]),
        ([("a", 1), ("a", 0)], [("a", 0), ("a", 1)]),
        ([1, "a"], [1, "a"]),
        (["-1", "1"], ["-1", "1"]),
        ([frozenset("a"), "b"], [frozenset("a"), "b"]),
    ],
)
def test_labels_are_of_any_hashable_type(labels, classes):
    y = [labels[row % 2] for row in range(8)]
    recognizer = fit_arrays(blobs(4)[0], y, blobs(4)[2], "source-only", epochs=1)
    assert list(recognizer.classes_) == classes and len(recognizer.predict(blobs(4)[0])) == 8


@pytest.mark.parametrize("missing", [None, -1, -1.0, float("nan"), np.nan, np.int64(-1)])
def test_what_is_no_label(missing):
    X, y, domain = blobs(4)
    y = [label if row < 4 else missing for row, label in enumerate(y)]
    by_domain = fit_arrays(X, y, domain, "dann", epochs=2)
    alone = ArrayRecognizer("dann", epochs=2).fit(X, y)
    np.testing.assert_array_equal(by_domain.predict_proba(X), alone.predict_proba(X))
    numbers = np.where(domain == 0, np.arange(8) % 2, -1)
    np.testing.assert_array_equal(
        fit_arrays(X, numbers, domain, "dann", epochs=2).predict_proba(X), alone.predict_proba(X)
    )


@pytest.mark.parametrize("domain", [["source"] * 4 + ["target"] * 4, np.repeat([0.0, 1.0], 4), np.arange(8) > 3])
def test_domains_have_names_and_numbers(domain):
    X, y, numbers = blobs(4)
    first, second = (fit_arrays(X, y, names, epochs=2).predict_proba(X) for names in (domain, numbers))
    np.testing.assert_array_equal(first, second)


def test_standardising_is_by_domain():
    X, y, domain = blobs(30, 3)
    moved = np.where(domain[:, None] == 1, 1000 + 50 * X, X)
    plain, far = (fit_arrays(x, y, domain, "dann", standardise="domain", epochs=20) for x in (X, moved))
    np.testing.assert_allclose(plain.predict_proba(X[30:]), far.predict_proba(moved[30:]), atol=1e-4)
    np.testing.assert_allclose(plain.predict_proba(X, domain)[:30], far.predict_proba(moved, domain)[:30], atol=1e-4)
    constant = np.concatenate([X, np.full((60, 1), 7.0)], 1)
    assert np.isfinite(fit_arrays(constant, y, domain, standardise="domain").predict_proba(constant + 1)).all()
    flat = np.full((60, 2), 7.0)
    assert np.isfinite(fit_arrays(flat, y, domain, standardise="domain").predict_proba(flat + 1)).all()


def test_a_lone_target_row_is_standardised_by_the_source():
    X, y, domain = blobs(10)
    recognizer = fit_arrays(X[:11], y[:11], domain[:11], "source-only", standardise="domain", learning_rate=0.03)
    np.testing.assert_array_equal(recognizer.predict_proba(X[:10]), recognizer.predict_proba(X[:10], ["source"] * 10))
    assert recognizer.score(X[:10], y[:10]) == 1


def test_the_manners_of_scikit_learn():
    X, y, domain = blobs(20)
    recognizer = ArrayRecognizer("dann", method_options={"strength": 0.1}, epochs=10, learning_rate=0.03)
    copy = clone(recognizer)
    assert copy is not recognizer and copy.get_params() == recognizer.get_params()
    assert copy.set_params(epochs=11).epochs == 11 and recognizer.epochs == 10
    assert "ArrayRecognizer(" in repr(recognizer) and "strength" in repr(recognizer)
    with pytest.raises(NotFittedError):
        copy.predict(X)
    assert recognizer.fit(X, y, sample_domain=domain) is recognizer
    assert (recognizer.n_features_in_, recognizer.classes_.tolist()) == (4, ["angry", "sad"])
    assert 0.9 < recognizer.score(X[:20], y[:20]) <= 1
    assert not hasattr(clone(recognizer), "classes_")
    loaded = pickle.loads(pickle.dumps(recognizer))
    np.testing.assert_array_equal(loaded.predict_proba(X), recognizer.predict_proba(X))
    pipeline = make_pipeline(StandardScaler(), ArrayRecognizer("dann", epochs=10, learning_rate=0.03))
    pipeline.fit(X, y, arrayrecognizer__sample_domain=domain)
    assert pipeline.predict(X).shape == (40,)
    assert emobridge.fit_arrays is fit_arrays


SOLVED = [name for name in ARRAY_METHODS if registry.load("methods", name).closed_form]


@pytest.mark.parametrize("head", ["discriminant", "ridge"])
@pytest.mark.parametrize("method", SOLVED)
def test_solved_heads_learn_without_chance_and_go_through_clone_and_pickle(method, head):
    X, y, domain = blobs(40)
    recognizer = ArrayRecognizer(method, head=head, head_options={"components": 3}, standardise="domain", seed=1)
    recognizer.fit(X, y, domain)
    p = recognizer.predict_proba(X)
    assert recognizer.score(X[40:], y[40:]) > 0.9
    again = clone(recognizer).set_params(seed=2).fit(X, y, domain)
    np.testing.assert_array_equal(again.predict_proba(X), p)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(recognizer)).predict_proba(X), p)


@pytest.mark.parametrize("count", [12, 18])
@pytest.mark.parametrize("method", ["class-wise", "blend"])
def test_a_few_labels_of_the_target_help_solved_heads(method, count):
    """The target's second class lies where the source's first one does."""
    X, y, domain = blobs(40, shift=2.0)
    y = np.where((domain == 1) & (np.arange(80) >= 40 + 2 * count), None, y)
    with_labels, without = (
        fit_arrays(X, y, domain, method, use_target_labels=use).predict(X[40:]) for use in (True, False)
    )
    truth = blobs(40)[1][40:]
    assert (with_labels == truth).mean() > 0.1 + (without == truth).mean()


def test_methods_and_heads_of_ones_own(tmp_path):
    X, y, domain = blobs(8)
    (tmp_path / "mine.py").write_text(
        "from emobridge.methods.source_only import SourceOnly\n"
        "class Mine(SourceOnly):\n"
        "    def __init__(self, *, weight: float = 1.0):\n"
        "        super().__init__()\n"
        "        self.weight = weight\n"
        "    def loss(self, step):\n"
        "        return {'weighted': self.weight * step.cross_entropy()}\n"
    )
    recognizer = fit_arrays(X, y, domain, str(tmp_path / "mine.py"), method_options={"weight": "2"}, epochs=2)
    assert {point.term for point in recognizer.log_} == {"weighted"}
    options = {"epochs": 2, "head": "linear", "head_options": {"hidden": 3}}
    same = [
        fit_arrays(X, y, domain, method, **options).predict_proba(X)
        for method in ("dann", Dann, Dann(), Plugin("dann"), "emobridge.methods.dann:Dann")
    ]
    assert all(np.array_equal(p, same[0]) for p in same)
    assert fit_arrays(X, y, domain, "dann", **options).model_.width == 3
    assert clone(ArrayRecognizer(Dann())).fit(X, y, domain).classes_.tolist() == ["angry", "sad"]


GOOD = blobs(4)
BAD = {
    "no numbers": ({"X": [["a"]] * 8}, r"X: expected numbers \(could not convert"),
    "ragged": ({"X": [[1.0], [1.0, 2.0]] * 4}, "X: expected numbers"),
    "a row": ({"X": np.zeros(8)}, r"X: expected features \(N, D\), got an array of shape \(8,\)"),
    "no features": ({"X": np.zeros((8, 0))}, r"X: expected features \(N, D\), got an array of shape \(8, 0\)"),
    "nothing": ({"X": np.zeros((0, 3)), "y": [], "domain": []}, r"got an array of shape \(0, 3\)"),
    "NaN": ({"X": np.where(np.arange(16).reshape(8, 2) == 5, np.nan, 1.0)}, "X: row 2, column 1: nan is no finite"),
    "too large": ({"X": np.full((8, 2), 1e300)}, "X: row 0, column 0: inf is no finite number of single precision"),
    "other lengths": ({"y": ["a"] * 7}, "X, y and domain: of 8, 7 and 8 rows"),
    "labels that are one text": ({"y": "a"}, r"y: expected labels \(N,\), got 'a'"),
    "a label that is a list": ({"y": [["a"]] * 8}, r"y: row 0: expected a label, got \['a'\]"),
    "a table of labels": ({"y": np.zeros((8, 2))}, r"y: expected labels \(N,\), got an array of shape \(8, 2\)"),
    "a source row without a label": ({"y": ["a", None, *"abab", None, None]}, "y: row 1 is of the source and has no"),
    "an unknown domain": ({"domain": [0] * 4 + ["traget"] * 4}, "domain: row 4: expected 0 or 'source', 1 or 'target'"),
    "a domain of another convention": ({"domain": [1] * 4 + [-2] * 4}, "domain: row 4: .*, got -2"),
    "one domain": ({"domain": "target"}, "domain: expected one value a row"),
    "no target": ({"domain": [0] * 8}, "method blend needs target rows, and there are none"),
    "no source": ({"domain": [1] * 8}, "needs labelled source rows, and there are none"),
    "one class": ({"y": ["a"] * 8}, "method blend needs two or more different labels, and there is one"),
    "an unknown method": ({"method": "dan"}, "unknown method 'dan': did you mean 'dann'"),
    "traits": ({"method": "multitask"}, "method multitask needs traits of speakers"),
    "phones": ({"method": "phonetic-constraint"}, "method phonetic-constraint goes by the phones"),
    "anchors": (
        {"method": "layer-anchoring", "method_options": {"anchors": "vowels"}},
        "method layer-anchoring goes by the phones",
    ),
    "stages": ({"method": "ft-lora"}, "method ft-lora trains an encoder in stages"),
    "an unknown option": ({"method_options": {"shaer": 1}}, "unknown option of method blend 'shaer': did you mean"),
    "a blend of a trained head": ({"head": "single"}, "method blend needs a head of a closed form, such as disc"),
    "a solved head and a loss": ({"method": "dann", "head": "ridge"}, "ridge has a closed form, and method dann is"),
    "an unknown head": ({"head": "linaer"}, "unknown head 'linaer': did you mean 'linear'"),
    "a head of frames": ({"head": "attentive"}, "head attentive needs frames"),
    "a head that has nothing to shape": (
        {"method": "dann", "head": "single"},
        "where head single has nothing to train",
    ),
    "no epoch": ({"epochs": 0}, "epochs: expected 1 or more, got 0"),
    "no rate": ({"learning_rate": 0.0}, "learning_rate: expected a number above 0, got 0.0"),
    "an unknown way": ({"standardise": "corpus"}, "unknown standardise 'corpus'.* \\(one of domain, none\\)"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_line(changes, message):
    arguments = {"X": GOOD[0], "y": GOOD[1], "domain": GOOD[2], "epochs": 1, **changes}
    with pytest.raises(UserError, match=message) as caught:
        fit_arrays(**arguments)
    assert len(str(caught.value).splitlines()) == 1


def test_mistakes_at_use():
    X, y, domain = blobs(4)
    recognizer = fit_arrays(X, y, domain, epochs=1)
    with pytest.raises(UserError, match="X: expected 4 features, as in training, got 3"):
        recognizer.predict(X[:, :3])
    with pytest.raises(UserError, match="X and domain: of 8 and 2 rows"):
        recognizer.predict(X, [0, 1])


def test_one_class_is_a_class():
    recognizer = fit_arrays([[1.0], [2.0]], ["sad", None], [0, 1], "dann", epochs=2)
    assert recognizer.predict([[5.0]]).tolist() == ["sad"] and recognizer.predict_proba([[5.0]]).tolist() == [[1.0]]


def test_calibrated_probabilities_are_nearer_to_the_truth_and_predict_the_same():
    X, label, domain = blobs(40)
    generator = np.random.default_rng(1)
    held_out, truth = blobs(200, seed=2)[0] + generator.normal(0, 2.0, (400, 4)), blobs(200)[1]
    recognizer = fit_arrays(X, label, domain, "source-only", learning_rate=0.1)
    before, predicted = recognizer.predict_proba(held_out), recognizer.predict(held_out)
    assert recognizer.temperature_ == 1
    assert recognizer.calibrate(held_out[:200], truth[:200]) is recognizer and recognizer.temperature_ > 1
    after = recognizer.predict_proba(held_out)
    np.testing.assert_allclose(after.sum(1), 1)
    np.testing.assert_array_equal(recognizer.predict(held_out), predicted)
    codes = (truth[200:] == "sad").astype(int)
    assert expected_calibration_error(after[200:], codes) < expected_calibration_error(before[200:], codes)
    temperature = recognizer.temperature_
    assert recognizer.calibrate(held_out[:200], truth[:200]).temperature_ == temperature, (
        "it starts from the model's own"
    )
    assert recognizer.fit(X, label, domain).temperature_ == 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["angry", None], r"y: row 1: expected one of angry, sad, got None"),
        (["angry", "happy"], r"y: row 1: expected one of angry, sad, got 'happy'"),
        (["angry"], "of 2 and 1 rows"),
    ],
)
def test_calibration_refuses_rows_without_a_known_label(labels, words):
    X, label, domain = blobs()
    with pytest.raises(UserError, match=words):
        fit_arrays(X, label, domain, "source-only", epochs=1).calibrate(X[:2], labels)
    with pytest.raises(NotFittedError):
        ArrayRecognizer().calibrate(X, label)
