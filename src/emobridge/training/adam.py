"""Adam (Kingma and Ba 2015) as torch has it, without torch's compiler.

torch imports its compiler, `torch._dynamo`, with the first optimiser of a process, only to tell it to leave the steps
alone. The import takes 1 to 2 s of CPU time, half of a small `adapt`. Nothing here is compiled.
"""

from __future__ import annotations

import inspect

import torch


class Adam(torch.optim.Adam):
    """The same steps, to the last bit; it cannot be differentiated through, nor compiled."""

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
