"""What the tables of MSP-Podcast and BIIC-Podcast have in common: their mistakes."""

import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"


def fabricate(root, rows, header=HEADER, name="labels_consensus"):
    (root / "Labels").mkdir(parents=True)
    (root / "Audios").mkdir()
    for row in rows.splitlines():
        (root / "Audios" / row.partition(",")[0]).touch()
    (root / "Labels" / f"{name}.csv").write_text(header + rows)
    return root


@pytest.mark.parametrize(
    ("corpus", "row", "message"),
    [
        ("msp-podcast", "a.wav,Q,1,2,3,1,Male,Train", "unknown emotion label 'Q'"),
        ("msp-podcast", "a.wav,N,1,x,3,1,Male,Train", "EmoVal is 'x'; expected a number from 1 to 7"),
        ("msp-podcast", "a.wav,N,1,2,3,1,Male,Test", "unknown Split_Set 'Test': did you mean 'Test"),
        ("biic-podcast", "a.wav,N,1,2,3,1,Male,Test1", "unknown Split_Set 'Test1': did you mean 'Test'"),
        ("msp-podcast", "a.wav,N,1,2,3", "expected 8 columns as in the header"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, corpus, row, message):
    root = fabricate(tmp_path, f"{row}\n")
    with pytest.raises(UserError, match=message) as caught:
        list(scan(corpus, root))
    assert str(caught.value).startswith(f"{root / 'Labels' / 'labels_consensus.csv'}:2: ")
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named(tmp_path):
    root = fabricate(tmp_path, "a.wav,N\n", "FileName,EmoClass\n")
    with pytest.raises(UserError, match=r"labels_consensus\.csv: no column 'EmoAct' \(columns: FileName, EmoClass"):
        list(scan("msp-podcast", root))


@pytest.mark.parametrize("corpus", ["msp-podcast", "biic-podcast"])
def test_a_root_without_it(tmp_path, corpus):
    with pytest.raises(UserError, match=r"no file like Labels/labels_consensus\.csv"):
        list(scan(corpus, tmp_path))
    (tmp_path / "Labels").mkdir()
    (tmp_path / "Labels" / "labels_consensus.csv").write_text(HEADER)
    with pytest.raises(UserError, match="Audios: no such folder"):
        list(scan(corpus, tmp_path))
