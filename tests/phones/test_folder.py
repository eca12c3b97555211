"""A folder of alignments that are made: names, what is kept, what is left out."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import soundfile

from emobridge.cli.main import main
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.phones import folder as folders
from emobridge.phones.folder import align_utterances, file_name
from emobridge.phones.reading import read_alignments
from emobridge.phones.textgrid import read_tiers
from emobridge.types import Utterance


@pytest.fixture
def rows(tmp_path):
    pytest.importorskip("espeakng_loader")
    from emobridge.phones.speaking import speak_alone, wave_of

    wave = wave_of(speak_alone("Guten Abend.", "de"))
    path = tmp_path / "a.wav"
    soundfile.write(path, np.concatenate([np.zeros(8000), wave, np.zeros(8000), wave]), 16_000)
    whole = Utterance("x/1", "c", str(path), language="de", text="Guten  Abend. Guten Abend.", phones="old.lablaut")
    second = dataclasses.replace(whole, id="second", start=1.0 + len(wave) / 16_000, text="Guten Abend.")
    return [whole, second]


def test_alignments_are_written_in_the_time_of_the_file_and_read_back_from_the_utterances_own(rows, tmp_path):
    aligned = align_utterances(rows, tmp_path / "out")
    assert [os.path.basename(row.phones) for row in aligned] == ["x%2F1.TextGrid", "second.TextGrid"]
    tiers = read_tiers(tmp_path / "out/second.TextGrid")
    assert [tier.name for tier in tiers] == ["phones", "words", "text (de)"]
    assert [text for _, _, text in tiers[1].intervals if text] == ["Guten", "Abend"]
    for tier in tiers:
        assert tier.intervals[0][0] == 0
        assert all(a[1] == b[0] for a, b in zip(tier.intervals, tier.intervals[1:]))
    notes = []
    read = read_alignments(aligned, on_note=notes.append)
    assert notes == []
    spoken = [phone for phone in read["second"].phones if phone.kind != "pause"]
    assert "".join(phone.ipa for phone in spoken) == "ɡuːtənɑːbənt"
    assert spoken[0].start < 0.1


def test_a_second_run_aligns_only_what_has_changed(rows, tmp_path, monkeypatch):
    out = tmp_path / "out"
    align_utterances(rows, out)
    spoken = []
    monkeypatch.setattr(folders, "spoken_text", lambda text, voice: spoken.append(text) or pytest.fail("spoken again"))
    align_utterances(rows, out)
    monkeypatch.undo()
    real = folders.spoken_text
    monkeypatch.setattr(folders, "spoken_text", lambda text, voice: spoken.append((text, voice)) or real(text, voice))
    changed = [rows[0], dataclasses.replace(rows[1], text="Guten Morgen.")]
    align_utterances(changed, out)
    assert spoken == [("Guten Morgen.", "de")]
    (out / "second.TextGrid").write_text("damaged")
    align_utterances([rows[0], dataclasses.replace(rows[1], language="nl")], out)
    assert spoken[1:] == [("Guten Abend.", "nl")]


def test_a_text_is_spoken_once_for_all_its_readings(rows, tmp_path, monkeypatch):
    spoken, real = [], folders.spoken_text
    monkeypatch.setattr(folders, "spoken_text", lambda text, voice: spoken.append(text) or real(text, voice))
    readings = [dataclasses.replace(rows[1], id=f"r{number}") for number in range(3)]
    align_utterances([readings[0], rows[0], *readings[1:]], tmp_path / "out")
    assert sorted(spoken) == ["Guten Abend.", "Guten Abend. Guten Abend."]


def test_rows_that_cannot_be_aligned_are_named_and_keep_what_they_had(rows, tmp_path):
    bad = [
        dataclasses.replace(rows[0], id="no text", text=" "),
        dataclasses.replace(rows[0], id="a number", text="sentence 3"),
        dataclasses.replace(rows[0], id="no language", language="und"),
        dataclasses.replace(rows[0], id="no voice", language="gsw"),
        dataclasses.replace(rows[0], id="no audio", path=str(tmp_path / "absent.wav")),
        dataclasses.replace(rows[0], id="says nothing", text="..."),
    ]
    skipped = {}
    aligned = align_utterances([*bad, rows[1]], tmp_path / "out", on_skip=skipped.__setitem__)
    assert set(skipped) == {row.id for row in bad}
    assert "has no text" in skipped["no text"] and "no such file" in skipped["no audio"].casefold()
    assert [row.phones for row in aligned[:-1]] == ["old.lablaut"] * 6 and aligned[-1].phones.endswith("TextGrid")
    with pytest.raises(UserError, match="no text: has no text"):
        align_utterances(bad, tmp_path / "out")


def test_names_of_files():
    assert file_name("../x") == "%2E.%2Fx.TextGrid"
    long = [file_name("ü" * 400 + end) for end in "ab"]
    assert len({*long}) == 2 and all(len(name.encode()) < 255 for name in long)


def test_the_command_writes_a_manifest_and_goes_on(rows, tmp_path, monkeypatch, capsys):
    manifest, out = tmp_path / "m.jsonl", tmp_path / "out"
    write_manifest(manifest, [*rows, dataclasses.replace(rows[0], id="bare", text=None, phones=None)])
    for _ in range(2):
        monkeypatch.setattr("sys.argv", ["emobridge", "align", str(manifest), "--out", str(out)])
        main()
        shown = capsys.readouterr()
        assert "2 alignments of 3 rows" in shown.out and "skipped bare: has no text" in shown.err
    assert [bool(row.phones) for row in read_manifest(out / "manifest.jsonl")] == [True, True, False]


def test_the_command_without_a_row_to_align_is_an_error(tmp_path, monkeypatch, capsys):
    pytest.importorskip("espeakng_loader")
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16_000)
    write_manifest(tmp_path / "m.jsonl", [Utterance("a", "c", str(tmp_path / "a.wav"))])
    monkeypatch.setattr("sys.argv", ["emobridge", "align", str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "no row could be aligned; the first: has no text" in capsys.readouterr().err
