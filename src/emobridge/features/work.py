"""Features as work that others may do: units that can be sent to a process, and what became of each.

    units = plan_units(StoreSettings("store", EncoderSource("whisper-base")), utterances)
    report = compute_unit(units[3])  # in any process, on any machine that sees the same files and the same store

A unit is the clips of one shard. Whoever computes it writes the same bytes, so units may be computed in any order, by
any number of processes, and again: what the store has is not computed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emobridge.data.devices import choose_device, move
from emobridge.data.threads import single_thread
from emobridge.encoders import fixed_engine, load_encoder
from emobridge.encoders.base import Encoder, Option
from emobridge.features.parallel import Work, Workers, run_parallel
from emobridge.features.store import FeatureStore, clips_per_shard
from emobridge.features.units import cut_units
from emobridge.progress import Progress, in_passes
from emobridge.types import Utterance, short_repr


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """An encoder by its name and its options, for a process that opens it itself."""

    name: str  # as `load_encoder` has it
    options: tuple[tuple[str, Option], ...] = ()

    def __call__(self) -> Encoder:
        """Open it. Errors: UserError as `load_encoder`."""
        return load_encoder(self.name, **dict(self.options))


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What `FeatureStore` is opened with."""

    folder: str
    encoder: Callable[[], Encoder]  # can be pickled and compared: opens the encoder
    frames: bool = False
    segment: float = 0.0
    batch_size: int | None = None
    last_layer: int | None = None
    device: str = "auto"  # where the encoder computes; auto is a GPU where the process has one

    def open(self) -> FeatureStore:
        """Open the encoder and its store. Errors: UserError as for both, and for a device that is not there."""
        choose_device(self.device)
        encoder = self.encoder()
        move(encoder, self.device)
        return FeatureStore(
            self.folder,
            encoder,
            frames=self.frames,
            segment=self.segment,
            batch_size=self.batch_size,
            last_layer=self.last_layer,
        )


@short_repr
@dataclass(frozen=True, slots=True)
class ShardUnit:
    """The clips of one shard, longest first."""

    settings: StoreSettings
    number: int  # from 0
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True, slots=True)
class UnitReport:
    """What became of the clips of a unit."""

    number: int
    computed: int  # clips
    present: int  # clips that the store had
    skipped: tuple[tuple[str, str], ...]  # id and reason of each clip that has no features


def plan_units(
    settings: StoreSettings, utterances: Sequence[Utterance], *, strict: bool = False
) -> tuple[ShardUnit, ...]:
    """All units of some utterances, present in the store or not: the same for the same utterances and settings.

    No encoder is opened. Errors: AudioError with `strict`, for a row whose length cannot be read.
    """
    cut = cut_units(utterances, clips_per_shard(settings.frames), strict=strict)
    return tuple(ShardUnit(settings, number, tuple(utterances[row] for row in rows)) for number, rows in enumerate(cut))


def compute_unit(unit: ShardUnit, *, strict: bool = False) -> UnitReport:
    """Compute, on one thread, what the store lacks of a unit and write it as a whole shard.

    A process opens an encoder once. Errors: UserError where encoder or store cannot be opened or written; AudioError of
    the first bad file with `strict`.
    """
    with single_thread():
        added = _open_once(unit.settings).compute_shard(unit.utterances, strict=strict)
    return UnitReport(unit.number, added.computed, added.present, added.skipped)


def compute_units(
    units: Sequence[ShardUnit],
    *,
    jobs: int = 1,
    workers: Workers | None = None,
    strict: bool = False,
    on_progress: Progress | None = None,
) -> list[UnitReport]:
    """`compute_unit` of each, in their order, in this process, in `jobs` processes of one thread each, or by `workers`.

    on_progress: gets clips. Errors: as `compute_unit` and `run_parallel`; what other processes have stored stays.
    """
    report = _in_clips(units, on_progress)
    if workers is not None or min(jobs, len(units)) > 1:
        with fixed_engine():
            return run_parallel(Work(_work, _start, (strict,)), units, jobs=jobs, workers=workers, on_progress=report)
    reports = []
    for done, unit in enumerate(units, 1):
        reports.append(compute_unit(unit, strict=strict))
        report(done, len(units))
    return reports


def fill_stores(
    store: FeatureStore,
    encoder: Callable[[], Encoder],
    utterances: Sequence[Utterance],
    *,
    jobs: int,
    workers: Workers | None = None,
    with_prosody: bool = False,
    strict: bool = False,
    on_progress: Progress | None = None,
) -> None:
    """Bring into a store, and into that of prosody beside it, what they lack, in `jobs` processes or by `workers`.

    encoder: opens the store's encoder in a process. Without workers, one job, a single unit that is missing, and an
    accelerator of this process are left to the reader of the store. Errors: as `compute_units`.
    """
    if workers is None and (jobs < 2 or store.clip_encoder.is_accelerated):
        return
    folder, device = str(store.folder.parent), "cpu" if workers is None else workers.device
    last_layer = store.layers - 1 if store.layers < store.encoder.layers else None
    frames, segment = store.with_frames, store.segment
    settings = StoreSettings(folder, encoder, frames, segment, last_layer=last_layer, device=device)
    stores = [(store, settings)]
    if with_prosody:
        settings = StoreSettings(folder, EncoderSource("prosody"))
        stores.append((settings.open(), settings))
    passes = in_passes(on_progress, [len(utterances)] * len(stores))
    for (opened, settings), report in zip(stores, passes):
        units = plan_units(settings, utterances, strict=strict)
        missing = [unit for unit in units if opened.lacks(unit.utterances)]
        if len(missing) > (1 if workers is None else 0):
            compute_units(missing, jobs=jobs, workers=workers, strict=strict, on_progress=report)


@functools.lru_cache(maxsize=2)  # of an encoder, and of prosody beside it
def _open_once(settings: StoreSettings) -> FeatureStore:
    return settings.open()


def _in_clips(units: Sequence[ShardUnit], on_progress: Progress | None) -> Callable[[int, int], None]:
    clips = sum(len(unit.utterances) for unit in units)
    return lambda done, count: on_progress(clips * done // count, clips) if on_progress else None


_strict = False  # of a process that works for another


def _start(strict: bool) -> None:
    global _strict
    _strict = strict


def _work(unit: ShardUnit) -> UnitReport:
    return compute_unit(unit, strict=_strict)
