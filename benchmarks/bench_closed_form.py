"""What a fit of the default method costs beside scikit-learn's self-training of the same classifier."""

from __future__ import annotations

import numpy as np
import torch
from measuring import Resources, Row, medians
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.semi_supervised import SelfTrainingClassifier
from torch import Tensor

from emobridge.bundle import made_head
from emobridge.methods.base import Labelled, Task
from emobridge.methods.blend import Blend
from emobridge.training.inputs import Frozen
from emobridge.training.loop import Plan, fit

NEEDS = ()
# RAVDESS with its CORAL copies, four fifths of EMO-DB, three layers of Whisper base, four emotions
SOURCE, TARGET, WIDTH, CLASSES = 1075, 270, 1536, 4
COMPONENTS, SHRINKAGE, REFITS = 200, 0.4, 5


def measure(resources: Resources) -> list[Row]:
    """One fit of source and unlabelled target, whose features and copies are there already."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(CLASSES, (SOURCE + TARGET,), generator=generator)
    x = torch.randn(SOURCE + TARGET, WIDTH, generator=generator)
    x += 0.2 * torch.randn(CLASSES, WIDTH, generator=generator)[label]
    ours(x, label)  # once to warm up
    took = medians(
        resources.repeats, theirs=lambda: scikit_learn(x.numpy(), label.numpy()), ours=lambda: ours(x, label)
    )
    what = f"fits of blend, {SOURCE} + {TARGET} utterances x {WIDTH} features, {REFITS} refits, CPU"
    return [
        Row(what, 60 / took["ours"], "a minute"),
        Row(
            "a fit of blend / PCA and self-training of a discriminant by scikit-learn",
            took["ours"] / took["theirs"],
            "x",
            most=2.0,
        ),
    ]


def ours(x: Tensor, label: Tensor) -> Tensor:
    """The labels of the target by one fit as `emobridge adapt` makes it, (TARGET,)."""
    inputs = Frozen(x)
    target = torch.arange(SOURCE, SOURCE + TARGET)
    task = Task(inputs, CLASSES, Labelled(torch.arange(SOURCE), label[:SOURCE]), None, target)
    options = (f"components={COMPONENTS}", f"shrinkage={SHRINKAGE}")
    head = made_head("discriminant", options, inputs.width, CLASSES)
    fit(task, Blend(refits=REFITS), head, Plan(), seed=0)
    with torch.no_grad():
        return head.output(x[target]).argmax(1)


def scikit_learn(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The same by scikit-learn, whose self-training takes the surest utterances of all classes together."""
    z = PCA(COMPONENTS, random_state=0).fit_transform(x)
    known = np.where(np.arange(len(x)) < SOURCE, label, -1)
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
    trained = SelfTrainingClassifier(classifier, criterion="k_best", k_best=TARGET // REFITS, max_iter=REFITS)
    predicted: np.ndarray = trained.fit(z, known).predict(z[SOURCE:])
    return predicted
