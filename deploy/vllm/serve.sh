#!/usr/bin/env bash
# Serves the model behind Inwit with vLLM on a GPU. README.md beside this file explains each flag.
# Usage: MODEL=... VLLM_API_KEY=... deploy/vllm/serve.sh [VLLM_FLAG...]
set -euo pipefail

: "${MODEL:?the folder or the name of the model to serve}"
: "${VLLM_API_KEY:?the key that the gateway presents to vLLM}"

export VLLM_API_KEY # in the environment, so that no process list shows it
export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1

flags=(
  --host "${HOST:-127.0.0.1}"
  --port "${PORT:-8000}"
  --served-model-name "${SERVED_MODEL_NAME:-default}"
  --max-model-len "${MAX_MODEL_LEN:-8192}"
  --gpu-memory-utilization "${GPU_MEMORY_UTILIZATION:-0.90}"
  --tensor-parallel-size "${TENSOR_PARALLEL_SIZE:-1}"
  --generation-config vllm
  --enable-prefix-caching
  --prefix-caching-hash-algo sha256
  --enable-prompt-tokens-details
  --scheduling-policy priority
  --max-num-queued-reqs "${MAX_QUEUED:-512}"
  --max-logprobs 20
  --logprobs-mode raw_logprobs
  --shutdown-timeout "${SHUTDOWN_TIMEOUT:-60}"
  --disable-access-log-for-endpoints /health,/metrics
)
if [ -n "${REASONING_PARSER:-}" ]; then flags+=(--reasoning-parser "$REASONING_PARSER"); fi
if [ -n "${TOOL_CALL_PARSER:-}" ]; then
  flags+=(--enable-auto-tool-choice --tool-call-parser "$TOOL_CALL_PARSER")
fi
if [ -n "${OTLP_TRACES_ENDPOINT:-}" ]; then
  flags+=(--otlp-traces-endpoint "$OTLP_TRACES_ENDPOINT")
fi

exec vllm serve "$MODEL" "${flags[@]}" "$@"
