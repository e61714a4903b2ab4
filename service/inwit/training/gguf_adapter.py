"""Writes a PEFT adapter as GGUF, as llama.cpp's own `convert_lora_to_gguf.py` would.

llama.cpp keeps the query and key projections of Llama models with each head's two rotary halves
interleaved, so the rows of their `lora_B` are put in that order; everything else is copied.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from inwit.errors import SetupError

Half = npt.NDArray[np.float16]

_NAME = re.compile(
    r"base_model\.model\.model\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])\.weight"
)
_TENSORS = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}


def writable(base: Mapping[str, Any]) -> bool:
    """Whether adapters on a model of this configuration can be written as GGUF."""
    return base.get("model_type") == "llama"


def write_gguf(adapter: Path, base: Mapping[str, Any], out: Path, name: str) -> None:
    """Write `adapter`, a PEFT folder, to the file `out`; `base` is its model's configuration.

    Raises:
        SetupError: the adapter is not LoRA on a Llama model's projections.
    """
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    if not writable(base) or config.get("peft_type") != "LORA":
        raise SetupError(f"{adapter}: only LoRA on a Llama model can be written as GGUF.")
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
    for tensor, values in _tensors(load_file(adapter / "adapter_model.safetensors"), base):
        writer.add_tensor(tensor, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(
    found: Mapping[str, npt.NDArray[Any]], base: Mapping[str, Any]
) -> Iterator[tuple[str, Half]]:
    heads = {"q_proj": base["num_attention_heads"], "k_proj": base["num_key_value_heads"]}
    for name, values in sorted(found.items()):
        matched = _NAME.fullmatch(name)
        if matched is None or matched[2] not in _TENSORS:
            raise SetupError(f"The adapter holds {name}, which has no place in GGUF.")
        layer, module, side = matched.groups()
        if side == "B" and module in heads:
            values = _interleaved(values, heads[module])
        tensor = f"blk.{layer}.{_TENSORS[module]}.weight.lora_{side.lower()}"
        yield tensor, np.ascontiguousarray(values.astype(np.float16))


def _interleaved(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)
