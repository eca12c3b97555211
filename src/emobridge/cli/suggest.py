"""The command that suggests which utterances to label; `cli.main` registers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import SuggestRequest, shared_recognizer
from emobridge.cli.stopping import keep_work


def run_suggest(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """List the unlabelled utterances whose labels would help a recogniser most, for a person to fill in."""
    from emobridge.corpora import utterances_at
    from emobridge.progress import progress, report_note, report_skipped
    from emobridge.study.label_list import (
        LabelList,
        ToLabel,
        check_free,
        language_of,
        read_list,
        with_labels,
        write_list,
    )
    from emobridge.study.suggest import suggest as choose

    out = Path(request.out)
    check_free(out)
    utterances = list(utterances_at(request.on, report_note))
    listed = read_list(request.labelled, language_of(utterances)) if request.labelled else LabelList()
    listed = listed.matched(utterances, request.on)
    for note in listed.notes:
        report_note(note)
    shared = shared_recognizer(request)
    recognizer = shared.recognizer
    utterances = with_labels(utterances, listed.labels, recognizer.labels, request.on)
    skipped: list[tuple[str, str]] = []
    keep_work()
    with progress("features") as report:
        rows = choose(
            shared,
            utterances,
            by=request.by,
            count=request.count,
            seed=request.seed,
            store=request.store or None,
            on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
            on_progress=report,
        )
    by_id = {utterance.id: utterance for utterance in utterances}
    write_list(out, [*(ToLabel(by_id[label.id]) for label in listed.labels), *rows])
    report_skipped(skipped)
    free = sum(utterance.emotion is None for utterance in utterances)
    synthetic = " (SYNTHETIC)" if recognizer.synthetic else ""
    print(f"{out}: {len(rows)} of {free} unlabelled utterances, by {request.by}{synthetic}")
    print(f"fill in the column emotion ({', '.join(recognizer.labels)}), then: emobridge adapt ... --labelled {out}")


suggest = command_from(SuggestRequest, "suggest", run_suggest)
