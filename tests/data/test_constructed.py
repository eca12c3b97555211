"""Constructed attributes follow the sound, and cannot be taken for ratings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from emobridge.data.attributes import attributes_of, is_constructed
from emobridge.data.constructed import construct, squashed
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.types import SCALE, Utterance

TIME = np.arange(16000) / 16000


def spoken(utterance):
    """A tone of the pitch, level and bursts a second that the path tells: "120-0.1-4"."""
    path = utterance.path
    if path == "broken":
        raise UserError("broken: is cut short")
    frequency, gain, bursts = map(float, path.split("-"))
    swell = np.abs(np.sin(np.pi * bursts * TIME)) if bursts else 1
    return (gain * swell * np.sin(2 * np.pi * frequency * TIME)).astype(np.float32)


def rows(*paths, corpus="calls", **more):
    return [Utterance(f"{corpus}{number}", corpus, path, **more) for number, path in enumerate(paths)]


def test_each_attribute_follows_its_measure():
    rng = np.random.default_rng(0)
    targets = np.column_stack([rng.uniform(90, 300, 30), rng.uniform(0.01, 0.5, 30), rng.integers(2, 9, 30)])
    result = construct(rows(*(f"{f:.1f}-{g:.3f}-{b}" for f, g, b in targets)), read=spoken)
    values = np.array([(u.arousal, u.valence, u.dominance) for u in result])
    for column, measure in enumerate((targets[:, 1], targets[:, 0], targets[:, 2])):
        assert spearmanr(values[:, column], measure).statistic > 0.95
    assert (np.abs(values) < 1).all() and values.std(0).min() > 0.3


def test_two_clips_by_hand():
    """Of two clips z is -1 and 1, so that the attributes are -tanh(1/2) and tanh(1/2)."""
    low, high = construct(rows("100-0.1-3", "200-0.2-6"), read=spoken)
    for name in ("arousal", "valence", "dominance"):
        assert (getattr(low, name), getattr(high, name)) == (-0.4621, 0.4621)


def test_standardised_by_corpus_and_renamed():
    quiet, loud = rows("100-0.01-3", "200-0.02-6"), rows("100-0.1-3", "200-0.2-6", corpus="films")
    result = construct([quiet[0], loud[0], quiet[1], loud[1]], read=spoken)
    assert [row.corpus for row in result] == [f"{name}-constructed" for name in ("calls", "films") * 2]
    assert [row.arousal for row in result] == [-0.4621, -0.4621, 0.4621, 0.4621]
    assert all(is_constructed(row.corpus) for row in result)


def test_all_else_is_kept_and_ratings_are_replaced():
    originals = rows("100-0.1-3", "200-0.2-6", emotion="anger", speaker="f1", language="de", arousal=6.5, valence=1.5)
    result = construct(originals, read=spoken)
    assert (result[0].id, result[0].emotion, result[0].speaker, result[0].language) == ("calls0", "anger", "f1", "de")
    assert result[0].arousal == result[0].valence == -0.4621


def test_what_cannot_be_measured_is_not_known():
    result = construct(rows("100-0.1-3", "200-0.2-6", "100-0-0", "3000-0.0001-0"), read=spoken)
    assert [(row.arousal, row.valence, row.dominance) for row in result[2:]] == [(None, None, None)] * 2
    assert result[0].arousal == -0.4621, "what is silent does not count"
    same = construct(rows("100-0.1-3", "100-0.2-3"), read=spoken)
    assert [(row.valence, row.dominance) for row in same] == [(None, None)] * 2
    assert same[1].arousal == 0.4621


def test_squashing():
    values = squashed(np.array([[1.0, 5.0, np.nan], [3.0, 5.0, 2.0], [np.nan, 5.0, 4.0]]))
    half = np.tanh(0.5)
    np.testing.assert_allclose(values, [[-half, np.nan, np.nan], [half, np.nan, -half], [np.nan, np.nan, half]])


def test_a_file_that_cannot_be_read():
    originals = rows("100-0.1-3", "broken", "200-0.2-6")
    with pytest.raises(UserError, match="cut short"):
        construct(originals, read=spoken)
    skipped, calls = [], []
    result = construct(
        originals,
        read=spoken,
        on_skip=lambda *what: skipped.append(what),
        on_progress=lambda *call: calls.append(call),
    )
    assert [row.id for row in result] == ["calls0", "calls2"]
    assert skipped == [("calls1", "broken: is cut short")]
    assert calls == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(UserError, match="none of 1 utterances can be read"):
        construct(rows("broken"), read=spoken, on_skip=lambda *what: None)


def test_nothing_is_constructed_twice():
    result = construct(rows("100-0.1-3", "200-0.2-6"), read=spoken)
    with pytest.raises(UserError, match="calls-constructed: its attributes are constructed already"):
        construct(result, read=spoken)


def test_the_command_says_what_it_made(cli, recorded):
    done = cli("constructed", recorded / "en.jsonl", "--out", recorded / "made.jsonl")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first == f"{recorded / 'made.jsonl'}: 16 utterances of en-constructed"
    assert second.startswith("CONSTRUCTED, no ratings: arousal is the level")
    written = list(read_manifest(recorded / "made.jsonl"))
    before = list(read_manifest(recorded / "en.jsonl"))
    assert [(row.id, row.path, row.emotion) for row in written] == [(row.id, row.path, row.emotion) for row in before]
    arousal = {row.emotion: row.arousal for row in written}
    assert arousal["anger"] > 0.3 and arousal["sadness"] < -0.3, "anger is the loud one"
    attributes_of(written, {"en-constructed": SCALE})


def test_the_command_skips_what_cannot_be_read(cli, recorded):
    originals = list(read_manifest(recorded / "en.jsonl"))
    (recorded / "empty.wav").touch()
    write_manifest(recorded / "some.jsonl", [*originals, Utterance("e", "en", str(recorded / "empty.wav"))])
    done = cli("constructed", recorded / "some.jsonl", "--out", recorded / "made.jsonl")
    assert done.code == 0 and "16 utterances" in done.out
    assert done.complaints[-1] == "1 skipped" and "empty.wav: is empty" in done.err
    strict = cli("constructed", recorded / "some.jsonl", "--out", recorded / "strict.jsonl", "--strict")
    assert strict.code == 2 and not (recorded / "strict.jsonl").exists()
