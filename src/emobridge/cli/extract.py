"""The command that computes features ahead, alone or as one share of many machines; `cli.main` registers it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import STORE
from emobridge.cli.stopping import keep_work
from emobridge.errors import UserError, count_noun
from emobridge.settings import CLUSTER, DEVICE_HELP, JOBS_HELP, OUTPUT, Features, check_part, option

NOT_FEATURES = ("layer", "statistics", "normalise", "by_corpus", "guard", "align")  # of what is read, not stored


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractRequest:
    """Options of `extract`."""

    manifests: tuple[str, ...] = option(help="Manifests, or folders of recordings.", argument=True, repeat=True)
    store: str = option("", help=STORE, panel=OUTPUT, first=True)
    share: str = option(
        "0/1", help="Which share of the work this process does, such as 3/100: the fourth of a hundred, which may run "
        "at once, in any order and again.", panel=OUTPUT, first=True, metavar="I/N",
    )  # fmt: skip
    jobs: int = option(
        1, help=JOBS_HELP, panel=OUTPUT,
        first=True, least=1,
    )  # fmt: skip
    cluster: str = option("", help=CLUSTER, panel=OUTPUT, metavar="ADDRESS")
    store_frames: bool = option(
        False, help="Store every frame too, as `probe` needs them for heads that see frames.", panel=OUTPUT
    )
    segment: float = option(
        0.0, help="Seconds of the stretches whose means are stored in place of frames. 0 stores frames.", panel=OUTPUT,
        least=0,
    )  # fmt: skip
    device: str = option("auto", help=DEVICE_HELP, panel=OUTPUT)
    features: Features = field(default_factory=Features)

    def __post_init__(self) -> None:
        check_part(self)
        share_of(self.share)
        if self.segment and not self.store_frames:
            raise UserError("segment: goes with --store-frames")


def share_of(text: str) -> tuple[int, int]:
    """The number of a share, from 0, and how many there are. Errors: UserError.

    >>> share_of("3/100")
    (3, 100)
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    number, count = map(int, match.groups()) if match else (0, 0)
    if number >= count:
        raise UserError(f"share: expected I/N with I from 0 to N - 1, such as 0/8 for the first of eight, got {text!r}")
    return number, count


def run_extract(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Compute the features of speech and store them: alone, or as one share of many machines."""
    from emobridge.corpora import utterances_at
    from emobridge.features.work import EncoderSource, StoreSettings, compute_units, plan_units
    from emobridge.files import cache_folder
    from emobridge.options import read_options
    from emobridge.progress import progress, report_note, report_skipped
    from emobridge.scale import encoding

    number, count = share_of(request.share)
    utterances = [row for path in request.manifests for row in utterances_at(path, report_note)]
    keep_work()
    folder, features = str(request.store or cache_folder()), request.features
    source = EncoderSource(features.encoder, tuple(read_options(features.all_encoder_options).items()))
    frames = {"frames": request.store_frames, "segment": request.segment}
    stores = {source.name: StoreSettings(folder, source, **frames, device=request.device)}
    if features.prosody:
        stores["prosody"] = StoreSettings(folder, EncoderSource("prosody"))
    workers = encoding(request.cluster, folder, device=request.device)
    for name, settings in stores.items():
        units = plan_units(settings, utterances, strict=strict)[number::count]
        with progress(f"features of {name}") as report:
            reports = compute_units(units, jobs=request.jobs, workers=workers, strict=strict, on_progress=report)
        skipped = [clip for report in reports for clip in report.skipped]
        report_skipped(skipped)
        computed, present = sum(row.computed for row in reports), sum(row.present for row in reports)
        share = "" if count == 1 else f"share {request.share}: "
        print(
            f"{folder}: {name}: {share}{count_noun(computed, 'clip')} computed, {present:,} present, "
            f"{len(skipped):,} skipped"
        )


extraction = command_from(ExtractRequest, "extract", run_extract, without=NOT_FEATURES)
