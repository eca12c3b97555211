"""Turns: who has waited longest comes next. Python's own lock may give itself to the same thread again and again."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """A lock that is taken in the order in which it is asked for. `with` takes it and gives it back."""

    def __init__(self) -> None:
        self._own = threading.Lock()  # of the two below
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()  # each is released when its turn comes

    def take(self) -> None:
        """Wait for the turn."""
        with self._own:
            if not self._is_taken:
                self._is_taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def give_back(self) -> None:
        """Let the next one take its turn."""
        with self._own:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False

    def let_others(self) -> None:
        """Give the turn to those who wait now, and take it again after them."""
        if self._waiting:
            self.give_back()
            self.take()

    def __enter__(self) -> Turns:
        self.take()
        return self

    def __exit__(self, *exception: object) -> None:
        self.give_back()
