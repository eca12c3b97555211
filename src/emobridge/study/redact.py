"""Pseudonyms for a study: of all that stands in its manifests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from emobridge.corpora import utterances_at
from emobridge.report.redact import Pseudonyms
from emobridge.settings import Adapt, Budget
from emobridge.study.grid import Grid
from emobridge.study.train import Adapted

AnyStudy = TypeVar("AnyStudy", Adapted, Grid)


def pseudonyms_of(request: Adapt | Budget, manifests: Iterable[str]) -> Pseudonyms:
    """The pseudonyms of the utterances of some manifests and of the places that a request names."""
    return Pseudonyms.of([row for path in manifests for row in utterances_at(path)], request)


def redacted_study(study: AnyStudy, names: Pseudonyms) -> AnyStudy:
    """A finished study for its record: its utterances under pseudonyms, with which nothing may be trained; no clips."""
    speech, output = study.prepared.speech, replace(study.request.output, clips=False)
    speech = replace(
        speech,
        utterances=tuple(map(names.utterance, speech.utterances)),
        visible=None if speech.visible is None else frozenset(names.ids[name] for name in speech.visible),
        items=frozenset(names.ids[name] for name in speech.items),
    )
    return replace(
        study, prepared=replace(study.prepared, speech=speech), request=replace(study.request, output=output)
    )
