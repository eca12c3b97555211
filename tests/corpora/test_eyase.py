import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError


@pytest.fixture
def root(tmp_path):
    names = (
        "Female01/fm01_ang (1)",
        "Female01/fm01_ang (2)",
        "Male03/x_hap (1)",
        "Male03/x_neu(10)",
        "Male03/x_sad (1)",
    )
    for name in (*names, "Male03/notes", "clips/fm01_ang (1)"):
        path = tmp_path / "EYASE" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_a_fabricated_tree(root):
    rows = list(scan("eyase", root))
    assert [(row.id, row.speaker, row.emotion) for row in rows] == [
        ("Female01/fm01_ang (1)", "Female01", "anger"),
        ("Female01/fm01_ang (2)", "Female01", "anger"),
        ("Male03/x_hap (1)", "Male03", "happiness"),
        ("Male03/x_neu(10)", "Male03", "neutral"),
        ("Male03/x_sad (1)", "Male03", "sadness"),
    ]
    assert {(row.corpus, row.language) for row in rows} == {("eyase", "ar-EG")}
    assert {(row.speaker, row.gender, row.naturalness) for row in rows} == {
        ("Female01", "female", None),
        ("Male03", "male", None),
    }


def test_the_ids_do_not_depend_on_where_one_stands(root, monkeypatch):
    whole = [row.id for row in scan("eyase", root)]
    monkeypatch.chdir(root / "EYASE" / "Female01")
    assert [row.id for row in scan("eyase", ".")] == whole[:2]


def test_unknown_emotion_code(root):
    (root / "EYASE" / "Female01" / "fm01_fea (1).wav").touch()
    with pytest.raises(UserError, match=r"fm01_fea \(1\)\.wav: unknown emotion code 'fea'"):
        list(scan("eyase", root))
