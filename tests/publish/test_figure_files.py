import re
from xml.etree import ElementTree

import pytest

from rdpt_ray.method.summary import Summary
from rdpt_ray.publish.figure_files import figure_files
from rdpt_ray.publish.palette import css_variables

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn(summary, facts):
    return figure_files(summary, facts)


def test_each_is_a_picture_of_its_own(drawn):
    assert list(drawn) == [
        "figures/outcome.svg",
        "figures/classes.svg",
        "figures/classes_by_position.svg",
        "figures/teacher_by_length.svg",
    ]
    for content in drawn.values():
        root = ElementTree.fromstring(content)
        assert root.tag == f"{SVG}svg"
        assert {"viewBox", "width", "height"} <= set(root.attrib)


def test_nothing_is_loaded_and_nothing_runs(drawn):
    for content in drawn.values():
        text = content.decode().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|url\(|<script|\bon\w+=|href|@import|foreignObject", text)


def test_every_style_has_a_rule_and_colours_for_both_themes(drawn):
    for content in drawn.values():
        root = ElementTree.fromstring(content)
        css = root.find(f"{SVG}style").text
        assert css_variables("light") in css
        assert css_variables("dark") in css
        for element in root.iter():
            for style in element.attrib.get("class", "").split():
                if style not in ("chart", "bar"):
                    assert f".{style}" in css, style


def test_numbers_are_those_of_the_run(drawn):
    texts = {
        path: " ".join(
            each.text or "" for each in ElementTree.fromstring(content).iter(f"{SVG}text")
        )
        for path, content in drawn.items()
    }
    assert (
        "9 rows read 2 selected, 22.2% 4 rejected, 44.4% 3 quarantined"
        in texts["figures/outcome.svg"]
    )
    assert "all scored traces: 15 sentences" in texts["figures/classes.svg"]
    assert "Teacher Common Student Unscored" in texts["figures/classes_by_position.svg"]


def test_four_classes_and_no_selection(traced, facts):
    from dataclasses import replace

    drawn = figure_files(traced, replace(facts, kind="trace", policy=None))
    text = drawn["figures/classes.svg"].decode()
    assert "selected traces" not in text
    assert "Boosted" in text
    assert "traced, 100.0%" in drawn["figures/outcome.svg"].decode()


def test_a_run_without_rows(facts):
    assert list(figure_files(Summary(), facts)) == ["figures/outcome.svg"]
