"""Adam without torch's compiler: the same steps, to the last bit."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from emobridge.training.adam import Adam

ALONE = """
import sys
import torch
from emobridge.training.adam import Adam
weight = torch.ones(3, requires_grad=True)
optimiser = Adam([weight], lr=0.1)
optimiser.zero_grad()
weight.square().sum().backward()
optimiser.step()
optimiser.load_state_dict(optimiser.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""


def test_its_steps_are_those_of_torch_after_going_on_too():
    results = []
    for kind in (Adam, torch.optim.Adam):
        torch.manual_seed(0)
        model = nn.Linear(5, 3)
        optimiser = kind(model.parameters(), lr=0.01, weight_decay=0.1, fused=True)
        for step in range(6):
            optimiser.zero_grad()
            model(torch.randn(2, 5)).square().sum().backward()
            optimiser.step()
            if step == 2:
                state = optimiser.state_dict()
                optimiser = kind(model.parameters(), lr=0.01, fused=True)
                optimiser.load_state_dict(state)
        results.append(model.state_dict())
    assert torch.equal(results[0]["weight"], results[1]["weight"])
    assert torch.equal(results[0]["bias"], results[1]["bias"])


def test_it_leaves_the_compiler_unimported():
    subprocess.run([sys.executable, "-c", ALONE], check=True)
