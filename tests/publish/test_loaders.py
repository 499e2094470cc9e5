"""What is published, read by those who will read it: the real `datasets`, Ray Data and TRL."""

import json
import shutil
from operator import itemgetter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rdpt_ray.input_config import InputConfig
from rdpt_ray.method.sentences import split_sentences
from rdpt_ray.publish.folder import publish_to_folder
from rdpt_ray.publish.release_files import make_release
from rdpt_ray.publish_config import PublishConfig
from rdpt_ray.storage.ingested import read_file
from rdpt_ray.storage.inputs import list_inputs
from tests.publish.finished_run import candidate, finished_run, sums

FORMATS = ["messages", "prompt_completion", "sharegpt", "alpaca", "reasoning_content", "axolotl"]
STUDENT = Path(__file__).parents[2] / "examples/miniature/student"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with every config, in several shards each."""
    place = tmp_path_factory.mktemp("published")
    more = [
        candidate("Only an answer?", "", "Yes."),
        candidate("Cut?", "I think and", "", complete=False, metadata=json.dumps({"a": [1]})),
        candidate("Odd \u202e\x00?", "<b>\ud7ff\U0001f600", "ünï\n\ncode"),
    ]
    run = finished_run(place / "run", [*sums(12), *more])
    config = PublishConfig(formats=FORMATS, rejected=True, shard_bytes=3_000)
    release = make_release(run, place / "release", config)
    publish_to_folder(release, str(place / "dataset"))
    return place / "dataset", release


def written(folder, config):
    """The rows of a config as pyarrow reads them."""
    directory = folder / ("data" if config == "default" else config)
    return [row for path in sorted(directory.iterdir()) for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def load(published, tmp_path):
    from datasets import load_dataset

    def loaded(config=None, **more):
        cache = str(tmp_path / "cache")
        return load_dataset(str(published[0]), config, split="train", cache_dir=cache, **more)

    return loaded


@pytest.mark.parametrize("config", ["default", *FORMATS[1:], "provenance", "rejected"])
def test_datasets_reads_every_config_row_by_row(published, load, config):
    folder, release = published
    rows = written(folder, config)
    assert list(load(config)) == rows
    assert len(rows) == release.num_rows[config] > 10


def test_the_default_config_needs_no_name(published, load):
    assert list(load()) == written(published[0], "default")


def test_it_streams(published, load):
    assert list(load("provenance", streaming=True)) == written(published[0], "provenance")


def test_the_card_tells_datasets_what_it_would_find_out(published, load):
    loaded = load("axolotl")
    from datasets import Features

    first = next((published[0] / "axolotl").iterdir())
    assert loaded.features == Features.from_arrow_schema(pq.read_schema(first))
    told = loaded.info.splits["train"]
    assert told.num_examples == loaded.num_rows
    assert loaded.info.dataset_size == pytest.approx(told.num_bytes, rel=0.2)


def test_a_lost_shard_does_not_load(published, tmp_path):
    """The card says how many rows there are, so that part of a dataset never passes for the whole."""
    from datasets import load_dataset
    from datasets.exceptions import NonMatchingSplitsSizesError

    folder = tmp_path / "copy"
    shutil.copytree(published[0], folder)
    sorted((folder / "data").iterdir())[1].unlink()
    with pytest.raises(NonMatchingSplitsSizesError):
        load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def test_an_empty_selection_loads_as_a_stream(tmp_path):
    """Only so: `datasets` 5.2 itself cannot read back a split without rows, whoever wrote it."""
    from datasets import load_dataset

    run = finished_run(tmp_path / "run", [])
    release = make_release(run, tmp_path / "dataset", PublishConfig(rejected=True))
    for config in release.num_rows:
        stream = load_dataset(str(release.folder), config, split="train", streaming=True)
        assert list(stream) == []
        assert "trace_id" in stream.features
        assert written(release.folder, config) == []
    assert "as a stream only" in release.warnings[0]
    card = (release.folder / "README.md").read_text()
    assert 'split="train", streaming=True)' in card
    assert "SFTTrainer" not in card
    with pytest.raises(ValueError, match="corresponds to no data"):
        load_dataset(str(release.folder), split="train", cache_dir=str(tmp_path / "cache"))


def test_rdpt_reads_it_back_as_the_same_traces(published):
    """Whatever a response holds: it can be scored again, by another student's models."""
    config = InputConfig(path=str(published[0] / "data"))
    found = [
        row
        for file in list_inputs(config)
        for table in read_file(file, config, split=split_sentences)
        for row in table.to_pylist()
    ]
    written_rows = written(published[0], "default")
    assert [row["reason"] for row in found] == [None] * len(written_rows)
    same = ("trace_id", "prompt_id", "complete", "license", "reference_answer", "correct")
    for row, read in zip(written_rows, found, strict=True):
        assert {name: row[name] for name in same} == {name: read[name] for name in same}
        assert read["metadata"] == (
            row["metadata"] and json.dumps(json.loads(row["metadata"]), separators=(",", ":"))
        )


@pytest.mark.ray
def test_ray_data_reads_every_config_row_by_row(published, ray_cluster):
    import ray

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
            return [plain(each) for each in value]
        return value

    folder, _ = published
    for config in ("default", "axolotl", "provenance"):
        directory = folder / ("data" if config == "default" else config)
        rows = ray.data.read_parquet(str(directory)).take_all()
        by_id = itemgetter("trace_id")
        assert sorted(map(plain, rows), key=by_id) == sorted(written(folder, config), key=by_id)


def trained(dataset, tmp_path):
    """A trainer that has made two steps with the miniature student."""
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=2,
        max_length=512,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        gradient_checkpointing=False,
    )
    trainer = SFTTrainer(str(STUDENT), args=config, train_dataset=dataset)
    assert trainer.train().global_step == 2
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert all(0 < loss < 20 for loss in losses)
    return trainer


def texts(trainer):
    """Of every row: the text that is read, and the text that carries loss."""
    decode = trainer.processing_class.decode
    return [
        (decode(row["input_ids"]), decode([each for each in row["labels"] if each != -100]))
        for row in trainer.train_dataset
    ]


def ascii_only(dataset):
    """Without the row whose characters the miniature's tokenizer does not have."""
    return dataset.filter(lambda row: all(str(value).isascii() for value in row.values()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trl_trains_on_messages(load, tmp_path):
    dataset = ascii_only(load())
    trainer = trained(dataset, tmp_path)
    for row, (read, loss) in zip(dataset, texts(trainer), strict=True):
        assert row["messages"][-1]["content"] in read
        assert loss == read


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trl_trains_on_completions_only(load, tmp_path):
    dataset = ascii_only(load("prompt_completion"))
    trainer = trained(dataset, tmp_path)
    assert trainer.completion_only_loss
    for row, (read, loss) in zip(dataset, texts(trainer), strict=True):
        assert row["prompt"][-1]["content"] in read
        assert loss == f"{row['completion'][0]['content']}<|im_end|>\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", ["sharegpt", "reasoning_content", "axolotl"])
def test_trl_trains_on_other_conversations_too(load, tmp_path, config):
    trained(ascii_only(load(config)), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_why_no_column_is_called_prompt(load, tmp_path):
    """Should TRL read such rows one day, the last question can have its natural name."""
    dataset = load().rename_column("question", "prompt")
    with pytest.raises(KeyError, match="completion"):
        trained(dataset, tmp_path)
