"""How often a model is right: it answers prompts, and every answer is judged against the reference.

The responses are sampled as `rdpt sample` samples them, so a second evaluation of the same model samples
nothing, and `rdpt trace` can read them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from rich.console import Console

from rdpt_ray.config import CurateConfig, Role
from rdpt_ray.errors import ConfigError
from rdpt_ray.method.accuracy import Accuracy, Verdict, accuracy
from rdpt_ray.pipeline.cluster import connected
from rdpt_ray.pipeline.judge import Judge, answer_half
from rdpt_ray.pipeline.progress import stage
from rdpt_ray.pipeline.roles import model_of
from rdpt_ray.pipeline.sample import sample
from rdpt_ray.sample_config import EvaluateConfig
from rdpt_ray.sampling.loading import engine_of
from rdpt_ray.selection_config import VerifyConfig
from rdpt_ray.storage.canonical import to_trace
from rdpt_ray.storage.faults import Fault
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.inputs import list_inputs
from rdpt_ray.storage.prompts import read_prompts
from rdpt_ray.storage.samples import sample_name, sample_parts

References = Mapping[str, str]
"""prompt_id -> its right answer; other prompts do not count."""

READ = ["prompt_id", "candidate", "messages", "response", "complete", "error"]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One model's answers."""

    role: Role
    model: str
    dataset: str
    """URI of the responses, which `input.path` may name."""
    sampled: int
    """Responses that were sampled now; the others were there."""
    cut: int
    """Responses that reached the longest length."""
    accuracy: Accuracy
    unknown: Mapping[str, int]
    """Why an answer could not be judged -> how many."""

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints for a role."""
        return {
            **asdict(self),
            "dataset": public_uri(self.dataset),
            "accuracy": self.accuracy.to_dict(),
        }


def evaluate(config: CurateConfig, console: Console) -> list[Evaluated]:
    """Ask every role of `evaluate.roles`, and judge what it answers.

    Args:
        config: With the sections `evaluate` and `verify`.
        console: Where progress is shown.

    Raises:
        ConfigError: if a section or a model is missing, or no prompt has a reference answer.
        RdptError: whatever is wrong with the prompts, a model or the cluster.
    """
    ask = config.evaluate
    if ask is None or config.verify is None:
        missing = "evaluate" if ask is None else "verify"
        raise ConfigError(f"{missing}: this section is needed to evaluate (docs/sampling.md)")
    for role in ask.roles:
        engine_of(model_of(config, role), ask, f"models.{role}")
    with connected():
        return [evaluate_role(config, ask, config.verify, role, console) for role in ask.roles]


def evaluate_role(
    config: CurateConfig, ask: EvaluateConfig, verify: VerifyConfig, role: Role, console: Console
) -> Evaluated:
    """Ask one model, and judge what it answers; see `evaluate`."""
    references = _references(ask, console)
    run = sample(config, console, ask=ask, role=role, to=f"{ask.to.rstrip('/')}/{role}")
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    unknown: Counter[str] = Counter()
    cut = 0
    folder = open_root(run.dataset)
    keys = sample_parts(folder)
    with stage(console, f"judge {role}", len(keys)) as advance:
        for row in judge_parts(folder, keys, references, ask.num_candidates, verify):
            found = json.loads(row)
            for prompt_id, verdict in found["verdicts"]:
                verdicts[prompt_id].append(verdict)
            unknown.update(found["unknown"])
            cut += found["cut"]
            advance(1, "")
    return Evaluated(
        role=role,
        model=model_of(config, role).model,
        dataset=run.dataset,
        sampled=run.sampled,
        cut=cut,
        accuracy=accuracy(verdicts.values(), confidence=ask.confidence),
        unknown=dict(sorted(unknown.items())),
    )


def _references(ask: EvaluateConfig, console: Console) -> References:
    """The right answers, by the prompts as they are now; how many have none is said.

    Raises:
        ConfigError: if no prompt has one.
    """
    found: dict[str, str | None] = {}
    for file in list_inputs(ask.prompts):
        for row in read_prompts(file, ask.prompts):
            if not isinstance(row.prompt, Fault):
                known = found.get(row.prompt.prompt_id)
                found[row.prompt.prompt_id] = known or row.prompt.reference_answer
    references = {prompt_id: answer for prompt_id, answer in found.items() if answer}
    if not references:
        raise ConfigError(
            f"evaluate.prompts: none of {len(found)} prompts has a reference answer: say which column holds"
            " it, evaluate.prompts.columns: {reference_answer: COLUMN}"
        )
    if len(references) < len(found):
        console.print(
            f"evaluate.prompts: {len(found) - len(references):,} of {len(found):,} prompts have no reference"
            " answer and do not count",
            highlight=False,
        )
    return references


def judge_parts(
    folder: Root, keys: list[str], references: References, num_candidates: int, verify: VerifyConfig
) -> Iterator[str]:
    """Judge parts in tasks, in any order: one JSON object per part, of `judge_samples`."""
    items = ray.data.from_items([{"key": key} for key in keys], override_num_blocks=len(keys))
    body: Any = partial(
        _judge_batch,
        folder=folder,
        references=references,
        num_candidates=num_candidates,
        verify=verify,
    )
    for row in items.map_batches(body, batch_size=1, num_cpus=1).iter_rows():
        yield row["found"]


def _judge_batch(
    batch: dict[str, Any],
    *,
    folder: Root,
    references: References,
    num_candidates: int,
    verify: VerifyConfig,
) -> dict[str, list[str]]:
    found = []
    with Judge(verify) as judge:
        for key in batch["key"]:
            table = folder.read_table(sample_name(key), columns=READ)
            found.append(json.dumps(judge_samples(table, references, num_candidates, judge)))
    return {"found": found}


def judge_samples(
    table: pa.Table, references: References, num_candidates: int, judge: Judge
) -> dict[str, Any]:
    """Judge sampled responses.

    Args:
        table: With the columns READ.
        references: Prompts that count; others are left out.
        num_candidates: Candidates of a prompt that count.
        judge: By what.

    Returns:
        `verdicts`: pairs of prompt_id and true, false or null; `unknown`: why null -> how many;
        `cut`: how many reached the longest length.
    """
    verdicts: list[tuple[str, Verdict]] = []
    unknown: Counter[str] = Counter()
    cut = 0
    for row in table.to_pylist():
        prompt_id = row["prompt_id"]
        if prompt_id not in references or row["candidate"] >= num_candidates:
            continue
        cut += row["complete"] is False
        correct, why = _judged(row, references[prompt_id], judge)
        verdicts.append((prompt_id, correct))
        if correct is None:
            unknown[str(why)] += 1
    return {"verdicts": verdicts, "unknown": unknown, "cut": cut}


def _judged(row: dict[str, Any], reference: str, judge: Judge) -> tuple[Verdict, str | None]:
    """A verdict, and why there is none."""
    if row["error"] is not None:
        return None, row["error"].partition(":")[0]  # its code: the rest has numbers of its own
    try:
        trace = to_trace({name: row[name] for name in ("messages", "response", "complete")})
    except Fault as fault:  # what ingestion would quarantine
        return None, fault.reason
    verdict = judge(reference, answer_half(trace.response, trace.answer_start))
    return verdict.correct, verdict.detail
