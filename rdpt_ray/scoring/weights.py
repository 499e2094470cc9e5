"""Weights from disk or Hub to a model: safetensors only, whole, and no code from the repository."""

from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from rdpt_ray.errors import ModelError

LOAD_FAULTS = (
    OSError,
    ValueError,
    KeyError,
    ImportError,  # a quantised checkpoint without the library that reads it
    RuntimeError,  # tensors that cannot be brought into the model's layout
    SafetensorError,
    StrictDataclassError,  # a config field of the wrong type
)


def load_model(model: str, revision: str | None, dtype: str, num_gpus: float) -> PreTrainedModel:
    """A causal language model in evaluation mode, on its device.

    Args:
        model: Local folder or Hub id.
        revision: Commit of a Hub model.
        dtype: "float32", "bfloat16" or "float16"; what a quantised checkpoint computes in.
        num_gpus: 0 for the CPU, up to 1 for one GPU, more to spread the layers over so many.

    Raises:
        ModelError: if the model cannot be loaded, naming it and what to change.
    """
    if num_gpus > 0 and not torch.cuda.is_available():
        raise ModelError(f"model {model}: pool.num_gpus > 0, but this actor sees no CUDA device")
    try:
        loading: Any = AutoModelForCausalLM.from_pretrained(
            model,
            revision=revision,
            dtype=getattr(torch, dtype),
            device_map=_device_map(num_gpus),
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name
        )
    except LOAD_FAULTS as error:
        raise ModelError(f"model {model}: cannot be loaded: {error}") from error
    loaded, info = loading
    random = sorted({*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])})
    if random:
        raise ModelError(
            f"model {model}: {len(random)} tensors of {type(loaded).__name__} are not in its files, or in"
            f" another shape, and would be random numbers ({random[0]} is one); is this the whole"
            " checkpoint?"
        )
    elsewhere = {str(place) for place in getattr(loaded, "hf_device_map", {}).values()}
    if num_gpus > 0 and elsewhere & {"cpu", "disk"}:
        raise ModelError(
            f"model {model}: does not fit the memory of {num_gpus:g} GPU(s) in {dtype}; raise pool.num_gpus,"
            " choose bfloat16 or a quantised checkpoint, or the vllm engine"
        )
    return loaded.eval()


def _device_map(num_gpus: float) -> str | dict[str, Any] | None:
    if num_gpus == 0:
        return None
    return {"": 0} if num_gpus <= 1 else "balanced"


def context_length(model: PreTrainedModel) -> int | None:
    """Longest trace a model reads by its config, in tokens; None if the config sets no limit.

    `max_position_embeddings`, which some YaRN checkpoints keep at the length before stretching.
    """
    config = model.config.get_text_config()
    positions: int | None = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    if positions is None or rope.get("rope_type") != "yarn":
        return positions
    original = rope.get("original_max_position_embeddings") or positions
    return max(positions, int(original * rope.get("factor", 1.0)))
