"""The page's templates: nothing that comes from outside can become markup."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from tests.report.probed import experiment
from tui_attn.compare.effects import effects_of
from tui_attn.compare.heatmaps import Pattern
from tui_attn.compare.interventions import path_in
from tui_attn.compare.results import read_results
from tui_attn.experiment.follower import read_state
from tui_attn.report.answers import card, conclusion, experiment_facts, model_table, scope, seeds_rows
from tui_attn.report.figures import plain
from tui_attn.report.page import _heatmaps, environment


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.cells.append(data)


TABLE = '{% from "macros.html.j2" import table %}{{ table(rows, 1, rows[0][0]) }}'


def table(*rows: list[str]) -> Reader:
    """What a browser sees of a table in the page."""
    return Reader(environment().from_string(TABLE).render(rows=rows))


@given(st.text(), st.text())
def test_text_stays_text_and_values_stay_values(text: str, value: str) -> None:
    seen = Reader(environment().from_string('<p title="{{ value }}">{{ text }}</p>').render(text=text, value=value))
    assert seen.tags == ["p"]
    assert [name for name, _ in seen.attributes] == ["title"]
    assert not set("".join(seen.cells)) & set(map(chr, range(9)))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "&lt;b&gt;", '"><img src=x onerror=alert(1)>', "a & b < c > d", "]]>"]
)
def test_markup_in_text_is_shown_as_it_is(text: str) -> None:
    seen = table([text, text], [text, text])
    assert seen.cells == [text] * 4
    assert seen.tags == ["div", "table", "thead", "tr", "th", "th", "tbody", "tr", "th", "td"]
    assert ("class", text) in seen.attributes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-1.71 points", "−1.71 points"),
        ("(-3.49 to -0.07)", "(−3.49 to −0.07)"),
        ("95 % interval", "95\N{NO-BREAK SPACE}% interval"),
        ("tui-attn extend --seeds 7, se-s0, 2026-11-23, 1e-3", "tui-attn extend --seeds 7, se-s0, 2026-11-23, 1e-3"),
    ],
)
def test_numbers_are_typeset(text: str, shown: str) -> None:
    assert table(["head"], [text]).cells == ["head", shown]


def test_plain_text_has_nothing_that_xml_refuses() -> None:
    assert plain("a\x00\x1b[2J\ud800\uffff\ufdd0é中") == "a␀␛[2J\\ud800��é中"


def test_the_network_with_interventions_is_the_one_whose_heatmaps_are_shown(tmp_path: Path) -> None:
    made = experiment(tmp_path, models=("se",), epochs=1, predictions=False)
    (found,) = read_results(read_state(made)).heatmaps
    assert found.shown[0].id == "se-s0"
    path_in(made.run("se-s0")).unlink()
    (found,) = read_results(read_state(made)).heatmaps
    assert found.shown[0].id == "se-s1"
    shown = _heatmaps(found)
    assert shown["shown"] == "Shown is se-s1 (one of 2; the others below)."
    run, probes = found.runs[1]
    counted = replace(probes, trained=probes.trained | {"classes/images": np.full(10, 50.0)})
    shown = _heatmaps(replace(found, runs=(found.runs[0], (run, counted))))
    assert shown["shown"].endswith("below), on 500 test images, stratified by class.")


def test_gates_that_are_the_same_for_every_image_have_a_table_of_their_own(tmp_path: Path) -> None:
    made = experiment(tmp_path, effects=False, models=("se",), epochs=1, predictions=False)
    (found,) = read_results(read_state(made)).heatmaps
    run, probes = found.runs[0]
    facts = [
        replace(each, classes=Pattern(0.0, 0.0), levels=Pattern(0.015, 0.0), effective_rank=0.0)
        for each in probes.facts
    ]
    shown = _heatmaps(replace(found, runs=((run, replace(probes, facts=facts)),) * 2))
    assert shown["rows"][:2] == [["run", "layer", "differences between channels, SD"], ["se-s0", "se1", "0.015"]]
    assert "all gates were equal before training" in shown["sentences"][0][0]


def test_a_report_says_when_its_experiment_began_and_ended(tmp_path: Path) -> None:
    results = read_results(read_state(experiment(tmp_path, effects=False, models=("base",), epochs=1, seeds=1)))
    began = replace(results.manifest, created=results.manifest.created - 2 * 86_400)
    first, to, last = experiment_facts(replace(results, manifest=began))[-1].split()
    assert (to, first < last, len(first), len(last)) == ("to", True, 10, 10)
    assert experiment_facts(results)[-1] == last


def test_a_report_warns_where_a_verdict_on_a_blind_control_says_nothing_of_the_image(tmp_path: Path) -> None:
    steady = [0.90, 0.901, 0.899]
    given = {"base": steady, "static": [each - 0.02 for each in steady], "se": [each - 0.01 for each in steady]}
    made = experiment(
        tmp_path, effects=False, models=("base", "static", "se"), seeds=3, accuracies=given, predictions=False
    )
    results = read_results(read_state(made))
    assert conclusion(results) == "se is better than static, its control blind to the image."
    checked = replace(results, checks={"se": "static's gates hardly moved"})
    assert "it is open whether looking at the image helps se" in conclusion(checked).replace("It is", "it is")
    assert any("static's gates hardly moved." in text for text in scope(checked))
    assert "static's gates hardly moved." in card(checked, checked.summary.get("se"))["more"]


def test_an_undecided_model_has_a_table_of_seeds_and_a_gain_without_a_blind_control_is_attributed_to_nothing(
    tmp_path: Path,
) -> None:
    given = {"base": [0.90, 0.92, 0.91, 0.9], "se": [0.93, 0.90, 0.92, 0.91]}
    made = experiment(tmp_path, models=("base", "se"), seeds=4, accuracies=given, probes=False, predictions=False)
    results = read_results(read_state(made))
    rows = seeds_rows(results.summary)
    assert [row[1] for row in rows[1:]] == ["none: shown to be within the margin", "0.5 points", "1 point"]
    said = card(results, results.summary.get("se"))
    assert any("can't be attributed to looking at the image" in text for text in said["more"])
    assert not any("takes" in text for text in said["more"])
    assert model_table(results)[2][3] == "Hu et al. 2018, arXiv:1709.01507"


def test_a_table_has_heads_and_rows() -> None:
    seen = table(["", "a"], ["x", "1"], ["  below x", "2"])
    assert seen.tags == ["div", "table", "thead", "tr", "th", "th", "tbody", "tr", "th", "td", "tr", "th", "td"]
    assert ("data-sub", "1") in seen.attributes
    assert ("scope", "row") in seen.attributes


def test_a_template_without_one_of_its_values_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment().get_template("page.html.j2").render()


@pytest.mark.parametrize(("seeds", "said"), [(15, None), (16, "and 2 more in tables/heatmaps.csv")])
def test_a_long_table_of_heatmaps_says_how_many_rows_are_left_out(seeds: int, said: str | None, tmp_path: Path) -> None:
    made = experiment(tmp_path, effects=False, models=("se",), seeds=seeds, epochs=1, predictions=False)
    (found,) = read_results(read_state(made)).heatmaps
    shown = _heatmaps(found)
    assert (len(shown["rows"]) - 1, shown["more"]) == (30, said)


def test_of_two_networks_the_table_of_interventions_tells_each_and_0_without_an_interval_where_nothing_changes(
    tmp_path: Path,
) -> None:
    made = experiment(tmp_path, models=("self-attention",), epochs=1, predictions=False)
    ((found,), _) = effects_of(read_state(made))
    same = replace(found.effects[0], delta=0.0, changed=0.0)
    macro = '{% from "effects.html.j2" import effects_table %}{{ effects_table(found, "weights") }}'
    table = environment().from_string(macro).render(found=replace(found, effects=(same, *found.effects[1:])))
    cells = [row.partition("</tr>")[0] for row in table.split('<tr><th scope="row">')[1:]]
    assert '<td class="number">0, exactly</td>' in cells[0]
    assert "<br><small>seed 0: " in cells[1]
    assert "<br><small>seed 1: " in cells[1]
    assert "seed" not in cells[0]
