"""A whole run: adaptation, audit, report and recogniser. The command and Python leave the same folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emobridge.audit.findings import Audit, audit
from emobridge.data.threads import one_thread
from emobridge.progress import progress
from emobridge.report.model_card import model_card
from emobridge.report.redact import Pseudonyms
from emobridge.report.terminal import lines_of
from emobridge.report.write import write_study
from emobridge.settings import Adapt, Data, command_of, write_settings
from emobridge.study.cases import check_useful
from emobridge.study.reading import Manifests
from emobridge.study.record import record_of
from emobridge.study.redact import pseudonyms_of, redacted_study
from emobridge.study.target import findings_of
from emobridge.study.train import Adapted, train
from emobridge.training.stages import hardware_of
from emobridge.types import Utterance


@one_thread()
def adapt(request: Adapt | None = None, *, strict: bool = False, **options: Any) -> Adapted:
    """Train on labelled speech, adapt to a new language, score, and write report, scores and recogniser.

    request: a record, or its options by name: adapt(source=["en.jsonl"], target="de.jsonl", out="run"). The folder
    `out` then holds scores.json, report.html, report.md, report.json, settings.toml and bundle/. An interrupted run
    goes on. Utterances that cannot be read are left out and listed; with `strict` the first one raises.
    Of several processes (accelerate launch) the first one writes.
    Errors: UserError for whatever is wrong with the request or the speech.
    """
    request = request or Adapt.of(**options)
    check_useful(request)
    out = Path(request.output.out)
    out.mkdir(parents=True, exist_ok=True)  # before hours of work that have nowhere to go
    adapted = train(request, strict=strict)
    if any(hardware_of(answers.case, adapted.request.output.device).rank for answers in adapted.answers):
        return adapted
    names = pseudonyms_of(request, data_paths(adapted.request.data)) if request.output.redact else None
    shown = adapted if names is None else redacted_study(adapted, names)
    audited = audit_manifests(adapted.request.data, adapted.prepared.manifests, names)
    with progress("answers on the target") as report:
        findings = findings_of(shown, audited, report)
    record = replace(record_of(shown, audited, command_of(request, "adapt")), target=findings)
    origin = adapted.prepared.origin
    earlier = "" if origin is None else origin.earlier_scores
    if names is not None:
        record, request, earlier = names.clean((record, request, earlier))
    write_settings(out / "settings.toml", request)
    clean = None if names is None else names.clean
    adapted.recognizer.save(out / "bundle", model_card(record) + earlier, redacted_by=clean)
    page = write_study(out, record)
    return replace(adapted, lines=(*lines_of(record), f"report: {page}"))


def data_paths(data: Data) -> tuple[str, ...]:
    """The manifests of both sides."""
    return (*data.source, data.target)


def audit_manifests(data: Data, read: Manifests, names: Pseudonyms | None = None) -> Audit:
    """The audit of a run's manifests, of the emotions that it learns: those of others are not its concern.

    read: the manifests, as far as they were read before. names: of utterances and speakers in the findings, in place
    of their own.
    """
    labels = {None, *(data.labels or ())}
    manifests: dict[str, Sequence[Utterance]] = {}
    for path in data_paths(data):
        rows = read.at(path) if names is None else tuple(map(names.utterance, read.at(path)))
        if data.attributes_only:  # no emotion is learnt
            manifests[path] = [replace(row, emotion=None) for row in rows]
        elif path == data.target and data.pool == "open":  # all of it takes part; other emotions are as unlabelled
            manifests[path] = [row if row.emotion in labels else replace(row, emotion=None) for row in rows]
        else:
            manifests[path] = [row for row in rows if row.emotion in labels]
    with progress("audit") as report:
        return audit(manifests, on_progress=report)
