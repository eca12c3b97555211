"""Tokens, and how often one may be tried."""

from __future__ import annotations

import time

import pytest

from emobridge.errors import UserError
from emobridge.web import tokens
from emobridge.web.requests import Refusal
from emobridge.web.tokens import Attempts, check_token, is_same_token

TOKEN = "sixteen letters."


@pytest.mark.parametrize("token", ["", "short", "a" * 15, "line\n" * 8, "a" * 501])
def test_a_token_that_is_no_secret_is_refused(token):
    with pytest.raises(UserError, match=r"^token: expected"):
        check_token(token)


def test_a_token_is_itself_alone():
    assert check_token(TOKEN) == TOKEN and check_token("a" * 500)
    assert is_same_token(TOKEN, TOKEN)
    for wrong in ("", TOKEN[:-1], TOKEN + " ", TOKEN.upper(), "\udcff"):
        assert not is_same_token(wrong, TOKEN)


def test_attempts_are_counted_and_forgotten_with_time(monkeypatch):
    now = [time.monotonic()]
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now[0])
    attempts = Attempts()
    for _ in range(tokens.ATTEMPTS):
        attempts.check()
        attempts.count()
    with pytest.raises(Refusal, match="429 too-many"):
        attempts.check()
    now[0] += tokens.ATTEMPT_SECONDS
    attempts.check()
    attempts.count()
    with pytest.raises(Refusal, match="429"):
        attempts.check()
