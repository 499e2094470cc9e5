"""What the report says beside the counts: which run, which models, how fast.

Plain values only, so that the manifest can store the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model of a run, and how much of its scoring was done or found done."""

    role: str
    """teacher, student or distilled."""
    model: str
    """A local folder or a Hub id."""
    revision: str
    """Commit of a Hub model, or the hash of local weights."""
    dtype: str
    scored: int
    """Traces scored in this run."""
    reused: int
    """Traces whose scores were already in the store."""
    tokens: int
    """Tokens read in this run, prompts and responses."""
    pruned: int = 0
    """Traces that it did not read, or not to their end, because the selection does not depend on them."""
    tokens_per_s: float | None = None
    """Over the time this role was scoring; None when nothing had to be scored."""


@dataclass(frozen=True, slots=True)
class PrecisionFacts:
    """What half precision did to the classes, on a sample scored once more in float32."""

    roles: tuple[str, ...]
    """Whose models ran in less than float32."""
    traces: int
    sentences: int
    flipped: int
    """Sentences of another class than in float32."""
    max_prob_change: float = 0.0
    """Largest change of a sentence's probability under one of the roles."""
    why: str | None = None
    """Why nothing was measured, if so."""


@dataclass(frozen=True, slots=True)
class VerifyFacts:
    """How many answers were verified, and what came of it."""

    method: str
    given: int
    """Not verified: the input says whether they are right."""
    correct: int
    wrong: int
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Why the verifier could not tell -> how many."""


@dataclass(frozen=True, slots=True)
class ClassByAnswer:
    """One class: its shares in right answers less those in wrong ones; intervals are of 95 %."""

    name: str
    area: float
    """Area between the two curves over their length: mean over positions, each counts the same."""
    area_low: float
    area_high: float
    difference: float
    """At equal position, weighed by how many traces reach a position (`method.equal_position`)."""
    low: float
    high: float
    r: float | None
    """Correlation of class and right answer at equal position; None where the class does not vary."""
    r_low: float | None
    r_high: float | None
    within: float | None = None
    """The difference among answers to the same prompt (`method.within_prompts`); None where too few prompts
    have both right and wrong ones."""
    within_low: float | None = None
    within_high: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """Which classes go with right answers, and on how much that rests."""

    prompts: int
    correct: int
    """Traces with a right answer."""
    wrong: int
    ungraded: int
    """Traces of which it is not known; in neither group."""
    positions: int
    """Positions that the area is over; later ones have too few traces left. 0: too few of either group."""
    last_correct: int
    """Right traces that reach the last of them."""
    last_wrong: int
    mixed: int = 0
    """Prompts with both right and wrong answers, among those that are drawn again."""
    classes: tuple[ClassByAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class BetaFacts:
    """How `beta: auto` came to its number: a rule of ours, not the paper's (`method.auto_beta`)."""

    separability: float
    """Share of the variance of the differences that lies between the two sides, 0 to 1."""
    interval: tuple[float, float]
    """95 %, by bootstrap."""
    near_share: float
    """Share of the sentences near it."""
    valley: float
    """How full the histogram is there against the lower of the peaks beside it: below 1 there is a valley."""
    confidence: str
    """clear or weak: both the interval and the valley decide."""
    num_sentences: int


@dataclass(frozen=True, slots=True)
class RoleCost:
    """What one model's scoring cost, over all sessions of a run."""

    role: str
    parts: int
    traces: int
    tokens: int
    """Prompts and responses."""
    actor_seconds: float
    """Seconds that actors had parts in hand, added up."""
    read_again: int
    """Traces that were read once more, because what had read them was killed before its commit."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """How often the run was started until it was complete, and what it cost in all."""

    started: int
    costs: tuple[RoleCost, ...]
    damaged: int = 0
    """Files of the store that were found damaged, set aside and made again."""

    @property
    def read_again(self) -> int:
        """Traces read once more, over all models."""
        return sum(cost.read_again for cost in self.costs)

    @property
    def read(self) -> int:
        """Traces read, over all models."""
        return sum(cost.traces for cost in self.costs)


@dataclass(frozen=True, slots=True)
class InputFacts:
    """One input as the config names it, and the rows read from it."""

    uri: str
    rows: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts of one run, plain enough for JSON."""

    run_id: str
    name: str
    kind: Literal["curate", "trace"]
    """curate: three-way, before distillation. trace: four-way, with the distilled model."""
    created_at: str
    """When the run started, as it is to be shown; the report never reads a clock."""
    policy: str | None
    """Name of the selection policy; None where nothing is selected."""
    per_prompt: int
    """How many traces of a prompt are kept; without meaning when `policy` is None."""
    alpha: float
    beta: float
    models: tuple[ModelFacts, ...] = ()
    inputs: tuple[InputFacts, ...] = ()
    precision: PrecisionFacts | None = None
    """None where every model ran in float32, or the check was switched off."""
    divergence: str = "prob_difference"
    """What is compared with alpha and beta."""
    auto_beta: BetaFacts | None = None
    """None where beta is a number of the config."""
    verification: VerifyFacts | None = None
    """None where only the input says whether an answer is right."""
    answers: AnswerFacts | None = None
    """None where of no trace it is known whether its answer is right, and in manifests of older versions."""
    min_score: float | None = None
    budget_rows: int | None = None
    budget_tokens: int | None = None
    budget_order: str = "score"
    prune: bool = False
    """Whether the teacher read only what the selection depends on."""
    prune_exact: str | None = None
    """None: the selection is the same as after reading everything. Else why that holds up to rounding."""
    wall_s: float | None = None
    sessions: SessionFacts | None = None
    """None in manifests of versions that did not count them."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Name -> version of what the result depends on, shown in this order."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunFacts":
        """The inverse of `to_dict`, also after a round trip through JSON."""
        models = tuple(ModelFacts(**model) for model in values["models"])
        inputs = tuple(InputFacts(**item) for item in values["inputs"])
        precision = values.get("precision")
        if precision is not None:
            precision = PrecisionFacts(**{**precision, "roles": tuple(precision["roles"])})
        beta = values.get("auto_beta")
        if beta is not None:
            beta = BetaFacts(**{**beta, "interval": tuple(beta["interval"])})
        verification = values.get("verification")
        if verification is not None:
            verification = VerifyFacts(**verification)
        answers = values.get("answers")
        if answers is not None:
            classes = tuple(ClassByAnswer(**each) for each in answers["classes"])
            answers = AnswerFacts(**{**answers, "classes": classes})
        sessions = values.get("sessions")
        if sessions is not None:
            costs = tuple(RoleCost(**cost) for cost in sessions["costs"])
            sessions = SessionFacts(**{**sessions, "costs": costs})
        return cls(
            **{
                **values,
                "models": models,
                "inputs": inputs,
                "precision": precision,
                "auto_beta": beta,
                "verification": verification,
                "answers": answers,
                "sessions": sessions,
            }
        )
