from emobridge.corpora import scan

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
BIIC = """\
BIIC-PODCAST_0001_0031.wav,N,3.0,4.33,3.67,12,Female,Test
BIIC-PODCAST_0001_0016_0001.wav,C,2.33,4.0,6.33,Unknown,Male,Train
BIIC-PODCAST_0002_0007.wav,Happy,5.67,5.33,5.0,13,Male,Development
"""


def fabricate(root, rows, header=HEADER, name="labels_consensus"):
    (root / "Labels").mkdir(parents=True)
    (root / "Audios").mkdir()
    for row in rows.splitlines():
        (root / "Audios" / row.partition(",")[0]).touch()
    (root / "Labels" / f"{name}.csv").write_text(header + rows)
    return root


def test_a_fabricated_tree(tmp_path):
    rows = list(scan("biic-podcast", fabricate(tmp_path / "BIIC", BIIC)))
    assert [(row.id, row.emotion, row.speaker, row.split) for row in rows] == [
        ("BIIC-PODCAST_0001_0031", "neutral", "12", "test"),
        ("BIIC-PODCAST_0001_0016_0001", "contempt", None, "train"),
        ("BIIC-PODCAST_0002_0007", "happiness", "13", "validation"),
    ]
    assert (rows[1].arousal, rows[1].valence, rows[1].dominance) == (2.33, 4.0, 6.33)
    assert {(row.corpus, row.language) for row in rows} == {("biic-podcast", "zh-TW")}
    assert {(row.gender, row.naturalness) for row in rows} == {("male", "natural"), ("female", "natural")}


def test_a_table_without_speakers(tmp_path):
    row = "BIIC-PODCAST_0001_0031.wav,N,3.0,4.33,3.67,Test\n"
    root = fabricate(tmp_path, row, "FileName,EmoClass,EmoAct,EmoVal,EmoDom,Split_Set\n")
    assert [(row.speaker, row.gender) for row in scan("biic-podcast", root)] == [(None, None)]
