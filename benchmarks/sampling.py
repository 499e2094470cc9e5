"""Tokens per second of sampling, beside transformers' own `generate`, on the miniature teacher; one core.

python benchmarks/sampling.py            # half a minute
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM

from rdpt_ray.model_config import ModelConfig
from rdpt_ray.sample_config import SamplingConfig
from rdpt_ray.sampling.loading import load_sampler, sampler_identity
from rdpt_ray.sampling.sampler import ModelSampler, Request, Sampled

MINIATURE = Path(__file__).resolve().parents[1] / "examples" / "miniature"
MAX_TOKENS = 160
END = 2


def requests(num_prompts: int, num_candidates: int) -> list[Request]:
    """Several responses to each of the demo's prompts."""
    rows = pq.read_table(MINIATURE / "traces.parquet", columns=["prompt"]).to_pylist()
    prompts = list(dict.fromkeys(row["prompt"] for row in rows if row["prompt"]))[:num_prompts]
    return [
        Request(f"{prompt} {number}", prompt, number, [{"role": "user", "content": prompt}])
        for prompt in prompts
        for number in range(num_candidates)
    ]


def sampler() -> ModelSampler:
    """Ours, as an actor loads it."""
    model = ModelConfig(model=str(MINIATURE / "teacher"))
    return load_sampler(
        model,
        sampler_identity(model, "transformers"),
        engine="transformers",
        sampling=SamplingConfig.model_validate(
            {"prompts": {"path": "-"}, "to": "-", "max_tokens": MAX_TOKENS}
        ),
        num_threads=1,
    )


def plainly(model: Any, prompts: list[list[int]], *, logprobs: bool) -> int:
    """One batch through `generate`, as its documentation has it; tokens up to each row's end.

    Args:
        model: A causal model.
        prompts: Token ids.
        logprobs: Also keep the logits, and take the drawn tokens' log-probabilities from them.
    """
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    out = model.generate(
        ids,
        attention_mask=mask,
        do_sample=True,
        top_k=0,
        max_new_tokens=MAX_TOKENS,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=logprobs,
    )
    written = out.sequences[:, width:]
    if logprobs:
        given = torch.stack(out.logits, 1).log_softmax(-1)
        given.gather(2, written[..., None])
    ended = (written == END).int().argmax(1)
    has_end = (written == END).any(1)
    return int(torch.where(has_end, ended + 1, written.shape[1]).sum())


def rate(work: Callable[[], int], rounds: int) -> float:
    """Median tokens per second of one core, whoever else uses the machine; the first round is not counted."""
    found: list[float] = []
    for _ in range(rounds + 1):
        begun = time.process_time()
        num_tokens = work()
        found.append(num_tokens / (time.process_time() - begun))
    return round(statistics.median(found[1:]))


def main() -> None:
    """Prints the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours, asked = sampler(), requests(options.prompts, 4)
    encoded = [ours.prompt_ids(request) for request in asked]
    model = AutoModelForCausalLM.from_pretrained(MINIATURE / "teacher").eval()

    def sampled() -> int:
        found = [each for each in ours.sample(asked) if isinstance(each, Sampled)]
        assert len(found) == len(asked)
        return sum(len(each.token_ids) for each in found)

    figures = {
        "ours": rate(sampled, options.rounds),
        "generate": rate(lambda: plainly(model, encoded, logprobs=False), options.rounds),
        "generate_logprobs": rate(lambda: plainly(model, encoded, logprobs=True), options.rounds),
    }
    figures["vs_generate"] = round(figures["ours"] / figures["generate"], 2)
    figures["vs_generate_logprobs"] = round(figures["ours"] / figures["generate_logprobs"], 2)
    print(json.dumps({**figures, "responses": len(asked), "threads": 1}))


if __name__ == "__main__":
    main()
