"""Where a server has its token from."""

from __future__ import annotations

import pytest

from emobridge.cli.tokens import read_token
from emobridge.errors import UserError

VARIABLE = "EMOBRIDGE_TEST_TOKEN"
TOKEN = "a token of a test"


def test_the_token_comes_from_file_option_or_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token("", file, VARIABLE) == TOKEN and read_token("another", None, VARIABLE) == "another"
    assert read_token("", None, VARIABLE) == ""
    monkeypatch.setenv(VARIABLE, " of the environment ")
    assert read_token("", None, VARIABLE) == "of the environment"
    assert read_token("", file, VARIABLE) == TOKEN and read_token("another", None, VARIABLE) == "another"


def test_a_file_without_a_token(tmp_path):
    file = tmp_path / "token"
    for content, words in ((b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "not UTF-8")):
        file.write_bytes(content)
        with pytest.raises(UserError, match=words):
            read_token("", file, VARIABLE)
    with pytest.raises(UserError, match="cannot be read"):
        read_token("", tmp_path / "none", VARIABLE)
    with pytest.raises(UserError, match="give one of them"):
        read_token("a token", file, VARIABLE)
