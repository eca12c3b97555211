"""What would make scores meaningless: duplicates, shared speakers, emotions that loudness gives away.

The room has the name of the public function `emobridge.audit`; so that both are there, whichever is imported first, a
call of the room is a call of the function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from emobridge.audit.findings import audit

        return audit(*arguments, **options)


sys.modules[__name__].__class__ = _Room
