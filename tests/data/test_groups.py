"""Groups of utterances by a column of their manifest."""

from __future__ import annotations

import pytest

from emobridge.data.groups import MOST_GROUPS, age_group, check_columns, columns_in, group_of
from emobridge.errors import UserError
from emobridge.settings import Grouping
from emobridge.types import Utterance


def row(**values):
    return Utterance("a", "c", "a.wav", **values)


def test_columns_that_some_utterance_has():
    rows = [row(extra=(("site", "x"),)), row(gender="female", language="de")]
    assert columns_in(rows) == ("gender", "corpus", "language", "site")
    check_columns(("gender", "site"), rows)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("age", r"groups: age: no scored utterance has it in its manifest \(known: gender, corpus, site\)"),
        ("sit", "unknown column of groups 'sit': did you mean 'site'.*scan --option keep=NAME"),
        ("gendr", "did you mean 'gender'"),
        ("file", f"groups: file has 21 values; expected at most {MOST_GROUPS} groups"),
    ],
)
def test_columns_that_make_no_groups(column, message):
    rows = [row(gender="female", extra=(("site", "x"),))]
    if column == "file":
        rows = [row(extra=(("file", str(number)),)) for number in range(21)]
    with pytest.raises(UserError, match=message):
        check_columns((column,), rows)


def test_groups_of_numbers_and_of_what_is_not_known():
    assert group_of(row(channel=1), "channel") == "1"
    assert group_of(row(), "language") is None, "undetermined is no group"
    assert [age_group(age, (18, 45)) for age in (17.9, 18, 44.9, 45)] == [
        "under 18",
        "18 to 44",
        "18 to 44",
        "45 and over",
    ]


@pytest.mark.parametrize("ages", [(), (0.0,), (60.0, 30.0), (30.0, 30.0)])
def test_ages_that_make_no_groups(ages):
    with pytest.raises(UserError, match="age_groups: expected ascending years above 0, such as 30,60, got"):
        Grouping(age_groups=ages)
