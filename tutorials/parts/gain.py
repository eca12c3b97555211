"""What a second recogniser gains over a first one on the same recordings, with an interval paired by speaker."""

import sys

import emobridge
from emobridge.inference.evaluate import evaluated

before, after, manifest = sys.argv[1:]
first, second = (evaluated(emobridge.load(bundle), manifest).evaluations[0] for bundle in (before, after))
(gain,) = second.difference(first)
print(f"UA {after} minus {before}: {100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}], n={gain.n}")
