import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.corpora import scan
from emobridge.data.splits import (
    by_fold,
    by_ratio,
    count_groups,
    equal_sample,
    label_budgets,
    leave_one_speaker_out,
    parted_by_speaker,
    predefined,
    serab,
    speaker_of,
    unlabelled_parts,
)
from emobridge.errors import UserError
from emobridge.types import Utterance

EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def corpus(speakers, copies=3, emotions=EMOTIONS, name="c"):
    return [
        Utterance(f"{speaker}-{emotion}-{take}", name, "x.wav", speaker=str(speaker), emotion=emotion)
        for speaker in range(speakers)
        for emotion in emotions
        for take in range(copies)
    ]


@st.composite
def uneven(draw):
    """Two corpora with speakers of the same names, uneven in size and emotions, some utterances unlabelled."""
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from("1234"), st.sampled_from((*EMOTIONS, None))),
            min_size=1,
            max_size=60,
        )
    )
    return [Utterance(str(n), c, "x.wav", speaker=s, emotion=e) for n, (c, s, e) in enumerate(rows)]


def speakers(rows, part):
    return {speaker_of(rows[index]) for index in part}


def assert_partition(rows, parts):
    assert sorted(index for part in parts for index in part) == list(range(len(rows)))
    assert all(part == tuple(sorted(part)) and part for part in parts)


def ids(rows, parts):
    return [sorted((rows[index].corpus, rows[index].id) for index in part) for part in parts]


@settings(max_examples=80, deadline=None)
@given(uneven(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_parts_cover_all_share_no_speaker_and_follow_from_the_seed(rows, seed, rng):
    there = len({speaker_of(row) for row in rows})
    shuffled = rng.sample(rows, len(rows))
    for split, needed in (
        (lambda r: by_ratio(r, seed=seed), 3),
        (lambda r: by_fold(r, 2, seed=seed), 2),
        (leave_one_speaker_out, 2),
    ):
        if there < needed:
            with pytest.raises(UserError, match=f"needs? {needed} speakers, but there are {there}"):
                split(rows)
            continue
        parts = split(rows)
        assert_partition(rows, parts)
        owners = [speaker for part in parts for speaker in speakers(rows, part)]
        assert len(owners) == len(set(owners)) == there
        assert split(rows) == parts
        assert ids(shuffled, split(shuffled)) == ids(rows, parts)


@settings(max_examples=80, deadline=None)
@given(uneven(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_budgets_are_nested_balanced_and_follow_from_the_seed(rows, seed, rng):
    there = Counter(row.emotion for row in rows if row.emotion)
    sizes = sorted({0, there.total() // 3, there.total() // 2, there.total()})
    budgets = label_budgets(rows, sizes, seed=seed)
    assert list(budgets) == sizes
    for size, part in budgets.items():
        assert len(part) == len(set(part)) == size
        held = Counter(rows[index].emotion for index in part)
        assert None not in held
        most = max(held.values(), default=0)
        assert all(held[emotion] >= min(most - 1, there[emotion]) for emotion in there)
    assert all(set(budgets[small]) <= set(budgets[large]) for small, large in itertools.pairwise(sizes))
    assert label_budgets(rows, sizes, seed=seed) == budgets
    shuffled = rng.sample(rows, len(rows))
    again = label_budgets(shuffled, sizes, seed=seed)
    assert ids(shuffled, again.values()) == ids(rows, budgets.values())
    with pytest.raises(UserError, match=f"expected 0{f' to {there.total()}' if there else ''}, "):
        label_budgets(rows, [there.total() + 1], seed=seed)


def test_ratios_and_proportions_are_kept():
    rows = corpus(24)
    train, validation, test = by_ratio(rows, seed=0)
    assert [len(speakers(rows, part)) for part in (train, validation, test)] == [14, 5, 5]
    for part in (train, validation, test):
        assert len(set(Counter(rows[index].emotion for index in part).values())) == 1


def test_emotions_of_uneven_speakers_are_spread():
    angry = [Utterance(f"a{n}", "c", "x", speaker=f"a{n // 10}", emotion="anger") for n in range(40)]
    sad = [Utterance(f"s{n}", "c", "x", speaker=f"s{n // 10}", emotion="sadness") for n in range(40)]
    for part in by_fold(angry + sad, 4, seed=1):
        assert Counter((angry + sad)[index].emotion for index in part) == {"anger": 10, "sadness": 10}


def test_the_best_of_several_deals_is_taken():
    rows = [Utterance(f"{s}-{n}", "c", "x", speaker=str(s), emotion="anger") for s in range(1, 9) for n in range(s**2)]
    for seed in range(10):
        first, second = by_fold(rows, 2, seed=seed)
        assert abs(len(first) - len(second)) <= 8  # of 204; a single deal is often further off


def test_seeds_differ():
    rows = corpus(10)
    assert len({by_ratio(rows, seed=seed) for seed in range(5)}) > 1
    assert len({by_fold(rows, 5, seed=seed) for seed in range(5)}) > 1
    assert len({label_budgets(rows, [20], seed=seed)[20] for seed in range(5)}) == 5


def test_shared_speakers_only_when_asked():
    rows = corpus(1, copies=10)
    with pytest.raises(
        UserError, match=r"3 parts need 3 speakers, but there are 1 \(c\); with a single speaker nothing"
    ):
        by_ratio(rows, seed=0)
    parts = by_ratio(rows, seed=0, share_speakers=True)
    assert_partition(rows, parts)
    assert [Counter(rows[index].emotion for index in part) for part in parts] == [
        dict.fromkeys(EMOTIONS, count) for count in (6, 2, 2)
    ]
    nameless = [Utterance(str(n), "c", "x.wav", emotion="anger") for n in range(5)]
    assert_partition(nameless, by_ratio(nameless, seed=0, share_speakers=True))
    for split in (lambda: by_ratio(nameless, seed=0), lambda: by_fold(nameless, 2, seed=0)):
        with pytest.raises(UserError, match="utterance '0' of c has no speaker"):
            split()
    with pytest.raises(UserError, match="utterance '0' of c has no speaker"):
        leave_one_speaker_out(nameless)


def test_mistakes_are_named():
    rows = corpus(4)
    with pytest.raises(UserError, match="5 folds need 5 speakers, but there are 4"):
        by_fold(rows, 5, seed=0)
    with pytest.raises(UserError, match="1 folds: expected 2 or more"):
        by_fold(rows, 1, seed=0)
    for ratios in ((0.5, 0.4), (1.5, -0.5), ()):
        with pytest.raises(UserError, match="expected numbers above 0 that sum to 1"):
            by_ratio(rows, ratios, seed=0)
    with pytest.raises(UserError, match="a budget of -1"):
        label_budgets(rows, [-1], seed=0)
    with pytest.raises(UserError, match="3 parts need as many utterances; there are 2"):
        by_ratio(rows[:2], seed=0, share_speakers=True)


def test_a_size_of_one_is_a_size():
    """One utterance, one speaker, one part, one label: a split where there can be one, else one line that says why."""
    (row,) = rows = corpus(1, copies=1, emotions=("anger",))
    assert by_ratio(rows, (1.0,), seed=0) == by_ratio(rows, (1.0,), seed=0, share_speakers=True) == ((0,),)
    assert label_budgets(rows, [0, 1], seed=0) == {0: (), 1: (0,)}
    assert equal_sample(rows, ("anger",), 1) == equal_sample(rows, ("anger",), 5) == (0,)
    unlabelled = [replace(row, emotion=None)]
    assert by_ratio(unlabelled, (1.0,), seed=0) == ((0,),)
    refusals = {
        "2 folds need 2 speakers, but there are 1 (c)": lambda: by_fold(rows, 2, seed=0),
        "3 parts need 3 speakers, but there are 1 (c)": lambda: by_ratio(rows, seed=0),
        "leaving one speaker out needs 2 speakers, but there are 1 (c)": lambda: leave_one_speaker_out(rows),
        "3 parts need as many utterances; there are 1": lambda: by_ratio(rows, seed=0, share_speakers=True),
        "no utterance has the split 'validation'": lambda: predefined([replace(row, split="train")]),
        "a budget of 2 labelled utterances: expected 0 to 1, the number of labels": lambda: label_budgets(
            rows, [2], seed=0
        ),
        "a budget of 1 labelled utterances: expected 0, for there are no labels": lambda: label_budgets(
            unlabelled, [1], seed=0
        ),
        "a sample of 1 utterances of each emotion: there is none of anger": lambda: equal_sample(
            unlabelled, ("anger",), 1
        ),
    }
    for message, split in refusals.items():
        with pytest.raises(UserError) as error:
            split()
        assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_two_speakers_are_enough_for_two_folds_and_one_utterance_each_for_a_part():
    rows = corpus(2, copies=1, emotions=("anger",))
    assert sorted(by_fold(rows, 2, seed=0)) == [(0,), (1,)] == sorted(leave_one_speaker_out(rows))
    assert sorted(by_ratio(rows, (0.9, 0.1), seed=0)) == [(0,), (1,)]


def test_namesakes_of_two_corpora_are_two_people():
    """Corpora a and b both have speakers 0 to 7: 16 people, and as many parts where each is left out."""
    rows = [row for name in "ab" for row in corpus(8, name=name)]
    assert len(leave_one_speaker_out(rows)) == 16 == len(by_fold(rows, 16, seed=0))
    renamed = [replace(row, corpus="c", speaker=f"{row.corpus} {row.speaker}", id=row.corpus + row.id) for row in rows]
    assert leave_one_speaker_out(renamed) == leave_one_speaker_out(rows)
    for part in by_ratio(rows, seed=0):
        people = {(rows[index].corpus, rows[index].speaker) for index in part}
        assert len(part) == 12 * len(people), "all of a person is in one part"


def test_predefined():
    splits = ("test", "train", "validation", "train")
    rows = [Utterance(str(n), "c", "x", split=split) for n, split in enumerate(splits)]
    assert predefined(rows) == ((1, 3), (2,), (0,))
    with pytest.raises(UserError, match="no utterance has the split 'validation'"):
        predefined(rows[:2])
    with pytest.raises(UserError, match="utterance 'u' has no split"):
        predefined([*rows, Utterance("u", "c", "x")])
    with pytest.raises(UserError, match="utterance 'u': unknown split 'tst': did you mean 'test'"):
        predefined([*rows, Utterance("u", "c", "x", split="tst")])


def test_many_speakers_are_quick():
    rows = corpus(2000, copies=1)
    random.Random(0).shuffle(rows)
    parts = by_ratio(rows, seed=0)
    assert [len(part) for part in parts] == [4800, 1600, 1600]


def test_a_real_corpus(shared):
    rows = list(scan("emodb", shared / "corpora" / "emodb"))
    train, validation, test = by_ratio(rows, seed=0)
    assert_partition(rows, (train, validation, test))
    assert not speakers(rows, train) & speakers(rows, test)
    whole = Counter(row.emotion for row in rows)
    for part in (validation, test):
        held = Counter(rows[index].emotion for index in part)
        assert all(abs(held[e] / len(part) - whole[e] / len(rows)) < 0.12 for e in EMOTIONS)


def test_a_sample_has_as_many_of_each_emotion_as_the_rarest():
    counts = {"anger": 9, "sadness": 4, "neutral": 7, "fear": 8}
    rows = [
        Utterance(f"{name}{n}", "c", "a.wav", speaker="s", emotion=name) for name, k in counts.items() for n in range(k)
    ]
    for count, expected in ((3, 3), (6, 4)):
        drawn = [rows[row] for row in equal_sample(rows, ("anger", "sadness", "neutral"), count)]
        assert Counter(row.emotion for row in drawn) == dict.fromkeys(("anger", "sadness", "neutral"), expected)
    assert equal_sample(rows, ("anger",), 3) == equal_sample(rows, ("anger",), 3)
    with pytest.raises(UserError, match="a sample of 3 utterances of each emotion: there is none of disgust"):
        equal_sample(rows, ("anger", "disgust"), 3)


def test_the_split_of_serab_is_that_of_its_public_code():
    """sorted, RandomState(0).shuffle, cut at int(0.6 n) and int(0.8 n)."""
    rows = corpus(10)
    names = sorted({str(row.speaker) for row in rows})
    np.random.RandomState(0).shuffle(names)
    parts = serab(rows)
    assert_partition(rows, parts)
    people = [{rows[index].speaker for index in part} for part in parts]
    assert people == [set(names[:6]), set(names[6:8]), set(names[8:])]
    assert people[2] == {"0", "5"}, "of EMO-DB the first and the sixth, 03 and 12"
    turned = rows[::-1]
    assert [speakers(turned, part) for part in serab(turned)] == [speakers(rows, part) for part in parts]


@pytest.mark.parametrize(("name", "sizes"), [("crema-d", (63, 9, 19)), ("emovo", (54, 18, 19))])
def test_serab_cuts_crema_d_elsewhere(name, sizes):
    rows = corpus(91, copies=1, name=name)
    assert tuple(len(speakers(rows, part)) for part in serab(rows)) == sizes


def test_serab_needs_speakers_for_three_parts():
    assert [len(part) for part in serab(corpus(3, copies=1))] == [4, 4, 4]
    with pytest.raises(UserError, match="the split of SERAB needs 3 speakers, but there are 2"):
        serab(corpus(2))
    with pytest.raises(UserError, match="3 speakers of crema-d are too few"):
        serab(corpus(3, name="crema-d"))
    assert [len(part) for part in serab(corpus(2, copies=1), may_lack_validation=True)] == [4, 0, 4], "as in TESS"
    with pytest.raises(UserError, match="needs 2 speakers, but there are 1"):
        serab(corpus(1), may_lack_validation=True)
    with pytest.raises(UserError, match="SERAB splits one corpus at a time, got a, b"):
        serab([*corpus(3, name="a"), *corpus(3, name="b")])


@given(uneven(), st.integers(2, 4), st.integers(0, 9))
def test_unlabelled_parts_look_at_no_label_and_at_no_order(rows, count, seed):
    if len(rows) < count:
        with pytest.raises(UserError, match=f"{count} parts need as many utterances"):
            unlabelled_parts(rows, count, seed=seed)
        return
    parts = unlabelled_parts(rows, count, seed=seed)
    assert len(parts) == count
    assert_partition(rows, parts)
    assert parts == unlabelled_parts([replace(row, emotion="anger") for row in rows], count, seed=seed)
    shuffled = random.Random(0).sample(rows, len(rows))
    assert ids(rows, parts) == ids(shuffled, unlabelled_parts(shuffled, count, seed=seed))
    if parted_by_speaker(rows, count):
        people = [speakers(rows, part) for part in parts]
        assert not any(first & second for first, second in itertools.combinations(people, 2))


def test_without_speakers_or_with_few_parts_are_of_utterances():
    rows = corpus(1)
    assert not parted_by_speaker(rows, 2) and not parted_by_speaker([replace(row, speaker=None) for row in rows], 1)
    assert sorted(map(len, unlabelled_parts(rows, 5, seed=0))) == [2, 2, 2, 3, 3]
    assert unlabelled_parts(rows, 2, seed=0) != unlabelled_parts(rows, 2, seed=1)


def test_a_sample_has_as_many_of_each_speaker_as_there_are():
    counts = {"a": 9, "b": 9, "c": 2}
    rows = [
        Utterance(f"{who}{name}{n}", "c", "a.wav", speaker=who, emotion=name)
        for who, k in counts.items()
        for name in ("anger", "sadness")
        for n in range(k)
    ]
    drawn = [rows[row] for row in equal_sample(rows, ("anger", "sadness"), 8)]
    shares = Counter((row.emotion, row.speaker) for row in drawn)
    assert shares == {(name, who): k for name in ("anger", "sadness") for who, k in {"a": 3, "b": 3, "c": 2}.items()}
    nameless = [replace(row, speaker=None) for row in rows]
    assert len(equal_sample(nameless, ("anger",), 8)) == 8


def test_a_corpus_of_one_speaker_is_split_by_utterance_beside_one_that_is_not():
    alone = [replace(row, corpus="one", id=f"one-{row.id}", speaker="x") for row in corpus(1, copies=12)]
    others = corpus(6, copies=4)
    parts = by_fold([*alone, *others], 3, seed=0, by_utterance=("one",))
    rows = [*alone, *others]
    assert_partition(rows, parts)
    assert all(any(rows[index].corpus == "one" for index in part) for part in parts)
    people = [{rows[index].speaker for index in part if rows[index].corpus != "one"} for part in parts]
    assert sum(map(len, people)) == 6 and len(set.union(*people)) == 6
    assert count_groups(rows, ("one",)) == 6 + len(alone) and count_groups(rows) == 7
    nameless = [replace(row, speaker=None) for row in alone]
    assert by_fold(nameless, 3, seed=0, by_utterance=("one",))
    with pytest.raises(UserError, match="has no speaker"):
        by_fold(nameless, 3, seed=0)
