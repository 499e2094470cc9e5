#!/bin/sh
# Axolotl, LLaMA-Factory and verl in a place of their own, for tests/publish/test_trainers.py:
#   tests/publish/trainers/install.sh /tmp/trainers && RDPT_TRAINERS=/tmp/trainers pytest tests/publish/test_trainers.py
# They pin other versions than this project does, so only their wheels and what their readers of datasets
# import are installed, on top of the project's own packages; torch is not downloaded again.
set -eu
place=$1
project=$(cd "$(dirname "$0")/../../.." && pwd)
python=$("$project/.venv/bin/python" -c 'import sys; print(sys.executable)')
"$python" -m venv "$place"
site=$("$place/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
"$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' > "$site/project.pth"
pip() { "$place/bin/pip" install -q --no-deps "$@"; }
pip axolotl==0.19.0 llamafactory==0.9.5 verl==0.9.1
pip addict cloudpickle colorama distro llvmlite numba omegaconf==2.4.0 peft pillow posthog pyvers tensordict
# verl 0.9 asks for transformers 5.5 to 5.10; LLaMA-Factory imports torchaudio, whose wheel is for CUDA.
pip --target "$place/for-verl" transformers==5.9.0 tokenizers==0.22.2 'huggingface-hub<2' httpx==0.28.1 httpcore h11 anyio
mkdir -p "$place/for-llamafactory/torchaudio"
echo '__version__ = "0"' > "$place/for-llamafactory/torchaudio/__init__.py"
