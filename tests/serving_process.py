"""A service with an engine that holds no model, in a process of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
CODE = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from serving_fakes import FakeEngine
from emobridge.cli.stopping import as_interrupts
from emobridge.serve import serving
from emobridge.serve.records import Limits
from emobridge.web import process
process.REST_SECONDS = {rest}

class SlowEngine(FakeEngine):
    async def answer(self, job):
        if job.language == "slow":
            await asyncio.sleep(1.0)
        return await super().answer(job)

    async def stop(self):
        self.is_ready = False
        await asyncio.sleep(1.5 if self.jobs else 0.0)
        print("stopped", flush=True)

limits = Limits(body=200_000)
with as_interrupts():
    options = {{"token": {token!r}, "port": 0}}
    serving.run_service(SlowEngine(limits), limits, **options, on_ready=lambda address: print(address, flush=True))
"""


@contextlib.contextmanager
def running(token="", rest=20.0):
    """A service in a process of its own, and its port."""
    code = CODE.format(tests=str(TESTS), token=token, rest=rest)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
        if not match:
            raise AssertionError(process.communicate()[1])
        yield process, int(match[1])
    finally:
        process.kill()
        process.communicate()
