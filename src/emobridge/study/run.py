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
from emobridge.bundle import UNKNOWN, Recognizer, Spec
from emobridge.corpora.demo import is_synthetic
from emobridge.data.speech import Fold, Speech, everything, folds_of
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain
from emobridge.files import whole_file
from emobridge.methods.base import BASELINE, Method
from emobridge.options import made
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures.ua import Ua
from emobridge.settings import Settings
from emobridge.training.checkpoints import LogPoint
from emobridge.training.loop import Model, said
from emobridge.training.stages import Fitted, hardware_of, run_stages, sees_frames
from emobridge.training.tasks import Matrices
from emobridge.types import person_labels


@dataclass(frozen=True, slots=True)
class Said:
    """What one fit said of what it was asked."""

    probabilities: np.ndarray  # (N, C)
    attributes: np.ndarray | None = None  # (N, K), as Predicted has them


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one system said of the utterances that it was scored on, over all folds of one seed."""

    method: str
    seed: int
    side: str  # "source" or "target"
    rows: np.ndarray  # (N,) of the Speech
    probabilities: np.ndarray  # (N, C)
    attributes: np.ndarray | None = None  # (N, K) in about [-1, 1], where they were learnt


def systems_of(settings: Settings) -> tuple[str, ...]:
    """The baseline and the method asked for."""
    return tuple(dict.fromkeys((BASELINE, settings.method)))


def made_method(name: str, settings: Settings) -> Method:
    """A method with its options; those of the settings belong to the method asked for, not to the baseline."""
    method = registry.load("methods", name)
    if settings.target_labels != "0" and "target_labels" not in method.needs | method.takes:
        raise UserError(f"method {name} cannot use target labels: give --target-labels 0")
    if settings.target_labels == "0" and "target_labels" in method.needs and name == settings.method:
        raise UserError(f"method {name} needs labels of the target: give --target-labels a number, or all")
    if settings.alone and "emotions" in method.needs:
        raise UserError(f"method {name} goes by emotions, and labels are none: give --method source-only, or dann")
    if method.head != "single" and settings.head == "single" and settings.train == "frozen" and not method.stages:
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
        if speech.attributes is not None:
            said.update(speech.attributes.tobytes())
        if speech.features is not None:
            said.update(speech.features.numpy().tobytes())
        else:
            for one in speech.utterances:
                stat = Path(one.path).stat()
                said.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
        self.key = said.hexdigest()[:16]

    def path(self, name: str) -> Path:
        """The files of one fit that goes on, without their suffixes."""
        return self.folder / f"{self.key}-{name}"

    def said(self, name: str) -> Path:
        """The file of one finished fit."""
        return self.folder / f"{self.key}-{name}.safetensors"

    def read(self, name: str) -> tuple[Said, tuple[LogPoint, ...]] | None:
        """What a finished fit said, and its log, or None."""
        try:
            with safe_open(self.said(name), framework="np") as file:
                log = json.loads(file.metadata()["log"])
                attributes = file.get_tensor("attributes") if "attributes" in file.keys() else None  # noqa: SIM118
                said = Said(file.get_tensor("probabilities"), attributes)
                return said, tuple(LogPoint(*point) for point in log)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def write(self, name: str, said: Said, log: Sequence[LogPoint]) -> None:
        """Note a finished fit."""
        points = json.dumps([(point.epoch, point.term, point.value) for point in log])
        with whole_file(self.said(name)) as path:
            tensors = {"probabilities": said.probabilities}
            if said.attributes is not None:
                tensors["attributes"] = said.attributes
            save_file(tensors, path, metadata={"log": points})


class Runner:
    """Runs the systems of some settings on some speech. Without `work` nothing is written down.

    matrices: what CORAL found before for the same speech; runners of one speech may share it. kept: a folder of what
    stages ended with, which runners may share too (see `stages.run_stages`).
    """

    def __init__(
        self,
        settings: Settings,
        speech: Speech,
        work: Work | None = None,
        matrices: Matrices | None = None,
        kept: Path | None = None,
    ) -> None:
        self.settings, self.speech, self.work, self.kept = settings, speech, work, kept
        self.matrices: Matrices = {} if matrices is None else matrices
        self.log: list[tuple[str, LogPoint]] = []
        self.hardware = hardware_of(settings)

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
        parts: list[Said] = []
        for place, fold in enumerate(folds):
            parts.append(self.said(method, seed, place, fold))
            on_fold()
        return _sides(method, seed, folds, parts)

    def final(self, encoder: Encoder) -> Recognizer:
        """The method asked for, seed 0, with nothing held out: what users get.

        Where the source's encoder stayed as it was under the target's adapters, it answers for the source still.
        """
        settings, fold = self.settings, everything(self.speech, self.settings, 0)
        method = made_method(settings.method, settings)
        fitted = self._fit(method, "final", 0, fold)
        made = encoder if fitted.encoder is None or fitted.trained == "frozen" else fitted.encoder.cpu()
        spec = replace(self._spec(encoder, fitted.trained, fitted.built.learner.domains), layer=_layer(settings, made))
        target = Recognizer(spec, made, fitted.built.learner.domains, fitted.head, regressor=fitted.regressor)
        if fitted.trained != "end-to-end+adapters" or spec.layer != settings.layer:
            return target
        head, regressor, domains = fitted.before[0]
        own = domains[-2:-1]  # the last of the source's corpora
        first = self._spec(encoder, "end-to-end", own)
        source = Recognizer(replace(first, target_labels="all"), made, own, head, regressor=regressor)
        names = {domain.language for domain in (*own, domains[-1])}
        return source.join(target) if len(names - {UNKNOWN}) == 2 else target

    def _spec(self, encoder: Encoder, trained: str, domains: Sequence[Domain]) -> Spec:
        settings = self.settings
        return Spec(
            labels=settings.labels,
            encoder=_lasting(settings.encoder),
            encoder_options=settings.encoder_options,
            digest=encoder.digest,
            trained=trained,
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
            attributes=settings.attributes,
            attribute_range=settings.attribute_range,
            frames=sees_frames(settings),
        )

    def said(self, name: str, seed: int, place: int, fold: Fold) -> Said:
        """What one fit says of source_test, then of target_test, from the work folder where they are there."""
        title = f"{name}-seed{seed}-fold{place}"
        known = self.work.read(title) if self.work else None
        if self.hardware.told(known is None):
            fitted = self._fit(made_method(name, self.settings), title, seed, fold)
            test = fitted.built.test
            test.refresh()
            rows = torch.arange(len(fold.source_test) + len(fold.target_test))
            p, attributes = said(Model(test, fitted.head, fitted.regressor), test, rows)
            known = Said(p.numpy(), None if attributes is None else attributes.numpy()), fitted.log
            if self.work and not self.hardware.rank:
                self.work.write(title, *known)
            self.hardware.wait()
        elif known is None:
            assert self.work is not None  # where the first process read it
            known = self.work.read(title)
        assert known is not None
        self.log += [(f"{name}, seed {seed}, fold {place}", point) for point in known[1]]
        return known[0]

    def _fit(self, method: Method, title: str, seed: int, fold: Fold) -> Fitted:
        return run_stages(
            self.settings,
            self.speech,
            fold,
            method,
            seed,
            matrices=self.matrices,
            hardware=self.hardware,
            path=self.work.path(title) if self.work else None,
            kept=self.kept,
        )


def evaluation_of(speech: Speech, labels: Sequence[str], predicted: Sequence[Predicted]) -> Evaluation | None:
    """What one system said on one side, over all seeds; None where nothing there has an emotion.

    Where each seed scored other utterances, which one split a seed does, they stand one after the other as one seed.
    """
    if not predicted or not labels:
        return None
    rows = [one.rows for one in predicted]
    said = [[labels[best] for best in one.probabilities.argmax(1)] for one in predicted]
    if any(not np.array_equal(rows[0], some) for some in rows):
        rows, said = [np.concatenate(rows)], [[word for words in said for word in words]]
    return Evaluation(
        tuple(labels),
        tuple(labels[speech.label[row]] for row in rows[0]),
        tuple(map(tuple, said)),
        person_labels([speech.utterances[row] for row in rows[0]]),
    )


def attribute_evaluation_of(
    speech: Speech, names: Sequence[str], predicted: Sequence[Predicted]
) -> AttributeEvaluation | None:
    """What one system said of attributes on one side, on the scale [-1, 1]; None where they are not known.

    Seeds that scored other utterances stand one after the other, as in `evaluation_of`.
    """
    attributes = [one.attributes for one in predicted if one.attributes is not None]
    if speech.attributes is None or not attributes:
        return None
    rows = [one.rows for one in predicted]
    if any(not np.array_equal(rows[0], some) for some in rows):
        rows, attributes = [np.concatenate(rows)], [np.concatenate(attributes)]
    truth = speech.attributes[rows[0]]
    if ((~np.isnan(truth)).sum(0) < 2).all():
        return None
    speakers = person_labels([speech.utterances[row] for row in rows[0]])
    return AttributeEvaluation(tuple(names), truth, np.stack(attributes), speakers)


def unweighted(speech: Speech, predicted: Sequence[Predicted], labels: Sequence[str]) -> float:
    """UA in [0, 1] of some predictions together."""
    truth = [labels[speech.label[row]] for one in predicted for row in one.rows]
    said = [labels[best] for one in predicted for best in one.probabilities.argmax(1)]
    return Ua()(truth, said, labels=labels)


def _sides(method: str, seed: int, folds: Sequence[Fold], parts: Sequence[Said]) -> list[Predicted]:
    """What the folds said, put together for each side."""
    sides = []
    for side in ("source", "target"):
        rows = np.concatenate([getattr(fold, f"{side}_test") for fold in folds]).astype(np.int64)
        cut = [len(fold.source_test) for fold in folds]
        own = [slice(0, at) if side == "source" else slice(at, None) for at in cut]
        if len(rows):
            order = np.argsort(rows)
            p = np.concatenate([part.probabilities[some] for part, some in zip(parts, own)])[order]
            regressed = [part.attributes[some] for part, some in zip(parts, own) if part.attributes is not None]
            attributes = np.concatenate(regressed)[order] if regressed else None
            sides.append(Predicted(method, seed, side, rows[order], p, attributes))
    return sides


def _layer(settings: Settings, encoder: Encoder) -> str:
    """The layer's name; gating leaves one."""
    return "0" if encoder.layers == 1 else settings.layer


def _lasting(encoder: str) -> str:
    """The encoder's folder as an absolute path, so that the bundle finds it from elsewhere; other names as they are."""
    is_plugin = encoder.replace("_", "-") in registry.names("encoders")  # goes before a folder of its name
    return str(Path(encoder).resolve()) if Path(encoder).is_dir() and not is_plugin else encoder
