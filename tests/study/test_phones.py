"""Methods that go by phones, from alignments in files to answers: stored features, and encoders that are trained."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from emobridge.data.audio import read_utterance
from emobridge.data.batching import pad
from emobridge.data.manifest import read_manifest
from emobridge.data.speech import Speech
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features.phone_means import phone_means
from emobridge.phones.base import PHONE_CLASSES
from emobridge.phones.reading import read_alignments
from emobridge.settings import Adapt
from emobridge.study.phones import with_phones
from emobridge.study.train import train
from emobridge.training import inputs as room

PHONES = (("a", 0.0, 0.1), ("t", 0.1, 0.2), ("i", 0.2, 0.3))
GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.3
<exists>
1
"IntervalTier"
"phones"
0
0.3
{count}
{intervals}
"""


def write_grid(path, phones=PHONES) -> None:
    intervals = "\n".join(f'{start}\n{end}\n"{label}"' for label, start, end in phones)
    path.write_text(GRID.format(count=len(phones), intervals=intervals), encoding="utf-8")


@pytest.fixture
def alignments(recorded, tmp_path):
    """A folder with an alignment of every recording but one."""
    folder = tmp_path / "alignments"
    folder.mkdir()
    for corpus in ("en", "xx"):
        for line in (recorded / f"{corpus}.jsonl").read_text().splitlines()[1:]:
            write_grid(folder / f"{json.loads(line)['id']}.TextGrid")
    return folder


@pytest.fixture
def request_of(recorded, source, tmp_path, alignments):
    def make(**changes) -> Adapt:
        plain = {
            "source": (str(recorded / "en.jsonl"),),
            "target": str(recorded / "xx.jsonl"),
            "labels": ("anger", "sadness"),
            "alignments": str(alignments),
            "out": str(tmp_path / "run"),
            "store": str(tmp_path / "store"),
            "encoder": str(source("whisper")),
            "layer": "all",
            "normalise": "corpus",
            "align": "none",
            "head": "layer-transformer",
            "head_options": ("hidden=8",),
            **{"seeds": 1, "folds": 2, "epochs": 3, "batch_size": 8},
        }
        return Adapt.of(**{**plain, **changes})

    return make


def terms_of(adapted) -> dict[str, list[float]]:
    terms: dict[str, list[float]] = {}
    for system in adapted.answers:
        for log in system.logs:
            for point in log.points:
                terms.setdefault(point.term, []).append(point.value)
    return terms


TRAINED = {"normalise": "none", "crop": 0.25, "epochs": 1, "learning_rate": 0.001}
WAYS = {"frozen": {}, "head": {"train": "head", **TRAINED}, "end-to-end": {"train": "end-to-end", **TRAINED}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("layer-anchoring", ("anchors=vowels",), {"anchor 1", "anchor 2"}),
        ("layer-anchoring", ("anchors=consonants", "layers=2"), {"anchor 2"}),
        ("phonetic-constraint", ("layers=attention",), {"vowels"}),
    ],
    ids=["vowels", "consonants", "constraint"],
)
def test_phones_reach_the_method_however_it_is_trained(request_of, way, method, options, expected):
    adapted = train(request_of(method=method, method_options=options, **WAYS[way]))
    terms = terms_of(adapted)
    assert set(terms) == {"cross-entropy", *expected}
    assert all(np.isfinite(values).all() for values in terms.values())
    assert all(max(terms[name]) > 0 for name in expected)
    predicted = [part for system in adapted.answers for part in system.predicted]
    assert all(np.isfinite(part.probabilities).all() for part in predicted)


def test_anchors_of_an_encoder_that_is_trained_may_be_its_own_layers(request_of):
    options = {"method": "layer-anchoring", "head_options": ("maps=none", "hidden=8"), "alignments": ""}
    terms = terms_of(train(request_of(**options, **WAYS["end-to-end"])))
    assert {"anchor 1", "anchor 2"} <= set(terms)
    with pytest.raises(UserError, match="nothing that is trained lies before the layers"):
        train(request_of(**options))


def test_stored_means_are_those_of_the_encoder(request_of, recorded, source, alignments):
    """In their order, of the layers that the study sees; NaN where an utterance has no alignment."""
    encoder = load_encoder(source("whisper"))
    rows = tuple(list(read_manifest(recorded / "en.jsonl"))[:4])
    speech = Speech(rows, np.zeros(4, int), np.zeros(4, int), 1, torch.zeros(4, 2, encoder.width), layers=("2", "1"))
    output = replace(request_of().output)
    phones = with_phones(speech, ("i", "consonant"), str(alignments), encoder, output, lambda done, count: None).phones
    expected = phone_means(encoder, rows, read_alignments(rows, alignments))
    columns = [PHONE_CLASSES.index(name) for name in ("i", "consonant")]
    torch.testing.assert_close(phones.means, expected[:, columns][:, :, [2, 1]], equal_nan=True)
    assert phones.present.tolist() == [[False, False], *[[True, True]] * 3]
    assert phones.of([0, 2]).present.tolist() == [[False, False], [True, True]]


def test_a_crop_has_the_phones_that_it_shows(request_of, recorded, source, alignments, monkeypatch):
    """From 0.1 s on a recording shows no first vowel; what is left is the mean of the frames inside."""
    encoder = load_encoder(source("whisper")).eval()
    rows = list(read_manifest(recorded / "en.jsonl"))[1:3]
    front = room.FrontEnd(encoder, (1, 2), ("mean",), "none", crop=0.2)
    inputs = room.Recordings(front, rows, domain_of=[0, 0], corpora=(("en", "en"),), target=1)
    inputs.refresh()
    monkeypatch.setattr(room, "random_crop", lambda size, seconds, rng: slice(1600, 4800))
    alignment = read_alignments(rows, alignments)[rows[0].id]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        means = inputs.phone_means(torch.tensor([0, 1]), [alignment, None], generator)
        layers = encoder(*pad([read_utterance(rows[0])[1600:4800]]))
    assert means.shape == (2, len(PHONE_CLASSES), 2 * encoder.width) and means[1].isnan().all()
    of = dict(zip(PHONE_CLASSES, means[0]))
    assert of["a"].isnan().all() and of["u"].isnan().all()
    frames = layers.hidden[1:, 0]  # of 20 ms: 0.1 s of t, then 0.1 s of i
    torch.testing.assert_close(of["consonant"], frames[:, :5].mean(1).flatten(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(of["i"], frames[:, 5:10].mean(1).flatten(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(of["i"], of["vowel"])


def test_bad_input_is_told_in_a_line(request_of, alignments, recorded):
    vowels = {"method": "layer-anchoring", "method_options": ("anchors=vowels",)}
    for name, change, message in (
        ("no folder", {"alignments": str(alignments / "none")}, "no such folder"),
        ("no column", {"alignments": ""}, "no phone alignments to use"),
        ("useless", {"method": "dann", "method_options": ()}, "--alignments: does nothing here, since no method goes"),
        ("statistic", {"statistics": ("std",)}, "give --statistic mean"),
        ("prosody", {"prosody": True}, "--no-prosody"),
        ("texts", {"normalise": "speaker+text"}, "give --normalise speaker, corpus or none"),
    ):
        with pytest.raises(UserError, match=message) as error:
            train(request_of(**{**vowels, **change}))
        assert "\n" not in str(error.value), name
    for line in (recorded / "xx.jsonl").read_text().splitlines():
        write_grid(alignments / f"{json.loads(line)['id']}.TextGrid", (("t", 0.0, 0.3),))
    with pytest.raises(
        UserError, match="no phone of vowel is in both languages: the source has vowel, the target none"
    ):
        train(request_of(**vowels))


def test_fits_depend_on_the_alignments_where_the_method_goes_by_them(request_of, alignments):
    """Another alignment is another fit; the baseline beside it is the same one."""
    keys = []
    for phones in (PHONES, (("i", 0.0, 0.2), ("t", 0.2, 0.3))):
        for path in alignments.iterdir():
            write_grid(path, phones)
        adapted = train(request_of(method="phonetic-constraint"))
        keys.append({system.method: system.predicted[0].probabilities.tolist() for system in adapted.answers})
    assert keys[0]["source-only"] == keys[1]["source-only"]
    assert keys[0]["phonetic-constraint"] != keys[1]["phonetic-constraint"]
