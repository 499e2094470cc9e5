"""The datasets that are recognised: one file per family, and all of them by name."""

from rdpt_ray.storage.layouts.fields import AM_DEEPSEEK_R1, MULTILINGUAL_THINKING
from rdpt_ray.storage.layouts.layout import Candidate, Layout, read_candidates
from rdpt_ray.storage.layouts.nemotron import ACEREASON, LLAMA_NEMOTRON, NEMOTRON_V1_V2
from rdpt_ray.storage.layouts.openr1 import MIXTURE_OF_THOUGHTS, OPENR1_MATH
from rdpt_ray.storage.layouts.openthoughts import (
    BESPOKE_STRATOS,
    OPENTHOUGHTS2,
    OPENTHOUGHTS3,
    OPENTHOUGHTS_114K,
    OPENTHOUGHTS_114K_METADATA,
)
from rdpt_ray.storage.layouts.own import OWN, PUBLISHED
from rdpt_ray.storage.layouts.small import LIMO, S1K

PLAIN = Layout(
    name="plain",
    dataset="columns by their canonical names, or as input.columns maps them",
    needs={},
)
"""Read by `columns.ColumnNames` and not by `read_candidates`."""

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        OWN,
        PUBLISHED,
        OPENTHOUGHTS3,
        OPENTHOUGHTS2,
        OPENTHOUGHTS_114K,
        OPENTHOUGHTS_114K_METADATA,
        BESPOKE_STRATOS,
        ACEREASON,
        OPENR1_MATH,
        MIXTURE_OF_THOUGHTS,
        LIMO,
        S1K,
        LLAMA_NEMOTRON,
        NEMOTRON_V1_V2,
        AM_DEEPSEEK_R1,
        MULTILINGUAL_THINKING,
        PLAIN,
    )
}
"""Name, as `input.format` takes it -> layout."""

__all__ = ["LAYOUTS", "PLAIN", "Candidate", "Layout", "read_candidates"]
