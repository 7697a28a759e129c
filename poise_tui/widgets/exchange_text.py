"""More tabs of a candidate as text without markup: the difference from its parent, what models said, its log."""

from collections.abc import Sequence
from difflib import unified_diff

from textual.content import Content

from poise_tui.format import many_lines, one_line
from poise_tui.run_files import Call

MUTED = "$foreground 60%"
LOG_LINES = 400


def diff(node: str, code: str | None, parent: str | None, before: str | None) -> Content:
    """How the algorithm differs from its parent's."""
    if code is None:
        return Content.styled("no file yet", MUTED)
    if parent is None or before is None:
        why = "the root has no parent" if parent is None else f"there is no file of its parent {one_line(parent)}"
        return Content.styled(why, MUTED)
    old, new = many_lines(before).splitlines(), many_lines(code).splitlines()
    lines = [_changed(line) for line in unified_diff(old, new, one_line(parent), one_line(node), lineterm="", n=5)]
    return Content("\n").join(lines) if lines else Content.styled(f"the same as {one_line(parent)}", MUTED)


def _changed(line: str) -> Content:
    style = {"+": "$success", "-": "$error", "@": "$primary"}.get(line[:1], "")
    return Content.styled(line, "bold" if line.startswith(("+++", "---")) else style)


def exchange(calls: Sequence[Call]) -> Content:
    """What models were asked for this candidate, and their answers."""
    if not calls:
        return Content.styled("no model was asked for it, or its calls are no longer at the end of llm.jsonl", MUTED)
    lines: list[Content] = []
    for call in calls:
        cost = f"{call.tokens[0]} tokens in, {call.tokens[1]} out, ${call.usd:.4f}, {call.seconds:.1f} s"
        head = Content.styled(f"{one_line(call.purpose)} by {one_line(call.model)}", "bold $primary")
        lines += [Content("")] if lines else []
        lines.append(Content.assemble(head, (f"  {cost}", MUTED)))
        lines.append(Content.styled("answer:", "bold"))
        if call.answer is not None:
            lines.append(Content(many_lines(call.answer)))
        else:
            lines.append(Content.styled(one_line(call.error or "none"), "$error"))
        for role, text in call.messages:  # after the answer: they are long, and mostly the same
            lines += [Content.styled(f"asked, {one_line(role)}:", "bold"), Content.styled(many_lines(text), MUTED)]
    return Content("\n").join(lines)


def log(trial: str | None, text: str | None) -> Content:
    """The end of what a training printed."""
    if trial is None or text is None:
        return Content.styled("nothing was printed by a training of it", MUTED)
    lines = [one_line(line) for line in text.splitlines()[-LOG_LINES:]]
    return Content("\n").join([Content.styled(f"{one_line(trial)}/train.log", "bold $primary"), *map(Content, lines)])
