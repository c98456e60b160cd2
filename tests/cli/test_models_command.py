"""`tui-attn models`."""

import json
import subprocess
import sys

from tui_attn.models import MODELS


def run(*arguments: str) -> str:
    code = "import sys\nfrom tui_attn import cli\ncode = cli.run(sys.argv[1:])\n"
    code += "assert 'torch' not in sys.modules\nsys.exit(code)"
    done = subprocess.run([sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_list_for_programs_is_made_without_torch() -> None:
    found = json.loads(run("models", "--json"))
    assert [model["name"] for model in found] == list(MODELS)
    for model in found:
        assert set(model) == {"name", "class", "paper", "parameters", "attends_to"}
        network = MODELS[model["name"]]()
        assert model["parameters"] == sum(parameter.numel() for parameter in network.parameters())
        assert type(network).__name__ == model["class"]


def test_the_list_for_people_has_a_line_for_each() -> None:
    lines = run("models").splitlines()
    assert [line.split()[0] for line in lines] == list(MODELS)
