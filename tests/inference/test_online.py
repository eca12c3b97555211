"""Answers that adapt to the recordings as they come."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from emobridge.bundle import Recognizer
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain
from emobridge.features.source_moments import fit_source_moments
from emobridge.heads.discriminant import Discriminant
from emobridge.heads.ridge import Ridge
from emobridge.inference.online import EVERY, LEAST_LEARNT, SHARE, STEADY, OnlineHead
from emobridge.inference.predict import predict
from emobridge.settings import Answering
from emobridge.study.adapt import adapt

WIDTH = 6
DOMAIN = Domain("xx", "xx", torch.zeros(WIDTH), torch.ones(WIDTH))


def cloud(count: int, shift: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of two classes that stand apart, in the target along another axis too, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (count,), generator=generator)
    sign = 2.0 * label[:, None] - 1
    axes = torch.zeros(1, WIDTH)
    axes[0, 0], axes[0, 1] = 1.0, 3.0 * shift
    return sign * axes + torch.randn(count, WIDTH, generator=generator), label


@pytest.fixture
def branch():
    x, label = cloud(200, 0.0, 0)
    moments = fit_source_moments(x, label, torch.zeros_like(label), (DOMAIN,), 2)
    return SimpleNamespace(
        source_moments=moments,
        head=Discriminant(WIDTH, 2),
        language="xx",
        spec=SimpleNamespace(labels=("anger", "sadness")),
    )


def first_answers(branch, x: torch.Tensor) -> torch.Tensor:
    """What the source alone says: the answers of the bundle."""
    head = OnlineHead(branch)
    (view,) = head.views
    solution = head.discriminant.solve_moments(*view.source, torch.zeros(1, WIDTH).double())
    return solution.of(view.components.of(x)).softmax(1)


def stream(branch, x, p, domain=DOMAIN) -> tuple[OnlineHead, torch.Tensor]:
    head, answers = OnlineHead(branch), []
    for row, probabilities in zip(x, p):
        answers.append(head.answer(row, probabilities, 1.0))
        head.learn(row, answers[-1], domain, None)
    return head, torch.stack(answers)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_later_answers_are_better_where_the_target_differs(branch, seed):
    x, label = cloud(400, 0.5, seed)
    p = first_answers(branch, x)
    head, answers = stream(branch, x, p)
    before, after = ((values.argmax(1) == label)[200:].float().mean() for values in (p, answers))
    assert after > before + 0.02
    assert torch.allclose(answers.sum(1), torch.ones(400), atol=1e-5)
    assert LEAST_LEARNT < head.learnt < 400


def test_the_first_answers_are_those_of_the_bundle(branch):
    x, _ = cloud(LEAST_LEARNT - 1, 0.5, 1)
    p = first_answers(branch, x)
    head, answers = stream(branch, x, p)
    assert torch.equal(answers, p) and head.learnt == 0


def test_an_answer_is_the_geometric_mean_by_the_share(branch):
    x, _ = cloud(100, 0.5, 1)
    head, _ = stream(branch, x, first_answers(branch, x))
    assert head.learnt % EVERY == 0 or head.learnt >= LEAST_LEARNT
    p = torch.tensor([0.3, 0.7])
    share = SHARE * head.learnt / (head.learnt + STEADY)
    q = (head.solution.of(x[:1])[0] / 2.0).softmax(0)
    expected = p ** (1 - share) * q**share
    torch.testing.assert_close(head.answer(x[0], p, 2.0), expected / expected.sum())


def test_guarded_speech_teaches_nothing(branch):
    x, _ = cloud(100, 0.5, 1)
    p = first_answers(branch, x)
    head, answers = stream(branch, x, p, dataclasses.replace(DOMAIN, by_speaker=False))
    assert torch.equal(answers, p) and not head.count.any()


@pytest.mark.parametrize(("ordinary", "far"), [(0.5, 1.1), (1.2, 2.5)])
def test_unfamiliar_speech_teaches_nothing(branch, ordinary, far):
    """Beyond the edge, or in a corpus that the bundle does not know beyond what is usual there."""
    x, _ = cloud(100, 0.5, 1)
    p, head = first_answers(branch, x), OnlineHead(branch)
    for index, (row, answer) in enumerate(zip(x, p)):
        before = head.count.clone()
        head.learn(row, answer, DOMAIN, far if index % 10 == 9 else ordinary)
        assert index % 10 != 9 or torch.equal(head.count, before)
    assert head.count.sum() > LEAST_LEARNT


def test_a_stream_of_one_emotion_teaches_nothing(branch):
    x = torch.randn(100, WIDTH, generator=torch.Generator().manual_seed(0)) + 3 * torch.eye(WIDTH)[0]
    p = torch.tensor([[0.1, 0.9]]).expand(100, 2)
    head, answers = stream(branch, x, p)
    assert torch.equal(answers, p) and head.count.tolist() == [0, 100]


def test_memory_does_not_grow(branch):
    x, _ = cloud(60, 0.5, 1)
    head, _ = stream(branch, x, first_answers(branch, x))
    kept = [value for part in (head, *head.views) for value in vars(part).values() if isinstance(value, torch.Tensor)]
    assert max(value.numel() for value in kept) == 2 * WIDTH * WIDTH


def test_views_are_discriminants_of_their_own(branch):
    """Of a view that stands there twice the answers are those of it alone."""
    x, label = cloud(200, 0.0, 0)
    domain = Domain("xx", "xx", torch.zeros(2 * WIDTH), torch.ones(2 * WIDTH))
    twice = fit_source_moments(x.repeat(1, 2), label, torch.zeros_like(label), (domain,), 2)
    both = SimpleNamespace(**{**vars(branch), "source_moments": twice, "head": Discriminant(2 * WIDTH, 2, views=2)})
    x, _ = cloud(100, 0.5, 1)
    p = first_answers(branch, x)
    (head, answers), (other, same) = stream(branch, x, p), stream(both, x.repeat(1, 2), p)
    assert head.learnt == other.learnt >= LEAST_LEARNT
    torch.testing.assert_close(same, answers, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("changes", [{"source_moments": None}, {"head": Ridge(WIDTH, 2)}])
def test_a_bundle_that_cannot_adapt_is_refused(branch, changes):
    with pytest.raises(UserError, match="adapt_online: the recogniser of xx has no moments of its source"):
        OnlineHead(SimpleNamespace(**{**vars(branch), **changes}))


@pytest.fixture(scope="module")
def bundle(_recorded, tmp_path_factory):
    out = tmp_path_factory.mktemp("online")
    sides = {"source": (str(_recorded / "en.jsonl"),), "target": str(_recorded / "xx.jsonl")}
    adapt(**sides, labels=("anger", "sadness"), seeds=1, folds=2, clips=False, out=str(out), store=str(out / "store"))
    return out / "bundle"


@pytest.mark.parametrize("known", [True, False])
def test_rows_tell_that_they_were_adapted_and_a_second_run_says_the_same(recorded, bundle, known, tmp_path):
    rows = list(read_manifest(recorded / "xx.jsonl")) * 4
    rows = [
        dataclasses.replace(row, id=f"{index}", speaker=row.speaker if known else None)
        for index, row in enumerate(rows)
    ]
    recognizer = Recognizer.load(bundle)
    plain, first, second = (
        list(predict(recognizer, rows, Answering(adapt_online=online), store=tmp_path / "store"))
        for online in (False, True, True)
    )
    assert first == second
    adapted = [row for row in first if "(online: " in row.answered_by]
    assert adapted and first[0] == plain[0] and first[: LEAST_LEARNT - 1] == plain[: LEAST_LEARNT - 1]
    assert adapted[0].answered_by == f"xh (online: {LEAST_LEARNT})"
    assert not any("online" in row.answered_by for row in plain)
    assert any(a.probabilities != b.probabilities for a, b in zip(first, plain))


def test_the_command_has_it_and_refuses_a_bundle_without_moments(cli, recorded, bundle, finished, tmp_path):
    ran = cli("predict", bundle, recorded / "xx.jsonl", "--adapt-online", "--out", tmp_path / "rows.jsonl")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in tmp_path.glob("rows*")) == ["rows.jsonl"]
    ran = cli("predict", finished / "bundle", recorded / "xx.jsonl", "--adapt-online")
    assert ran.code == 2 and "has no moments of its source" in ran.err and len(ran.complaints) == 1
