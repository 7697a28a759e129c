"""What this run is, and the answer first: what was confirmed, or that nothing was."""

from __future__ import annotations

from engine.archive.store import Document
from engine.report.blocks import Block, Bullets, Text
from engine.report.confirmation import power_words
from engine.report.costs import cost_of
from engine.report.story import WHOLE, Story
from engine.report.words import called, interval, mechanism, mechanisms_of, number, percent, plural, seconds
from engine.untrusted import one_line


def answer(story: Story) -> list[Block]:
    """What stands in the box above all: a strong line, and what qualifies it."""
    running = story.run["status"] in ("running", "paused")
    still = " so far; the run is going on" if running else ""
    blocks: list[Block] = []
    if story.confirmed:
        first = story.confirmed[0]["confirmed"]
        more = f" {plural(len(story.confirmed), 'algorithm')} in all." if len(story.confirmed) > 1 else ""
        name, gain = called(story.confirmed[0]), interval(first, "gain")
        said = f"Confirmed{still}: {name} beats plain GRPO by {gain} points of Overall.{more}"
        blocks.append(Text(said, "strong"))
        blocks.append(Bullets([_confirmed(c) for c in story.confirmed]))
        blocks.append(Text("These are fresh trainings, with seeds and problems that the search never used."))
        return blocks
    tried = [c for c in story.candidates if c.get("confirmed")]
    if tried:
        blocks.append(Text(f"Nothing is confirmed{still}.", "strong"))
        blocks.append(
            Bullets(
                [
                    f"{called(c)}: {one_line(c['confirmed'].get('line') or c['confirmed']['verdict'], 500)}"
                    for c in tried
                ]
            )
        )
        return blocks
    blocks.append(
        Text(f"Nothing is confirmed{still}: no candidate was trained again on fresh seeds and problems.", "strong")
    )
    for study in story.studies:
        if study.get("kind") == "confirm" and study.get("status") == "running":
            nodes = ", ".join(one_line(node, 20) for node in study.get("nodes") or [])
            blocks.append(Text(f"A confirmation of {nodes} is going on ({one_line(study['id'], 40)})."))
    if (best := next(iter(story.at(WHOLE, arm=None)), None)) is not None:
        blocks.append(Text(_unconfirmed(story, best)))
    return blocks


def what(story: Story) -> list[Block]:
    """One paragraph on what this run is, for somebody who knows GRPO but not us, and one on what happened in it."""
    config = story.config.get("profile", {})
    train = config.get("train", {})
    size = (
        f" ({train['updates']} updates of {train['prompts_per_batch']} prompts x {train['group_size']} completions)"
        if {"updates", "prompts_per_batch", "group_size"} <= set(train)
        else ""
    )
    root = called(story.root) if story.root else "GRPO"
    blocks: list[Block] = [
        Text(
            f"POISE looks for better variants of GRPO. It begins with the root, {root}, and proposes candidates: an "
            "existing candidate plus, minus or with other constants of a mechanism, a small piece of code that "
            "changes one stage of the algorithm (rewards, advantages, ratio, surrogate loss, regularization, the "
            "optimizer's step …). Each is verified, trained from the same base model in the same settings, and "
            "scored on problems that are not trained on; what came out decides what is tried next. Overall is the "
            "weighted mean of the tasks' scores, in points of 100."
        )
    ]
    llm = one_line(story.run.get("llm") or "", 60)
    proposer = (
        "composed from a library by rules and statistics, without a language model"
        if llm == "poise/composer"
        else f"written by {llm}"
    )
    controls = sum(c["arm"] == "control" for c in story.tried)
    trained = cost_of(story).candidates
    said = (
        f"This run, {one_line(story.run['id'])}, on the profile {one_line(story.run.get('profile'))}{size}, seed "
        f"{story.run.get('seed')}: {plural(len(story.tried), 'candidate')} {proposer}"
        + (f", {controls} of them at random, as a control" if controls else "")
        + f"; {trained} were trained, {len(story.at(WHOLE, arm=None))} of them wholly. "
        f"It is {one_line(story.run['status'])} after "
        f"{seconds(float((story.run.get('spent') or {}).get('wall_seconds') or 0.0))}."
    )
    if story.run.get("directive"):
        said += f" Its user's directive: “{one_line(story.run['directive'], 400)}”."
    blocks.append(Text(said))
    rungs = [
        f"{story.at_words(rung)} ({plural(len(story.at(rung, arm=None)), 'candidate')} got no further)"
        for rung, _ in story.rungs
    ]
    if len(rungs) > 1:
        blocks.append(
            Text(
                f"A training is scored on its way, at rungs: {'; '.join(rungs)}. Who promises little there is "
                "stopped, so that compute goes to the others. A candidate is compared with the root at the same rung "
                "alone; a gain comes with a 95 % interval, and is marked better, worse or can't tell."
            )
        )
    cost = cost_of(story)
    if cost.full and story.has_rungs:
        blocks.append(
            Text(
                f"The search, the root's seeds included, took {percent(cost.discovery, cost.full)} of the compute of "
                "training every candidate wholly once."
            )
        )
    return blocks + [Text(note, "muted") for note in story.notes]


def _confirmed(candidate: Document) -> str:
    found = candidate["confirmed"]
    p = found.get("p")
    names = " + ".join(mechanism(m) for m in mechanisms_of(candidate))
    return (
        f"{called(candidate)}: {interval(found, 'gain')}"
        + (f", p {p:.2g}" if p is not None else "")
        + f", {plural(found.get('seeds') or 0, 'fresh seed')} against {found.get('root_seeds')} of the root; power for "
        f"a true gain: {power_words(found)} points. GRPO plus {names or 'nothing'}."
    )


def _unconfirmed(story: Story, best: Document) -> str:
    level = story.level(WHOLE)
    arm = ", which was composed at random" if best["arm"] == "control" else ""
    said = f"The best search score is that of {called(best)}{arm}: {number(best['overall'])}"
    if level:
        noise = f" ± {number(level.std)}" if level.std is not None else ""
        said += f", where the root has {number(level.mean)}{noise} over {plural(level.seeds, 'training')}"
    if best["gain"]:
        said += f"; a gain of {interval(best['gain'])}, marked “{best['gain']['mark']}”"
    if (chance := story.chance(WHOLE)) is not None:
        said += (
            f". The best of {len(story.scored)} copies of the root would be expected at {chance:+.1f} by chance alone"
        )
    said += ". It was selected for being high, so it overstates the gain; only fresh seeds and problems can confirm one"
    how = f". `poise confirm {story.run['id']} {best['id']}` does that" if story.has_rungs else ""
    return said + how + "."
