import pytest

from emobridge.corpora import demos, scan
from emobridge.errors import UserError


@pytest.fixture
def root(tmp_path):
    names = ("DEMOS/PR_f_01_rab01a", "DEMOS/NP_f_01_rab02a", "DEMOS/NP_m_69_col03b", "NEU/m_69_neu01a", "DEMOS/legend")
    for name in names:
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_a_fabricated_tree(root):
    rows = list(scan("demos", root))
    assert [(row.id, row.speaker, row.emotion) for row in rows] == [
        ("NP_f_01_rab02a", "f01", "anger"),
        ("NP_m_69_col03b", "m69", "other"),
        ("PR_f_01_rab01a", "f01", "anger"),
        ("m_69_neu01a", "m69", "neutral"),
    ]
    assert {(row.corpus, row.language) for row in rows} == {("demos", "it")}
    assert {(row.speaker, row.gender, row.naturalness) for row in rows} == {
        ("f01", "female", "elicited"),
        ("m69", "male", "elicited"),
    }


@pytest.mark.parametrize("code", demos.LABELS)
def test_every_code(tmp_path, code):
    (tmp_path / f"PR_m_02_{code}01a.wav").touch()
    (row,) = scan("demos", tmp_path)
    assert row.emotion == demos.LABELS[code]


def test_samples_can_be_chosen(root):
    assert [row.id for row in scan("demos", root, samples="prototypical")] == ["PR_f_01_rab01a"]
    assert [row.id for row in scan("demos", root, samples="nonprototypical")] == ["NP_f_01_rab02a", "NP_m_69_col03b"]
    with pytest.raises(UserError, match="unknown samples of DEMoS 'prototypic': did you mean 'prototypical'"):
        scan("demos", root, samples="prototypic")


def test_unknown_emotion_code(tmp_path):
    (tmp_path / "PR_f_01_noi01a.wav").touch()
    with pytest.raises(UserError, match=r"PR_f_01_noi01a\.wav: unknown emotion code 'noi'"):
        list(scan("demos", tmp_path))
