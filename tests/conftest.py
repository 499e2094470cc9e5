"""Settings every test shares, and one small Ray for the tests that ask for it."""

import os
import shutil

# Ray reads these when it is imported, and each of its processes inherits them. A token of our own:
# without one Ray takes ~/.ray/auth_token, and a stale file there answers every call with 401.
os.environ |= {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "rdpt-ray-tests-".ljust(64, "0"),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI") == "true"

# Speed is not a law under test: a busy machine must not fail a property.
settings.register_profile(
    "rdpt_ray",
    deadline=None,
    derandomize=IN_CI,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rdpt_ray")


def find_chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_runtest_setup(item):
    if item.get_closest_marker("browser") and not find_chromium():
        reason = "no chromium on this machine (apt-get install chromium)"
        pytest.fail(reason, pytrace=False) if IN_CI else pytest.skip(reason)
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device on this machine")


@pytest.fixture(scope="session")
def chromium():
    """The path of the browser, for tests marked `browser`."""
    return find_chromium()


@pytest.fixture(scope="session")
def ray_cluster():
    """A Ray of two CPUs in this process, for tests marked `ray`."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=256 * 2**20,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()
