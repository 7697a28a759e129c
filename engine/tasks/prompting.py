"""How a question is put to a model: the text it is given, whole."""

from collections.abc import Callable, Mapping

from engine.errors import PoiseError

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."


def _plain(question: str, instruction: str) -> str:
    return f"{question}\n{instruction}\n"


def _chatml(question: str, instruction: str) -> str:
    return f"<|im_start|>user\n{question}\n{instruction}<|im_end|>\n<|im_start|>assistant\n"


def _qwen_boxed(question: str, instruction: str) -> str:
    """Qwen2.5-Math's own (arXiv 2409.12122, table of prompts): the instruction is the system's message."""
    return (
        f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    )


TEMPLATES: Mapping[str, Callable[[str, str], str]] = {"none": _plain, "chatml": _chatml, "qwen-boxed": _qwen_boxed}
"""By name: (question, instruction) -> prompt. The tokenizer must know the marks of the last two as single tokens."""


def template(name: object, tasks: str) -> Callable[[str, str], str]:
    """The template of that name.

    Args:
        tasks: the task set that was given it.

    Raises:
        PoiseError: there is none.
    """
    if not isinstance(name, str) or name not in TEMPLATES:
        raise PoiseError(f"template of tasks {tasks!r} is {name!r}: use one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]
