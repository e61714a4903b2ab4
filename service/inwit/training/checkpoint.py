"""Turns a GGUF file into a plain checkpoint (safetensors, tokenizer, chat template).

Training starts from it, and vLLM serves it. Runs in any environment with torch and transformers,
vLLM's own included, so it imports nothing of Inwit:

    python service/inwit/training/checkpoint.py --gguf FILE --out DIR
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SOURCE = "made-from.sha256"  # in the checkpoint: digests of the GGUF file and of this script


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recipe(gguf: Path) -> str:
    """What a checkpoint follows from: the file, and this script."""
    return f"{digest(gguf)} {digest(Path(__file__))}"


def made_from(checkpoint: Path) -> str | None:
    """The recipe of a checkpoint; None where it was not made here."""
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
        raise ValueError(f"{gguf} has no chat template, so a conversation cannot be shown to it")
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        quantization_config=GgufConfig(gguf_file=name, dequantize=True),
        dtype=torch.float32,  # exactly the file's numbers
    )
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))


def make_checkpoint(gguf: Path, out: Path, say: Callable[[str], object]) -> Path:
    """Have the checkpoint of `gguf` in `out`, made anew where it is another file's.

    Raises:
        ValueError: the file is no model that can be talked with, or `out` is something else.
    """
    wanted = recipe(gguf)
    if made_from(out) == wanted:
        say(f"the checkpoint of {gguf.name} is in {out}")
        return out
    if out.exists() and made_from(out) is None:
        raise ValueError(f"{out} is not a checkpoint made here: move it away or name another")
    say(f"converting {gguf.name} to {out}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        convert(gguf, fresh)
        (fresh / SOURCE).write_text(wanted + "\n")
        if out.exists():
            shutil.rmtree(out)
        os.replace(fresh, out)
    return out


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gguf", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    gguf, out = arguments.gguf.resolve(), arguments.out.resolve()
    if not gguf.is_file():
        sys.exit(f"no such GGUF file: {gguf}")
    try:
        make_checkpoint(gguf, out, lambda line: sys.stdout.write(f"{line}\n"))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
