"""The folder of a distilled model, and that of its checkpoints while it is trained.

TO/*.safetensors, config.json, tokenizer files, README.md, loss.svg   the model
TO/distill.json                                                       written last: the model is complete
TO.checkpoints/<key>/step-00000075-1f2e3d4c/                                   deleted when it is

What decides the weights makes the key, so another setting never continues from these checkpoints.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import fsspec

from rdpt_ray.errors import ConfigError
from rdpt_ray.pipeline.distill_checkpoints import clear_older
from rdpt_ray.scoring.identity import DISTILLED
from rdpt_ray.storage.files import Root, open_root, public_uri
from rdpt_ray.storage.runs import canonical_json, read_json, write_json
from rdpt_ray.storage.sessions import is_alive, this_process

BEGUN = ".distilling.json"
"""Says that what else is in the folder was put there by a training that may not have ended."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Where a model goes."""

    root: Root
    decides: dict[str, Any]
    """All that decides the weights."""

    @property
    def key(self) -> str:
        """Stands for what decides the weights."""
        return hashlib.sha256(canonical_json(self.decides).encode()).hexdigest()[:16]

    @property
    def training(self) -> Root:
        """The folder of all checkpoints."""
        return Root(f"{self.root.uri.rstrip('/')}.checkpoints", self.root.patience_s)

    @property
    def checkpoints(self) -> Root:
        """Those of these settings."""
        return self.training.inside(self.key)

    def record(self) -> dict[str, Any] | None:
        """What is known of the model that is there; None if it is yet to be trained.

        Raises:
            ConfigError: if a model with other settings is there, or files of somebody else.
        """
        shown = public_uri(self.root.uri)
        if self.root.exists(DISTILLED):
            record = read_json(self.root, DISTILLED)
            if record.get("decides") == self.decides:
                return record if set(record["files"]) <= set(self.root.names("")) else None
            told = ", ".join(_differences(record.get("decides") or {}, self.decides))
            raise ConfigError(
                f"distill.to: {shown} holds a model that was distilled in another way ({told}); name"
                " another folder, or delete this one"
            )
        there = self.root.names("")
        if there and not self.root.exists(BEGUN):
            raise ConfigError(
                f"distill.to: {shown} holds {there[0]}, which no distillation put there; name a folder of"
                " its own"
            )
        return None

    def begin(self) -> None:
        """Say that a training is at work here, and clear away what earlier ones left and is not needed.

        Raises:
            ConfigError: if another process of this host trains there. Of other hosts it cannot be known.
        """
        here = this_process()
        if self.root.exists(BEGUN):
            process = read_json(self.root, BEGUN).get("process", "")
            if process != here and is_alive(process):
                raise ConfigError(
                    f"distill.to: another training is at work in {public_uri(self.root.uri)}; run the same"
                    " command again when it is done, or name another folder"
                )
        write_json(self.root, BEGUN, {"process": here})
        clear_older(self.checkpoints)

    def end(self, record: dict[str, Any]) -> None:
        """Write down that the model is complete, and clear away what trained it."""
        write_json(self.root, DISTILLED, {"decides": self.decides, **record})
        self.clear()

    def clear(self) -> None:
        """Delete the checkpoints, which hold pickled states of the optimizer."""
        self.root.delete(BEGUN)
        fs, path = fsspec.core.url_to_fs(self.training.uri)
        fs.invalidate_cache()
        if fs.exists(path):
            fs.rm(path, recursive=True)

    def checksums(self) -> dict[str, str]:
        """File -> sha256 of what is in the folder."""
        return {
            name: hashlib.sha256(self.root.read_bytes(name)).hexdigest()
            for name in self.root.names("")
        }


def model_folder(to: str, decides: dict[str, Any]) -> ModelFolder:
    """A folder by its URI.

    Args:
        to: Local path, or any fsspec URI that can be written.
        decides: All that decides the weights, as JSON.
    """
    return ModelFolder(open_root(to), decides)


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Settings that are not the same, by name."""
    found = []
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{key}.{each}" for each in _differences(old, new)]
        else:
            found.append(f"{key}: {old} there, {new} here")
    return found
