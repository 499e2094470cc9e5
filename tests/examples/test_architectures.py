"""The shapes in examples/architectures have as many parameters as the weights that makers publish."""

from pathlib import Path

import pytest

from rdpt_ray.config import load_config
from rdpt_ray.scoring.model_size import model_size, read_config

EXAMPLES = Path(__file__).parents[2] / "examples"
PUBLISHED = {
    "DeepSeek-R1": 671_026_404_352,  # 671,026,419,200 with the 58 x 256 biases that route experts
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen3-4B": 4_022_468_096,
    "Qwen3-8B": 8_190_735_360,
    "QwQ-32B": 32_763_876_352,
}


@pytest.mark.parametrize(
    "name", [path.name for path in (EXAMPLES / "architectures").iterdir() if path.is_dir()]
)
def test_it_has_the_published_number_of_parameters(name):
    config = read_config(str(EXAMPLES / "architectures" / name), is_offline=True)
    assert model_size(config, dtype="bfloat16").total == PUBLISHED[name]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_names_shapes_that_are_there(path):
    configs = load_config(path).plan.configs
    assert all((EXAMPLES.parent / folder / "config.json").is_file() for folder in configs.values())
