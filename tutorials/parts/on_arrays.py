"""Two clouds of points for each language; the second language's are moved. SYNTHETIC."""

import sys

import numpy as np

from emobridge import fit_arrays

generator = np.random.default_rng(0)
labels = np.array(["anger", "sadness"])[generator.integers(2, size=400)]
domain = np.repeat(["source", "target"], 200)
X = generator.normal(size=(400, 8))
X[:, 0] += 2.0 * (labels == "sadness")
X[:, 1] += 1.5 * (labels == "sadness")
X[200:, 0] += 1.2  # the second language: moved along what tells the emotions apart

for method in sys.argv[1:]:
    recognizer = fit_arrays(X, labels, domain, method=method)
    print(f"{method}: {100 * recognizer.score(X[200:], labels[200:]):.1f} % of the second language right")
