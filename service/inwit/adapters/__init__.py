"""The conscience adapter that Inwit brings: LoRA for SmolLM2-135M-Instruct, trained by itself.

`peft/` is what vLLM loads (safetensors), `conscience.gguf` what llama.cpp loads, `calibrations/`
what its risks are read by, and `training_card.md` says what it was taught, and what it is worth.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "smollm2-135m-instruct"
# Calibrations go by it: another version of the adapter is another reviewer.
ADAPTER_NAME = "inwit-conscience-smollm2-135m-2"
GGUF_FILE = FOLDER / "conscience.gguf"
PEFT_FOLDER = FOLDER / "peft"
CALIBRATIONS = FOLDER / "calibrations"
