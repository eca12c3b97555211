"""Excel files: the parts that Excel, LibreOffice and Python's writers put a table in."""

from __future__ import annotations

import random
import zipfile

import pytest

from emobridge.data.column_names import is_column_name
from emobridge.data.tables import open_table
from emobridge.errors import UserError

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATION = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
PARTS = {
    "xl/workbook.xml": f"""<workbook {MAIN} {RELATION}><sheets><sheet name="old" state="hidden" r:id="rId1"/>
        <sheet name="Anrufe" r:id="rId2"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": """<Relationships>
        <Relationship Id="rId1" Target="worksheets/sheet1.xml"/>
        <Relationship Id="rId2" Target="/xl/worksheets/sheet2.xml"/></Relationships>""",
    "xl/sharedStrings.xml": f"""<sst {MAIN}><si><t>path</t></si><si><t>Emotion</t></si>
        <si><r><t>Är</t></r><r><t>ger</t></r><rPh><t>no</t></rPh></si></sst>""",
    "xl/styles.xml": f"""<styleSheet {MAIN}>
        <numFmts><numFmt numFmtId="164" formatCode="d. mmm"/>
        <numFmt numFmtId="165" formatCode='0.00 "days"'/></numFmts>
        <cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="21"/></cellXfs>
        </styleSheet>""",
    "xl/worksheets/sheet2.xml": f"""<worksheet {MAIN}><sheetData>
        <row r="1"><c r="A1" t="inlineStr"><is><t>Studie 3</t></is></c></row>
        <row r="3"><c r="A3" t="s"><v>0</v></c><c r="B3" t="s"><v>1</v></c><c r="D3" t="str"><v>id</v></c>
            <c r="E3" t="str"><v>end</v></c></row>
        <row r="4"><c r="A4" t="str"><v>a.wav</v></c><c r="B4" t="s"><v>2</v></c><c r="D4"><v>12</v></c>
            <c r="E4"><v>0.52000000000000002</v></c></row>
        <row r="6"><c r="A6" t="str"><v>b.wav</v></c><c r="D6" s="1"><v>46025</v></c>
            <c r="E6" s="3"><v>7.1759259259259259E-4</v></c></row>
        <row r="7"><c r="A7" t="str"><v>c.wav</v></c><c r="B7" t="b"><v>1</v></c><c r="D7" s="2"><v>3</v></c>
            <c r="F7" t="str"><v>beside the table</v></c></row>
        </sheetData></worksheet>""",
}


def workbook(path, **changed):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**PARTS, **changed}.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # of the same date in each run
    return path


def test_the_first_visible_sheet_is_a_table(tmp_path):
    table = open_table(workbook(tmp_path / "t.xlsx"), is_name=is_column_name)
    assert table.columns == ("path", "Emotion", "id", "end")
    assert list(table.rows()) == [
        (4, {"path": "a.wav", "Emotion": "Ärger", "id": "12", "end": "0.52"}),
        (6, {"path": "b.wav", "Emotion": "", "id": "2026-01-03", "end": "0:01:02.000"}),
        (7, {"path": "c.wav", "Emotion": "TRUE", "id": "3", "end": ""}),
    ]
    assert str(table.dialect) == "an Excel file, header in line 3, 1 row above it left out"
    assert table.notes == ["the sheet 'old' was left out"]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("xl/worksheets/sheet2.xml", "<worksheet><sheetData><row>"),
        ("xl/worksheets/sheet2.xml", '<!DOCTYPE a [<!ENTITY b "c">]><worksheet><sheetData/></worksheet>'),
        ("xl/worksheets/sheet2.xml", f'<worksheet {MAIN}><sheetData><row r="1"><c r="A1" t="s"><v>9</v></c></row>'),
        ("xl/worksheets/sheet2.xml", f'<worksheet {MAIN}><sheetData><row r="x"/></sheetData></worksheet>'),
        (
            "xl/worksheets/sheet2.xml",
            f'<worksheet {MAIN}><sheetData><row><c r="ZZZZZ1"/></row></sheetData></worksheet>',
        ),
        ("xl/workbook.xml", f"<workbook {MAIN}><sheets/></workbook>"),
        ("xl/_rels/workbook.xml.rels", "<Relationships/>"),
        ("xl/styles.xml", f'<styleSheet {MAIN}><numFmts><numFmt numFmtId="a"/></numFmts></styleSheet>'),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, part, text):
    path = workbook(tmp_path / "t.xlsx", **{part: text})
    with pytest.raises(UserError, match=r"t\.xlsx: a damaged Excel file \(") as error:
        list(open_table(path).rows())
    assert len(str(error.value).splitlines()) == 1


def test_flipped_bytes_never_end_in_another_error(tmp_path):
    data, rng = workbook(tmp_path / "t.xlsx").read_bytes(), random.Random(0)
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        path = tmp_path / "x.xlsx"
        path.write_bytes(changed)
        try:
            list(open_table(path).rows())
        except UserError as error:
            assert "x.xlsx" in str(error)  # noqa: PT017
