"""What a model's config says against packing its traces; the rest is measured when it is loaded."""

from transformers import PretrainedConfig, PreTrainedModel

ADAPTIVE_ROTARY = {"longrope", "dynamic"}
"""Rotary types whose frequencies follow the longest trace of the pass, so its neighbours would read
other positions than alone (Phi-3 128k; transformers `dynamic_rope_update`)."""


def obstacle(model: PreTrainedModel) -> str | None:
    """Why the model cannot be packed, or None if the config has nothing against it."""
    config = model.config.get_text_config()
    layer_types = set(getattr(config, "layer_types", None) or [])
    if not model._supports_attention_backend:
        return "it does not support transformers' attention interface"
    if not layer_types <= {"full_attention", "sliding_attention"}:
        return f"it has layers of type {sorted(layer_types)}"
    return adaptive_rotary(config)


def adaptive_rotary(config: PretrainedConfig) -> str | None:
    """Why a trace must be read whole and alone; None where positions mean the same in any pass.

    Such a model reads the first chunk of a long trace by other frequencies than the whole, and no short
    probe finds it.
    """
    rotary = ADAPTIVE_ROTARY & _rotary_types(config)
    if rotary:
        return f"its rotary frequencies ({', '.join(rotary)}) follow the longest trace of a pass"
    return None


def num_windowed_layers(config: PretrainedConfig) -> int:
    """How many attention layers must name their window when they are called, at least.

    A layer that keeps its window in a mask alone (PhiMoE, Doge) would see everything when packed, and
    differ only on traces longer than the window, far longer than a probe.
    """
    layer_types = getattr(config, "layer_types", None)
    if layer_types:
        return layer_types.count("sliding_attention")
    return 1 if getattr(config, "sliding_window", None) else 0


def _rotary_types(config: PretrainedConfig) -> set[str]:
    """Rotary types in use: one set of parameters, or one per layer type."""
    parameters = getattr(config, "rope_parameters", None) or {}
    each = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    return {entry["rope_type"] for entry in each if "rope_type" in entry}
