"""The section of a config that says what a plan assumes: prices, speeds, and how much it reads to know."""

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from rdpt_ray.model_config import Section


class AcceleratorConfig(Section):
    """An accelerator that is not in the table, or of which another figure is right."""

    memory_gb: float = Field(gt=0)
    """10^9 bytes."""
    half_tflops: float = Field(gt=0)
    """Dense peak in bfloat16 or float16."""
    single_tflops: float = Field(gt=0)
    """Dense peak in float32."""


class AssumedConfig(Section):
    """What the input is taken to hold where it cannot be read; where it can, this is not looked at."""

    prompts: int = Field(ge=1)
    candidates: float = Field(default=1, ge=1)
    """Traces of each prompt."""
    prompt_tokens: int = Field(default=200, ge=1)
    """With what the chat template puts around them; the same under every model."""
    response_tokens: int = Field(ge=1)


class PlanConfig(Section):
    """`rdpt plan`: what a job will read, how long that takes and what it costs."""

    price_per_hour: dict[str, float] = Field(default_factory=dict)
    """Accelerator, as `ray.nodes()` names it -> price of an hour of one; CPU: of an hour of one CPU. There is
    no default: in 2026 offers of the same H100 differed by a factor of four. What has no price is told in
    hours."""
    currency: str = Field(default="USD", min_length=1)
    """What the prices are in; shown beside them, nothing is converted."""
    mfu: float = Field(default=0.4, gt=0, le=1)
    """Share of an accelerator's dense peak that reading reaches. Assumed, as in docs/recipes.md, and not
    measured: no GPU was at hand."""
    mfu_of: dict[str, float] = Field(default_factory=dict)
    """Role -> the same for one model, for example as an earlier run reached it."""
    accelerators: dict[str, AcceleratorConfig] = Field(default_factory=dict)
    """More accelerators, or better figures: name -> what it is. They go before the table's."""
    sample_blocks: int = Field(default=32, ge=1)
    """Files, or row groups of large ones, that are read to estimate the rest."""
    sample_rows: int = Field(default=48, ge=1)
    """Rows of each of them that are read."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""
    seed: int = Field(default=0, ge=0)
    """Of the choice of blocks."""
    configs: dict[str, str] = Field(default_factory=dict)
    """Role -> a folder whose config.json, and tokenizer if it holds one, is looked at where that of the model
    itself cannot be had: no network, no access yet, weights that are not there yet."""
    chars_per_token: float = Field(default=3, gt=0)
    """Taken where no tokenizer can be had."""
    assume: AssumedConfig | None = None
    calibrate_s: float = Field(default=20, gt=0)
    """How long each model reads at least when `--calibrate` measures it, start-up not counted."""

    @field_validator("price_per_hour")
    @classmethod
    def _prices_of_something(cls, prices: dict[str, float]) -> dict[str, float]:
        for name, price in prices.items():
            if not 0 <= price < float("inf"):
                raise PydanticCustomError(
                    "price",
                    "the price of {name} is {price}: expected 0 or more",
                    {"name": name, "price": price},
                )
        return prices

    @field_validator("mfu_of")
    @classmethod
    def _shares(cls, shares: dict[str, float]) -> dict[str, float]:
        for role, share in shares.items():
            if not 0 < share <= 1:
                raise PydanticCustomError(
                    "mfu",
                    "the share of {role} is {share}: expected more than 0, at most 1",
                    {"role": role, "share": share},
                )
        return shares
