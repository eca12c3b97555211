import pytest

from emobridge.corpora import crema_d, scan
from emobridge.errors import UserError

NAMES = ("1001_DFA_ANG_XX", "1001_IEO_DIS_HI", "1001_IEO_DIS_LO", "1040_ITH_SAD_X", "1091_WSI_HAP_XX")


@pytest.fixture
def root(tmp_path):
    for folder, suffix in (("AudioWAV", "wav"), ("AudioMP3", "mp3")):
        (tmp_path / folder).mkdir()
        for name in NAMES:
            (tmp_path / folder / f"{name}.{suffix}").touch()
    (tmp_path / "AudioWAV" / "noise.wav").touch()
    return tmp_path


def test_a_fabricated_clone(root):
    rows = list(scan("crema-d", root))
    assert [(row.id, row.speaker, row.emotion) for row in rows] == [
        ("1001_DFA_ANG_XX", "1001", "anger"),
        ("1001_IEO_DIS_HI", "1001", "disgust"),
        ("1001_IEO_DIS_LO", "1001", "disgust"),
        ("1040_ITH_SAD_X", "1040", "sadness"),
        ("1091_WSI_HAP_XX", "1091", "happiness"),
    ]
    assert [row.text for row in rows[:2]] == ["Don't forget a jacket", "It's eleven o'clock"]
    assert {(row.corpus, row.language) for row in rows} == {("crema-d", "en")}
    assert all(row.path.endswith(".wav") for row in rows)
    assert [row.id for row in scan("crema-d", root / "AudioWAV")] == list(NAMES)
    assert {(row.gender, row.naturalness) for row in rows} == {(None, "acted")}


def test_genders_are_those_of_the_table_of_actors(root):
    table = '"ActorID","Age","Sex","Race"\n1001,51,"Male","Asian"\n1040,42,"Unknown",\n1091,29,"Female","Asian"\n'
    (root / "VideoDemographics.csv").write_text(table)
    for folder in (root, root / "AudioWAV"):
        genders = {row.speaker: row.gender for row in scan("crema-d", folder)}
        assert genders == {"1001": "male", "1040": None, "1091": "female"}
        people = {row.speaker: (row.age, row.extra) for row in scan("crema-d", folder)}
        assert people["1001"] == (51.0, (("race", "Asian"),)) and people["1040"] == (42.0, ())


def test_the_other_audio(root):
    rows = list(scan("crema-d", root, audio="mp3"))
    assert [row.id for row in rows] == list(NAMES)
    assert all(row.path.endswith(".mp3") for row in rows)
    with pytest.raises(UserError, match="unknown audio of CREMA-D 'flac'"):
        scan("crema-d", root, audio="flac")


def test_there_are_twelve_sentences_and_six_emotions():
    assert len(crema_d.TEXTS) == len(set(crema_d.TEXTS.values())) == 12
    assert len(crema_d.LABELS) == len(set(crema_d.LABELS.values())) == 6


def test_unknown_emotion_code(root):
    (root / "AudioWAV" / "1001_DFA_SUR_XX.wav").touch()
    with pytest.raises(UserError, match=r"1001_DFA_SUR_XX\.wav: unknown emotion code 'SUR'"):
        list(scan("crema-d", root))
