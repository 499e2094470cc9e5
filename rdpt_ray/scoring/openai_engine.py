"""A model on a server: any OpenAI-compatible completions endpoint that scores the prompt it is sent.

A request that fails for its own sake (refused, cut, retokenised) is its sequence's error. A server that
stops answering is not: an outage would mark every trace left as faulty, and their errors would be kept as
their scores. So before a sequence is blamed for a fault that could be the server's, a request known to work
is sent; if that fails too, the part fails, and a rerun does it again.
"""

import math
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from huggingface_hub.utils import httpx

from rdpt_ray.errors import ModelError
from rdpt_ray.model_config import EndpointConfig, ModelConfig
from rdpt_ray.scoring.dialects import DIALECTS, AnswerFault, Dialect
from rdpt_ray.scoring.encoding import TraceEncoder
from rdpt_ray.scoring.endpoint import EndpointFault, open_client, request
from rdpt_ray.scoring.engine import TokenScores, TokenSequence

COMPLETIONS = "/completions"

OWN_FAULTS = frozenset({400, 413, 422})
"""Statuses that blame the request; any other fault could as well be the server's."""

NOT_LISTED = frozenset({404, 405, 501})
"""A server without a list of its models says so by one of these."""


class OpenaiEngine:
    """Scores sequences by requests, `endpoint.concurrency` at a time."""

    def __init__(
        self,
        endpoint: EndpointConfig,
        *,
        served: str,
        dialect: Dialect,
        context_length: int | None,
        probe: TokenSequence,
        ranks: bool,
    ) -> None:
        """Take what `connect` found out.

        Args:
            endpoint: The server.
            served: The model's name there.
            dialect: How it is asked.
            context_length: Longest sequence it takes, in tokens, or None if unknown.
            probe: A sequence it is known to score.
            ranks: Whether to take the tokens' ranks too.
        """
        self._endpoint = endpoint
        self._served = served
        self._dialect = dialect
        self._context_length = context_length
        self._probe = probe
        self._ranks = ranks

    @property
    def context_length(self) -> int | None:
        """`endpoint.context_length`, or what the server says, less the one token it must generate."""
        return self._context_length

    @property
    def dialect(self) -> str:
        """The dialect in use, "vllm" or "echo"."""
        return self._dialect.name

    def token_scores(self, batch: Sequence[TokenSequence]) -> list[TokenScores | str]:
        """Score a batch; see `Engine.token_scores`. The server makes its own batches.

        Raises:
            ModelError: if the server no longer scores what it scored at the start.
        """
        with (
            open_client(self._endpoint) as client,
            ThreadPoolExecutor(self._endpoint.concurrency) as threads,
        ):
            futures = [threads.submit(self._score, client, sequence) for sequence in batch]
            _, waiting = wait(futures, return_when=FIRST_EXCEPTION)
            for future in waiting:
                future.cancel()
            failed = [future for future in futures if not future.cancelled()]
            for error in (future.exception() for future in failed):
                if error is not None:
                    raise error
            return [future.result() for future in futures]

    def _score(self, client: httpx.Client, sequence: TokenSequence) -> TokenScores | str:
        try:
            return self._ask(client, sequence)
        except EndpointFault as fault:
            if fault.status in OWN_FAULTS:
                return f"endpoint_refused: {fault}"[:500]
            self._check_server(client, fault)
            return f"endpoint_error: {fault}"[:500]
        except AnswerFault as fault:
            return f"endpoint_error: {fault} ({self._endpoint.url}{COMPLETIONS})"[:500]

    def _check_server(self, client: httpx.Client, fault: EndpointFault) -> None:
        try:
            self._ask(client, self._probe, max_retries=0)
        except (EndpointFault, AnswerFault) as error:
            raise ModelError(
                f"endpoint {self._endpoint.url} stopped scoring {self._served}: {fault}; a short request"
                f" that it answered at the start now fails too: {error}. Nothing of this part was kept:"
                " see to the server and rerun"
            ) from error

    def _ask(
        self, client: httpx.Client, sequence: TokenSequence, *, max_retries: int | None = None
    ) -> TokenScores:
        body = self._dialect.body(self._served, sequence)
        answer = request(client, self._endpoint, COMPLETIONS, body, max_retries=max_retries)
        return self._dialect.scores(answer, sequence, ranks=self._ranks)


def connect(model: ModelConfig, served: str, encoder: TraceEncoder) -> OpenaiEngine:
    """Find out what the server has and how it wants to be asked, by one request that is checked.

    Args:
        model: As configured, with its endpoint.
        served: The model's name on the server.
        encoder: Its tokenizer and template; the probe is made of them.

    Raises:
        ModelError: naming the url: no server, no access, no such model, or none that scores prompts.
    """
    endpoint = model.endpoint
    if endpoint is None:
        raise ModelError(f"model {model.model}: the engine openai needs an endpoint")
    probe, ranks = probe_of(encoder), "rank" in model.signals
    with open_client(endpoint) as client:
        length = endpoint.context_length or _served_length(client, endpoint, served)
        faults: list[str] = []
        for dialect in DIALECTS[endpoint.dialect]:
            try:
                answer = request(client, endpoint, COMPLETIONS, dialect.body(served, probe))
                scores = dialect.scores(answer, probe, ranks=ranks)
            except AnswerFault as fault:
                faults.append(f"{dialect.name}: {fault}")
            except EndpointFault as fault:
                if fault.status not in OWN_FAULTS:
                    raise _refused(endpoint, fault) from fault
                faults.append(f"{dialect.name}: {fault}")
            else:
                if all(map(math.isfinite, scores.logprobs.tolist())):
                    return OpenaiEngine(
                        endpoint,
                        served=served,
                        dialect=dialect,
                        context_length=length,
                        probe=probe,
                        ranks=ranks,
                    )
                faults.append(f"{dialect.name}: log-probabilities that are not finite")
    raise ModelError(
        f"endpoint {endpoint.url} does not score the prompts of {served}: {'; '.join(faults)}"
        " (docs/engines.md lists servers that do)"
    )


def probe_of(encoder: TraceEncoder) -> TokenSequence:
    """A short sequence no tokenizer would write: a word spelt out.

    A server that turns the ids into text and back reads fewer tokens, and is found out. Each letter stands
    behind a digit when it is encoded, or many a tokenizer would put a blank before it.
    """
    question = [{"role": "user", "content": "1 + 1 = ?"}]
    letters = [encoder.encode(question, f"7{letter}").sequence for letter in "therefore"]
    return TokenSequence(letters[0].prompt_ids, [one.response_ids[-1] for one in letters])


def _served_length(client: httpx.Client, endpoint: EndpointConfig, served: str) -> int | None:
    """Longest sequence the server takes, if it lists its models and says so; checks the model's name."""
    try:
        answer = request(client, endpoint, "/models")
    except EndpointFault as fault:
        if fault.status in NOT_LISTED:
            return None
        raise _refused(endpoint, fault) from fault
    listed: list[Any] = answer.get("data") or [] if isinstance(answer, dict) else []
    models = {entry["id"]: entry for entry in listed if isinstance(entry, dict) and "id" in entry}
    if models and served not in models:
        names = ", ".join(sorted(models)[:10])
        raise ModelError(
            f"endpoint {endpoint.url} serves {names}, but not {served}; set endpoint.model to the name"
        )
    length = models.get(served, {}).get("max_model_len")
    return length - 1 if isinstance(length, int) else None


def _refused(endpoint: EndpointConfig, fault: EndpointFault) -> ModelError:
    hints = {
        401: "; endpoint.api_key_env names the environment variable with the key",
        403: "; the key may not use this model",
        404: "; does endpoint.url end where the API starts (/v1), and is endpoint.model right?",
        None: "; is the server up, and reachable from the workers?",
    }
    return ModelError(f"endpoint {endpoint.url}: {fault}{hints.get(fault.status, '')}")
