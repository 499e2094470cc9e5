"""One training loop for all three models: AdamW, warm-up and cosine, batches of like length."""

import math
import random
from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Example = tuple[list[int], list[int]]  # ids of the prompt, ids of the response

BATCHES_SORTED_TOGETHER = 32
IGNORED = -100


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """An untrained Llama of about 170,000 parameters, fp32."""
    torch.manual_seed(seed)
    vocabulary = tokenizer.get_vocab()
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=64,
            intermediate_size=176,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            tie_word_embeddings=True,
            initializer_range=0.05,
            bos_token_id=vocabulary[str(tokenizer.bos_token)],
            eos_token_id=vocabulary[str(tokenizer.eos_token)],
            pad_token_id=vocabulary[str(tokenizer.pad_token)],
        )
    )


def fit(
    model: LlamaForCausalLM,
    examples: Sequence[Example],
    *,
    epochs: int = 1,
    batch_size: int,
    learning_rate: float,
    seed: int,
    report_every: int = 100,
) -> dict[str, int]:
    """Train in place on the response tokens; returns the steps taken and the tokens read."""
    plan = [
        batch for epoch in range(epochs) for batch in _batches(examples, batch_size, seed + epoch)
    ]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, len(plan)))
    model.train()
    num_tokens = 0
    for step, batch in enumerate(plan):
        ids, labels = pad_right([examples[i] for i in batch])
        loss = response_loss(model, ids, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        num_tokens += sum(
            len(prompt) + len(response) for prompt, response in (examples[i] for i in batch)
        )
        if (step + 1) % report_every == 0:
            print(f"step {step + 1}/{len(plan)}  loss {loss.item():.4f}", flush=True)
    model.eval()
    return {"steps": len(plan), "tokens": num_tokens}


def pad_right(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels, both int64[batch, longest]; prompt and padding are ignored labels."""
    longest = max(len(prompt) + len(response) for prompt, response in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    for row, (prompt, response) in enumerate(examples):
        length = len(prompt) + len(response)
        ids[row, :length] = torch.tensor(prompt + response)
        labels[row, len(prompt) : length] = torch.tensor(response)
    return ids, labels


def response_loss(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the response tokens, scalar, in nats.

    Padding stands on the right of a causal model, so no token sees it and no mask is needed;
    logits are made only where there is a label.
    """
    hidden = model.model(ids, use_cache=False).last_hidden_state[:, :-1]
    target = labels[:, 1:]
    wanted = target != IGNORED
    return cross_entropy(model.lm_head(hidden[wanted]), target[wanted])


def _batches(examples: Sequence[Example], batch_size: int, seed: int) -> list[list[int]]:
    """Example numbers, shuffled, then sorted by length inside windows so that little is padded."""
    rng = random.Random(seed)
    order = rng.sample(range(len(examples)), len(examples))
    window = batch_size * BATCHES_SORTED_TOGETHER
    batches: list[list[int]] = []
    for begin in range(0, len(order), window):
        near = sorted(order[begin : begin + window], key=lambda i: sum(map(len, examples[i])))
        cut = [near[i : i + batch_size] for i in range(0, len(near), batch_size)]
        batches += rng.sample(cut, len(cut))
    return batches


def _pace(step: int, num_steps: int) -> float:
    """Share of the peak learning rate: 5 % warm-up, then a cosine down to nought."""
    warm = max(1, num_steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, num_steps - warm)))
