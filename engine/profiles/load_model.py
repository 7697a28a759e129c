"""Load a profile's base model and tokenizer; the trainer and the scorer both start here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import PoiseError
from engine.profiles.models_folder import SHIPPED as SHIPPED
from engine.profiles.models_folder import model_dir as model_dir

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_base(profile_model: Mapping[str, Any]) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The base model (float32, eval mode) and its tokenizer (padding on the left), never from the network.

    Raises:
        PoiseError: the model is not there, or its files do not load.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_dir(profile_model)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PoiseError(f"the model in {folder} does not load: {reason}") from error
    model.train(False)
    return model, tokenizer


def lora_settings(profile_model: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of peft's `LoraConfig`: the adapter that this profile trains, and the only one it scores.

    No dropout, so that the old and the new policy differ by training alone.
    """
    return {
        "r": profile_model["lora_r"],
        "lora_alpha": profile_model["lora_alpha"],
        "target_modules": profile_model["lora_target"],
        "lora_dropout": 0.0,
        "task_type": "CAUSAL_LM",
    }
