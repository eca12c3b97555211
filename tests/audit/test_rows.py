import dataclasses

from emobridge.audit.rows import UNKNOWN_NAMED, check_rows, count_values
from emobridge.types import Utterance


def rows(count, **columns):
    """Utterances whose columns are functions of their number."""
    return [
        Utterance(str(n), "c", f"/{n}.wav", **{key: value(n) for key, value in columns.items()}) for n in range(count)
    ]


def test_rows_are_checked_without_audio():
    first = rows(8, speaker=lambda n: f"s{n % 2}", emotion=lambda n: ("anger", "fear")[n % 2], text=lambda n: "a text")
    second = [dataclasses.replace(row, split=("train", "test")[n % 4 // 2]) for n, row in enumerate(first)]
    kinds = [(finding.kind, finding.message.partition(":")[0]) for finding in check_rows({"a": first, "b": second})]
    each = ["class of one speaker", "class of one speaker"]
    assert kinds == [
        *((kind, "a") for kind in [*each, "same text", "speakers tell the emotion"]),
        *((kind, "b") for kind in [*each, "splits share speakers", "same text", "speakers tell the emotion"]),
        ("shared speakers", "a and b"),
    ]


def test_a_column_of_sentences_taken_for_emotions_is_told_in_few_lines():
    many = rows(1000, emotion=lambda n: f"sentence {n}" if n > 9 else "angri", speaker=lambda n: f"s{n % 5}")
    findings = [finding for finding in check_rows({"m": many}) if finding.kind == "unknown label"]
    assert len(findings) == UNKNOWN_NAMED + 1
    assert (
        findings[0].message == "m: 10 have the emotion 'angri'; did you mean 'angry'?"
        or "'angri'" in findings[0].message
    )
    assert findings[-1].message.startswith("m: 971 have another 971 emotions that are not known: ")
    assert sum(len(finding.ids) for finding in findings) == 1000


def test_counts_are_sorted_by_value():
    counts = count_values("m", rows(5, emotion=lambda n: (None, "fear", "anger")[n % 3], speaker=lambda n: "s"))
    assert [(count.column, count.value, count.n) for count in counts] == [
        ("emotion", "", 2), ("emotion", "anger", 1), ("emotion", "fear", 2), ("speaker", "s", 5), ("language", "und", 5)
    ]  # fmt: skip


def test_texts_that_are_read_in_one_emotion_each_are_named():
    def found(text):
        emotions = ("anger", "fear", "neutral")
        read = rows(36, speaker=lambda n: f"s{n % 4}", emotion=lambda n: emotions[n % 3], text=text)
        return [finding for finding in check_rows({"m": read}) if finding.kind.endswith("tell the emotion")]

    (finding,) = found(lambda n: f"text {n % 3} of {n // 3 % 2}")
    assert finding.kind == "texts tell the emotion" and finding.severity == "warning" and finding.ids == ()
    assert finding.message.startswith(
        "m: its texts show few emotions each (the variety of the emotions inside texts is "
    )
    assert finding.message.endswith(
        "; 6 of 6 show mostly one: text 0 of 0, text 1 of 0, text 2 of 0 and 3 more; "
        "normalisation by text would remove the emotion"
    )
    assert found(lambda n: f"text {n % 4}") == found(lambda n: f"text {n}") == found(lambda n: None) == []
