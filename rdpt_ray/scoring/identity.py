"""The key under which a model's scores are kept: everything that changes them, and nothing else.

Weights, tokenizer, chat template and its arguments, envelope, dtype, and the engine's semantics. Batch sizes,
pools and hosts are not in it: they do not change a score beyond the rounding of its dtype, and are recorded
in the manifest instead. (In float32 on CPU not even that, but for traces longer than the token budget, whose
chunks it cuts; in half precision those are merged in half precision.)
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import httpx, validate_repo_id

from rdpt_ray.errors import ModelError
from rdpt_ray.scoring.envelopes import NONE, Envelope
from rdpt_ray.scoring.templates import read_template

IDENTITY_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt"}
"""Files of a local folder that can change a score: weights, configs, tokenizer, template."""

DISTILLED = "distill.json"
"""The record that `rdpt distill` leaves beside the weights: it has clocks in it, and changes no score."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model pinned down."""

    model: str
    """As configured: local folder or Hub id."""
    location: str
    """What to load: the folder's absolute path, since workers stand elsewhere, or the Hub id."""
    weights: str
    """Commit of a Hub model, or sha256 over a local folder's files."""
    is_local: bool
    dtype: str
    engine: str
    chat_template_kwargs: dict[str, Any]
    chat_template: str | None
    """Text of a template that replaces the model's own; the own one is part of `weights`."""
    signals: tuple[str, ...] = ()
    """What is measured beside log-probabilities; more columns are other content, so another key."""
    served: str | None = None
    """The name of the weights on a server, with the revision that the config claims for them; `weights`
    is then the tokenizer's content alone. None: the weights are loaded from `location`."""
    envelope: Envelope = NONE
    """Markup put around the halves of every response; its name is not part of the key."""
    reads_prompt: bool = True
    """False: an empty prompt stands for every prompt (IFD compares with that)."""

    @property
    def revision(self) -> str | None:
        """What to pass to `from_pretrained`."""
        return None if self.is_local else self.weights

    @property
    def key(self) -> str:
        """Readable and unique: the model's last name and 16 hex digits of all that changes its scores."""
        facts = asdict(self)
        del facts["location"]
        facts["envelope"] = "none" if self.envelope.is_empty else self.envelope.texts
        if self.is_local:
            del facts["model"]
        if self.reads_prompt:
            del facts["reads_prompt"]
        canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
        name = re.sub(r"[^A-Za-z0-9]+", "-", self.model.rstrip("/").split("/")[-1]).strip("-")
        return f"{name[:40] or 'model'}-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"


def identify(
    model: str,
    revision: str | None,
    *,
    dtype: str,
    engine: str,
    chat_template: str | None,
    chat_template_kwargs: dict[str, Any],
    signals: Sequence[str] = (),
    served: str | None = None,
    envelope: Envelope = NONE,
) -> ModelIdentity:
    """Pin a configured model to its content. Read here once: workers stand in other folders.

    Args:
        model: Local folder or Hub id; of the tokenizer alone where the weights are on a server.
        revision: Commit or branch of a Hub model. Of served weights: what the user says they are.
        dtype: As configured.
        engine: The engine's semantics, such as "transformers/1".
        chat_template: File of a template that replaces the model's own, or None.
        chat_template_kwargs: Passed to the template.
        signals: What is measured beside log-probabilities.
        served: The model's name on the server that scores; None if the weights are loaded here.
        envelope: Markup around the halves of every response.

    Raises:
        ModelError: if a local folder holds no safetensors weights (unless they are on a server), a Hub id
            cannot be resolved, or the file `chat_template` cannot be read.
    """
    folder = Path(model)
    if served is not None and revision is not None:
        served = f"{served}@{revision}"
    return ModelIdentity(
        model=model,
        location=str(folder.resolve()) if folder.is_dir() else model,
        weights=_hash_folder(folder, with_weights=served is None)
        if folder.is_dir()
        else _resolve_commit(model, revision),
        is_local=folder.is_dir(),
        dtype=dtype,
        engine=engine,
        chat_template_kwargs=chat_template_kwargs,
        chat_template=None if chat_template is None else read_template(chat_template),
        signals=tuple(sorted(set(signals))),
        served=served,
        envelope=envelope,
    )


def without_prompt(identity: ModelIdentity) -> ModelIdentity:
    """The same model reading responses without their prompts; it measures nothing else beside them."""
    return replace(identity, reads_prompt=False, signals=())


def _hash_folder(folder: Path, *, with_weights: bool) -> str:
    """sha256 over the names and bytes of the files that matter."""
    suffixes = IDENTITY_SUFFIXES if with_weights else IDENTITY_SUFFIXES - {".safetensors"}
    files = sorted(
        path for path in folder.iterdir() if path.suffix in suffixes and path.name != DISTILLED
    )
    if with_weights and not any(path.suffix == ".safetensors" for path in files):
        there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise ModelError(
            f"model {folder}: expected *.safetensors weights, found {there}; other weight formats are"
            " refused because loading them can run code"
        )
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    return digest.hexdigest()


def _resolve_commit(model: str, revision: str | None) -> str:
    try:
        validate_repo_id(model)
    except HFValidationError as error:
        raise ModelError(f"model {model}: no such folder, and not a Hub id") from error
    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    try:
        commit = HfApi().model_info(model, revision=revision).sha
    except (httpx.HTTPError, OSError) as error:
        raise ModelError(
            f"model {model}: no such folder, and the Hub cannot resolve it"
            f" (revision {revision or 'main'}): {type(error).__name__}; pin a 40-digit revision to"
            " run from the cache"
        ) from error
    if commit is None:
        raise ModelError(f"model {model}: the Hub gave no commit for revision {revision or 'main'}")
    return commit
