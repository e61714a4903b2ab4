#!/usr/bin/env bash
# Makes a virtual environment with vLLM's CPU build, from the pins of requirements/vllm.txt.
# Usage: scripts/vllm/install.sh VENV_DIR
# It does nothing when VENV_DIR already holds exactly these pins; PYTHON names the interpreter.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 VENV_DIR" >&2
  exit 2
fi
venv="$1"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
pins="$here/../../requirements/vllm.txt"
torch="torch==2.13.0" # the version that this vLLM was built against

digest="$(cat "$pins" "${BASH_SOURCE[0]}" | sha256sum | cut -d ' ' -f 1)"
stamp="$venv/.inwit-installed"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest" ]; then
  echo "vLLM is installed in $venv"
  exit 0
fi

say() { echo "vLLM environment: $*"; }
trap 'echo "vLLM environment: the installation into $venv failed; the lines above say why" >&2' ERR

find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "the vLLM pins are for Python 3.11, and none was found: set PYTHON to one" >&2
  return 1
}

python="$(find_python)"
say "making $venv (about 2.5 GB, about two minutes)"
rm -rf "$venv"
"$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check -q -q) # errors only

say "installing the pinned packages"
"${pip[@]}" install --no-deps --require-hashes --only-binary :all: -r "$pins"
say "installing $torch"
# What vLLM lists beside torch (torchvision, torchaudio, torchcodec, triton) is left out on
# purpose: serving text on a CPU needs none of it, so pip's remark about it would only mislead.
"${pip[@]}" install --no-warn-conflicts --only-binary :all: "$torch"
"$venv/bin/python" -c 'import torch, vllm; print(f"vLLM {vllm.__version__}, torch {torch.__version__}")'

echo "$digest" >"$stamp"
