import pytest
import yaml

from rdpt_ray.publish.dataset_card import dataset_card, features, size_category
from rdpt_ray.publish.release_rows import FORMATS
from rdpt_ray.publish.release_tables import provenance_schema, write_tables
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.runs import read_manifest
from tests.publish.finished_run import candidate, finished_run, made_facts


def card(tmp_path, run=None, files=(), **publish):
    run = run or finished_run(tmp_path / "run")
    folder = tmp_path / "release"
    folder.mkdir()
    config = PublishConfig(**publish)
    manifest = read_manifest(run)
    tables = write_tables(run, manifest, folder, config)
    sizes = {
        path: (folder / path).stat().st_size for shards in tables.shards for path in shards.paths
    }
    text = dataset_card(manifest, tables, sizes, config, files)
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_head_says_what_there_is(tmp_path):
    head, _ = card(tmp_path, rejected=True, tags=["maths"], pretty_name="Sums")
    assert head["pretty_name"] == "Sums"
    assert head["license"] == "apache-2.0"
    assert head["language"] == ["en"]
    assert head["size_categories"] == ["n<1K"]
    assert head["source_datasets"] == ["org/traces"]
    assert {"rdpt_ray", "reasoning", "distillation", "maths"} <= set(head["tags"])
    assert [config["config_name"] for config in head["configs"]] == [
        "default",
        "provenance",
        "rejected",
    ]
    assert head["configs"][0] == {
        "config_name": "default",
        "data_files": [{"split": "train", "path": "data/train-*-of-00001.parquet"}],
        "default": True,
    }
    assert [info["splits"][0]["num_examples"] for info in head["dataset_info"]] == [6, 12, 6]


@pytest.mark.parametrize(
    "schema",
    [
        *(kind.schema() for kind in FORMATS.values()),
        FORMATS["messages"].schema(rejected=True),
        provenance_schema(four_way=True),
    ],
)
def test_features_are_written_as_datasets_writes_them(schema):
    from datasets import Features

    assert features(schema) == Features.from_arrow_schema(schema)._to_yaml_list()


def test_size_categories():
    assert [size_category(rows) for rows in (0, 999, 1000, 9_999, 10_000, 10**9 - 1, 10**9)] == [
        "n<1K",
        "n<1K",
        "1K<n<10K",
        "1K<n<10K",
        "10K<n<100K",
        "100M<n<1B",
        "n>1B",
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["mit", "mit"], "mit"),
        (["MIT", "Apache-2.0", "Apache-2.0 or so"], ["apache-2.0", "mit", "other"]),
        (["mit", None], ["mit", "unknown"]),
        ([None], "unknown"),
        (["my own"], "other"),
    ],
)
def test_the_licence_is_what_the_rows_say(tmp_path, rows, told):
    traces = [candidate(f"{at}?", "a.", "b.", license=name) for at, name in enumerate(rows)]
    head, _ = card(tmp_path, finished_run(tmp_path / "run", traces))
    assert head["license"] == told


def test_a_licence_of_the_config_stands(tmp_path):
    head, _ = card(tmp_path, license="cc-by-4.0")
    assert head["license"] == "cc-by-4.0"


def test_a_licence_that_the_hub_does_not_know_is_named_as_another(tmp_path):
    head, _ = card(tmp_path, license="acme-1")
    assert (head["license"], head["license_name"]) == ("other", "acme-1")


def test_licences_that_limit_use_are_told(tmp_path):
    names = ["cc-by-nc-4.0", None, "apache-2.0", "strange"]
    traces = [candidate(f"{at}?", "a.", "b.", license=name) for at, name in enumerate(names)]
    _, body = card(tmp_path, finished_run(tmp_path / "run", traces))
    assert "| cc-by-nc-4.0 | 1 | no commercial use |" in body
    assert "| none | 1 | no licence is known: ask whoever made them |" in body
    assert "| strange | 1 | not a licence that the Hub knows |" in body
    assert "| apache-2.0 | 1 |  |" in body


def test_how_to_load_it_names_the_dataset(tmp_path):
    _, body = card(tmp_path, to="hf://datasets/org/name@draft")
    assert 'load_dataset("org/name", split="train")' in body
    assert 'load_dataset("org/name", "provenance", split="train")' in body


def test_how_to_load_a_folder(tmp_path):
    _, body = card(tmp_path, to="s3://user:secret@bucket/x", provenance=False)
    assert 'load_dataset("path/to/this/folder", split="train")' in body
    assert "secret" not in body
    assert "provenance = " not in body


def test_the_report_is_named_if_it_is_there(tmp_path):
    _, body = card(tmp_path, files=["report/index.html", "figures/outcome.svg"])
    assert "(report/index.html)" in body
    assert "(figures/outcome.svg)" in body


HOSTILE = [
    "a: b\n- c: !!python/object/apply:os.system ['x']",
    "---\nlicense: mit\n---",
    "\u202egnp.exe",
    "'\"{}[]&*!|>%@`",
    "<script>alert(1)</script>",
    "x" * 10_000,
    "null",
    "\x00\x1b[31m",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_values(text, tmp_path):
    facts = made_facts(12, name=text, run_id=text)
    rows = [candidate("a?", "b.", "c.", license=text)]
    run = finished_run(tmp_path / "run", rows, facts=facts)
    head, body = card(tmp_path, run, tags=[text], license=text, pretty_name=text)
    assert set(head) == set(card_keys()) | {"license_name"}
    assert head["license"] == "other"
    for value in (head["pretty_name"], head["tags"][-1], head["license_name"]):
        assert isinstance(value, str)
        assert not set("\u202e\x00\x1b\n") & set(value)
    assert not set("\u202e\x00\x1b") & set(body)
    assert "<script>" not in body
    assert body.lstrip().startswith("# ")
    assert body.count("\n# ") == 1


def card_keys():
    return (
        "language license size_categories task_categories pretty_name tags source_datasets configs"
        " dataset_info"
    ).split()


def test_email_addresses_are_counted(tmp_path):
    rows = [candidate("Who?", "I ask.", "Write to jane.doe@uni-x.edu.")]
    _, body = card(tmp_path, finished_run(tmp_path / "run", rows))
    assert "1 row holds what looks like an e-mail address" in body


def test_an_empty_selection(tmp_path):
    head, body = card(tmp_path, finished_run(tmp_path / "run", []))
    assert head["dataset_info"][0]["splits"][0]["num_examples"] == 0
    assert "There are no rows." in body


def test_right_and_wrong_answers_are_counted(tmp_path):
    told = [True, True, False, None]
    rows = [candidate(f"{at}?", "a.", "b.", correct=known) for at, known in enumerate(told)]
    _, body = card(tmp_path, finished_run(tmp_path / "run", rows))
    assert "2 have a right answer, 1 a wrong one, and of 1 it is not known" in body
