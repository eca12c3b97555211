import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError

NAMES = (
    "train/happiness_enthusiasm_32/32_happiness_enthusiasm_e_060",
    "train/happiness_enthusiasm_32/32_happiness_enthusiasm_h_120",
    "train/03_disgust_neutral/03_disgust_neutral n_050",
    "train/11_disgust_anger/11_anger_disgust a_210",
    "test/neutral_fear_27/27_neutral_fear_f_100",
)


def fabricate(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.wav").touch()
    return root


def test_a_fabricated_tree(tmp_path):
    """Names as the distribution has them, those with a space too."""
    rows = {row.id: row for row in scan("resd", fabricate(tmp_path, *NAMES, "train/readme"))}
    assert {name: (row.speaker, row.emotion, row.split) for name, row in rows.items()} == {
        "32_happiness_enthusiasm_e_060": ("32e", "other", "train"),
        "32_happiness_enthusiasm_h_120": ("32h", "happiness", "train"),
        "03_disgust_neutral n_050": ("03n", "neutral", "train"),
        "11_anger_disgust a_210": ("11a", "anger", "train"),
        "27_neutral_fear_f_100": ("27f", "fear", "test"),
    }
    assert {(row.corpus, row.language, row.gender, row.naturalness) for row in rows.values()} == {
        ("resd", "ru", None, "acted")
    }


def test_without_the_folders_of_splits(tmp_path):
    (row,) = scan("resd", fabricate(tmp_path, "clips/27_neutral_fear_f_100"))
    assert row.split is None


def test_unknown_initial(tmp_path):
    with pytest.raises(UserError, match=r"27_neutral_fear_x_100\.wav: unknown emotion code 'x'"):
        list(scan("resd", fabricate(tmp_path, "train/neutral_fear_27/27_neutral_fear_x_100")))
