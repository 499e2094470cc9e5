"""The Hub's own client in this process, turned to a hub on loopback."""

import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from tests.hub.server import TOKEN

HASTE = 50
"""How many times faster the client's own clock runs: it waits a second before it asks again."""


@contextmanager
def turned_to(hub, folder, *, token=TOKEN):
    """What the environment would say if this process had just been started, until the block ends.

    Args:
        hub: The hub.
        folder: Where the client may keep files.
        token: In the environment; None for none.
    """
    clock = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / HASTE))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_CACHE": str(folder / "hub_cache"),
            "HF_TOKEN_PATH": str(folder / "token"),
        }.items():
            patch.setattr(constants, name, value)
        patch.setattr(_http, "time", clock)
        patch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        patch.delenv("HF_OIDC_RESOURCE", raising=False)
        patch.delenv("HF_TOKEN", raising=False)
        if token:
            patch.setenv("HF_TOKEN", token)
        yield


def environment(hub, folder, *, token=TOKEN, xet=False):
    """The environment of a process of its own that finds the hub and keeps its files in the folder."""
    found = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf_home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
        "HOME": str(folder),
    }
    return found | ({"HF_TOKEN": token} if token else {})
