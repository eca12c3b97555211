"""The token of a server: from an option, a file or the environment."""

from __future__ import annotations

import os
from pathlib import Path

from emobridge.errors import UserError
from emobridge.files import unreadable

LARGEST_TOKEN_FILE = 10_000  # bytes
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def read_token(token: str, file: Path | None, variable: str) -> str:
    """The token of --token or --token-file, else of an environment variable; "" where there is none.

    Errors: UserError for both options, and for a file without a token.
    """
    if token and file is not None:
        raise UserError("--token: does nothing with --token-file; give one of them")
    if file is None:
        return token or os.environ.get(variable, "").strip()
    try:
        with file.open(encoding="utf-8") as lines:
            text = lines.read(LARGEST_TOKEN_FILE).strip()
    except OSError as error:
        raise unreadable(file, error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is not UTF-8 text ({error.reason})") from error
    if not text:
        raise UserError(f"{file}: expected a token, and it is empty")
    return text
