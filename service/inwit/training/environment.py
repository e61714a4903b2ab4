"""What training needs of its machine: the libraries of the extra, and a base model."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from inwit.clients.embedded.model import packaged_model
from inwit.errors import SetupError

_LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "gguf")


def require_training() -> None:
    """Refuse to go on without the libraries of the extra `train`.

    Raises:
        SetupError: one of them is not installed.
    """
    for name in _LIBRARIES:
        if importlib.util.find_spec(name) is None:
            raise SetupError(
                f"{name} is not installed. Run `make .venv-train/train.stamp`, and use "
                ".venv-train/bin/inwit; or `pip install 'inwit[train]'`."
            )


def base_model(given: Path | None, data_dir: Path, say: Callable[[str], None]) -> Path:
    """The folder of the model to train on: the one given, or the packaged model as a checkpoint.

    Raises:
        SetupError: there is no model in the folder, or the packaged one is not installed.
    """
    if given is not None:
        if not (given / "config.json").is_file():
            raise SetupError(f"--base: {given} holds no config.json, so no model.")
        return given
    from inwit.training.checkpoint import make_checkpoint

    try:
        return make_checkpoint(packaged_model(), data_dir / "base" / "smollm2-135m-instruct", say)
    except ValueError as error:
        raise SetupError(f"{error}.") from error
