"""Turns a GGUF file into a plain checkpoint (safetensors, tokenizer, chat template) for vLLM.

Runs inside the vLLM environment: VENV/bin/python scripts/vllm/checkpoint.py --gguf FILE --out DIR
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

SOURCE = "made-from.sha256"  # in the checkpoint: digests of the GGUF file and of this script


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recipe(gguf: Path) -> str:
    return f"{digest(gguf)} {digest(Path(__file__))}"


def made_from(checkpoint: Path) -> str | None:
    source = checkpoint / SOURCE
    return source.read_text().strip() if source.is_file() else None


def convert(gguf: Path, out: Path) -> None:
    """Write the checkpoint of `gguf` to the existing, empty folder `out`."""
    # Imported here, so that a checkpoint that already exists is told in no time.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder, name = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    if not tokenizer.chat_template:
        sys.exit(f"{gguf} has no chat template: vLLM could not serve /v1/chat/completions")
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        quantization_config=GgufConfig(gguf_file=name, dequantize=True),
        dtype=torch.float32,  # exactly the file's numbers
    )
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gguf", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    gguf, out = arguments.gguf.resolve(), arguments.out.resolve()
    if not gguf.is_file():
        sys.exit(f"no such GGUF file: {gguf}")

    wanted = recipe(gguf)
    if made_from(out) == wanted:
        sys.stdout.write(f"the checkpoint of {gguf.name} is in {out}\n")
        return
    if out.exists() and made_from(out) is None:
        sys.exit(f"{out} exists and is not a checkpoint made here: move it away or name another")

    sys.stdout.write(f"converting {gguf.name} to {out}\n")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        convert(gguf, fresh)
        (fresh / SOURCE).write_text(wanted + "\n")
        if out.exists():
            shutil.rmtree(out)
        os.replace(fresh, out)


if __name__ == "__main__":
    main()
