"""Save a model folder with a card that states what was measured."""

from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from accuracy import accuracy

CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# {title}

A toy for demos and tests only: it does chains of two to four digit operations modulo ten, nothing
else. Made by `examples/miniature` of rdpt_ray.

| | |
| --- | --- |
| how made | {made} |
| seed | {seed} |
| steps | {steps:,} |
| tokens read | {tokens:,} |
| cpu-seconds (1 thread) | {cpu_seconds:.0f} |
| parameters (fp32) | {parameters:,} |
| vocabulary | {vocabulary} byte-level BPE tokens |
| accuracy, 1,000 held-out problems, greedy | {greedy:.1%} |
| accuracy, same problems, temperature 1 | {sampled:.1%} |
| license | Apache-2.0 |
"""


def save(
    folder: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    title: str,
    made: str,
    seed: int,
    effort: dict[str, int],
    cpu_seconds: float,
) -> None:
    """Write weights, tokenizer, template and card."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    card = CARD.format(
        title=title,
        made=made,
        seed=seed,
        **effort,
        cpu_seconds=cpu_seconds,
        parameters=model.num_parameters(),
        vocabulary=len(tokenizer),
        greedy=accuracy(model, tokenizer, temperature=0),
        sampled=accuracy(model, tokenizer, temperature=1),
    )
    (folder / "README.md").write_text(card)
    print(card)
