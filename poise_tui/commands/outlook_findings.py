"""What `poise doctor --profile P` says of a profile on this machine: memory, time, usual cards, and what to change."""

from collections.abc import Iterator, Mapping
from typing import Any

from poise_tui.commands.finding import Finding, size


def outlook_findings(profile: str, found: Mapping[str, Any]) -> Iterator[Finding]:
    """Of a forecast, see `engine.loop.outlook.outlook`."""
    here, advice = found["here"], list(found["advice"])
    first = advice.pop(0) if advice else ""
    sampler = "; a GPU's vLLM samples there" if here["sampler"] == "transformers" and _vllm(found) else ""
    if here["fits"]:
        more = f", {here['workers']} side by side" if here["workers"] > 1 else ""
        said = f"a training takes about {_memory(here)} of {size(here['usable'])}{more}{sampler}"
        yield Finding("fits", "ok", said)
    else:
        said = (
            f"{profile} does not fit here: even one completion at a time takes {_memory(here)}, {size(here['usable'])} "
        )
        yield Finding("fits", "error", said + f"may be used{sampler}", first)
        first = ""
    yield _time(found, first if here["fits"] else "")
    for case in found["cards"]:
        yield Finding("on a card", "ok", _card(case))
    for line in advice:
        yield Finding("advice", "warning", "to change", line)


def _vllm(found: Mapping[str, Any]) -> bool:
    return any(case["sampler"] == "vllm" for case in found["cards"])


def _memory(case: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{name} {size(amount)}" for name, amount in case["parts"].items())
    return f"{size(case['total'])} ({parts}; {case['micro_rows']} rows a micro-batch)"


def _time(found: Mapping[str, Any], do: str) -> Finding:
    measured, here, rates = found["measured"], found["here"], found["rates"]
    if measured:
        trainings = f"{measured['trainings']} training{'s' if measured['trainings'] > 1 else ''}"
        said = f"{span(measured['seconds'])} a candidate, measured: the median of {trainings} of {measured['run']}"
    else:
        parts = ", ".join(f"{name} {span(seconds)}" for name, seconds in here["parts_seconds"].items())
        said = (
            f"about {span(here['seconds'])} a candidate ({parts}): an estimate from {rates['product'] / 1e9:,.0f} "
            f"GFLOP/s and {rates['memory'] / 1e9:,.0f} GB/s, {rates['source']}; {found['assumption']}"
        )
    return Finding("time", "warning" if do else "ok", said, do)


def _card(case: Mapping[str, Any]) -> str:
    share = f", vLLM {case['memory_share']:.0%}" if case["memory_share"] else ""
    if not case["fits"]:
        return f"{size(case['memory'])} ({case['name']}): does not fit, {size(case['total'])} at least"
    return (
        f"{size(case['memory'])} ({case['name']}): {size(case['total'])}, {case['micro_rows']} rows a micro-batch"
        f"{share}, {case['workers']} at a time, about {span(case['seconds'])} a candidate by its data sheet"
    )


def span(seconds: float) -> str:
    """A length of time in the unit people plan with."""
    for unit, least in (("days", 2 * 86400), ("hours", 5400), ("min", 90)):
        if seconds >= least:
            amount = seconds / {"days": 86400, "hours": 3600, "min": 60}[unit]
            return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"
    return f"{seconds:.0f} s"
