"""Methods on plain arrays, in scikit-learn's manner: features of labelled source rows and of target rows in, a
classifier for the target out.

A method sees only what it declares in `needs` and `takes`. Labels of target rows are handed over to those methods that
use them, and only with `use_target_labels`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from emobridge import registry
from emobridge.data.threads import one_thread
from emobridge.errors import UserError, unknown
from emobridge.features.normalisation import DEVIATION_FLOOR
from emobridge.heads.base import Head
from emobridge.methods.base import Labelled, Method, Task
from emobridge.options import Plugin
from emobridge.scores.calibration import fit_temperature, tempered
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Model, Plan, fit, probabilities

STANDARDISE = ("none", "domain")
_SOURCE, _TARGET = 0, 1


def fit_arrays(X: Any, y: Any, domain: Any, method: Any = "blend", **settings: Any) -> ArrayRecognizer:
    """Train a method on arrays, in scikit-learn's manner.

    X: (N, D) features. y: (N,) labels, of any hashable type; None, NaN or -1 is no label, which a source row must not
    have. Labels of target rows are not looked at, unless use_target_labels=True says that they may be. domain: (N,),
    0 or "source", 1 or "target". method: a name, "./file.py", "package.module:Class", a class or an object.
    settings: the other fields of `ArrayRecognizer`. Errors: UserError.

    Without `head` a method has its own; the default one, "blend", solves the head "discriminant", without batches and
    learning rate. Set `standardise="domain"` where the features of both domains are not comparable yet.

    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [4.0], [5.0], [2.0], [7.0]])
    >>> y = ["sad", "sad", "angry", "angry", None, None]
    >>> recognizer = fit_arrays(X, y, [0, 0, 0, 0, 1, 1])
    >>> recognizer.predict([[2.0], [7.0]]).tolist()
    ['sad', 'angry']
    """
    return ArrayRecognizer(method, **settings).fit(X, y, sample_domain=domain)


@dataclass(eq=False, repr=False)
class ArrayRecognizer(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of arrays that a method of adaptation trains; it passes `sklearn.base.clone`.

    After `fit`: `classes_` (C,), `log_` (the loss terms of each epoch, `training.checkpoints.LogPoint`), `model_`,
    `n_features_in_`, and `temperature_`, which is 1 until `calibrate`. Methods that train an encoder in stages, or need
    traits of speakers or phones, are refused.
    """

    method: Any = "blend"  # a name, "./file.py", "package.module:Class", a class or an object
    method_options: Mapping[str, Any] | None = None  # {"threshold": 0.7}
    head: Any = None  # None is the method's own
    head_options: Mapping[str, Any] | None = None  # {"input_dropout": 0.5}: `adapt` drops more than heads do by default
    use_target_labels: bool = False  # hand the labels of target rows to the method
    # "domain" standardises each domain by the mean and deviation of its own rows; "none" takes the features as they are
    standardise: str = "none"
    epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    decay: float = 0.95  # of the learning rate, every 10 epochs
    class_weights: bool = True  # classes weigh the same
    seed: int = 0

    @one_thread()
    def fit(self, X: Any, y: Any, sample_domain: Any = None) -> ArrayRecognizer:
        """Train on (N, D) features, (N,) labels and (N,) domains, see `fit_arrays`; random numbers are left alone.

        Without domains the labelled rows are the source and the others the target. Errors: UserError.
        """
        x, labels = _features(X), _labels(y)
        is_target = _is_target(sample_domain, labels)
        if not len(x) == len(labels) == len(is_target):
            raise UserError(f"X, y and domain: of {len(x)}, {len(labels)} and {len(is_target)} rows")
        method = self._checked_method()
        self._moments = self._learn_moments(x, is_target)
        x = self._standardised(x, is_target)
        task, classes = self._task(x, labels, is_target, method)
        plan = Plan(self.epochs, self.batch_size, self.learning_rate, self.decay)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            head = self._make_head(method, task)
        self.log_ = fit(task, method, head, plan, seed=self.seed)
        self.model_ = Model(task.inputs, head).eval()
        self.classes_, self.n_features_in_, self.temperature_ = _as_array(classes), x.shape[1], 1.0
        return self

    def calibrate(self, X: Any, y: Any, sample_domain: Any = None) -> ArrayRecognizer:
        """Fit the temperature of the probabilities to rows (N, D) with labels (N,) that `fit` was not given.

        Rows are of the target unless `sample_domain` says otherwise. No prediction changes, see `scores.calibration`.
        Errors: UserError for a row without a label, or with one that is not in `classes_`.
        """
        p, labels = self._probabilities(X, sample_domain), _labels(y)
        if len(p) != len(labels):
            raise UserError(f"X and y: of {len(p)} and {len(labels)} rows")
        codes = {label: code for code, label in enumerate(self.classes_.tolist())}
        for row, label in enumerate(labels):
            if label not in codes:
                raise UserError(f"y: row {row}: expected one of {', '.join(map(str, codes))}, got {label!r}")
        self.temperature_ = fit_temperature(p, np.array([codes[label] for label in labels], np.int64))
        return self

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The most probable label (N,) of each row of features (N, D), as `predict_proba`."""
        p = self.predict_proba(X, sample_domain)
        labels: np.ndarray = self.classes_[p.argmax(1)]
        return labels

    def predict_proba(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """(N, D) features -> (N, C) probabilities, columns as `classes_`, rows that sum to 1.

        The rows are of the target unless `sample_domain` says otherwise; it matters to the standardisation alone.
        """
        p = self._probabilities(X, sample_domain)
        return p if self.temperature_ == 1 else tempered(p, self.temperature_)

    def _probabilities(self, X: Any, sample_domain: Any) -> np.ndarray:
        """(N, D) -> (N, C) as the model has them, without a temperature."""
        check_is_fitted(self)
        x = _features(X, least=0)
        if x.shape[1] != self.n_features_in_:
            raise UserError(f"X: expected {self.n_features_in_} features, as in training, got {x.shape[1]}")
        is_target = np.ones(len(x), bool) if sample_domain is None else _is_target(sample_domain, ())
        if len(is_target) != len(x):
            raise UserError(f"X and domain: of {len(x)} and {len(is_target)} rows")
        inputs = Frozen(torch.from_numpy(self._standardised(x, is_target)))
        p = probabilities(self.model_, inputs, torch.arange(len(x))).double()
        values: np.ndarray = (p / p.sum(1, keepdim=True)).numpy()
        return values

    def _checked_method(self) -> Method:
        """The method. Errors: UserError for settings out of range, and for a method that arrays cannot serve."""
        for key in ("epochs", "batch_size"):
            if getattr(self, key) < 1:
                raise UserError(f"{key}: expected 1 or more, got {getattr(self, key)}")
        for key in ("learning_rate", "decay"):
            if not 0 < getattr(self, key) < np.inf:
                raise UserError(f"{key}: expected a number above 0, got {getattr(self, key)}")
        if self.standardise not in STANDARDISE:
            raise unknown("standardise", str(self.standardise), STANDARDISE)
        method: Method = _plugin(self.method, self.method_options).make("methods")
        if method.stages:
            raise UserError(f"method {method.name} trains an encoder in stages, and arrays come from none")
        if "traits" in method.needs:
            raise UserError(f"method {method.name} needs traits of speakers (gender, naturalness), which arrays lack")
        if method.phone_classes:
            raise UserError(f"method {method.name} goes by the phones of utterances, which arrays lack")
        takes_labels = "target_labels" in method.needs | method.takes
        if self.use_target_labels and not takes_labels:
            raise UserError(f"method {method.name} cannot use target labels: give use_target_labels=False")
        if "target_labels" in method.needs and not self.use_target_labels:
            raise UserError(f"method {method.name} needs labels of the target: give use_target_labels=True")
        return method

    def _task(
        self, x: np.ndarray, labels: Sequence[Hashable], is_target: np.ndarray, method: Method
    ) -> tuple[Task, list[Hashable]]:
        """What the method may see, and the classes. Inputs: source, labelled target, and unlabelled target rows."""
        is_labelled = np.array([label is not None for label in labels], bool)
        visible = ~is_target | (is_target & is_labelled & self.use_target_labels)  # rows whose label is looked at
        if not is_labelled[visible].all():
            raise UserError(f"y: row {np.flatnonzero(visible & ~is_labelled)[0]} is of the source and has no label")
        source, labelled = np.flatnonzero(~is_target), np.flatnonzero(is_target & visible)
        audio = np.flatnonzero(is_target & ~visible)
        _check_needs(method, len(source), len(labelled), len(labelled) + len(audio))
        classes = _classes([labels[row] for row in np.flatnonzero(visible).tolist()])
        if "emotions" in method.needs and len(classes) < 2:
            raise UserError(f"method {method.name} needs two or more different labels, and there is one")
        seen = method.needs | method.takes
        source, audio = source[: None if "source_labels" in seen else 0], audio[: None if "target_audio" in seen else 0]
        parts = (source, labelled, audio)
        first, second, end = np.cumsum([len(part) for part in parts]).tolist()
        rows = np.concatenate(parts)
        index = {label: code for code, label in enumerate(classes)}
        codes = torch.tensor([index.get(labels[row], -1) for row in rows.tolist()], dtype=torch.int64)
        corpus = torch.from_numpy(is_target[rows].astype(np.int64))
        task = Task(
            inputs=Frozen(torch.from_numpy(x[rows])),
            classes=len(classes),
            source=_labelled(codes, corpus, 0, first),
            labelled_target=_labelled(codes, corpus, first, second),
            target=torch.arange(second, end) if "target_audio" in seen else None,
            class_weights=self.class_weights,
        )
        return task, classes

    def _make_head(self, method: Method, task: Task) -> Head:
        plugin = _plugin(method.head if self.head is None else self.head, self.head_options)
        kind = registry.load("heads", plugin.name)
        if (kind.needs_frames and not kind.layered) or kind.all_layers:
            raise UserError(f"head {plugin} needs frames or layers of an encoder, which arrays lack")
        head: Head = plugin.make("heads", width=task.inputs.width, classes=task.classes)
        if head.closed_form and not method.closed_form:
            raise UserError(f"head {plugin} has a closed form, and method {method.name} is trained by gradients")
        if method.needs_closed_form and not head.closed_form:
            raise UserError(f"method {method.name} needs a head of a closed form, such as discriminant")
        if not method.closed_form and method.head != "single" and not _shapes(head):
            raise UserError(
                f"method {method.name} shapes what lies before the output, where head {plugin} has nothing to train: "
                f"give head={method.head!r}"
            )
        return head

    def _learn_moments(self, x: np.ndarray, is_target: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Mean and deviation of the source and of the target; a domain of fewer than two rows has those of the other.

        No deviation is below DEVIATION_FLOOR times the mean one of its domain, as features that hardly vary would be
        amplified to noise; it is 1 where nothing varies.
        """
        moments = []
        for rows in (x[~is_target], x[is_target]):
            rows = rows if len(rows) > 1 else x[~is_target] if len(x[~is_target]) > 1 else x
            deviation = rows.std(0, dtype=np.float64)
            deviation = np.maximum(deviation, DEVIATION_FLOOR * deviation.mean())
            moments.append((rows.mean(0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0)))
        return tuple(moments)

    def _standardised(self, x: np.ndarray, is_target: np.ndarray) -> np.ndarray:
        if self.standardise == "none":
            return x
        standardised = np.empty_like(x)
        for rows, (mean, deviation) in zip((~is_target, is_target), self._moments):
            standardised[rows] = (x[rows] - mean) / deviation
        return standardised


def _plugin(name: Any, options: Mapping[str, Any] | None) -> Plugin:
    if isinstance(name, Plugin):
        return Plugin(name.name, tuple({**dict(name.options), **(options or {})}.items()))
    return Plugin(name, tuple((options or {}).items()))


def _check_needs(method: Method, source: int, labelled_target: int, target: int) -> None:
    """Errors: UserError for a method that needs rows of which there are none."""
    for need, count, rows in (
        ("source_labels", source, "labelled source rows"),
        ("target_labels", labelled_target, "labelled target rows"),
        ("target_audio", target, "target rows"),
    ):
        if need in method.needs and not count:
            raise UserError(f"method {method.name} needs {rows}, and there are none")


def _labelled(codes: Tensor, corpus: Tensor, first: int, end: int) -> Labelled | None:
    return Labelled(torch.arange(first, end), codes[first:end], corpus[first:end]) if end > first else None


def _shapes(head: Head) -> bool:
    """Whether a head has weights before its output."""
    return any(name.partition(".")[0] != "output" for name, _ in head.named_parameters())


def _features(X: Any, least: int = 1) -> np.ndarray:
    """(N, D) float32. Errors: UserError for what is no such array, or not finite."""
    try:
        with np.errstate(over="ignore"):
            x = np.asarray(X).astype(np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"X: expected numbers ({' '.join(str(error).split())})") from error
    if x.ndim != 2 or len(x) < least or not x.shape[1]:
        raise UserError(f"X: expected features (N, D), got an array of shape {x.shape}")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise UserError(f"X: row {row}, column {column}: {x[row, column]} is no finite number of single precision")
    return np.ascontiguousarray(x)


def _labels(y: Any) -> list[Hashable]:
    """The labels as plain values; None where there is none. Errors: UserError for what is no sequence of labels."""
    if isinstance(y, (str, bytes)) or not hasattr(y, "__len__"):
        raise UserError(f"y: expected labels (N,), got {y!r}")
    if hasattr(y, "to_numpy"):  # of pandas, whose index is not to be looked at
        y = y.to_numpy()
    if getattr(y, "ndim", 1) != 1:
        raise UserError(f"y: expected labels (N,), got an array of shape {y.shape}")
    labels = list(y.tolist() if hasattr(y, "tolist") else y)
    for row, label in enumerate(labels):
        label = label.item() if isinstance(label, np.generic) else label
        if not isinstance(label, Hashable):
            raise UserError(f"y: row {row}: expected a label, got {label!r}")
        number = isinstance(label, (int, float)) and not isinstance(label, bool)
        labels[row] = None if number and (label == -1 or label != label) else label
    return labels


def _is_target(domain: Any, labels: Sequence[Hashable]) -> np.ndarray:
    """(N,) bool. Errors: UserError for a domain that is neither the source nor the target."""
    if domain is None:
        return np.array([label is None for label in labels], bool)
    if isinstance(domain, str) or not hasattr(domain, "__len__"):
        raise UserError(f"domain: expected one value a row, 0 or 'source', 1 or 'target', got {domain!r}")
    names: dict[Any, int] = {"source": _SOURCE, "target": _TARGET}
    values = list(domain.tolist() if hasattr(domain, "tolist") else domain)
    codes = [names.get(value, value) if isinstance(value, Hashable) else value for value in values]
    for row, code in enumerate(codes):
        if code not in (_SOURCE, _TARGET):
            raise UserError(f"domain: row {row}: expected 0 or 'source', 1 or 'target', got {values[row]!r}")
    return np.array(codes, np.int64) == _TARGET


def _classes(labels: Sequence[Hashable]) -> list[Hashable]:
    """The different labels, sorted; those that have no order by their type and text."""
    classes: list[Any] = list(dict.fromkeys(labels))
    try:
        return sorted(classes)
    except TypeError:
        return sorted(classes, key=lambda label: (type(label).__name__, repr(label)))


def _as_array(classes: Sequence[Hashable]) -> np.ndarray:
    """(C,) of numbers or texts where all labels are such, else of objects."""
    if len({type(label) for label in classes}) == 1 and isinstance(classes[0], (bool, int, float, str)):
        return np.array(classes)
    array = np.empty(len(classes), object)
    array[:] = list(classes)
    return array
