"""Training without torch's compiler, which is there for whoever asks for it."""

import json
from pathlib import Path

from tests.processes import run_python

TRAINED = """
import sys, tempfile
from pathlib import Path
from tests.train.sessions import context, make, train
train(context(make(Path(tempfile.mkdtemp()), epochs=1, train_limit=64)), "se-s0")
print({"sympy", "torch._dynamo.config", "torch._inductor"} & {*sys.modules})
"""
STEPS = """
import inspect, json, sys, torch

def trained(make, compiled):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh())
    optimiser = make(network.parameters(), lr=0.1, fused=True)
    if compiled:
        network.compile(backend="eager")
    for _ in range(3):
        optimiser.zero_grad()
        network(torch.ones(2, 4)).sum().backward()
        optimiser.step()
    return [parameter.tolist() for parameter in network.parameters()]

from tui_attn.train.optimiser import adam, be_deterministic
be_deterministic()
inspect.getmodule(trained.__code__)  # looks at all modules, as Triton's import does
found = [trained(adam, False)]
loaded = ["sympy" in sys.modules]
found.append(trained(adam, True))
loaded.append("sympy" in sys.modules)
import torch._dynamo.config, torch._inductor.config
assert torch._inductor.config.deterministic and torch.is_deterministic_algorithms_warn_only_enabled()
from torch._dynamo import graph_break
assert torch._dynamo is sys.modules["torch._dynamo"] and torch._dynamo.__file__
found += [trained(adam, True), trained(torch.optim.Adam, False)]
print(json.dumps([loaded, found]))
"""


def test_a_run_is_trained_without_it(tmp_path: Path) -> None:
    done = run_python(TRAINED, TMPDIR=str(tmp_path))
    assert done.stdout == "set()\n", done.stderr


def test_the_compiler_is_imported_by_who_uses_it_and_changes_no_bit() -> None:
    done = run_python(STEPS)
    assert done.returncode == 0, done.stderr
    loaded, found = json.loads(done.stdout)
    assert loaded == [False, True]
    assert found == [found[-1]] * 4
