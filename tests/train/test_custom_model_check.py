"""Trying a custom model before anything is started: what is wrong, in which line, and nothing of it elsewhere."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from tests.waiting import eventually, lives
from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import CustomModel, CustomModelError
from tui_attn.launch import custom_models
from tui_attn.train import custom_model_check

HEAD = """import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, in_channels, image_size, num_classes):
        super().__init__()
        self.fc = nn.Linear(in_channels * image_size * image_size, num_classes)
"""
FORWARD = "    def forward(self, x):\n"
GOOD = HEAD + FORWARD + "        return self.fc(x.flatten(1))\n"

WRONG = {
    "not Python": ("class Net(:\n", "SyntaxError", 1),
    "null bytes": ("x = '\x00'\n", "null bytes", None),
    "no such class": (GOOD.replace("class Net", "class Nett"), "there is no class Net in the file: it has Nett", None),
    "no class but a number": (GOOD + "Net = 5\n", "Net is not a class derived from torch.nn.Module", None),
    "raises on import": (GOOD + "1 / 0\n", "ZeroDivisionError: division by zero", 9),
    "ends the program": (GOOD + "raise SystemExit(3)\n", "it ends the program", 9),
    "is interrupted": (GOOD + "raise KeyboardInterrupt\n", "KeyboardInterrupt", 9),
    "wrong signature": (
        GOOD.replace("in_channels, image_size, num_classes):", "channels=3):").replace("in_channels", "channels"),
        "Net(in_channels, image_size, num_classes) failed: TypeError: Net.__init__() takes from 1 to 2 positional",
        None,
    ),
    "raises when built": (GOOD.replace("super().__init__()", "super().__init__(); self.x = nothing"), "NameError", 5),
    "no super": (GOOD.replace("super().__init__()", "pass"), "cannot assign module before", 6),
    "raises in forward": (GOOD.replace("x.flatten(1)", "x.flat(1)"), "AttributeError", 8),
    "a wrong size": (GOOD.replace("image_size * image_size", "image_size"), "mat1 and mat2 shapes", 8),
    "wrong number of classes": (
        GOOD.replace("num_classes)\n", "7)\n"),
        "forward returns a tensor of shape (8, 7), not (8, 10): logits of 8 images in 10 classes",
        None,
    ),
    "no batch": (GOOD.replace("x.flatten(1))", "x.flatten(1)).mean(0)"), "of shape (10,)", None),
    "a tuple": (GOOD.replace("x.flatten(1))", "x.flatten(1)), x"), "forward returns tuple", None),
    "classes instead of logits": (GOOD.replace("x.flatten(1))", "x.flatten(1)).long()"), "returns torch.int64", None),
    "no forward": (HEAD, "forward failed: NotImplementedError", None),
    "nan": (GOOD.replace("x.flatten(1))", "x.flatten(1)) * float('nan')"), "is not finite", None),
    "detached": (GOOD.replace("x.flatten(1))", "x.flatten(1)).detach()"), "does not require grad", None),
    "no parameters": (
        GOOD.replace("self.fc = nn.Linear(in_channels * image_size * image_size, num_classes)", "pass"),
        "it has no parameters",
        None,
    ),
    "lazy": (GOOD.replace("nn.Linear(in_channels * image_size * image_size,", "nn.LazyLinear("), "no size yet", None),
    "double": (GOOD.replace("num_classes)\n", "num_classes).double()\n"), "fc.weight is float64", None),
    "huge": (GOOD.replace("num_classes)\n", "num_classes * 20000)\n"), "100,000,000 at most", None),
    "state that is no tensor": (
        GOOD
        + "    def get_extra_state(self):\n        return {'a': 1}\n    def set_extra_state(self, x):\n        pass\n",
        "its state holds _extra_state, which is no tensor",
        None,
    ),
    "other in evaluation": (
        GOOD.replace("self.fc(x.flatten(1))", "self.fc(x.flatten(1))[:, : 10 if self.training else 3]"),
        "in evaluation forward returns a tensor of shape (8, 3)",
        None,
    ),
}


def question(**others: object) -> custom_model_check.Question:
    usual: dict[str, object] = {"class_name": "Net", "channels": 1, "image_size": (28, 28), "classes": 10}
    usual |= {
        "batch_size": 128,
        "precision": "fp32",
        "seconds": 9,
        "train_size": 256,
        "test_size": 200,
        "device": "cpu",
    }
    return custom_model_check.Question(**usual | others)  # type: ignore[arg-type]


def test_a_good_one_is_told_by_its_size() -> None:
    assert custom_model_check.examine(GOOD.encode(), question()) == {"parameters": 7850, "warnings": []}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_its_line(what: str) -> None:
    source, words, line = WRONG[what]
    found = custom_model_check.examine(source.encode(), question())
    assert words in found["error"]
    assert found["line"] == line


SILENT = """
class Silent(Exception):
    def __str__(self):
        raise RuntimeError
"""
BUILD, CALL = "super().__init__()", "return self.fc"
HOSTILE = {
    "an error without words": (GOOD.replace(BUILD, f"{BUILD}; raise Silent") + SILENT, "Silent"),
    "an error of 10 MB": (GOOD.replace(BUILD, f"{BUILD}; raise ValueError('x' * 10**7)"), "ValueError: xxx"),
    "an error that turns the text": (GOOD.replace(BUILD, f"{BUILD}; raise ValueError('\u202e')"), "ValueError"),
    "an interrupt": (GOOD.replace(CALL, f"raise KeyboardInterrupt\n        {CALL}"), "KeyboardInterrupt"),
    "the end of a generator": (GOOD.replace(CALL, f"raise GeneratorExit\n        {CALL}"), "GeneratorExit"),
    "the end of the program": (GOOD.replace(CALL, f"exit()\n        {CALL}"), "SystemExit"),
    "recursion": (GOOD.replace(CALL, f"self.forward(x)\n        {CALL}"), "RecursionError"),
    "a state of nothing": (GOOD + "    def state_dict(self, *a, **k): return {}\n", "saving and loading its weights"),
    "no parameters to list": (GOOD + "    def parameters(self, *a): return None\n", "TypeError"),
    "parameters that raise": (GOOD + "    def named_parameters(self, *a, **k): raise OSError('x')\n", "OSError: x"),
    "a mode that raises": (GOOD + "    def train(self, mode=True): raise TypeError('no')\n", "TypeError: no"),
    "itself as every attribute": (GOOD + "    def __getattr__(self, name): return self\n", "Error"),
    "no weights in memory": (
        GOOD.replace(BUILD, f"{BUILD}; torch.set_default_device('meta')"),
        "fc.weight has no values",
    ),
    "a function": ("def Net(*a): return None\n", "Net is not a class"),
    "an instance": (GOOD + "Net = Net(1, 28, 10)\n", "Net is not a class"),
    "UTF-16": (GOOD.encode("utf-16").decode("latin-1"), "SyntaxError"),
    "10 terabytes": (GOOD.replace(BUILD, f"{BUILD}; torch.empty(10**13)"), "memory"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_an_error_of_one_line(what: str) -> None:
    source, words = HOSTILE[what]
    found = custom_model_check.examine(source.encode("latin-1" if what == "UTF-16" else "utf-8"), question())
    assert words in found["error"]
    assert len(found["error"]) < 1500
    assert "\n" not in found["error"]


def test_what_is_odd_is_told() -> None:
    unused = GOOD.replace("super().__init__()", "super().__init__(); self.other = nn.Linear(2, 2)")
    (warning,) = custom_model_check.examine(unused.encode(), question())["warnings"]
    assert warning.startswith("other.weight, other.bias gets no gradient")
    noisy = GOOD.replace("x.flatten(1))", "x.flatten(1)) + torch.rand(1)")
    (warning,) = custom_model_check.examine(noisy.encode(), question())["warnings"]
    assert "differ from call to call" in warning


def test_it_is_tried_in_the_precision_that_is_asked_for() -> None:
    single = GOOD.replace(
        "return self.fc(x.flatten(1))", "y = self.fc(x.flatten(1)); z = y.detach(); torch.det(z.T @ z); return y"
    )
    assert "error" not in custom_model_check.examine(single.encode(), question())
    assert "BFloat16" in custom_model_check.examine(single.encode(), question(precision="bf16"))["error"]


def test_a_batch_of_one_is_tried_where_one_is_asked_for() -> None:
    norm = GOOD.replace("x.flatten(1))", "x.flatten(1))").replace("return self.fc", "return nn.BatchNorm1d(10)(self.fc")
    norm = norm.replace("x.flatten(1))", "x.flatten(1)))")
    assert "error" not in custom_model_check.examine(norm.encode(), question())
    assert "more than 1 value per channel" in custom_model_check.examine(norm.encode(), question(batch_size=1))["error"]


NORM = GOOD.replace("return self.fc(x.flatten(1))", "return nn.BatchNorm1d(10)(self.fc(x.flatten(1)))")
CONSTANT = GOOD.replace("num_classes)\n", "num_classes)\n        nn.init.constant_(self.fc.weight, 0.01)\n")
CONSTANT = CONSTANT.replace("0.01)\n", "0.01)\n        nn.init.zeros_(self.fc.bias)\n")
FIXED = GOOD.replace("super().__init__()", "super().__init__(); torch.manual_seed(42)")
MIXED = GOOD.replace("x.flatten(1))", "x.flatten(1)) + torch.ones(10)")
ONLY_ONCE = "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n" + GOOD


def test_the_last_batch_of_an_epoch_is_tried_in_its_size() -> None:
    one = custom_model_check.examine(NORM.encode(), question(train_size=129))
    assert "the last batch of an epoch, 1 of 129 images, failed" in one["error"] or one["line"] == 8
    assert "error" not in custom_model_check.examine(NORM.encode(), question(train_size=130))


@pytest.mark.parametrize("source", [CONSTANT, FIXED])
def test_seeds_that_do_not_change_the_start_are_told(source: str) -> None:
    assert custom_model_check.examine(source.encode(), question())["warnings"] == [custom_model_check.ONE_START]


def test_tensors_made_on_the_cpu_are_told_of_before_a_gpu_fails_on_them() -> None:
    assert "line 8 mixes devices" in custom_model_check.examine(MIXED.encode(), question(device="cuda"))["error"]
    [warning] = custom_model_check.examine(MIXED.encode(), question(device="auto"))["warnings"]
    assert "line 8 mixes devices" in warning
    assert custom_model_check.examine(MIXED.encode(), question())["warnings"] == []
    assert custom_model_check.examine(GOOD.encode(), question(device="cuda"))["warnings"] == []


def only_where(condition: str) -> str:
    check = f"        if not ({condition}):\n            raise ValueError('no')\n"
    return GOOD.replace("        return", check + "        return")


def errors(source: str, **others: object) -> str:
    found = custom_model_check.examine(source.encode(), question(**others))
    return found.get("error") or " ".join(found["warnings"])


def test_every_number_of_images_that_a_run_will_compute_at_once_is_tried() -> None:
    """Those that take too long to compute are tried on tensors that hold no numbers."""
    sizes = {"train_size": 1000, "batch_size": 300, "test_size": 2750}
    for count in (300, 100, 200, 150):
        assert "ValueError: no" in errors(only_where(f"len(x) != {count}"), **sizes), count
    assert errors(only_where("len(x) in (8, 300, 100, 200, 150)"), **sizes) == ""
    for count in (2500, 250):
        assert errors(only_where(f"len(x) != {count}"), **sizes) == ""
        assert f"{count:,} of 2,750 images, ValueError: no" in errors(
            only_where(f"len(x) != {count}"), device="cuda", **sizes
        )
    assert "on a GPU, line 9 fails" in errors(only_where("len(x) != 2500"), device="auto", **sizes)
    assert errors(only_where("len(x) in (8, 300, 100, 200, 150, 2500, 250)"), device="cuda", **sizes) == ""


def test_batches_are_tried_in_the_mode_and_precision_in_which_they_are_computed() -> None:
    sizes = {"train_size": 1000, "batch_size": 300, "test_size": 2750}
    assert "ValueError: no" in errors(only_where("self.training or len(x) != 150"), **sizes)
    assert errors(only_where("not self.training or len(x) != 150"), **sizes) == ""
    assert "ValueError: no" in errors(only_where("self.training or len(x) != 2500"), device="cuda", **sizes)
    cast = "not x.is_cuda or self.fc(x.flatten(1)).dtype is torch.float32"
    assert errors(only_where(cast), device="cuda", precision="fp32") == ""
    for precision in ("auto", "bf16"):
        assert "on a GPU, line 9 fails in bf16" in errors(only_where(cast), device="cuda", precision=precision)


@pytest.mark.filterwarnings("ignore:Accessing the data pointer")
def test_what_tensors_without_numbers_can_not_do_is_no_fault_of_the_file() -> None:
    for line in ("x[:1].tolist()", "x.sum().item()", "assert x.sum() != 3"):
        source = GOOD.replace("        return", f"        {line}\n        return")
        assert errors(source, device="cuda", train_size=1000, batch_size=300) == "", line
    lstm = GOOD.replace("super().__init__()", "super().__init__(); self.lstm = nn.LSTM(28, 4)")
    lstm = lstm.replace("        return self.fc(", "        return self.lstm(x[:, 0])[0].mean() + self.fc(")
    assert errors(lstm, device="cuda") == "", "cuDNN asks the driver for its weights' layout"
    away = GOOD.replace("        return", "        x.numpy()\n        return")
    assert errors(away) == ""
    assert "line 8 mixes devices" in errors(away, device="cuda")


def test_train_need_not_return_anything() -> None:
    source = GOOD + "    def train(self, mode=True):\n        super().train(mode)\n"
    assert "error" not in custom_model_check.examine(source.encode(), question())


def test_what_can_be_run_once_only_is_run_for_every_seed() -> None:
    assert "error" not in custom_model_check.examine(ONLY_ONCE.encode(), question())
    twice = "import torch, sys\nif hasattr(torch, 'seen'):\n    raise RuntimeError('again')\ntorch.seen = 1\n" + GOOD
    try:
        assert "RuntimeError: again" in custom_model_check.examine(twice.encode(), question())["error"]
    finally:
        vars(torch).pop("seen", None)


# ---- in a process of its own


def ask(folder: Path, source: str, *, seconds: float = 240) -> list[str]:
    model = CustomModel(name="net", file=str(folder / "net.py"), class_name="Net")
    content = custom_models.Source(model, source.encode())
    return custom_models.examine(content, data.dataset_info("synthetic"), ExperimentConfig(), seconds=seconds)


def test_prints_threads_and_settings_disturb_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noisy = f"""import os, sys, threading, time
print("stdout"); sys.stderr.write("stderr"); os.write(1, b"one"); os.write(2, b"two")
assert sys.stdin.read() == ""
threading.Thread(target=time.sleep, args=(600,)).start()
os.chdir("/"); os.environ.clear()
{GOOD}"""
    assert ask(tmp_path, noisy) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "answer",
    [
        '{"warnings": 5}',
        "[1]",
        "5",
        '{"error": "x"}',
        '{"error": "x", "line": [1]}',
        '{"error": "x", "line": 1e999}',
        '{"error": "x", "line": "a"}',
        "[" * 100_000,
        '"' + "x" * 2_000_000,
    ],
)
def test_a_file_that_answers_in_the_place_of_the_check_is_refused(tmp_path: Path, answer: str) -> None:
    """Whatever it says: it is not read as anything else than an answer."""
    model = CustomModel(name="net", file=str(tmp_path / "net.py"), class_name="Net")
    with pytest.raises(CustomModelError, match=r"^net\.py:Net: "):
        custom_models.read_answer(model, answer, 0)


def test_what_it_starts_does_not_keep_the_check_waiting(tmp_path: Path) -> None:
    """A process in a session of its own holds the pipe for the answer open, and isn't ended."""
    source = f"""import os, time
if os.fork() == 0:
    os.setsid()
    with open({str(tmp_path / "pid")!r}, "a") as file:
        print(os.getpid(), file=file)
    time.sleep(600)
    os._exit(0)
{GOOD}"""
    said: list[list[str]] = []
    asking = threading.Thread(target=lambda: said.append(ask(tmp_path, source)), daemon=True)
    asking.start()
    asking.join(240)
    for pid in (tmp_path / "pid").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    assert said == [[]]
    assert ask(tmp_path, f"import os\nos.fork()\n{GOOD}") == [], "two processes answer"


def test_an_endless_loop_is_ended_and_its_line_named(tmp_path: Path) -> None:
    loop = GOOD.replace("        return", "        while True: pass\n        return")
    with pytest.raises(CustomModelError, match=r"^net\.py, line 8: trying it took too long"):
        ask(tmp_path, loop, seconds=2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import os; os._exit(0)", "it ended the process that tried it, with exit code 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it may need more memory than there is"),
        ("import os; os.abort()", "it ended the process that tried it, by SIGABRT"),
        ("raise ValueError('\\x1b[2J' * 3 + '\\n' * 5)", "line 1: ValueError: ␛[2J"),
        ("from .blocks import Block", "line 1: ImportError: attempted relative import"),
        ("import blocks", "No module named 'blocks'\na model of your own is one file"),
        ("from models import SEBlock", "\nthe lab's networks are in tui_attn.models"),
    ],
)
def test_whatever_it_does_is_told_in_two_lines(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "blocks.py").write_text("class Block: ...\n")
    with pytest.raises(CustomModelError) as caught:
        ask(tmp_path, f"{line}\n{GOOD}")
    assert words in str(caught.value)
    assert str(caught.value).startswith("net.py")
    assert len(str(caught.value).splitlines()) <= 2
    assert "\x1b" not in str(caught.value)


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    child = f"""import subprocess
started = subprocess.Popen(["sleep", "600"])
open({str(tmp_path / "pid")!r}, "w").write(str(started.pid))
{GOOD}"""
    assert ask(tmp_path, child) == []
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not lives(pid), "the end of what it started")


def test_the_front_never_imports_the_file(tmp_path: Path) -> None:
    """Neither torch nor the file: only the process does that is thrown away."""
    (tmp_path / "net.py").write_text(GOOD)
    code = f"""
import sys
from tui_attn.launch import custom_models
from tui_attn.experiment.config import ExperimentConfig
config, sources = custom_models.prepare(
    ExperimentConfig(models=("base", {str(tmp_path / "net.py")!r} + ":Net"), dataset="synthetic"), print)
print(json.dumps([config.custom_models[0].sha256, len(sources), "torch" in sys.modules]))
"""
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import json{code}"], env=environment, capture_output=True, text=True, check=True
    )
    said, answer = done.stdout.splitlines()
    assert said == "trying net.py:Net"
    digest, sources, torch = json.loads(answer)
    assert (len(digest), sources, torch) == (64, 1, False)
    assert (tmp_path / "state/tui-attn/own-code.sha256").read_text() == f"{digest}\n"
