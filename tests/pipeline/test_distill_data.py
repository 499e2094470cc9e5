"""What is learnt of a trace: its response as it is scored, its end, and nothing of its prompt."""

import shutil

import pytest

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError, InputError
from rdpt_ray.model_config import ModelConfig
from rdpt_ray.pipeline.distill_data import encode_example, open_source, read_examples
from rdpt_ray.pipeline.distill_order import IGNORED
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.scoring.loading import encoder_of, identity_of
from rdpt_ray.scoring.turn_end import end_of_turn
from tests.pipeline.conftest import MINIATURE
from tests.pipeline.distill_world import config_of, learnable_run
from tests.publish.finished_run import candidate, rows_of

ROW = candidate("What is 2 + 2?", "Two and two.", "It is 4.")


def student(**more):
    return identity_of(ModelConfig(model=str(MINIATURE / "student"), **more))


def learnt(row, identity):
    """The text that is read, and the text that is learnt."""
    encoder = encoder_of(identity)
    ids, labels = encode_example(row, encoder, end_of_turn(encoder))
    assert len(ids) == len(labels)
    num_read = labels.count(IGNORED)
    assert labels == [IGNORED] * num_read + ids[num_read:]
    return encoder.tokenizer.decode(ids[:num_read]), encoder.tokenizer.decode(ids[num_read:])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return learnable_run(tmp_path_factory.mktemp("world") / "store" / "runs" / "small-1")


def test_the_response_and_its_end_are_learnt_and_the_prompt_is_not():
    read, said = learnt(ROW, student())
    assert read == "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n"
    assert said == f"{ROW['response']}<|im_end|>"


def test_ids_are_those_that_are_scored():
    identity = student()
    encoder = encoder_of(identity)
    scored = encoder.encode(ROW["messages"], ROW["response"], ROW["answer_start"]).sequence
    ids, _ = encode_example(ROW, encoder, 2)
    assert ids == [*scored.prompt_ids, *scored.response_ids, 2]


def test_markup_that_the_model_is_to_write_is_learnt():
    envelope = {"think_open": "<think>\n", "think_close": "\n</think>\n\n"}
    read, said = learnt(ROW, student(envelope=envelope))
    assert read.endswith("<|im_start|>assistant\n")
    assert said == "<think>\nTwo and two.\n</think>\n\nIt is 4.<|im_end|>"


def test_markup_that_the_prompt_opens_is_not_learnt():
    read, said = learnt(ROW, identity_of(ModelConfig(model=str(MINIATURE / "teacher"))))
    assert read.endswith("<|assistant|>\n<think>\n")
    assert said == "Two and two.\n</think>\n\nIt is 4.<|end|>"


def test_nobody_learns_to_end_where_a_trace_was_cut():
    cut = candidate("What is 2 + 2?", "Two and", "", complete=False)
    _, said = learnt(cut, student())
    assert said == "Two and"


def test_all_selected_traces_of_a_run(run, tmp_path):
    source = open_source(config_of(run, tmp_path / "model"), run.uri)
    assert len(source.files) == 3
    examples = read_examples(source, student(), 10_000)
    selected = rows_of(run, "selected")
    assert examples.table.num_rows == len(selected) == 10
    assert not examples.left_out
    assert examples.licenses == {"apache-2.0": 10}
    assert 0 < examples.num_learnt < len(examples.table.column("labels").combine_chunks().values)


def test_too_long_ones_are_left_out_and_counted(run, tmp_path):
    source = open_source(config_of(run, tmp_path / "model"), run.uri)
    lengths = sorted(
        len(ids) for ids in read_examples(source, student(), 10_000).table["input_ids"].to_pylist()
    )
    examples = read_examples(source, student(), lengths[4])
    assert examples.table.num_rows + examples.left_out["too_long"] == 10
    assert examples.table.num_rows >= 5
    with pytest.raises(InputError, match=r"no trace is left to learn from \(10 too_long"):
        read_examples(source, student(), 5)


@pytest.mark.parametrize("formats", [("messages",), ("prompt_completion", "messages")])
def test_a_published_dataset_gives_the_same_examples(run, tmp_path, formats):
    release = make_release(run, tmp_path / "release", PublishConfig(formats=list(formats)))
    config = config_of(run, tmp_path / "model")
    published = open_source(config, str(release.folder))
    assert published.version == release.release_id
    assert published.run == open_source(config, run.uri).run
    there, here = (
        read_examples(source, student(), 10_000).table.to_pylist()
        for source in (published, open_source(config, run.uri))
    )
    assert sorted(map(str, there)) == sorted(map(str, here))


def test_another_format_does_not_hold_all_of_a_trace(run, tmp_path):
    release = make_release(run, tmp_path / "release", PublishConfig(formats=["alpaca"]))
    with pytest.raises(ConfigError, match="not published in the format messages"):
        open_source(config_of(run, tmp_path / "model"), str(release.folder))


def test_what_is_neither_is_refused(run, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    config = config_of(run, tmp_path / "model")
    with pytest.raises(ConfigError, match="expected the folder of a finished run"):
        open_source(config, str(empty))
    unselected = tmp_path / "unselected"
    shutil.copytree(run.uri, unselected)
    shutil.rmtree(unselected / "selected")
    with pytest.raises(ConfigError, match="holds no selected traces"):
        open_source(config, str(unselected))


@pytest.mark.ray
def test_without_data_it_is_the_run_of_the_same_config(small_run, tmp_path):
    tree, _, finished = small_run
    section = {"to": str(tmp_path / "model")}
    config = parse_config({**tree, "distill": section})
    assert open_source(config, None).uri == finished.uri
    other = parse_config({**tree, "distill": section, "selection": {"policy": "longest"}})
    with pytest.raises(ConfigError, match="run `rdpt curate` with the same config first"):
        open_source(other, None)
