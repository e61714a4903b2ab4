#!/usr/bin/env bash
# Compiles requirements/vllm.in to requirements/vllm.txt, with hashes, for Python 3.11.
# Usage: scripts/vllm/lock.sh [UV_OPTION...], for example --upgrade.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# torch is installed apart (see vllm.in). The rest is not needed to serve text on a CPU,
# and has no CPU build that fits: torchvision, torchaudio, torchcodec, triton.
overrides="$(mktemp)"
trap 'rm -f "$overrides"' EXIT
for package in torch torchvision torchaudio torchcodec triton; do
  echo "$package ; sys_platform == 'never'" >>"$overrides"
done

"${UV:-uv}" pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
  --python-version 3.11 --overrides "$overrides" "$@" \
  --custom-compile-command "scripts/vllm/lock.sh" \
  --output-file requirements/vllm.txt requirements/vllm.in
