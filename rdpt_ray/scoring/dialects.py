"""How servers are asked for the log-probabilities of a prompt, and their answers, checked.

Two dialects of /v1/completions give them: vLLM's `prompt_logprobs`, keyed by token id, and the older
`echo` with `logprobs` (SGLang, vLLM, some hosted ones). An answer about other tokens than were sent (cut,
retokenised, shifted by one) is a fault, never a number.
"""

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdpt_ray.scoring.engine import RANK_CAP, TokenScores, TokenSequence

SLACK = 1e-4
"""A log-probability this far above 0 is rounding (a server in bf16) and counts as 0; more is a fault."""

MINUS_INFINITY = -9999.0
"""What vLLM writes for minus infinity, which JSON lacks (its `clamp_prompt_logprobs`)."""


class AnswerFault(ValueError):
    """The answer is not about the tokens that were sent, or holds something else than log-probabilities."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way to ask, and to read the answer."""

    name: str
    asks: dict[str, Any]
    """What the request holds beside the model, the tokens and one token to generate."""
    read: Callable[[dict[str, Any], list[int]], tuple[list[Any], list[Any] | None]]
    """Answer and ids sent -> the log-probability of every token but the first, and the ranks if given."""

    def body(self, model: str, sequence: TokenSequence) -> dict[str, Any]:
        """The request for one sequence.

        One token is generated and thrown away: 0 is not taken everywhere (vllm-project/vllm#9336).
        Sampling is named because servers bring defaults of their own, and some scale by temperature; no
        seed is, because it kills vLLM's CPU build (0.32: "CPU Generator does not use offset").
        """
        body = {
            "model": model,
            "prompt": [*sequence.prompt_ids, *sequence.response_ids],
            "max_tokens": 1,
            "temperature": 1.0,
            "top_p": 1.0,
            **self.asks,
        }
        if self.name == "vllm":
            # A prefix cache made these values depend on earlier requests (vllm-project/vllm#42019).
            body["cache_salt"] = uuid.uuid4().hex
        return body

    def scores(self, answer: Any, sequence: TokenSequence, *, ranks: bool) -> TokenScores:
        """The response's scores from a checked answer.

        Args:
            answer: The JSON that came back.
            sequence: What was sent.
            ranks: Whether ranks are wanted.

        Raises:
            AnswerFault: with what was expected and what came.
        """
        ids = [*sequence.prompt_ids, *sequence.response_ids]
        if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
            raise AnswerFault(f"expected a completion, got {str(answer)[:100]}")
        if len(answer["choices"]) != 1 or not isinstance(answer["choices"][0], dict):
            raise AnswerFault(f"expected 1 choice, got {len(answer['choices'])}")
        logprobs, places = self.read(answer, ids)
        wanted = slice(len(sequence.prompt_ids) - 1, None)
        values = np.array([_logprob(value) for value in logprobs[wanted]], dtype=np.float32)
        if not ranks:
            return TokenScores(values)
        if places is None:
            raise AnswerFault(f"the dialect {self.name} gives no ranks")
        return TokenScores(values, np.array([_rank(p) for p in places[wanted]], dtype=np.int32))


def _read_vllm(answer: dict[str, Any], ids: list[int]) -> tuple[list[Any], list[Any] | None]:
    entries = answer["choices"][0].get("prompt_logprobs")
    _check_list("prompt_logprobs", entries, [len(ids)])
    for place, (token, entry) in enumerate(zip(ids[1:], entries[1:], strict=True), start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get(str(token)), dict):
            came = [*entry] if isinstance(entry, dict) else entry
            raise AnswerFault(f"token {place} of {len(ids)} was sent as {token}, came as {came}")
    found = [entry[str(token)] for token, entry in zip(ids[1:], entries[1:], strict=True)]
    return [entry.get("logprob") for entry in found], [entry.get("rank") for entry in found]


def _read_echo(answer: dict[str, Any], ids: list[int]) -> tuple[list[Any], list[Any] | None]:
    choice = answer["choices"][0]
    usage, told = answer.get("usage") or {}, choice.get("logprobs") or {}
    if not isinstance(usage, dict) or not isinstance(told, dict):
        raise AnswerFault(f"expected usage and logprobs as objects, got {usage!r}, {told!r}"[:200])
    num_sent, num_read = len(ids), usage.get("prompt_tokens")
    echoed = choice.get("prompt_token_ids")
    if echoed is not None and echoed != ids:
        raise AnswerFault(f"{num_sent} token ids were sent, others came back ({len(echoed)})")
    if num_read is not None and num_read != num_sent:
        raise AnswerFault(f"{num_sent} tokens were sent, the server read {num_read}")
    if echoed is None and num_read is None:
        raise AnswerFault("neither usage.prompt_tokens nor prompt_token_ids says what was read")
    values: Any = told.get("token_logprobs")
    _check_list("logprobs.token_logprobs", values, [num_sent, num_sent + 1])
    return values[1:num_sent], None


def _check_list(name: str, values: Any, lengths: Sequence[int]) -> None:
    """One entry per token, the first of them empty: nothing comes before the first token."""
    if not isinstance(values, list):
        raise AnswerFault(f"expected {name} of the prompt, got {values!r}")
    if len(values) not in lengths:
        raise AnswerFault(f"expected {lengths[0]} {name}, one per token sent, got {len(values)}")
    if values[0]:
        raise AnswerFault(f"expected null as the first of {name}, got {str(values[0])[:60]}")


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnswerFault(f"expected a log-probability, got {value!r}")
    if value > SLACK:
        raise AnswerFault(f"expected a log-probability, at most 0, got {value}")
    return -math.inf if value <= MINUS_INFINITY else min(float(value), 0.0)


def _rank(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise AnswerFault(f"expected a rank, at least 1, got {value!r}")
    return min(value, RANK_CAP)


VLLM = Dialect("vllm", {"prompt_logprobs": 0}, _read_vllm)
ECHO = Dialect("echo", {"echo": True, "logprobs": 1}, _read_echo)
ECHO_WITH_IDS = Dialect("echo", ECHO.asks | {"return_token_ids": True}, _read_echo)
"""The same for servers that can say which ids they read (vLLM, SGLang); others refuse the key."""

DIALECTS = {
    "auto": (VLLM, ECHO_WITH_IDS, ECHO),
    "vllm": (VLLM,),
    "echo": (ECHO_WITH_IDS, ECHO),
}
"""What to try, in this order, for each value of `endpoint.dialect`."""
