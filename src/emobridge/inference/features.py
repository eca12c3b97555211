"""What branches see of utterances: features of the recogniser's layers, through each set of adapters that is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge.adapters import use_adapters
from emobridge.bundle import Recognizer
from emobridge.bundle.sets import Set, encode_by_set
from emobridge.data.audio import AudioError, read_utterance
from emobridge.data.batching import pad
from emobridge.data.devices import device_of, single_precision
from emobridge.encoders.base import pooled_by, stopped_after
from emobridge.features.extraction import add_prosody, extract
from emobridge.features.finite import check_finite
from emobridge.features.parallel import Work
from emobridge.features.pooling import in_columns, pool
from emobridge.features.store import FeatureStore, last_of
from emobridge.files import cache_folder
from emobridge.inference.shared import BundleProcesses, set_of_key
from emobridge.progress import Progress, in_passes
from emobridge.settings import layer_names
from emobridge.types import Utterance

Skip = Callable[[str, str], None]  # called with an id and the reason
FeaturesBySet = dict[Set, dict[int, Tensor]]  # by set of adapters and row of the utterances: as `encode` has them


def encode(recognizer: Recognizer, waves: Sequence[np.ndarray], sets: Sequence[Set]) -> list[Tensor]:
    """N waves (T_i,), each through its set of adapters -> N times (V, S * D) features of the recogniser's layers, with
    prosody behind them where its branches were trained with it; or (1, F_i, V * D) frames where its heads see them.

    Statistics that no head sees are not computed, and 0.
    """
    encoder, layers = recognizer.encoder, list(map(int, layer_names(recognizer.spec.layer)))
    statistics = recognizer.spec.statistics
    features: list[Tensor] = [torch.empty(0)] * len(waves)
    device = device_of(encoder)
    wave, mask = (part.to(device) for part in pad(waves))
    with (
        torch.inference_mode(),
        single_precision(device),
        stopped_after(encoder, max(layers)),
        pooled_by(encoder, None if recognizer.spec.frames else statistics),
    ):
        for rows, every_layer in encode_by_set(encoder, wave, mask, sets):
            encoded = replace(every_layer, hidden=every_layer.hidden[layers])
            if recognizer.spec.frames:
                for index, row in enumerate(rows):
                    frames = encoded.hidden[:, index, encoded.mask[index]]
                    features[row] = frames.transpose(0, 1).flatten(1)[None].cpu()
                continue
            of_all = in_columns(pool(encoded, statistics), statistics, encoder.statistics)
            for row, pooled in zip(rows, of_all.transpose(0, 1).cpu()):
                features[row] = add_prosody(pooled, waves[row]) if recognizer.spec.prosody else pooled
    return features


def stored_features(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    sets: Sequence[Sequence[Set]],
    store: str | Path | None,
    on_skip: Skip | None = None,
    on_progress: Progress | None = None,
    processes: BundleProcesses | None = None,
) -> tuple[FeaturesBySet, list[int]]:
    """Features of each utterance by its sets of adapters, each set with a key of its own in the store; and the rows
    that could be read.

    processes: those that compute; by default this one. Errors: AudioError for a bad file where there is no `on_skip`;
    UserError where a process was killed.
    """
    features: FeaturesBySet = {}
    reasons: dict[int, str] = {}
    layers = layer_names(recognizer.spec.layer)
    needed = dict.fromkeys(adapters for row_sets in sets for adapters in row_sets)
    rows_of = {adapters: [row for row, row_sets in enumerate(sets) if adapters in row_sets] for adapters in needed}
    passes = in_passes(on_progress, list(map(len, rows_of.values())))
    for (adapters, rows), report in zip(rows_of.items(), passes):
        clips = [utterances[row] for row in rows]
        if recognizer.spec.frames:  # the store keeps statistics alone
            source = ClipFrames(recognizer, adapters, strict=on_skip is None)
            outcomes = dict(zip(rows, source.all_frames(clips, processes, report)))
            reasons |= {row: outcome for row, outcome in outcomes.items() if isinstance(outcome, str)}
            features[adapters] = {
                row: torch.from_numpy(outcome) for row, outcome in outcomes.items() if not isinstance(outcome, str)
            }
            continue
        with use_adapters(recognizer.encoder, adapters):
            opened = FeatureStore(store or cache_folder(), recognizer.encoder, last_layer=last_of(layers))
            if processes is not None:
                processes.fill(opened, adapters, clips, strict=on_skip is None, on_progress=report)
            extracted = extract(
                opened,
                clips,
                layers=layers,
                with_prosody=recognizer.spec.prosody,
                on_progress=report,
                strict=on_skip is None,
            )
        skipped = dict(extracted.skipped)
        bad = {row: skipped[utterances[row].id] for row in rows if utterances[row].id in skipped}
        reasons |= bad
        features[adapters] = dict(zip([row for row in rows if row not in bad], torch.from_numpy(extracted.values)))
    for row in sorted(reasons):
        if on_skip is not None:
            on_skip(utterances[row].id, reasons[row])
    return features, [row for row in range(len(utterances)) if row not in reasons]


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """What gives the frames of clips, one after the other, for heads that see them."""

    recognizer: Recognizer
    adapters: Set
    strict: bool  # a clip that cannot be read raises

    def all_frames(
        self, clips: Sequence[Utterance], processes: BundleProcesses | None, on_progress: Progress | None
    ) -> list[np.ndarray | str]:
        """`frames` of each clip. Errors: as `frames`, and UserError where a process was killed."""
        if processes is not None and len(clips) > (1 if processes.workers is None else 0):
            key = None if self.adapters is None else self.adapters.key
            arguments = (processes.bundle, processes.encoder, processes.device, key, self.strict)
            return processes.run(Work(_frames, _start, arguments), clips, on_progress)
        outcomes = []
        for done, clip in enumerate(clips, 1):
            outcomes.append(self.frames(clip))
            if on_progress is not None:
                on_progress(done, len(clips))
        return outcomes

    def frames(self, clip: Utterance) -> np.ndarray | str:
        """(1, F, V * D) frames of a clip, or why there are none that are finite. Errors: AudioError with `strict`."""
        try:
            (frames,) = encode(self.recognizer, [read_utterance(clip)], [self.adapters])
            check_finite(frames, clip, self.recognizer.encoder.name)
        except AudioError as error:
            if self.strict:
                raise
            return str(error)
        return frames.numpy()


_source: ClipFrames  # of a process that works for another


def _start(bundle: str, encoder: str | None, device: str, adapters: str | None, strict: bool) -> None:
    global _source
    recognizer = Recognizer.load(bundle, encoder=encoder, device=device)
    _source = ClipFrames(recognizer, set_of_key(recognizer, adapters), strict)


def _frames(clip: Utterance) -> np.ndarray | str:
    return _source.frames(clip)
