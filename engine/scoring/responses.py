"""What responses look like, right or wrong: how long they are, how many were cut off, how many have no answer."""

from __future__ import annotations

from collections.abc import Sequence


def response_figures(said: Sequence[tuple[str, bool]], tokens: Sequence[int], valid: int) -> dict[str, float]:
    """Means over all responses of a scoring.

    Args:
        said: text and whether it was cut off, of every response.
        tokens: of each text; the token that ends a response is counted here, as in a training's metrics.
        valid: how many keep the answer format.

    Returns:
        `{"length": tokens, "words": separated by white space (what the paper counts, arXiv 2603.23951), "truncated" and
        "invalid": shares}`.
    """
    count = len(said)
    return {
        "length": sum(length + (not cut) for length, (_, cut) in zip(tokens, said, strict=True)) / count,
        "words": sum(len(text.split()) for text, _ in said) / count,
        "truncated": sum(cut for _, cut in said) / count,
        "invalid": 1 - valid / count,
    }
