import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from huggingface_hub import ModelCard

from rdpt_ray.publish.model_card import ModelFacts, card_files, loss_figure, model_card
from rdpt_ray.storage.runs import read_manifest
from tests.publish.finished_run import finished_run


@pytest.fixture
def facts(tmp_path):
    manifest = read_manifest(finished_run(tmp_path / "run"))

    def make(**more):
        told = {
            "student": "/home/somebody/models/student",
            "revision": None,
            "run": "small-0123456789ab",
            "data": "hf://datasets/team/traces",
            "manifest_sha256": "ab" * 32,
            "manifest": manifest,
            "settings": {"epochs": 2.0, "lora": {"rank": 4}, "seed": 0},
            "examples": 6,
            "left_out": {"too_long": 2},
            "licenses": Counter({"apache-2.0": 6}),
            "tokens": 1234,
            "steps": 3,
            "losses": [(1, 0.9), (2, 0.5), (3, 0.4)],
            "versions": {"trl": "1.16.0"},
        }
        return ModelFacts(**told | more)

    return make


def test_the_head_is_what_the_hub_reads(facts):
    card = ModelCard(model_card(facts(), "s3://bucket/models/mine"))
    assert card.data.base_model == "student"
    assert card.data.datasets == ["org/traces", "team/traces"]
    assert card.data.license == "apache-2.0"
    assert "rdpt_ray" in card.data.tags
    assert card.text.strip().startswith("# mine")


def test_several_licences_are_told_one_by_one(facts):
    card = ModelCard(model_card(facts(licenses=Counter({"mit": 2, None: 1})), "mine"))
    assert card.data.license == "unknown"
    assert "mit (2), none (1)" in card.text


def test_data_settings_and_counts_are_told(facts):
    text = model_card(facts(), "mine")
    for told in ("ab" * 32, "`small-0123456789ab`", "teacher\\_count", "too\\_long: 2", "1,234"):
        assert told in text or told.replace("\\", "") in text
    assert "| `lora` | `rank: 4` |" in text
    assert "/home/somebody" not in text


def test_nothing_in_a_name_is_markup(facts):
    card = model_card(facts(run="<script>x</script>", student="a|b](http://x)"), "![x](y)")
    text = ModelCard(card).text
    assert "<script>" not in text
    assert "](http://x)" not in text
    assert "![x](y)" not in text


def test_the_curve_is_a_figure_with_a_point_each(facts):
    files = card_files(facts(), "mine")
    assert set(files) == {"README.md", "loss.svg"}
    drawing = ElementTree.fromstring(files["loss.svg"])
    (line,) = drawing.iter("{http://www.w3.org/2000/svg}polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    assert len(heights) == 3
    assert heights == sorted(heights)  # downwards, as the loss falls
    assert set(card_files(facts(losses=[(1, 0.5)]), "mine")) == {"README.md"}


def test_a_loss_of_nothing_is_drawn():
    assert re.search("<polyline", loss_figure([(1, 0.0), (2, 0.0)]))
