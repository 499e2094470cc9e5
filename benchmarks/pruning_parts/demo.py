"""The demo's real traces: everything is read once, as a user would, then pruned over what was stored."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pruning_parts import Figures
from rdpt_ray.config import load_config
from rdpt_ray.pipeline.demand import Contested, Prune
from rdpt_ray.pipeline.kept_tokens import kept_tokens
from rdpt_ray.pipeline.score import read_traces
from rdpt_ray.pipeline.score_rows import scores_row
from rdpt_ray.scoring.engine import TokenScores
from rdpt_ray.scoring.traces import Trace, TraceTokens, sentence_scores
from rdpt_ray.storage.files import Root
from rdpt_ray.storage.scores import is_pruned, read_scores

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = "examples/demo.yaml"
CHUNKS = (16, 32, 64, 128, 512, 2048, 8192)
"""Tokens; the last is the default of `models.teacher.token_budget`. The demo's traces are short."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the demo with all that was said of it."""

    reading: Contested
    tokens: dict[str, TraceTokens]
    """trace_id -> the teacher's scores of the whole trace."""


@dataclass(slots=True)
class Tokens:
    """Tokens of the teacher, of prompts and of responses."""

    prompt: int = 0
    response: int = 0


def demo(quick: bool) -> Figures:
    """Share of the demo's teacher tokens that pruning saves; beside it, without the prompts."""
    with tempfile.TemporaryDirectory() as folder:
        keep = "models.teacher.keep_token_logprobs=true"
        limit = ["input.limit=160"] if quick else []
        done = curate(f"store={folder}", keep, *limit)
        if done.returncode:
            why = done.stderr.strip().rsplit("\n", 1)[-1][:300]
            return {"saved_demo": None, "why": f"the demo did not run: {why}"}
        run = Path(json.loads(done.stdout.splitlines()[-1])["run"])
        picked = {row["trace_id"] for row in pq.read_table(run / "selected").to_pylist()}
        parts = list(_parts(Root(folder), run))
    total = Tokens()
    for part in parts:
        for each in part.tokens.values():
            _count(total, each, len(each.spans))
    figures: Figures = {}
    same = True
    print("chunk  traces read  tokens saved, prompts counted  not counted")
    for chunk in CHUNKS:
        read, traces = _replayed(parts, chunk)
        same &= picked <= traces  # who is best of all is best of those that were read
        saved = 1 - (read.prompt + read.response) / (total.prompt + total.response)
        responses = 1 - read.response / total.response
        print(f"{chunk:>5}  {len(traces):>11,}  {saved:29.1%}  {responses:11.1%}")
        figures |= {"saved_demo": saved, "saved_demo_responses": responses}
        figures[f"saved_demo_chunk_{chunk}"] = saved
    return figures | {"identical_demo": same}


def curate(*overrides: str) -> "subprocess.CompletedProcess[str]":
    """Run the command on the demo; the last line that it prints says where the run lies."""
    command = [str(Path(sys.executable).parent / "rdpt"), "curate", CONFIG, "--json", *overrides]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)


def _parts(root: Root, run: Path) -> Iterator[Part]:
    config = load_config(REPOSITORY / CONFIG)
    models = json.loads((run / "manifest.json").read_text())["models"]
    selection, thresholds = config.selection, config.thresholds
    prune = Prune("", None, selection, thresholds.divergence, float(thresholds.beta))
    for name in root.names(f"traces/{config.name}"):
        if not name.endswith(".parquet"):
            continue
        bucket, key = Path(name).parent.name, Path(name).stem
        traces = read_traces(root, name)
        ids = [trace.trace_id for trace in traces]
        student = dict(zip(ids, read_scores(root, models["student"]["key"], key, ids), strict=True))
        teacher = models["teacher"]["key"]
        said = kept_tokens(root, [f"tokens/{teacher}/{config.name}/{bucket}/{key}.parquet"], ids)
        tokens = {name: each for name, each in said.items() if isinstance(each, TraceTokens)}
        eligible = [
            trace
            for trace in traces
            if trace.trace_id in tokens and student[trace.trace_id]["error"] is None
        ]
        yield Part(Contested(eligible, eligible, student, {}, prune), tokens)


def _replayed(parts: list[Part], chunk: int) -> tuple[Tokens, set[str]]:
    """What the teacher reads, and the traces that it reads to their end."""
    read, whole = Tokens(), set[str]()
    for part in parts:
        rows = {}
        while wave := part.reading.wave(rows):
            for trace in wave:
                tokens = _in_chunks(trace, part.tokens[trace.trace_id], chunk)
                _count(read, tokens, len(tokens.spans))
                row = scores_row(trace.trace_id, sentence_scores(trace, tokens))
                rows[trace.trace_id] = row
        whole |= {name for name, row in rows.items() if not is_pruned(row)}
    return read, whole


def _count(tokens: Tokens, each: TraceTokens, num_response: int) -> None:
    tokens.prompt += each.num_prompt_tokens
    tokens.response += num_response


def _in_chunks(trace: Trace, tokens: TraceTokens, chunk: int) -> TraceTokens:
    """As the engine does: a trace longer than a chunk is read chunk by chunk, and may be given up."""
    total = tokens.num_prompt_tokens + len(tokens.spans)
    for end in range(chunk, total, chunk):
        # The last token of a chunk predicts the one behind it.
        count = min(end + 1 - tokens.num_prompt_tokens, len(tokens.spans))
        if count <= 0 or trace.gives_up is None:
            continue
        partial = TraceTokens(
            tokens.spans[:count],
            TokenScores(tokens.scores.logprobs[:count]),
            tokens.num_prompt_tokens,
            len(tokens.spans) - count,
        )
        if trace.gives_up(partial):
            return partial
    return tokens
