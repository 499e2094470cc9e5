import pyarrow as pa
import pytest

from rdpt_ray.errors import StoreError
from rdpt_ray.publish import viewer_traces
from rdpt_ray.publish.viewer_cut import num_bytes
from rdpt_ray.publish.viewer_prompts import MAX_CANDIDATES
from rdpt_ray.publish.viewer_traces import sample_traces
from rdpt_ray.storage.schemas import SELECTED
from tests.publish.viewer_run import Told, write_run


def prompts_of(traces):
    return {prompt.prompt_id: prompt for prompt in traces.prompts}


def test_candidates_of_a_prompt_are_together_best_first_then_those_without_a_rank(tmp_path):
    run = write_run(
        tmp_path,
        {
            "p1": [Told("TC"), Told("TTC"), Told("C", drop_reason="filter: complete")],
            "p2": [Told("S")],
        },
    )
    traces = sample_traces(run)
    assert traces.is_all
    assert traces.num_traces == 4
    found = prompts_of(traces)["p1"]
    assert [trace.trace_id for trace in found.traces] == ["p1-1", "p1-0", "p1-2"]
    assert [trace.rank for trace in found.traces] == [1, 2, None]
    assert [trace.selected for trace in found.traces] == [True, False, False]
    assert [trace.drop_reason for trace in found.traces] == [None, "outranked", "filter: complete"]
    best = found.traces[0]
    assert (best.num_teacher, best.num_sentences, best.selection_score) == (2, 3, 2.0)
    assert best.roles == ("teacher", "student")
    assert [each.name for each in best.text.sentences] == ["TEACHER", "TEACHER", "COMMON"]
    assert best.text.sentences[0].text == "Sentence 0 is T. "
    assert best.text.sentences[0].probs == pytest.approx((0.9, 0.1))
    assert dict(best.tally) == {"TEACHER": 2, "COMMON": 1}
    assert found.messages[0].text == "The prompt p1?"


def test_a_pruned_trace_has_no_classes_but_the_student_s_probabilities(tmp_path):
    run = write_run(tmp_path, {"p": [Told("TT"), Told("TS", drop_reason="pruned")]})
    pruned = prompts_of(sample_traces(run))["p"].traces[1]
    assert pruned.num_teacher is None
    assert pruned.roles == ("student",)
    assert [each.name for each in pruned.text.sentences] == ["UNSCORED", "UNSCORED"]
    assert [each.probs for each in pruned.text.sentences] == [
        (pytest.approx(0.1),),
        (pytest.approx(0.9),),
    ]


def test_a_trace_run_has_three_probabilities_and_no_ranks(tmp_path):
    run = write_run(tmp_path, {"p": [Told("TBHSU")]}, selects=False, four_way=True)
    (trace,) = prompts_of(sample_traces(run))["p"].traces
    assert trace.roles == ("teacher", "student", "distilled")
    assert trace.rank is None
    assert trace.text.sentences[1].probs == pytest.approx((0.5, 0.45, 0.9))
    assert trace.text.sentences[4].probs == (0.5, 0.5, None)


def test_an_input_is_named_without_what_may_be_secret(tmp_path):
    run = write_run(tmp_path, {"p": [Told("T", facts={"source": "web", "license": "mit"})]})
    (trace,) = prompts_of(sample_traces(run))["p"].traces
    assert trace.origin == "traces.parquet, row 1,000"
    assert trace.labels == (("source", "web"), ("licence", "mit"))


def test_hidden_characters_are_spelled_out(tmp_path):
    run = write_run(tmp_path, {("p", "a\u202eb"): [Told("T", texts=["nul\0 \u2028."])]})
    found = prompts_of(sample_traces(run))["p"]
    assert found.messages[0].text == "a<U+202E>b"
    assert found.traces[0].text.sentences[0].text == "nul<U+0000> <U+2028>."


def test_a_large_run_is_sampled_the_same_way_every_time(tmp_path):
    prompts = {
        f"p{number:03}": [Told("T" * (1 + number % 4)), Told("C"), Told("S")]
        for number in range(80)
    }
    run = write_run(tmp_path, prompts)
    traces = sample_traces(run, max_traces=50)
    assert not traces.is_all
    assert traces.num_traces == 48
    assert len(traces.prompts) == 16
    assert all(len(prompt.traces) == 3 for prompt in traces.prompts)
    assert sample_traces(run, max_traces=50) == traces
    assert sample_traces(run, max_traces=50, seed=7) != traces


def test_of_a_very_large_run_the_first_buckets_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(viewer_traces, "MAX_LOOKED_AT", 10)
    run = write_run(
        tmp_path, {f"p{n:02}": [Told("T"), Told("C")] for n in range(20)}, num_buckets=4
    )
    traces = sample_traces(run)
    assert not traces.is_all
    assert [prompt.prompt_id for prompt in traces.prompts] == [f"p{n:02}" for n in range(0, 20, 4)]


@pytest.mark.parametrize("max_bytes", [20_000, 100_000])
def test_long_traces_are_cut_to_the_same_length_and_short_ones_are_not(tmp_path, max_bytes):
    long = Told("TC" * 500, texts=[f"This is sentence number {n:05}. " for n in range(1_000)])
    prompts = {f"p{n}": [long, Told("T", texts=["Short."])] for n in range(4)}
    traces = sample_traces(write_run(tmp_path, prompts), max_bytes=max_bytes)
    assert traces.is_all
    texts = {trace.trace_id: trace.text for prompt in traces.prompts for trace in prompt.traces}
    assert sum(map(num_bytes, texts.values())) < max_bytes
    for name, text in texts.items():
        if name.endswith("-1"):
            assert text.sentences[0].text == "Short."
            assert text.gap is None
        else:
            assert text.gap is not None
            assert len(text.sentences) + text.gap.sentences == 1_000
            assert text.sentences[-1].number == 1_000
            assert num_bytes(text) > max_bytes / 8 * 0.4
    long_ones = {num_bytes(text) for name, text in texts.items() if name.endswith("-0")}
    assert len(long_ones) == 1


def test_of_a_large_run_rather_fewer_traces_than_stumps(tmp_path):
    long = Told("T" * 300, texts=[f"This is sentence number {n:05}. " for n in range(300)])
    run = write_run(tmp_path, {f"p{n:02}": [long] for n in range(60)})
    traces = sample_traces(run, max_traces=40, max_bytes=100_000)
    assert 6 <= traces.num_traces <= 9
    assert all(num_bytes(prompt.traces[0].text) > 9_000 for prompt in traces.prompts)


def test_a_prompt_of_a_megabyte_is_cut_with_a_note(tmp_path):
    messages = (("system", "s" * 1_000_000), ("user", "u" * 1_000_000))
    run = write_run(tmp_path, {("p", messages): [Told("T")]})
    system, user = prompts_of(sample_traces(run))["p"].messages
    assert (system.role, user.role) == ("system", "user")
    assert len(system.text) == len(user.text) == 4_000
    assert system.left_out + len(system.text) == 1_000_000
    assert user.left_out + len(user.text) == 1_000_000


def test_of_a_long_conversation_the_first_and_the_last_messages_are_shown(tmp_path):
    messages = tuple(("user" if n % 2 else "assistant", f"turn {n:03}") for n in range(100))
    run = write_run(tmp_path, {("p", messages): [Told("T")]})
    shown = prompts_of(sample_traces(run))["p"].messages
    assert [message.text for message in shown[:3]] == ["turn 000", "", "turn 081"]
    assert (shown[1].role, shown[1].left_out) == ("80 messages", 80 * 8)
    assert shown[-1].text == "turn 099"
    assert len(shown) == 21


def test_of_very_many_candidates_the_first_are_shown(tmp_path):
    run = write_run(tmp_path, {"p": [Told("T" * (n % 5) + "C") for n in range(MAX_CANDIDATES + 9)]})
    found = prompts_of(sample_traces(run))["p"]
    assert found.num_candidates == MAX_CANDIDATES + 9
    assert [trace.rank for trace in found.traces] == list(range(1, MAX_CANDIDATES + 1))


def test_scores_that_are_no_finite_numbers_lead_by_nothing(tmp_path):
    run = write_run(tmp_path, {"p": [Told("TT"), Told("T"), Told("C")]})
    table = run.read_table("selected/bucket=0000.parquet").to_pylist()
    table[0]["selection_score"] = float("inf")
    changed = pa.Table.from_pylist(table, schema=SELECTED)
    run.write_table("selected/bucket=0000.parquet", changed)
    traces = sample_traces(run)
    assert traces.prompts[0].traces[0].selection_score == float("inf")
    assert traces.prompts[0].stratum in ("random", "lead")


def test_an_empty_run(tmp_path):
    traces = sample_traces(write_run(tmp_path, {}))
    assert traces.prompts == ()
    assert traces.is_all


def test_only_row_groups_with_chosen_prompts_are_read(tmp_path, monkeypatch):
    # 3,000 prompts in one bucket are three row groups of 1,024 rows.
    run = write_run(tmp_path, {f"p{n:05}": [Told("T")] for n in range(3_000)}, num_buckets=1)
    chosen = ["p00010", "p00011"]
    read = viewer_traces.read_rows(run, "selected/bucket=0000.parquet", prompts=chosen)
    assert [row["prompt_id"] for row in read] == chosen


def test_a_damaged_table_is_named(tmp_path):
    run = write_run(tmp_path, {"p": [Told("T")]})
    run.write_bytes("provenance/bucket=0000.parquet", b"PAR1 no")
    with pytest.raises(StoreError, match=r"provenance/bucket=0000\.parquet"):
        sample_traces(run)
    other = write_run(tmp_path / "other", {"q": [Told("T")]})
    wrong = other.read_bytes("provenance/bucket=0000.parquet")
    run.write_bytes("provenance/bucket=0000.parquet", wrong)
    with pytest.raises(StoreError, match="no row in its place for trace p-0"):
        sample_traces(run)
