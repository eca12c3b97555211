"""A recogniser whose work is shared out: processes of this machine or of a cluster read it from its bundle.

A row is the same to the last bit whoever answers, and features are the same bytes whoever computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobridge.adapters import switch_adapters
from emobridge.bundle import Recognizer
from emobridge.bundle.hub import bundle_folder
from emobridge.bundle.sets import Set
from emobridge.encoders import fixed_engine
from emobridge.encoders.base import Encoder
from emobridge.features.parallel import Crew, Pool, Work, Workers, run_parallel
from emobridge.features.store import FeatureStore
from emobridge.features.work import fill_stores
from emobridge.progress import Progress
from emobridge.types import Utterance


@dataclass(frozen=True, slots=True)
class BundleEncoder:
    """The encoder of a bundle through one of its sets of adapters, for a process that opens it itself."""

    bundle: str  # folder
    encoder: str | None  # where it is now, if it has moved
    adapters: str | None  # key of the set; None is the encoder without adapters

    def __call__(self) -> Encoder:
        """Open it. Errors: UserError as `Recognizer.load`."""
        recognizer = Recognizer.load(self.bundle, encoder=self.encoder, device="cpu")
        switch_adapters(recognizer.encoder, set_of_key(recognizer, self.adapters))
        return recognizer.encoder


@dataclass(frozen=True, slots=True)
class BundleProcesses:
    """A recogniser, and the processes that read it from its bundle."""

    recognizer: Recognizer
    bundle: str  # folder
    encoder: str | None = None  # where it is now, if it has moved
    jobs: int = 1  # of this machine
    device: str = "auto"
    workers: Workers | None = None  # of a cluster, in their place

    @classmethod
    def open(
        cls,
        bundle: str | Path,
        encoder: str | None = None,
        *,
        jobs: int = 1,
        device: str = "auto",
        workers: Workers | None = None,
    ) -> BundleProcesses:
        """Read a bundle: a folder, or a model of the hub. Errors: UserError as `Recognizer.load`."""
        folder = bundle_folder(bundle)
        here = device if workers is None else "cpu"  # where workers encode, nothing is encoded here
        recognizer = Recognizer.load(folder, encoder=encoder, device=here)
        return cls(recognizer, str(folder), encoder, jobs, device, workers)

    @property
    def are_many(self) -> bool:
        """Whether others than this process work."""
        return self.workers is not None or self.jobs > 1

    def crew(
        self, units: int, start: Callable[..., None], arguments: Sequence[Any]
    ) -> AbstractContextManager[Crew] | None:
        """Processes for so many units of work that begin with start(*arguments); None where this one works alone."""
        if self.workers is not None:
            return self.workers.crew(start, arguments) if units else None
        jobs = min(self.jobs, units)
        return Pool(jobs, start, arguments) if jobs > 1 else None

    def run(self, work: Work, items: Sequence[Any], on_progress: Progress | None = None) -> list[Any]:
        """As `run_parallel`."""
        with fixed_engine():
            return run_parallel(work, items, jobs=self.jobs, workers=self.workers, on_progress=on_progress)

    def fill(
        self,
        store: FeatureStore,
        adapters: Set,
        utterances: Sequence[Utterance],
        *,
        strict: bool,
        on_progress: Progress | None,
    ) -> None:
        """Bring into a store, and into that of prosody where the recogniser needs it, what they lack of utterances.

        adapters: the set that is at work in the store's encoder. Errors: as `features.work.compute_units`.
        """
        workers = None if self.workers is None else self.workers.sharing(store.folder.parent)
        fill_stores(
            store,
            BundleEncoder(self.bundle, self.encoder, None if adapters is None else adapters.key),
            utterances,
            jobs=self.jobs,
            workers=workers,
            with_prosody=self.recognizer.spec.prosody,
            strict=strict,
            on_progress=on_progress,
        )


def apart(recognizer: Recognizer | BundleProcesses) -> tuple[Recognizer, BundleProcesses | None]:
    """The recogniser, and who shares its work; None where it has nobody."""
    if isinstance(recognizer, Recognizer):
        return recognizer, None
    return recognizer.recognizer, recognizer if recognizer.are_many else None


def set_of_key(recognizer: Recognizer, key: str | None) -> Set:
    """The set of adapters with a key: of a branch, or else the mean of all; None for None."""
    if key is None:
        return None
    for branch in recognizer.branches:
        if branch.adapters is not None and branch.adapters.key == key:
            return branch.adapters
    return recognizer.average
