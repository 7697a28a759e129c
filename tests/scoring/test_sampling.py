"""The sampler draws from the model's own distribution, whatever the batch."""

from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from engine.scoring.sampling import sample
from engine.tasks import load_taskset

PROMPTS = [p.prompt for name in ("add", "hop", "mod") for p in load_taskset("tiny").problems("train", name, 5, 0)]


def test_the_same_seed_gives_the_same_responses_and_another_seed_others(tiny: tuple[Any, Any]) -> None:
    first = sample(*tiny, PROMPTS, 4, 24, 1.0, 64, "1")
    assert first == sample(*tiny, PROMPTS, 4, 24, 1.0, 64, "1")
    assert first != sample(*tiny, PROMPTS, 4, 24, 1.0, 64, "2")


def test_the_batch_size_does_not_change_the_responses(tiny: tuple[Any, Any]) -> None:
    assert sample(*tiny, PROMPTS, 4, 24, 1.0, 4, "1") == sample(*tiny, PROMPTS, 4, 24, 1.0, 1000, "1")


def test_responses_come_in_the_order_of_the_prompts(tiny: tuple[Any, Any]) -> None:
    found = sample(*tiny, PROMPTS, 3, 24, 1e-4, 64, "1")
    assert [len(group) for group in found] == [3] * len(PROMPTS)
    for prompt, group in zip(PROMPTS, found, strict=True):
        assert group == [sample(*tiny, [prompt], 1, 24, 1e-4, 1, "9")[0][0]] * 3


def test_at_low_temperature_it_is_the_greedy_answer_of_generate(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    inputs = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    output = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=24,
    )[:, inputs["input_ids"].shape[1] :]
    greedy = tokenizer.batch_decode(output, skip_special_tokens=True)
    assert [group[0][0] for group in sample(*tiny, PROMPTS, 1, 24, 1e-4, 64, "0")] == greedy


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_first_and_second_tokens_follow_the_models_probabilities(tiny: tuple[Any, Any], temperature: float) -> None:
    model, tokenizer = tiny
    prompt, draws = "47+38=", 6_000
    texts = [text for text, _ in sample(model, tokenizer, [prompt], draws, 2, temperature, draws, "3")[0]]
    for given in ("", "#"):
        with torch.inference_mode():
            logits = model(**tokenizer(prompt + given, return_tensors="pt")).logits[0, -1]
        expected = torch.softmax(logits.double() / temperature, 0)
        nexts = [text[len(given) :][:1] for text in texts if text.startswith(given)]
        names = [tokenizer.decode([i]) if i > 2 else "" for i in range(len(expected))]
        groups = [i for i, p in enumerate(expected) if p * len(nexts) >= 20 and names[i]]
        seen = [nexts.count(names[i]) for i in groups]
        share = [float(expected[i]) * len(nexts) for i in groups]
        rest, other = len(nexts) - sum(seen), len(nexts) - sum(share)
        assert chisquare([*seen, rest], [*share, other]).pvalue > 1e-4


def test_a_response_that_does_not_end_in_time_is_truncated(tiny: tuple[Any, Any]) -> None:
    for text, truncated in sample(*tiny, ["47+38="], 50, 3, 1.0, 64, "0")[0]:
        assert truncated == (len(text) == 3)
