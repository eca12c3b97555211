"""All fits of a run: systems x seeds x folds, each written down when it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from emobridge import __version__, registry
from emobridge.adapters import Adapters
from emobridge.bundle import Recognizer, Spec, made_head
from emobridge.corpora.demo import is_synthetic
from emobridge.encoders import load_encoder
from emobridge.encoders._base import Encoder
from emobridge.errors import UserError
from emobridge.files import whole_file
from emobridge.folds import Fold, Speech, budget, everything, folds_of
from emobridge.heads._base import Head
from emobridge.methods._base import Method
from emobridge.metrics import Evaluation, ua
from emobridge.options import made, read_options
from emobridge.settings import Settings
from emobridge.tasks import Built, Matrices, build
from emobridge.training import LogPoint, Model, Plan, fit, probabilities

BASELINE = "source-only"


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one system said of the utterances that it was scored on, over all folds of one seed."""

    method: str
    seed: int
    side: str  # "source" or "target"
    rows: np.ndarray  # (N,) of the Speech
    probabilities: np.ndarray  # (N, C)


def systems_of(settings: Settings) -> tuple[str, ...]:
    """The baseline and the method asked for."""
    return tuple(dict.fromkeys((BASELINE, settings.method)))


def made_method(name: str, settings: Settings) -> Method:
    """A method with its options; those of the settings belong to the method asked for, not to the baseline."""
    method = registry.load("methods", name)
    if settings.target_labels != "0" and "target_labels" not in method.needs | method.takes:
        raise UserError(f"method {name} cannot use target labels: give --target-labels 0")
    if method.head != "single" and settings.head == "single" and settings.train == "frozen":
        raise UserError(
            f"method {name} shapes what lies before the output, where head single has nothing to train: "
            f"give --head {method.head}, or --train end-to-end"
        )
    return made(f"method {name}", method, settings.method_options if name == settings.method else ())


class Work:
    """Finished fits of one run in a folder; other settings, speech or weights have other names there."""

    def __init__(self, folder: Path, settings: Settings, speech: Speech, digest: str) -> None:
        self.folder = folder
        asked = asdict(replace(settings, out="", store="", seeds=1))
        said = hashlib.sha256(json.dumps([asked, digest, __version__], sort_keys=True).encode())
        for one, label in zip(speech.utterances, speech.label):
            said.update(f"{one.id}\0{one.corpus}\0{one.speaker}\0{one.start}\0{one.end}\0{label}\n".encode())
        if speech.given is not None:
            said.update("\n".join(sorted(speech.given)).encode())
        if speech.features is not None:
            said.update(speech.features.numpy().tobytes())
        else:
            for one in speech.utterances:
                stat = Path(one.path).stat()
                said.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
        self.key = said.hexdigest()[:16]

    def path(self, name: str, suffix: str) -> Path:
        """The file of one fit."""
        return self.folder / f"{self.key}-{name}.{suffix}"

    def read(self, name: str) -> tuple[np.ndarray, tuple[LogPoint, ...]] | None:
        """Probabilities and log of a finished fit, or None."""
        try:
            with safe_open(self.path(name, "safetensors"), framework="np") as file:
                log = json.loads(file.metadata()["log"])
                return file.get_tensor("probabilities"), tuple(LogPoint(*point) for point in log)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def write(self, name: str, said: np.ndarray, log: Sequence[LogPoint]) -> None:
        """Note a finished fit."""
        points = json.dumps([(point.epoch, point.term, point.value) for point in log])
        with whole_file(self.path(name, "safetensors")) as path:
            save_file({"probabilities": said}, path, metadata={"log": points})


class Runner:
    """Runs the systems of some settings on some speech. Without `work` nothing is written down.

    matrices: what CORAL found before for the same speech; runners of one speech may share it.
    """

    def __init__(
        self, settings: Settings, speech: Speech, work: Work | None = None, matrices: Matrices | None = None
    ) -> None:
        self.settings, self.speech, self.work = settings, speech, work
        self.matrices: Matrices = {} if matrices is None else matrices
        self.log: list[tuple[str, LogPoint]] = []
        self.plan = Plan(
            settings.epochs,
            settings.batch_size,
            settings.learning_rate,
            settings.decay,
            settings.patience,
            settings.validate_by,
        )

    def run(self, on_progress: Callable[[int, int], None] | None = None) -> tuple[Predicted, ...]:
        """Every system, seed and fold."""
        settings, systems = self.settings, systems_of(self.settings)
        predicted: list[Predicted] = []
        done, count = 0, 0

        def one_more() -> None:
            nonlocal done
            done += 1
            if on_progress:
                on_progress(done, count)

        for seed in range(settings.seeds):
            folds = folds_of(self.speech, settings, seed)
            count = settings.seeds * len(systems) * len(folds)
            self.matrices.clear()  # they are of the folds of one seed
            for method in systems:
                predicted += self.system(method, seed, folds, one_more)
        return tuple(predicted)

    def system(
        self, method: str, seed: int, folds: Sequence[Fold], on_fold: Callable[[], None] = lambda: None
    ) -> list[Predicted]:
        """One system on the folds of one seed: what it says of each side. `on_fold` is called after each fold."""
        parts: list[np.ndarray] = []
        for place, fold in enumerate(folds):
            parts.append(self.said(method, seed, place, fold))
            on_fold()
        return _sides(method, seed, folds, parts)

    def final(self, encoder: Encoder) -> Recognizer:
        """The method asked for, seed 0, with nothing held out: what users get."""
        settings, fold = self.settings, everything(self.speech, self.settings, 0)
        method = made_method(settings.method, settings)
        built, head, trained, _ = self._fit(method, "final", 0, fold)
        domains = built.learner.domains
        spec = Spec(
            labels=settings.labels,
            encoder=_lasting(settings.encoder),
            encoder_options=settings.encoder_options,
            digest=encoder.digest,
            trained=settings.train,
            layer=settings.layer,
            statistics=settings.statistics,
            normalise=settings.normalise,
            by_corpus=settings.by_corpus,
            texts=tuple(domain.texts for domain in domains),
            align=settings.align,
            target_labels=settings.target_labels,
            head=settings.head,
            head_options=settings.head_options,
            method=settings.method,
            domains=tuple((domain.corpus, domain.language) for domain in domains),
            synthetic=any(is_synthetic(one.corpus) for one in self.speech.utterances),
        )
        return Recognizer(spec, trained or encoder, domains, head)

    def said(self, name: str, seed: int, place: int, fold: Fold) -> np.ndarray:
        """(source_test + target_test, C) probabilities of one fit, from the work folder where they are there."""
        title = f"{name}-seed{seed}-fold{place}"
        known = self.work.read(title) if self.work else None
        if known is None:
            built, head, _, log = self._fit(made_method(name, self.settings), title, seed, fold)
            built.test.refresh()
            rows = torch.arange(len(fold.source_test) + len(fold.target_test))
            known = probabilities(Model(built.test, head), built.test, rows).numpy(), log
            if self.work:
                self.work.write(title, *known)
        self.log += [(f"{name}, seed {seed}, fold {place}", point) for point in known[1]]
        return known[0]

    def _fit(
        self, method: Method, title: str, seed: int, fold: Fold
    ) -> tuple[Built, Head, Encoder | None, tuple[LogPoint, ...]]:
        settings = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = None
            if settings.train != "frozen":
                encoder = load_encoder(settings.encoder, **read_options(settings.encoder_options))
                if settings.train == "adapters":
                    Adapters(encoder, settings.adapters, settings.adapter_options)
            few = budget(self.speech, fold, settings.target_labels, seed)
            built = build(self.speech, fold, method, len(settings.labels), settings, encoder, few, self.matrices)
            head = made_head(settings.head, settings.head_options, built.task.inputs.width, len(settings.labels))
        log = fit(
            built.task,
            method,
            head,
            self.plan,
            seed=seed,
            validation=built.validation,
            checkpoint=self.work.path(title, "checkpoint") if self.work else None,
        )
        return built, head, encoder, log


def evaluation_of(speech: Speech, labels: Sequence[str], predicted: Sequence[Predicted]) -> Evaluation | None:
    """What one system said on one side, over all seeds; None where nothing there is labelled.

    Where each seed scored other utterances, which one split a seed does, they stand one after the other as one seed.
    """
    if not predicted:
        return None
    rows = [one.rows for one in predicted]
    said = [[labels[best] for best in one.probabilities.argmax(1)] for one in predicted]
    if any(not np.array_equal(rows[0], some) for some in rows):
        rows, said = [np.concatenate(rows)], [[word for words in said for word in words]]
    return Evaluation(
        tuple(labels),
        tuple(labels[speech.label[row]] for row in rows[0]),
        tuple(map(tuple, said)),
        tuple(_speaker(speech, row) for row in rows[0]),
    )


def unweighted(speech: Speech, predicted: Sequence[Predicted], labels: Sequence[str]) -> float:
    """UA in [0, 1] of some predictions together."""
    truth = [labels[speech.label[row]] for one in predicted for row in one.rows]
    said = [labels[best] for one in predicted for best in one.probabilities.argmax(1)]
    return ua(truth, said, labels=labels)


def _speaker(speech: Speech, row: int) -> str | None:
    """The speaker, with the corpus before it where several corpora are scored together."""
    one = speech.utterances[row]
    side = speech.is_target == speech.is_target[row]
    alone = len(set(speech.domain_of[side])) == 1
    return one.speaker if alone or one.speaker is None else f"{one.corpus} {one.speaker}"


def _sides(method: str, seed: int, folds: Sequence[Fold], parts: Sequence[np.ndarray]) -> list[Predicted]:
    """What the folds said, put together for each side."""
    sides = []
    for side in ("source", "target"):
        rows = np.concatenate([getattr(fold, f"{side}_test") for fold in folds]).astype(np.int64)
        cut = [len(fold.source_test) for fold in folds]
        said = [part[:at] if side == "source" else part[at:] for part, at in zip(parts, cut)]
        if len(rows):
            order = np.argsort(rows)
            sides.append(Predicted(method, seed, side, rows[order], np.concatenate(said)[order]))
    return sides


def _lasting(encoder: str) -> str:
    """The encoder's folder as an absolute path, so that the bundle finds it from elsewhere; other names as they are."""
    is_plugin = encoder.replace("_", "-") in registry.names("encoders")  # goes before a folder of its name
    return str(Path(encoder).resolve()) if Path(encoder).is_dir() and not is_plugin else encoder
