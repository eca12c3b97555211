"""Processes that train leave nothing half-written, whatever ends the process that asked for them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

CHILDREN = """
    import sys, time
    from pathlib import Path
    from emobridge.files import whole_file
    from emobridge.features.parallel import Work, run_parallel

    def work(number):
        with whole_file(Path(sys.argv[1]) / f"{number}.txt") as path:
            path.write_text("half")
            time.sleep(60)

    def start():
        pass

    if __name__ == "__main__":
        try:
            import threading, os, signal
            def stop():
                while len(list(Path(sys.argv[1]).glob(".*.part"))) < 1:
                    time.sleep(0.05)
                os.kill(os.getpid(), signal.SIGINT)
            threading.Thread(target=stop, daemon=True).start()
            run_parallel(Work(work, start), [1], jobs=1)
        except KeyboardInterrupt:
            print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_children_remove_what_they_were_writing(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(CHILDREN))
    (tmp_path / "out").mkdir()
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # until all have ended
    assert done.stdout == "stopped\n", done.stderr
    assert not list((tmp_path / "out").iterdir())
