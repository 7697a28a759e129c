"""Load a profile's base model and tokenizer; the trainer and the scorer both start here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Exit, PoiseError
from engine.profiles.models_folder import is_hub_name, models_folder, revision

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHIPPED = {"tiny": Path(__file__).parent / "tiny_model"}
"""Models that come with the program."""


def model_dir(profile_model: Mapping[str, Any]) -> Path:
    """The folder of `profile_model["name"]`: a shipped model's name, the path of a folder, or a hub model that has been
    fetched.

    Raises:
        PoiseError: there is no such folder, it holds no safetensors model, or it is of another revision than the
            profile's.
    """
    name = str(profile_model["name"])
    hub = is_hub_name(name)
    folder = models_folder() / name if hub else SHIPPED.get(name, Path(name))
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        known = ", ".join(SHIPPED)
        remedy = (
            f"`poise fetch {name}` brings it from the hub (runs never use the network), or copy its folder to {folder}"
            if hub
            else f"give {known}, a hub model as owner/name, or a folder with config.json and safetensors weights"
        )
        raise PoiseError(f"no model {name!r}: {remedy}", Exit.NOT_FOUND)
    wanted = profile_model.get("revision")
    if hub and wanted and (found := revision(folder)) != wanted:
        raise PoiseError(
            f"the model in {folder} is revision {found or 'unknown'}, the profile wants {wanted}: remove it and "
            f"`poise fetch {name} --revision {wanted}`",
            Exit.NOT_FOUND,
        )
    return folder


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
