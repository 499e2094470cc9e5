"""One verifier at work on one worker: pure ones here, math-verify and extensions in their own process."""

from types import TracebackType
from typing import Self

from rdpt_ray.method.answer_math import math_pair
from rdpt_ray.method.answers import TAIL_CHARS, final_answer
from rdpt_ray.method.verifiers import MATCHES, MATH
from rdpt_ray.pipeline.verifier_process import Verdict, VerifierProcess
from rdpt_ray.selection_config import VerifyConfig

NO_REFERENCE, NO_ANSWER, UNCLEAR = "no reference answer", "no answer", "unclear"


def answer_half(response: str, answer_start: int) -> str:
    """The end of what a response answers, at most `TAIL_CHARS` characters.

    Reasoning is left out where an answer follows it: it tries answers and drops them. Without an answer of
    its own (no reasoning was marked, or nothing follows it) the whole response is one.
    """
    half = response[answer_start:]
    return (half if half.strip() else response)[-TAIL_CHARS:]


class Judge:
    """Judges pairs by the configured method; a context manager, since it may hold a process."""

    def __init__(self, config: VerifyConfig) -> None:
        """Start nothing yet."""
        self._method = config.method
        kind = "math" if config.method == MATH else "extension"
        self._process = VerifierProcess(kind, config.method, config.time_limit_s)

    def __call__(self, reference: str | None, text: str) -> Verdict:
        """Judge one answer.

        Args:
            reference: The right answer, if it is known.
            text: As of `answer_half`.

        Raises:
            ConfigError: if the verifier's process cannot be started.
        """
        if reference is None or not reference.strip():
            return Verdict(None, NO_REFERENCE)
        if self._method not in MATCHES and self._method != MATH:
            return self._process.judge(reference[-TAIL_CHARS:], text)
        if final_answer(text) is None:
            return Verdict(None, NO_ANSWER)
        if self._method in MATCHES:
            correct = MATCHES[self._method](reference, text)
            return Verdict(correct, UNCLEAR if correct is None else None)
        return self._math(reference, text)

    def _math(self, reference: str, text: str) -> Verdict:
        pair = math_pair(reference, text)
        if pair is None:
            return Verdict(None, UNCLEAR)
        verdict = Verdict(pair.obvious, None)
        if verdict.correct is None:
            verdict = self._process.judge(pair.reference, pair.answer)
        if verdict.correct is False and not pair.certain:
            return Verdict(None, UNCLEAR)
        return verdict

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no process behind."""
        self._process.close()
