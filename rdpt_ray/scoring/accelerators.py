"""What accelerators are known to do, under the names that Ray gives them (`accelerator_type`).

Memory is the nominal one in 10^9 bytes, a little under what the driver shows; where cards of one name differ,
the smaller (V100: 16 or 32, A100: 40 or 80). Rates are dense peaks, half of what is advertised with sparsity;
of V100, H100 and H200 those of the SXM card. float32 is the rate without TF32, which scoring leaves off. V100
and T4 have no bfloat16: their rate is float16's.

From the makers' data sheets: NVIDIA's V100, T4, A10G (the one for AWS G5), L4, L40S, A100, H100, H200, HGX
B200 and GB200 NVL72 (per GPU); AMD's MI300X.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device."""

    memory_bytes: int
    half_flops: float
    """Dense operations per second in bfloat16 or float16."""
    single_flops: float
    """The same in float32."""

    def flops(self, dtype: str) -> float:
        """Its peak in one of the dtypes of a config."""
        return self.single_flops if dtype == "float32" else self.half_flops


def _accelerator(memory_gb: int, half_tflops: float, single_tflops: float) -> Accelerator:
    return Accelerator(memory_gb * 10**9, half_tflops * 1e12, single_tflops * 1e12)


ACCELERATORS = {
    "V100": _accelerator(16, 125, 15.7),
    "T4": _accelerator(16, 65, 8.1),
    "A10G": _accelerator(24, 70, 35),
    "L4": _accelerator(24, 121, 30.3),
    "L40S": _accelerator(48, 362, 91.6),
    "A100": _accelerator(40, 312, 19.5),
    "A100-40G": _accelerator(40, 312, 19.5),
    "A100-80G": _accelerator(80, 312, 19.5),
    "H100": _accelerator(80, 989, 67),
    "H200": _accelerator(141, 989, 67),
    "B200": _accelerator(180, 2250, 75),
    "GB200": _accelerator(186, 2500, 80),
    "AMD-Instinct-MI300X-OAM": _accelerator(192, 1307, 163.4),
}
