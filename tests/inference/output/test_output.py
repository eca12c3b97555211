"""Each format holds what was predicted: what is written is read back by the package's own readers, or by hand."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from emobridge.cli.requests import PredictRequest
from emobridge.data.tables import open_table
from emobridge.errors import UserError
from emobridge.formats import import_
from emobridge.inference.output import FORMATS, FORMATS_BY_SUFFIX, choose_output, to_dataframe, write_predictions
from emobridge.inference.output.base import Names
from emobridge.phones.textgrid import read_tiers
from emobridge.settings import options_of_record
from emobridge.types import Prediction

LABELS = ("anger", "sadness")
FULL = Prediction(
    "a-1",
    0.5,
    1.23456,
    LABELS,
    (0.1234567, 0.8765433),
    (3.25, -1 / 3),
    ("arousal", "valence"),
    "calls/a.wav",
    1,
    "de",
    "de",
    "speaker (12 utterances)",
    1.23456,
)
SILENT = Prediction(
    "a-2", 2.0, 4.0, LABELS, (), None, ("arousal", "valence"), "calls/a.wav", 1, "de", reason="no speech"
)
UNSURE = replace(FULL, id="a-3", start=4.0, end=5.0, probabilities=(0.51, 0.49), reason="unsure: 0.51 is below 0.6")
ALONE = Prediction("b", 0.0, 1.0, (), (), (3.25,), ("arousal",), "b.wav")
ROW = {
    "id": "a-1",
    "path": "calls/a.wav",
    "channel": 1,
    "start": 0.5,
    "end": 1.235,
    "language": "de",
    "label": "sadness",
    "confidence": 0.876543,
    "probabilities": {"anger": 0.123457, "sadness": 0.876543},
    "attributes": {"arousal": 3.25, "valence": -0.3333},
    "answered_by": "de",
    "statistics": "speaker (12 utterances)",
    "unfamiliarity": 1.2346,
    "reason": None,
}


@pytest.fixture
def calls(tmp_path):
    """Three recordings of 10 s: two of one name, and one whose name has a space."""
    for name in ("x/call.wav", "y/call.wav", "x/a b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.zeros(80_000), 8000)
    return tmp_path


def spoken(path, *stretches, **more):
    """Predictions for stretches (start, end, label) of a recording; no label where it is ""."""
    return [
        Prediction(
            path.stem,
            float(start),
            float(end),
            LABELS,
            ((0.75, 0.25) if label == "anger" else (0.25, 0.75)) if label else (),
            path=str(path),
            reason="" if label else "no speech",
            **more,
        )
        for start, end, label in stretches
    ]


# ------------------------------------------------------------------ rows


def test_a_row_has_all_that_is_known_and_null_where_nothing_is(tmp_path):
    write_predictions([FULL, SILENT, UNSURE], tmp_path / "p.jsonl")
    full, silent, unsure = map(json.loads, (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines())
    assert full == ROW and list(full) == list(silent) == list(unsure) == list(ROW)
    nothing = dict.fromkeys(("label", "confidence", "probabilities", "attributes", "answered_by", "statistics"))
    about = {"id": "a-2", "start": 2.0, "end": 4.0, "unfamiliarity": None, "reason": "no speech"}
    assert silent == ROW | nothing | about
    assert (unsure["label"], unsure["confidence"], unsure["reason"]) == (None, 0.51, "unsure: 0.51 is below 0.6")
    write_predictions([ALONE], tmp_path / "p.jsonl", synthetic=True, constructed=True)
    row = json.loads((tmp_path / "p.jsonl").read_text())
    assert row["attributes"] == {"arousal": 3.25} and "label" not in row and "confidence" not in row
    assert row["trained_on"] == "SYNTHETIC, CONSTRUCTED"


@pytest.mark.parametrize("rows", [[FULL], [FULL, SILENT]])
def test_an_array_has_the_objects_of_the_lines(tmp_path, rows):
    write_predictions(rows, tmp_path / "p.json")
    write_predictions(rows, tmp_path / "p.jsonl")
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    assert json.loads((tmp_path / "p.json").read_text()) == list(map(json.loads, lines))


@pytest.mark.parametrize(("name", "delimiter"), [("p.csv", ","), ("p.tsv", "\t"), ("p.CSV", ",")])
def test_a_table_has_a_column_for_each_probability(tmp_path, name, delimiter):
    write_predictions([FULL, SILENT], tmp_path / name, synthetic=True)
    with (tmp_path / name).open(newline="", encoding="utf-8") as file:
        full, silent = csv.DictReader(file, delimiter=delimiter)
    flat = {key: value for key, value in ROW.items() if key not in ("probabilities", "attributes")}
    flat |= {"p_anger": 0.123457, "p_sadness": 0.876543, "arousal": 3.25, "valence": -0.3333}
    flat["trained_on"] = "SYNTHETIC"
    assert full == {key: "" if value is None else str(value) for key, value in flat.items()}
    assert list(full)[6:12] == ["label", "confidence", "p_anger", "p_sadness", "arousal", "valence"]
    empty = ("label", "confidence", "p_anger", "p_sadness", "arousal", "valence", "answered_by")
    assert [silent[key] for key in empty] == [""] * 7
    assert (silent["reason"], silent["trained_on"]) == ("no speech", "SYNTHETIC")


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=8)
ODD = st.one_of(TEXT, st.sampled_from(["=cmd|' /C calc'!A0", "+1", "@x", "-a", "'=1", "''", '"', ",", ";", "=", "-1"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(ODD, min_size=1, max_size=3), ODD, ODD, ODD, st.sampled_from(["p.csv", "p.tsv"]))
def test_cells_are_no_formulas_and_are_read_back(tmp_path_factory, names, path, label, reason, suffix):
    out = tmp_path_factory.mktemp("odd") / suffix
    row = Prediction("", 0.0, 1.0, (label, label + "z"), (0.9, 0.1), path=path, statistics=reason, answered_by=label)
    rows = [replace(row, id=name) for name in names]
    rows.append(replace(row, id="last", reason=reason))
    assert write_predictions(rows, out) == len(rows)
    delimiter = {"p.csv": "comma", "p.tsv": "tab"}[suffix]
    for _, cells in open_table(out, delimiter=delimiter, quoting="standard").rows():
        prediction = rows.pop(0)
        assert [cells[key] for key in ("id", "path", "answered_by", "statistics", "reason", "label")] == [
            prediction.id,
            path,
            label,
            reason,
            prediction.reason,
            prediction.label or "",
        ]
    assert not rows
    with out.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file, delimiter="," if suffix == "p.csv" else "\t") for cell in row]
    for cell in cells:
        assert not cell.startswith(("=", "@", "\t", "\r")) and (cell[:1] not in ("+", "-") or float(cell) is not None)


def test_a_table_holds_the_answers_of_one_recogniser(tmp_path):
    with pytest.raises(UserError, match="b: a recogniser of other labels"):
        write_predictions([FULL, ALONE], tmp_path / "p.csv")
    assert not list(tmp_path.iterdir())


def test_a_data_frame_has_the_columns_of_the_table(tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = to_dataframe(iter([FULL, SILENT]), synthetic=True)
    write_predictions([FULL, SILENT], tmp_path / "p.csv", synthetic=True)
    assert list(frame.columns) == list(pandas.read_csv(tmp_path / "p.csv").columns)
    assert frame.label[0] == "sadness" and frame.p_sadness.mean() == 0.876543 and pandas.isna(frame.label[1])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        to_dataframe([FULL])


# ------------------------------------------------------------------ one recording a file


def test_a_textgrid_has_no_gaps_and_is_read_back(calls):
    path = calls / "x" / "call.wav"
    rows = spoken(path, (1, 2.5, "anger"), (2.5, 4, ""), (5, 6, "sadness"))
    assert write_predictions(rows, calls / "x" / "call.TextGrid") == 3
    emotion, confidence = read_tiers(calls / "x" / "call.TextGrid")
    assert (emotion.name, confidence.name) == ("emotion", "confidence")
    bounds = [(0, 1), (1, 2.5), (2.5, 4), (4, 5), (5, 6), (6, 10)]
    assert [interval[:2] for interval in emotion.intervals] == [interval[:2] for interval in confidence.intervals]
    assert [interval[:2] for interval in emotion.intervals] == bounds
    assert [interval[2] for interval in emotion.intervals] == ["", "anger", "", "", "sadness", ""]
    assert [interval[2] for interval in confidence.intervals] == ["", "0.7500", "", "", "0.7500", ""]
    utterances = list(import_("textgrid", calls / "x" / "call.TextGrid"))
    assert [(row.emotion, row.start, row.end) for row in utterances] == [("anger", 1.0, 2.5), ("sadness", 5.0, 6.0)]


def test_what_overlaps_goes_to_further_tiers(calls):
    rows = spoken(calls / "x" / "call.wav", *((start, start + 4, "anger") for start in (0, 2, 4, 6)))
    write_predictions(rows, calls / "p.TextGrid", synthetic=True)
    first, _, second, _ = read_tiers(calls / "p.TextGrid")
    assert (first.name, second.name) == ("emotion (SYNTHETIC)", "emotion 2 (SYNTHETIC)")
    assert [interval[:2] for interval in first.intervals if interval[2]] == [(0, 4), (4, 8)]
    assert [interval[:2] for interval in second.intervals if interval[2]] == [(2, 6), (6, 10)]


@pytest.mark.parametrize("count", [1, 2, 200])
def test_each_row_goes_to_the_first_tier_that_is_free(calls, count):
    rng = np.random.default_rng(count)
    starts = np.sort(rng.uniform(0, 9, count)).round(1)
    spans = [(float(start), round(float(start + rng.integers(1, 9) / 10), 1)) for start in starts]
    tiers: list[list[tuple[float, float]]] = []
    for start, end in spans:
        free = [tier for tier in tiers if tier[-1][1] <= start]
        if not free:
            tiers.append([])
        (free or tiers[-1:])[0].append((start, end))
    rows = spoken(calls / "x" / "call.wav", *((start, end, "anger") for start, end in spans))
    write_predictions(rows, calls / "p.TextGrid")
    written = [tier for tier in read_tiers(calls / "p.TextGrid") if tier.name.startswith("emotion")]
    assert [[interval[:2] for interval in tier.intervals if interval[2]] for tier in written] == tiers


def test_channels_and_attributes_have_tiers_of_their_own(calls):
    path = calls / "x" / "call.wav"
    more = {"attributes": (0.5,), "attribute_names": ("arousal",)}
    rows = [row for channel in (1, 0) for row in spoken(path, (0, 2, "anger"), channel=channel, **more)]
    write_predictions(rows, calls / "p.TextGrid")
    names = [tier.name for tier in read_tiers(calls / "p.TextGrid")]
    assert names == [f"{name}@channel {channel}" for channel in (0, 1) for name in ("emotion", "confidence", "arousal")]
    assert read_tiers(calls / "p.TextGrid")[2].intervals == [(0, 2, "0.5000"), (2, 10, "")]
    speakers = [row.speaker for row in import_("textgrid", calls / "p.TextGrid", audio=str(path))]
    assert speakers == ["channel 0", "channel 1"], "the package's reader takes each channel for a speaker"
    write_predictions([replace(ALONE, path=str(path))], calls / "p.TextGrid")
    assert [tier.name for tier in read_tiers(calls / "p.TextGrid")] == ["arousal"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3600), st.floats(0.01, 60)), min_size=1, max_size=8),
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8),
)
def test_any_textgrid_is_whole(tmp_path_factory, stretches, label):
    """Every row is in a tier once, and the intervals of each tier join without a gap."""
    out = tmp_path_factory.mktemp("grid") / "p.textgrid"
    rows = [Prediction("a", start, start + length, (label,), (1.0,)) for start, length in stretches]
    write_predictions(rows, out)
    tiers = read_tiers(out)
    intervals = [interval for tier in tiers if tier.name.startswith("emotion") for interval in tier.intervals]
    assert len({tier.intervals[-1][1] for tier in tiers}) == 1
    for tier in tiers:
        assert tier.intervals[0][0] == 0
        assert all(before[1] == after[0] < after[1] for before, after in zip(tier.intervals, tier.intervals[1:]))
    bounds = sorted((round(row.start, 3), round(row.end, 3)) for row in rows)
    assert sorted(interval[:2] for interval in intervals if interval[2]) == bounds or not label.strip()


def test_subtitles(calls):
    rows = spoken(calls / "x" / "call.wav", (3.9996, 3725.5, "sadness"), (0, 1, "anger"), (1, 2, ""))
    write_predictions(rows, calls / "p.srt")
    assert (calls / "p.srt").read_text() == (
        "1\n00:00:00,000 --> 00:00:01,000\nanger 0.75\n\n2\n00:00:04,000 --> 01:02:05,500\nsadness 0.75\n\n"
    )
    write_predictions([replace(rows[0], channel=0)], calls / "p.srt", synthetic=True)
    assert "\nsadness 0.75 (channel 0, SYNTHETIC)\n" in (calls / "p.srt").read_text()
    write_predictions([ALONE], calls / "p.srt")
    assert "\narousal 3.25\n" in (calls / "p.srt").read_text()


def test_labels_of_audacity_are_read_back(calls):
    path = calls / "x" / "call.wav"
    rows = spoken(path, (0.5, 2, "anger"), (2, 3, ""), (3, 4.25, "sadness"))
    write_predictions(rows, calls / "x" / "call.txt", synthetic=True)
    first, *lines = (calls / "x" / "call.txt").read_text().splitlines()
    assert first == "0.000000\t0.000000\ttrained on SYNTHETIC" and lines[0] == "0.500000\t2.000000\tanger"
    utterances = list(import_("audacity", calls / "x" / "call.txt"))
    assert [(row.emotion, row.start, row.end) for row in utterances] == [("anger", 0.5, 2.0), ("sadness", 3.0, 4.25)]
    assert [row.path for row in utterances] == [str(path)] * 2
    write_predictions([replace(rows[0], channel=1)], calls / "p.txt")
    assert (calls / "p.txt").read_text().endswith("\tanger (channel 1)\n")


@pytest.mark.parametrize(("form", "suffix"), [("textgrid", ".TextGrid"), ("srt", ".srt"), ("audacity", ".txt")])
def test_several_recordings_go_to_a_folder_with_a_file_each(calls, form, suffix):
    paths = [calls / "x" / "call.wav", calls / "y" / "call.wav", calls / "x" / "a b.wav"]
    rows = [row for path in paths for row in spoken(path, (0, 1, "anger"))]
    rows += spoken(paths[0], (5, 6, "sadness"))
    out = calls / "labels"
    assert write_predictions(rows, out, form=form) == 4
    assert sorted(file.name for file in out.iterdir()) == [f"a b{suffix}", f"call-2{suffix}", f"call{suffix}"]
    assert "sadness" in (out / f"call{suffix}").read_text() and "sadness" not in (out / f"call-2{suffix}").read_text()
    write_predictions(rows, out, form=form)
    assert len(list(out.iterdir())) == 3
    with pytest.raises(UserError, match=f"p{suffix}: a file of the format {form} holds one recording, and there are 3"):
        write_predictions(rows, calls / f"p{suffix}")
    with pytest.raises(UserError, match=f"a file of the format {form} holds one recording"):
        write_predictions(rows, form=form)
    assert not (calls / f"p{suffix}").exists()


# ------------------------------------------------------------------ RTTM and Label Studio


def test_rttm_has_ten_fields_and_unique_names(calls):
    paths = [calls / "x" / "call.wav", calls / "y" / "call.wav", calls / "x" / "a b.wav"]
    rows = [row for path in paths for row in spoken(path, (0.25, 1, "anger"), (1, 2, ""))]
    rows.append(replace(rows[0], channel=1))
    write_predictions(rows, calls / "p.rttm", synthetic=True)
    first, *lines = (calls / "p.rttm").read_text().splitlines()
    assert first == ";; trained on SYNTHETIC"
    fields = [line.split() for line in lines]
    assert fields[0] == ["SPEAKER", "call", "1", "0.250", "0.750", "<NA>", "<NA>", "anger", "0.750000", "<NA>"]
    assert [(field[1], field[2]) for field in fields] == [("call", "1"), ("call-2", "1"), ("a_b", "1"), ("call", "2")]
    assert {len(field) for field in fields} == {10}
    with pytest.raises(UserError, match="format rttm: holds labels, and this recogniser tells arousal"):
        write_predictions([ALONE], calls / "p.rttm")


def test_names_that_differ_in_case_and_spaces_alone_stay_apart(tmp_path):
    rows = [replace(FULL, path=path) for path in ("a b.wav", "a_b.wav", "A b.flac", "a_b-2.wav", "a b.wav")]
    write_predictions(rows, tmp_path / "p.rttm")
    names = [line.split()[1] for line in (tmp_path / "p.rttm").read_text().splitlines()]
    assert names == ["a_b", "a_b-2", "A_b-3", "a_b-2-2", "a_b"]


def test_pre_annotations_of_label_studio(calls, monkeypatch):
    path = calls / "x" / "a b.wav"
    rows = [
        *spoken(path, (0, 1, "anger"), (1, 2, "")),
        *spoken(calls / "y" / "call.wav", (0, 1, "")),
        *spoken(path, (2, 3.5, "sadness"), channel=1),
    ]
    for name in ("p.label-studio.json", "p.json"):
        write_predictions(rows, calls / name, form="label-studio", synthetic=True)
    first, second = json.loads((calls / "p.json").read_text())
    assert (calls / "p.json").read_text() == (calls / "p.label-studio.json").read_text()
    assert first["data"] == {"audio": "/data/local-files/?d=x/a%20b.wav", "path": "x/a b.wav"}
    (prediction,) = first["predictions"]
    assert prediction["model_version"].startswith("emobridge ") and prediction["model_version"].endswith("(SYNTHETIC)")
    assert prediction["score"] == 0.75
    region = {"from_name": "emotion", "to_name": "audio", "type": "labels", "score": 0.75}
    values = [
        {"start": 0.0, "end": 1.0, "channel": 0, "labels": ["anger"]},
        {"start": 2.0, "end": 3.5, "channel": 1, "labels": ["sadness"]},
    ]
    assert prediction["result"] == [{"id": str(n), **region, "value": value} for n, value in enumerate(values, 1)]
    assert second["predictions"][0]["result"] == [] and "score" not in second["predictions"][0]
    utterances = list(import_("label-studio", calls / "p.json"))
    assert [row.path for row in utterances] == [str(path), str(calls / "y" / "call.wav")]
    with pytest.raises(UserError, match="format label-studio: holds labels"):
        write_predictions([ALONE], calls / "p.label-studio.json")


# ------------------------------------------------------------------ which format


@pytest.mark.parametrize("form", FORMATS)
def test_the_suffix_is_the_format(form):
    for suffix in FORMATS[form].suffixes:
        assert choose_output(f"calls{suffix.upper()}").form == form
    assert choose_output("calls.other", form).form == form, "a format that is named needs no suffix"
    assert form in options_of_record(PredictRequest)["format"][1].metadata["help"], "the help names it"


@pytest.mark.parametrize(
    ("out", "form", "message"),
    [
        ("p.cvs", "", r"--out p\.cvs: unknown suffix '\.cvs': did you mean '\.csv'"),
        ("p.textgird", "", r"did you mean '\.textgrid'"),
        ("p", "", r"--out p: expected a name that ends in \.jsonl, .*\.csv.* or --format"),
        (".csv", "", r"expected a name that ends in"),
        ("p.csv", "jsonl", r"--out p\.csv is a name for the format csv, and --format is jsonl: leave one out"),
        ("p.jsonl", "json", r"is a name for the format jsonl, and --format is json"),
        ("p.srt", "textgrid", r"is a name for the format srt, and --format is textgrid"),
        ("p.label-studio.json", "json", r"is a name for the format label-studio"),
        ("p.csv", "cvs", r"unknown format of predictions 'cvs': did you mean 'csv'"),
        (None, "text-grid", r"unknown format of predictions 'text-grid': did you mean 'textgrid'"),
    ],
)
def test_an_unknown_or_contradictory_format_is_one_line(out, form, message):
    with pytest.raises(UserError, match=message):
        choose_output(out, form)


def test_files_and_folders_in_the_wrong_place(tmp_path):
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(UserError, match="is a directory; expected a file"):
        choose_output(tmp_path / "p.csv", "csv")
    (tmp_path / "labels").write_text("x")
    with pytest.raises(UserError, match="is a file; expected a folder"):
        choose_output(tmp_path / "labels", "srt")
    assert choose_output(tmp_path / "p.csv", "srt").is_folder, "a folder may have any name"


def test_a_device_is_written_as_it_is():
    assert choose_output("/dev/null").form == "jsonl"
    assert write_predictions([FULL], "/dev/null", form="csv") == 1 and Path("/dev/null").exists()


def test_nothing_is_an_error_in_every_format(tmp_path):
    for form, about in FORMATS.items():
        out = tmp_path / f"p{about.suffixes[0]}"
        out.write_text("earlier")
        with pytest.raises(UserError, match="nothing predicted"):
            write_predictions(iter([]), out, form=form)
        assert out.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"p{a.suffixes[0]}" for a in FORMATS.values())
    assert len(FORMATS_BY_SUFFIX) == sum(len(about.suffixes) for about in FORMATS.values()), (
        "no suffix means two formats"
    )


def test_a_name_that_is_no_text_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"a name that is not utf-8 text: '\\udce9'"):
        write_predictions([replace(FULL, id="caf\udce9")], tmp_path / "p.jsonl")
    assert not list(tmp_path.iterdir())


def test_what_is_printed_comes_row_by_row(capsys):
    def rows():
        yield FULL
        assert json.loads(capsys.readouterr().out)["id"] == "a-1", "the first row is out before the second is computed"
        yield SILENT

    assert write_predictions(rows()) == 2


@given(st.lists(st.sampled_from(["a", "A", "a-2", "a-3", "b", "a-2-2"]), max_size=20))
def test_names_of_many_files_are_the_first_free_ones(stems):
    names, taken = Names(), set()
    for number, stem in enumerate(stems):
        expected, count = stem, 1
        while expected.casefold() in taken:
            count += 1
            expected = f"{stem}-{count}"
        taken.add(expected.casefold())
        assert names.of(f"{number}/{stem}.wav") == expected
