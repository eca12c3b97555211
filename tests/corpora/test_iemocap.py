import pytest

from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
BLOCK = """\
[6.2901 - 8.2357]\t{turn}\t{code}\t[2.5000, 3.5000, 4.0000]
C-E2:\tNeutral;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()

"""
CODES = ("ang", "hap", "exc", "sad", "neu", "fru", "fea", "sur", "dis", "oth", "xxx")


def fabricate(root, dialogue, turns):
    """The files of one dialogue of {turn: code}, as in IEMOCAP_full_release."""
    session = root / f"Session{dialogue[4]}"
    places = ("dialog/EmoEvaluation", "dialog/transcriptions", f"sentences/wav/{dialogue}")
    evaluation, transcription, audio = (session / path for path in places)
    for folder in (evaluation, transcription, audio):
        folder.mkdir(parents=True, exist_ok=True)
    blocks = "".join(BLOCK.format(turn=turn, code=code) for turn, code in turns.items())
    (evaluation / f"{dialogue}.txt").write_text(HEADER + blocks)
    (transcription / f"{dialogue}.txt").write_text(
        "".join(f"{turn} [006.2901-008.2357]: Excuse me.\nM: [LAUGHTER]\n" for turn in turns)
    )
    for turn in turns:
        (audio / f"{turn}.wav").touch()
    return evaluation / f"{dialogue}.txt"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "IEMOCAP_full_release"
    improvised = {f"Ses01F_impro01_{'FM'[index % 2]}{index:03d}": code for index, code in enumerate(CODES)}
    evaluation = fabricate(folder, "Ses01F_impro01", improvised)
    fabricate(folder, "Ses05M_script01_1b", {"Ses05M_script01_1b_FXX0": "ang", "Ses05M_script01_1b_M001": "exc"})
    (evaluation.parent / "Categorical").mkdir()
    (evaluation.parent / "Categorical" / "Ses01F_impro01_e1_cat.txt").write_text("Ses01F_impro01_F000 :Neutral; ()\n")
    (evaluation.parent / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16[")
    return folder


def test_a_fabricated_tree(root):
    rows = list(scan("iemocap", root))
    assert [row.emotion for row in rows[: len(CODES)]] == [
        *("anger", "happiness", "other", "sadness", "neutral", "other"),
        *("fear", "surprise", "disgust", "other", None),
    ]
    first = rows[0]
    assert (first.id, first.corpus, first.language, first.text) == (
        "Ses01F_impro01_F000",
        "iemocap",
        "en",
        "Excuse me.",
    )
    assert first.path == str(root / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    assert (first.start, first.end, first.split) == (0.0, None, None), "a turn has a file of its own"
    write_manifest(root / "m.jsonl", rows)
    assert list(read_manifest(root / "m.jsonl")) == rows


def test_ratings_are_in_the_order_valence_activation_dominance(root):
    assert {(row.valence, row.arousal, row.dominance) for row in scan("iemocap", root)} == {(2.5, 3.5, 4.0)}


def test_the_speaker_is_who_speaks_and_not_who_wears_the_markers(root):
    speakers = {row.id: row.speaker for row in scan("iemocap", root)}
    assert speakers["Ses01F_impro01_F000"] == "Ses01F"
    assert speakers["Ses01F_impro01_M001"] == "Ses01M"
    assert speakers["Ses05M_script01_1b_FXX0"] == "Ses05F"
    assert speakers["Ses05M_script01_1b_M001"] == "Ses05M"
    assert {row.speaker[-1]: row.gender for row in scan("iemocap", root)} == {"F": "female", "M": "male"}


def test_what_was_scripted_was_acted_and_what_was_improvised_elicited(root):
    naturalness = {(row.id.split("_")[1][:-2], row.naturalness) for row in scan("iemocap", root)}
    assert naturalness == {("impro", "elicited"), ("script", "acted")}


def test_only_improvised_dialogues(root):
    assert {row.id[:14] for row in scan("iemocap", root, improvised=True)} == {"Ses01F_impro01"}


def test_excitement_into_happiness(root):
    merged = {row.id: row.emotion for row in scan("iemocap", root, excited="happiness")}
    assert merged["Ses01F_impro01_F002"] == merged["Ses05M_script01_1b_M001"] == "happiness"
    assert merged["Ses01F_impro01_M005"] == "other", "frustration stays"
    with pytest.raises(UserError, match="choice for excited 'hapiness': did you mean 'happiness'"):
        scan("iemocap", root, excited="hapiness")


def test_the_folder_above_and_one_session_do_too(root):
    rows = list(scan("iemocap", root))
    assert list(scan("iemocap", root.parent)) == rows
    assert list(scan("iemocap", root / "Session5")) == rows[-2:]


def test_a_turn_without_its_recording_is_passed_over(root):
    (root / "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_M001.wav").unlink()
    assert "Ses05M_script01_1b_M001" not in {row.id for row in scan("iemocap", root)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1.0 - 2.0]\tSes02F_impro01_F000\tanx\t[1, 2, 3]", r"unknown emotion code 'anx': did you mean 'ang'"),
        ("[1.0 - 2.0]\tSes02F_impro01_F000\tang\t[1, 2]", "expected '"),
        ("[1.0 - 2.0]\tfirst\tang\t[1, 2, 3]", "expected '"),
        ("[1.0 - 2.0]\tSes02F_impro01_F000\tang\t[1, two, 3]", "a rating is 'two'; expected a number from 1 to 5"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, message):
    path = fabricate(tmp_path, "Ses02F_impro01", {"Ses02F_impro01_F000": "ang"})
    path.write_text(f"{HEADER}{line}\n")
    with pytest.raises(UserError, match=message) as caught:
        list(scan("iemocap", tmp_path))
    assert str(caught.value).startswith(f"{path}:3: ")


def test_a_root_without_it(tmp_path):
    with pytest.raises(UserError, match=r"no file like Session1.*sail\.usc\.edu"):
        list(scan("iemocap", tmp_path))
