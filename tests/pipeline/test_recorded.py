"""The engine `precomputed` against the engine `transformers`, on responses sampled here."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

from rdpt_ray.config import parse_config
from rdpt_ray.errors import ConfigError, InputError
from rdpt_ray.pipeline.recorded import Recording, store_records
from rdpt_ray.storage.files import open_root
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.recorded import find_records, records_folder
from tests.pipeline.conftest import MINIATURE, QUIET, miniature_rows, read_run, run, write_jsonl

TOLERANCE = 1e-4


def sampled(role, opening, count):
    """Traces of a model with what it gave each token, as a sampler records them, and its own ids."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MINIATURE / role)
    model = AutoModelForCausalLM.from_pretrained(MINIATURE / role).eval()
    traces, records = [], []
    for index, prompt in enumerate(sorted({row["prompt"] for row in miniature_rows(0, 4 * count)})):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        out = model.generate(
            **ids,
            do_sample=True,
            top_k=0,
            max_new_tokens=200,
            num_return_sequences=2,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=tokenizer.pad_token_id,
        )
        given = torch.stack(out.logits, 1).log_softmax(-1)
        written = out.sequences[:, ids["input_ids"].shape[1] :]
        logprobs = given.gather(2, written[..., None])[..., 0]
        for candidate, (own, values) in enumerate(zip(written, logprobs, strict=True)):
            ended = (own == tokenizer.eos_token_id).nonzero()
            if not len(ended):
                continue
            length = int(ended[0]) + 1
            uuid = f"{role}-{index}-{candidate}"
            text = tokenizer.decode(own[: length - 1])
            if opening and "</think>" not in text:  # it sometimes forgets
                continue
            traces.append({"prompt": prompt, "response": opening + text, "uuid": uuid})
            records.append(
                {
                    "sample_uuid": uuid,
                    "token_ids": own[:length].tolist(),
                    "logprobs": values[:length].tolist(),
                }
            )
    assert len(records) > 12
    return traces, records


def config_tree(folder, role, traces, records):
    """The model as its own student: the same traces, once recorded and once scored."""
    write_jsonl(folder / "traces.jsonl", traces)
    pq.write_table(pa.Table.from_pylist(records[::2]), folder / "logprob-0.parquet")
    write_jsonl(folder / "logprob-1.jsonl", records[1::2])
    return {
        "name": "recorded",
        "input": {
            "path": str(folder / "traces.jsonl"),
            "columns": {"metadata.sample_uuid": "uuid"},
        },
        "models": {
            "teacher": {
                "model": str(MINIATURE / role),
                "engine": "precomputed",
                "recorded": {"path": str(folder / "logprob-*")},
            },
            "student": {"model": str(MINIATURE / role)},
        },
        "store": str(folder / "store"),
    }


def scores_of(done):
    """role -> trace_id -> its row of the stored scores; and every stored trace."""
    store = Path(done.uri).parents[1]
    models = json.loads(Path(done.uri, "manifest.json").read_text())["models"]
    scores = {
        role: {
            row["trace_id"]: row
            for row in pq.read_table(store / "scores" / model["key"]).to_pylist()
        }
        for role, model in models.items()
    }
    parts = sorted((store / "traces" / "recorded").glob("*/*.parquet"))
    return scores, [row for part in parts for row in pq.read_table(part).to_pylist()]


@pytest.fixture(scope="module")
def teacher_run(ray_cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    traces, records = sampled("teacher", "<think>\n", 30)
    tree = config_tree(folder, "teacher", traces, records)
    return tree, traces, records, run(tree)


@pytest.mark.slow
@pytest.mark.ray
def test_recorded_reasoning_scores_as_the_model_itself_would_score_it(teacher_run):
    """Up to the end of the reasoning both read the same tokens; the answer follows other markup."""
    _, _, _, done = teacher_run
    scores, stored = scores_of(done)
    assert done.to_json()["scored"] == {"teacher": len(stored), "student": len(stored)}
    assert len(stored) > 10
    compared = 0
    for trace in stored:
        recorded, modelled = (scores[role][trace["trace_id"]] for role in ("teacher", "student"))
        assert recorded["error"] is None, recorded["error"]
        assert recorded["num_prompt_tokens"] == 0
        assert json.loads(trace["metadata"])["sample_uuid"].startswith("teacher-")
        joint = trace["answer_start"]
        for index, sentence in enumerate(trace["sentences"]):
            same = recorded["num_tokens"][index] == modelled["num_tokens"][index]
            if sentence["end"] < joint and same:
                gap = recorded["sum_logprob"][index] - modelled["sum_logprob"][index]
                assert abs(gap) < TOLERANCE
                compared += 1
    assert compared > 3 * len(stored)


@pytest.mark.slow
@pytest.mark.ray
def test_every_recorded_number_lands_in_one_sentence_but_those_of_markup(teacher_run):
    _, _, records, done = teacher_run
    scores, stored = scores_of(done)
    by_id = {record["sample_uuid"]: record for record in records}
    tokenizer = AutoTokenizer.from_pretrained(MINIATURE / "teacher")
    for trace in stored:
        record = by_id[json.loads(trace["metadata"])["sample_uuid"]]
        think = record["token_ids"].index(tokenizer.convert_tokens_to_ids("</think>"))
        pairs = list(zip(record["token_ids"], record["logprobs"], strict=True))[:-1]
        blank = {token for token, _ in pairs if not tokenizer.decode([token]).strip()}
        before, after = pairs[:think], pairs[think + 1 :]
        while before[-1][0] in blank:
            before.pop()
        while after[0][0] in blank:
            after.pop(0)
        text = [value for _, value in before + after]
        row = scores["teacher"][trace["trace_id"]]
        assert sum(row["sum_logprob"]) == pytest.approx(sum(text), abs=1e-3)
        assert sum(row["num_tokens"]) == len(text)


@pytest.mark.ray
@pytest.mark.slow
def test_without_markup_every_sentence_agrees(ray_cluster, tmp_path):
    traces, records = sampled("student", "", 12)
    done = run(config_tree(tmp_path, "student", traces, records))
    scores, stored = scores_of(done)
    agree = 0
    for trace in stored:
        recorded, modelled = (scores[role][trace["trace_id"]] for role in ("teacher", "student"))
        if recorded["num_tokens"] == modelled["num_tokens"]:
            assert recorded["sum_logprob"] == pytest.approx(modelled["sum_logprob"], abs=TOLERANCE)
            agree += 1
    assert agree > 0.8 * len(stored)


@pytest.mark.ray
@pytest.mark.slow
def test_every_fault_is_the_traces_own(teacher_run, tmp_path):
    """And a later run that names the ids gets them, though the traces were stored without."""
    _, traces, records, _ = teacher_run
    broken = [dict(record) for record in records]
    broken[0]["logprobs"] = broken[0]["logprobs"][:-1]
    broken[1]["logprobs"] = [0.5, *broken[1]["logprobs"][1:]]
    broken[2]["token_ids"] = [5, *broken[2]["token_ids"][1:]]
    broken[3]["logprobs"] = None
    broken.append({**broken[4], "logprobs": [-1.0] * len(broken[4]["logprobs"])})
    missing = broken.pop(5)["sample_uuid"]
    tree = config_tree(tmp_path, "teacher", traces, broken)
    del tree["input"]["columns"]
    nameless = run(tree)
    reasons = Counter(row["reason"] for row in read_run(nameless, "quarantine"))
    assert reasons["recorded_missing"] == nameless.summary.rows_read - reasons["duplicate"]

    tree["input"]["columns"] = {"metadata.sample_uuid": "uuid"}
    done = run(tree)
    faults = {
        json.loads(row["metadata"])["sample_uuid"] if "metadata" in row else row["row"]: row
        for row in read_run(done, "quarantine")
        if row["stage"] == "score"
    }
    assert Counter(row["reason"] for row in faults.values()) == {
        "recorded_length": 1,
        "recorded_positive": 1,
        "recorded_mismatch": 1,
        "recorded_malformed": 1,
        "recorded_duplicate": 1,
        "recorded_missing": 1,
    }
    assert {row["column"] for row in faults.values()} == {"teacher"}
    (gone,) = (row for row in faults.values() if row["reason"] == "recorded_missing")
    assert missing in gone["detail"]


@pytest.mark.ray
def test_records_are_stored_once_and_found(ray_cluster, tmp_path):
    records = [
        {"sample_uuid": f"u{index}", "token_ids": [index], "logprobs": [-1.0]}
        for index in range(50)
    ]
    write_jsonl(tmp_path / "a.jsonl", records)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("no json\n")
    tree = config_tree(tmp_path, "teacher", [], records)
    spec = parse_config(tree).models.teacher.recorded
    files = list_inputs(parse_config({**tree, "input": {"path": str(tmp_path / "a.jsonl")}}).input)
    recording = Recording(spec, files, records_folder(files, spec), "recorded/x")
    root = open_root(str(tmp_path / "store"))
    stored = store_records(recording, root)
    assert (stored.num_records, stored.num_faults) == (50, 1)
    assert "a.jsonl row 50" in stored.example
    before = {name: root.read_bytes(name) for name in root.names("recorded")}
    (tmp_path / "a.jsonl").unlink()
    assert store_records(recording, root) == stored
    assert {name: root.read_bytes(name) for name in root.names("recorded")} == before
    found = find_records(
        ["u7", "u51"], root=root, folder=stored.folder, num_buckets=stored.num_buckets
    )
    assert found.keys() == {"u7"}


def test_wrong_configs_end_before_anything_is_touched(tmp_path):
    from rdpt_ray.pipeline.curate import curate

    tree = config_tree(tmp_path, "teacher", miniature_rows(0, 4), [{"sample_uuid": "u"}] * 2)
    teacher = tree["models"]["teacher"]

    def job(**change):
        models = {**tree["models"], "teacher": {**teacher, **change}}
        return curate(parse_config({**tree, "models": models}), Console(quiet=True))

    with pytest.raises(ConfigError, match=r"precomputed needs `recorded`"):
        job(recorded=None)
    with pytest.raises(ConfigError, match=r"set engine: precomputed or remove it"):
        job(engine="transformers")
    with pytest.raises(ConfigError, match="precomputed cannot measure rank"):
        job(signals=["rank"])
    with pytest.raises(
        InputError, match=r"models\.teacher\.recorded\.path: .*nowhere does not exist"
    ):
        job(recorded={"path": str(tmp_path / "nowhere")})
    with pytest.raises(
        InputError, match=r"models\.teacher\.recorded: .*expected one column 'token_ids'"
    ):
        job()
    assert not (tmp_path / "store").exists()
    assert QUIET.quiet
