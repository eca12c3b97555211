"""The process that serves a listening test: what is checked before, the port, and the end."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import uvicorn

from emobridge.errors import UserError, count_noun
from emobridge.files import unreadable
from emobridge.listening.records import ListeningStudy
from emobridge.listening.server import make_app
from emobridge.listening.store import ANSWERS_FILE, Store
from emobridge.listening.study import check_recordings, read_study
from emobridge.web.process import address_of, allow_connections, listening_socket, server_config
from emobridge.web.tokens import check_token

LOCK_FILE = "answers.lock"  # in the folder of a study; who serves it holds it
SWITCH_SECONDS = 0.0005  # between threads; Python's 0.005 made the slowest answers five times as slow
END_SECONDS = 5  # for answers that are under way when the server is stopped
MOST_NAMES = 10  # items that a note names


def serve(
    folder: str | Path,
    token: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None],
    on_note: Callable[[str], None],
) -> None:
    """Serve the study of a folder until the process is stopped.

    port: 0 is any that is free. on_ready: is called with the address, when connections are taken. on_note: is called
    with what the user should know of the answers that are there already.
    Errors: UserError for a short token, a bad study, a recording that is missing, answers that cannot be read or
    written, a study that another server serves, and a port that cannot be used.
    """
    folder = Path(folder)
    check_token(token)
    study = read_study(folder)
    check_recordings(folder, study)
    with locked(folder / LOCK_FILE), Store(folder / ANSWERS_FILE) as store, listening_socket(host, port) as bound:
        store.prepare()
        for note in notes_on(study, store):
            on_note(note)
        allow_connections()
        logging.getLogger("emobridge.listening").addHandler(_log_handler())
        config = server_config(make_app(folder, study, store, token), end_seconds=END_SECONDS)
        be_quick()
        on_ready(address_of(host, bound))
        uvicorn.Server(config).run(sockets=[bound])


def be_quick() -> None:
    """Set the interpreter up for many short answers at once."""
    gc.collect()
    gc.freeze()  # what is here stays: no collection looks through it again
    # SQLite lets go of the interpreter's lock at each statement; the thread that writes must get it back soon.
    sys.setswitchinterval(SWITCH_SECONDS)


def notes_on(study: ListeningStudy, store: Store) -> Iterator[str]:
    """What does not fit together in the answers that are there and the study as it is now."""
    items = {item.id for item in study.items}
    if gone := sorted(store.planned_items() - items):
        answered = {row.item for row in store.responses()}
        names = ", ".join(f"{item}{' (answered)' if item in answered else ''}" for item in gone[:MOST_NAMES])
        more = f" and {len(gone) - MOST_NAMES:,} more" if len(gone) > MOST_NAMES else ""
        yield (
            f"{store.path}: {count_noun(len(gone), 'item')} of listeners' orders, which the study has no more, will be "
            f"passed over: {names}{more}"
        )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file against other processes. The system lets go of it when the process ends, however it ends.

    Errors: UserError where another process holds it.
    """
    try:
        file = path.open("ab")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    with file:
        _lock(file, path)
        yield


def _lock(file: BinaryIO, path: Path) -> None:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise _served_already(path) from error
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _served_already(path) from error
    except OSError as error:  # a network disk without locks, on which SQLite is not safe either
        raise unreadable(path, error) from error


def _served_already(path: Path) -> UserError:
    return UserError(f"{path.parent}: another server serves this study already; one study has one server")


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    return handler
