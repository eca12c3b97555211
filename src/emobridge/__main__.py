"""`python -m emobridge`: the command line, for what starts modules, such as accelerate launch."""

from __future__ import annotations

from emobridge.cli.main import main

if __name__ == "__main__":
    main()
