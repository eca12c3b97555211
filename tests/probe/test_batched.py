"""A batch of probes learns what each probe learns alone, one after the other, with torch's own Adam."""

from __future__ import annotations

import copy

import pytest
import torch
from sklearn.metrics import recall_score
from torch import nn

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.errors import UserError
from emobridge.heads.base import Head, LayerSum, masked_mean
from emobridge.options import options_of
from emobridge.probe.batched import ProbeTraining, Stack, TrainingSets, cross_entropy, fit_probes, logits_of
from emobridge.probe.sources import FrameSource, PooledSource
from emobridge.training.stack import unstacked

HEADS = [name for name in registry.names("heads") if not registry.load("heads", name).closed_form]
L, P, N, F, D, C = 3, 4, 40, 5, 6, 3
PLAN = ProbeTraining(epochs=6, batch_size=8, weight_decay=1e-3)
RATES = (3e-3, 2e-2)


@pytest.fixture
def double():
    """Double precision: what is told apart are formulas, not roundings, which Adam enlarges."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def speech(seed=0):
    """Frames whose mean tells the class, better in higher layers; unequal weights; validation rows not trained on."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(C, (N,), generator=generator)
    lengths = torch.randint(1, F + 1, (N,), generator=generator)
    centre = torch.randn(C, D, generator=generator)
    clips = [
        torch.stack([0.3 * (layer + 1) * centre[label[row]] for layer in range(L)])[:, None]
        + torch.randn(L, int(lengths[row]), D, generator=generator)
        for row in range(N)
    ]
    part = torch.rand(P, N, generator=generator)
    weight = torch.where(part < 0.6, 0.5 + torch.rand(P, N, generator=generator), 0.0)
    return clips, TrainingSets(label, weight, part > 0.8)


def heads_of(name, rate_place=0):
    torch.manual_seed(7 + rate_place)
    rows, words = (1, (f"layers={L}",)) if registry.load("heads", name).all_layers else (L, ())
    if registry.load("heads", name).needs_frames:
        has_dropout = "dropout" in options_of(registry.load("heads", name))
        words = (*words, *["dropout=0.0"] * has_dropout, "hidden=8")  # masks are drawn for all probes together
    return [[made_head(name, words, D, C) for _ in range(P)] for _ in range(rows)]


def moments():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(L, P, D, generator=generator), 0.5 + torch.rand(L, P, D, generator=generator)


def alone(head, clips, sets, probe, layer, rate, plan, shift, rates=None):
    """One probe, trained without any batching: its rows of each window, padded frames, torch's own Adam and schedule.

    rates: a list that takes the learning rate after each epoch.
    """
    rates = [] if rates is None else rates
    mean, deviation = (value[:, probe] for value in shift)
    clips = [(clip - mean[:, None]) / deviation[:, None] for clip in clips]
    clips = clips if head.all_layers else [clip[layer] for clip in clips]

    def batch(rows):
        most = max(clips[row].shape[-2] for row in rows)
        padded = [nn.functional.pad(clips[row], (0, 0, 0, most - clips[row].shape[-2])) for row in rows]
        mask = torch.stack([torch.arange(most) < clips[row].shape[-2] for row in rows])
        return torch.stack(padded, 1 if head.all_layers else 0), mask

    optimiser = torch.optim.Adam(
        head.parameters(), lr=rate, betas=plan.betas, eps=plan.eps, weight_decay=plan.weight_decay
    )
    generator = torch.Generator().manual_seed(0)
    used = (sets.weight > 0).any(0).nonzero()[:, 0]
    steps = round(float((sets.weight > 0).sum(1).float().mean()) / plan.batch_size)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, patience=plan.plateau, factor=plan.plateau_factor, min_lr=plan.least_rate
    )
    best, waited, weights = float("inf"), 0, copy.deepcopy(head.state_dict())
    for _ in range(plan.epochs):
        head.train()
        for window in used[torch.randperm(len(used), generator=generator)].tensor_split(steps):
            rows = [int(row) for row in window if sets.weight[probe, row] > 0]
            loss = nn.functional.cross_entropy(head(*batch(rows)), sets.label[rows], reduction="none")
            optimiser.zero_grad()
            (loss * sets.weight[probe, rows]).mean().backward()
            optimiser.step()
        if plan.patience or plan.plateau:
            head.eval()
            rows = sets.validation[probe].nonzero()[:, 0].tolist()
            with torch.no_grad():
                logits = head(*batch(rows))
            lost = float(nn.functional.cross_entropy(logits, sets.label[rows]))
            if plan.plateau:
                schedule.step(lost)
                rates.append(optimiser.param_groups[0]["lr"])
            if plan.validate_by == "ua":
                truth = sets.label[rows]
                lost = 1 - recall_score(truth, logits.argmax(1), labels=truth.unique(), average="macro")
        if plan.patience:
            waited += 1
            if lost < best:
                best, waited, weights = lost, 0, copy.deepcopy(head.state_dict())
            if waited == plan.patience:
                break
    if plan.patience:
        head.load_state_dict(weights)
    return head


@pytest.mark.parametrize(
    ("name", "patience"),
    [
        (name, patience) if patience == number % 2 * 2 else pytest.param(name, patience, marks=pytest.mark.slow)
        for number, name in enumerate(HEADS)
        for patience in (0, 2)
    ],
)
def test_each_probe_ends_as_it_would_alone(name, patience, double):
    clips, sets = speech()
    plan = ProbeTraining(epochs=PLAN.epochs, batch_size=8, weight_decay=1e-3, patience=patience)
    kind = registry.load("heads", name)
    means = [clip if kind.needs_frames else clip.mean(1, keepdim=True) for clip in clips]
    source = FrameSource(lambda rows: [clips[row] for row in rows])
    if not kind.needs_frames:
        source = PooledSource(torch.stack([clip[:, 0] for clip in means], 1))
    shift = moments()
    heads = [heads_of(name, place) for place in range(len(RATES))]
    stacks = [Stack(rows, source, rate=rate, moments=shift) for rows, rate in zip(heads, RATES)]
    fit_probes(stacks, sets, plan)
    stopped = set()
    for stack, rows, rate in zip(stacks, heads, RATES):
        stopped |= set(stack.best_epoch.flatten().tolist())
        for layer, row in enumerate(rows):
            for probe, head in enumerate(row):
                before = [value.detach().clone() for value in head.parameters()]
                one = alone(copy.deepcopy(head), means, sets, probe, layer, rate, plan, shift)
                other = unstacked(stack.module, copy.deepcopy(head), layer, probe)
                for (key, a), b, start in zip(one.named_parameters(), other.parameters(), before):
                    torch.testing.assert_close(b, a, atol=1e-6, rtol=1e-6, msg=f"{key} of layer {layer}, probe {probe}")
                    assert not torch.equal(a, start) or patience
    if patience:
        assert len(stopped) > 1, "else early stopping was not put to the test"


@pytest.mark.parametrize(
    "name",  # pooled, of frames, and of all layers
    [
        name if name in ("single", "nonlinear", "multilayer") else pytest.param(name, marks=pytest.mark.slow)
        for name in HEADS
    ],
)
def test_each_probe_lowers_its_own_rate_and_ends_as_it_would_alone(name, double):
    """The settings of PEFT-SER, which methods B follow: the epoch with the best UA, the rate halved on a plateau."""
    clips, sets = speech()
    plan = ProbeTraining(
        epochs=12, batch_size=8, weight_decay=1e-3, patience=12, validate_by="ua", plateau=1, least_rate=5e-3
    )
    kind = registry.load("heads", name)
    means = [clip if kind.needs_frames else clip.mean(1, keepdim=True) for clip in clips]
    source = FrameSource(lambda rows: [clips[row] for row in rows])
    if not kind.needs_frames:
        source = PooledSource(torch.stack([clip[:, 0] for clip in means], 1))
    shift = torch.zeros(L, P, D), torch.ones(L, P, D)
    heads = heads_of(name)
    stack = Stack(heads, source, rate=5e-2)  # raw: no moments
    fit_probes([stack], sets, plan)
    lowered = set()
    for layer, row in enumerate(heads):
        for probe, head in enumerate(row):
            rates: list[float] = []
            one = alone(copy.deepcopy(head), means, sets, probe, layer, 5e-2, plan, shift, rates)
            other = unstacked(stack.module, copy.deepcopy(head), layer, probe)
            for (key, a), b in zip(one.named_parameters(), other.named_parameters()):
                torch.testing.assert_close(b[1], a, atol=1e-6, rtol=1e-6, msg=f"{key} of layer {layer}, probe {probe}")
            assert float(stack.rates[layer, probe]) == pytest.approx(rates[-1])
            lowered.add(rates[-1])
    assert len(lowered) > 1, "else that each has a rate of its own was not put to the test"


def test_a_rate_is_lowered_as_torch_lowers_it():
    """For 1,000 losses that fall, stay and rise, at the bounds too."""
    generator = torch.Generator().manual_seed(0)
    stack = Stack(heads_of("single"), PooledSource(torch.zeros(L, N, D)), rate=1e-2)
    plan = ProbeTraining(plateau=3, plateau_factor=0.7, least_rate=1e-5)
    optimisers = [torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-2) for _ in range(L * P)]
    schedules = [
        torch.optim.lr_scheduler.ReduceLROnPlateau(one, patience=3, factor=0.7, min_lr=1e-5) for one in optimisers
    ]
    loss, differ = torch.ones(L, P, dtype=torch.float64), False
    for _ in range(1000):
        loss = (loss * (1 + 0.002 * torch.randn(L, P, generator=generator)).round(decimals=4)).clamp(0.5, 2)
        stack.lower_rates(loss, plan)
        for schedule, value in zip(schedules, loss.flatten().tolist()):
            schedule.step(value)
        rates = [one.param_groups[0]["lr"] for one in optimisers]
        assert stack.rates.flatten().tolist() == pytest.approx(rates)
        differ |= len(set(rates)) > 1
    assert differ and set(rates) == {1e-5}


@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("layers", [1, L])
@pytest.mark.parametrize("name", HEADS)
def test_a_lone_probe_learns_what_it_learns_among_three_and_unstacked(name, layers, patience, double):
    """One fold, one seed, one learning rate: a batch of a single probe."""
    clips, sets = speech()
    clips = [clip[:layers] for clip in clips]
    alike = TrainingSets(sets.label, sets.weight[:1].expand(3, -1), sets.validation[:1].expand(3, -1))
    lone = TrainingSets(sets.label, sets.weight[:1], sets.validation[:1])
    plan = ProbeTraining(epochs=PLAN.epochs, batch_size=8, weight_decay=1e-3, patience=patience)
    kind = registry.load("heads", name)
    means = [clip if kind.needs_frames else clip.mean(1, keepdim=True) for clip in clips]
    source = FrameSource(lambda rows: [means[row] for row in rows])
    shift = tuple(value[:layers] for value in moments())
    words = (f"layers={layers}",) if kind.all_layers else ()
    options = {"dropout": "dropout=0.0", "hidden": "hidden=8"}
    words += tuple(options[name] for name in options_of(kind) if name in options) if kind.needs_frames else ()
    torch.manual_seed(0)
    rows = 1 if kind.all_layers else layers
    heads = [[made_head(name, words, D, C) for _ in range(3)] for _ in range(rows)]
    three = Stack(heads, source, rate=2e-2, moments=tuple(value[:, :3] for value in shift))
    single = Stack([row[:1] for row in heads], source, rate=2e-2, moments=tuple(value[:, :1] for value in shift))
    fit_probes([three], alike, plan)
    fit_probes([single], lone, plan)
    for layer, row in enumerate(heads):
        expected = alone(copy.deepcopy(row[0]), means, lone, 0, layer, 2e-2, plan, shift)
        among = unstacked(three.module, copy.deepcopy(row[0]), layer, 0)
        found = unstacked(single.module, copy.deepcopy(row[0]), layer, 0)
        for (key, value), other, begun in zip(expected.named_parameters(), found.parameters(), row[0].parameters()):
            torch.testing.assert_close(other, value, atol=1e-6, rtol=1e-6, msg=f"{key} of layer {layer}, unstacked")
            other_among = among.get_parameter(key)
            torch.testing.assert_close(
                other, other_among, atol=1e-6, rtol=1e-6, msg=f"{key} of layer {layer}, of three"
            )
            assert not torch.equal(value, begun) or key == "layer_sum.weight"


class Mixture(Head):
    """A head of one's own that sums layers, under another name than the multilayer head's."""

    all_layers = True

    def __init__(self):
        super().__init__()
        self.mixture, self.output = LayerSum(L), nn.Linear(D, C)

    def represent(self, frames, mask):
        return masked_mean(self.mixture(frames), mask)


def test_a_head_of_ones_own_stops_early_as_it_would_alone(double):
    clips, sets = speech()
    means = [clip.mean(1, keepdim=True) for clip in clips]
    shift = moments()
    torch.manual_seed(0)
    heads = [[Mixture() for _ in range(P)]]
    stack = Stack(heads, FrameSource(lambda rows: [means[row] for row in rows]), rate=2e-2, moments=shift)
    plan = ProbeTraining(epochs=6, batch_size=8, weight_decay=1e-3, patience=2)
    fit_probes([stack], sets, plan)
    for probe, head in enumerate(heads[0]):
        expected = alone(copy.deepcopy(head), means, sets, probe, 0, 2e-2, plan, shift)
        found = unstacked(stack.module, copy.deepcopy(head), 0, probe)
        for value, other in zip(expected.parameters(), found.parameters()):
            torch.testing.assert_close(other, value, atol=1e-6, rtol=1e-6)


def test_a_probe_does_not_see_what_it_does_not_train_on():
    """Other labels and features in rows outside its training and validation rows change nothing for a probe."""
    clips, sets = speech()
    probe = 1
    seen = (sets.weight[probe] > 0) | sets.validation[probe]
    ended = []
    for dirty in (False, True):
        x = torch.stack([clip.mean(1) for clip in clips], 1)
        label = sets.label.clone()
        if dirty:
            x[:, ~seen] = 50 * torch.randn_like(x[:, ~seen])
            label[~seen] = (label[~seen] + 1) % C
        stack = Stack(heads_of("single"), PooledSource(x), rate=1e-2)
        fit_probes(
            [stack],
            TrainingSets(label, sets.weight, sets.validation),
            ProbeTraining(epochs=5, batch_size=8, patience=2),
        )
        ended.append(unstacked(stack.module, heads_of("single")[0][0], 2, probe).state_dict())
    for key, value in ended[0].items():
        torch.testing.assert_close(ended[1][key], value, atol=1e-6, rtol=1e-5)


def test_stacks_with_one_source_ask_it_once_a_window():
    clips, sets = speech()
    asked = []

    def read(rows):
        asked.append(tuple(rows))
        return [clips[row] for row in rows]

    source = FrameSource(read)
    fit_probes(
        [Stack(heads_of(name), source) for name in ("nonlinear", "multilayer")],
        sets,
        ProbeTraining(epochs=2, batch_size=8),
    )
    used = int((sets.weight > 0).any(0).sum())
    assert sum(map(len, asked)) == 2 * used


def test_the_loss_is_torchs():
    logits, label = torch.randn(2, 3, 5, C), torch.tensor([0, 1, 2, 0, 1])
    expected = [[nn.functional.cross_entropy(one, label, reduction="none") for one in row] for row in logits]
    torch.testing.assert_close(cross_entropy(logits, label), torch.stack([torch.stack(row) for row in expected]))


def test_logits_do_not_depend_on_how_many_are_computed_together(monkeypatch):
    clips, _ = speech()
    stack = Stack(heads_of("nonlinear"), FrameSource(lambda rows: [clips[row] for row in rows]))
    rows = torch.arange(N)
    whole = logits_of([stack], rows)[0]
    monkeypatch.setattr("emobridge.probe.batched.BATCH", 7)
    torch.testing.assert_close(logits_of([stack], rows)[0], whole, atol=1e-5, rtol=1e-4)
    assert whole.shape == (L, P, N, C)


def test_what_cannot_be_trained():
    clips, sets = speech()
    stack = Stack(heads_of("single"), PooledSource(torch.stack([clip.mean(1) for clip in clips], 1)))
    empty = sets.weight.clone()
    empty[2] = 0
    with pytest.raises(UserError, match="no training utterance"):
        fit_probes([stack], TrainingSets(sets.label, empty, sets.validation), PLAN)
    with pytest.raises(UserError, match="no validation utterance"):
        fit_probes(
            [stack], TrainingSets(sets.label, sets.weight, sets.validation & False), ProbeTraining(epochs=1, patience=1)
        )
    huge = Stack(heads_of("single"), PooledSource(torch.full((L, N, D), 1e38)), rate=1e30)
    with pytest.raises(UserError, match="learning rate"):
        fit_probes([huge], sets, PLAN)


@pytest.mark.parametrize("more", [{}, {"patience": 3}, {"patience": 6, "plateau": 1, "validate_by": "ua"}])
def test_training_goes_on_from_a_checkpoint_with_the_same_weights(more, tmp_path, monkeypatch):
    """Dropout, Adam's moments, windows and early stopping go on as if there had been no break."""
    monkeypatch.setattr("emobridge.probe.batched.CHECKPOINT", 0.0)
    clips, sets = speech()
    plan = ProbeTraining(epochs=6, batch_size=8, **more)
    source = FrameSource(lambda rows: [clips[row] for row in rows])

    def stacks():
        torch.manual_seed(0)
        plain = [[made_head("nonlinear", ("hidden=8",), D, C) for _ in range(P)] for _ in range(L)]
        return [Stack(plain, source, rate=rate) for rate in RATES]

    whole = stacks()
    fit_probes(whole, sets, plan)
    path = tmp_path / "probes.checkpoint"

    class Broken(Exception):
        pass

    def breaks(epoch, _):
        if epoch == 4:
            raise Broken

    with pytest.raises(Broken):
        fit_probes(stacks(), sets, plan, on_epoch=breaks, checkpoint=path)
    assert path.exists()
    seen, again = [], stacks()
    fit_probes(again, sets, plan, on_epoch=lambda epoch, _: seen.append(epoch), checkpoint=path)
    assert seen[0] == 4 and not path.exists()
    for one, other in zip(whole, again):
        assert torch.equal(one.best_epoch, other.best_epoch)
        for a, b in zip(one.module.parameters(), other.module.parameters()):
            assert torch.equal(a, b)
    path.write_bytes(b"no checkpoint")
    afresh = stacks()
    fit_probes(afresh, sets, plan, checkpoint=path)
    assert torch.equal(next(afresh[0].module.parameters()), next(whole[0].module.parameters()))
