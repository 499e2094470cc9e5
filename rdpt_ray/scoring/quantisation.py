"""What a quantised weight takes, as a model's config tells it, scales and zero points included.

Sources, each for one method: OCP Microscaling Formats 1.0 (mxfp4: 4 bits, one 8-bit scale for 32),
DeepSeek-V3's README_WEIGHTS.md (fp8: one float32 scale for a block of 128 x 128), arXiv 2210.17323 and
2306.00978 (gptq, awq: a 16-bit scale and a zero point for each group), arXiv 2305.14314 section 3
(bitsandbytes in 4 bits: a 32-bit scale for 64, 0.127 bits each when these are quantised too).
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

KEPT = ("modules_to_not_convert", "ignore")
"""Where a config names the modules that are left alone."""


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How a checkpoint's weights are stored."""

    method: str
    bits: float | None
    """Of one quantised weight; None for a method that is not known here."""
    only_experts: bool = False
    """mxfp4, in transformers and in gpt-oss's checkpoints, is for experts alone."""
    kept: tuple[str, ...] = ()
    """Modules that are not quantised, as the config spells them."""

    def covers(self, name: str, *, is_expert: bool) -> bool:
        """Whether a matrix of the body is quantised.

        Args:
            name: Of the parameter, dots and all.
            is_expert: Whether it is one of a mixture's experts.
        """
        if self.bits is None or (self.only_experts and not is_expert):
            return False
        return not any(_matches(name, pattern) for pattern in self.kept)


def quantisation(config: Any) -> Quantisation | None:
    """How the weights of a model with this config are stored; None if in its dtype.

    Args:
        config: A transformers config; its `quantization_config` is a mapping, or an object of transformers.
    """
    found: Any = getattr(config, "quantization_config", None)
    if found is None:
        return None
    facts: dict[str, Any] = found if isinstance(found, dict) else found.to_dict()
    method = facts.get("quant_method")
    method = str(getattr(method, "value", method))
    kept = [pattern for key in KEPT for pattern in facts.get(key) or ()]
    return Quantisation(
        method=method,
        bits=None if facts.get("dequantize") else _bits(method, facts),
        only_experts=method == "mxfp4",
        kept=tuple(kept),
    )


def _bits(method: str, facts: dict[str, Any]) -> float | None:
    if method == "mxfp4":
        return 4 + 8 / 32
    if method == "fp8":
        rows, columns = facts.get("weight_block_size") or (128, 128)
        return 8 + 32 / (rows * columns)
    if method == "fbgemm_fp8":
        return 8
    if method in ("gptq", "awq", "auto-round"):
        return _in_groups(facts.get("bits"), facts.get("group_size"))
    if method == "bitsandbytes":
        if facts.get("load_in_8bit"):
            return 8
        return 4 + (0.127 if facts.get("bnb_4bit_use_double_quant") else 32 / 64)
    if method == "compressed-tensors":
        groups = [group.get("weights") or {} for group in facts.get("config_groups", {}).values()]
        found = [_in_groups(group.get("num_bits"), group.get("group_size")) for group in groups]
        known = [bits for bits in found if bits is not None]
        return max(known, default=None)
    return None


def _in_groups(bits: int | None, group_size: int | None) -> float | None:
    """With a 16-bit scale and a zero point for each group; without groups, these are too few to matter."""
    if bits is None or not group_size or group_size < 0:
        return bits
    return bits + (16 + bits) / group_size


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        return re.match(pattern.removeprefix("re:"), name) is not None
    return fnmatchcase(name, f"*{pattern}*")
