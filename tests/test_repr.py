"""What is printed without being asked for in full is short, however much it holds."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import emobridge
from emobridge.audit.findings import audit
from emobridge.inference.evaluate import evaluated
from emobridge.study.record import record_of

LONGEST = 1400  # characters: of a request of 70 settings; all else is far shorter


@pytest.fixture(scope="module")
def adapted(_recorded, tmp_path_factory):
    out = tmp_path_factory.mktemp("printed")
    speech = {"source": [str(_recorded / "en.jsonl")], "target": str(_recorded / "xx.jsonl")}
    quick = {"seeds": 2, "folds": 2, "epochs": 2, "labels": ["anger", "sadness"], "method": "source-only"}
    return emobridge.adapt(**speech, **quick, out=str(out / "run"), store=str(out / "features"))


def held_by(thing, depth=8):
    """Everything of the package that a thing holds, itself first."""
    if depth and type(thing).__module__.startswith("emobridge"):
        yield thing
        names = [field.name for field in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else []
        for name in names or getattr(thing, "_fields", ()) or vars(thing):  # the second of a named tuple
            yield from held_by(getattr(thing, name), depth - 1)
    elif isinstance(thing, (list, tuple)):
        for item in thing[:3]:
            yield from held_by(item, depth)
    elif isinstance(thing, dict):
        for item in list(thing.values())[:3]:
            yield from held_by(item, depth)


def test_nothing_that_a_run_gives_back_fills_the_screen(adapted, recorded):
    rows = list(emobridge.read_manifest(recorded / "xx.jsonl"))
    findings = audit({"xx": rows})
    results = [adapted, adapted.recognizer, findings, record_of(adapted, findings, "emobridge adapt")]
    results += [evaluated(adapted.recognizer, rows), adapted.recognizer(rows), emobridge.scan("folder", recorded)]
    seen = [thing for result in results for thing in held_by(result)]
    assert {"Adapted", "Speech", "Answers", "StudyRecord", "Recognizer", "Branch", "Domain"} <= {
        type(thing).__name__ for thing in seen
    }
    assert not any(" object at 0x" in repr(result) for result in results)
    for thing in seen:
        if not isinstance(thing, torch.nn.Module):
            text = repr(thing)
            assert len(text) <= LONGEST and "\n" not in text, text[:300]
    assert len(repr(adapted)) < 300 and len(repr(adapted.recognizer)) < 200


def test_a_recogniser_says_what_it_is(adapted):
    assert repr(adapted.recognizer) == "<Recognizer xh: anger, sadness; source-only, logmel layer 0>"
