"""What a custom model is tried with before it is trained."""

import shutil
from pathlib import Path

import pytest

from tests.data.pictures import labelled
from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import CustomModel, CustomModelError
from tui_attn.launch import custom_models


def test_it_is_tried_with_as_many_images_as_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies stay on one side of a split, which file names don't tell."""
    dataset = labelled(tmp_path / "images", each=2)
    for index in range(9):
        shutil.copy(tmp_path / "images" / "a" / "0.png", tmp_path / "images" / "a" / f"copy{index}.png")
    (tmp_path / "net.py").write_text("")
    tried: list[data.DatasetInfo] = []

    def examine(_source: object, info: data.DatasetInfo, _config: object) -> list[str]:
        tried.append(info)
        return []

    monkeypatch.setattr(custom_models, "examine", examine)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = ExperimentConfig(dataset=dataset, models=(f"{tmp_path / 'net.py'}:Net",))
    located = data.ensure(dataset)
    custom_models.prepare(config, lambda _: None, located)
    images = located.images
    assert images is not None
    assert (tried[0].train_size, tried[0].test_size) == (len(images.train), len(images.test))
    assert tried[0].test_size != data.dataset_info(dataset).test_size


@pytest.mark.parametrize(("code", "how"), [(-11, "by SIGSEGV"), (-40, "by signal 40"), (7, "with exit code 7")])
def test_how_a_model_ended_the_process_that_tried_it_is_said(code: int, how: str) -> None:
    model = CustomModel(name="net", file="/nets/net.py", class_name="Net")
    with pytest.raises(CustomModelError, match=f"net.py:Net: it ended the process that tried it, {how}"):
        custom_models.read_answer(model, "", code)
