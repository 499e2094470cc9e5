"""What beside the key decides a score's last bits: recorded with every part and in the manifest.

Equal numerics give equal bytes (seen in float32 on CPU). Where they differ, scores differ by the rounding of
the dtype, and nobody can tell which are right.
"""

import platform
from functools import cache
from pathlib import Path

from rdpt_ray.model_config import ModelConfig


def numerics(model: ModelConfig, *, num_threads: int) -> dict[str, str]:
    """Of this process: name -> value.

    Args:
        model: The model that it hosts, as configured.
        num_threads: Compute threads.
    """
    import torch  # loaded by then, where there is a model

    from rdpt_ray.scoring.fused import is_available

    facts = {
        "engine": model.engine,
        "dtype": model.dtype,
        "token_budget": str(model.token_budget),
        "num_threads": str(num_threads),
        "torch": torch.__version__,
        "cpu": f"{_cpu()} ({torch.backends.cpu.get_cpu_capability()})",
    }
    if model.pool.num_gpus and torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = str(torch.version.cuda)
        if model.engine == "transformers":
            facts["cudnn"] = str(torch.backends.cudnn.version())
            facts["kernels"] = "fused" if is_available(torch.device("cuda", 0)) else "plain"
    return facts


@cache
def _cpu() -> str:
    """The processor's name, as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
