"""Literature priors: which mechanisms of the catalogue bear on what this proposal is about."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from engine.algorithms.catalogue import Entry, catalogue

MOST = 6
"""Mechanisms told in detail."""
REMEDY = 0.5
"""What being a remedy of one of the parent's symptoms adds to the similarity of texts, in [0, 1]."""


def relevant(
    topic: str, remedies: Iterable[str] = (), leave_out: Collection[str] = (), most: int = MOST
) -> list[Entry]:
    """The mechanisms whose description is nearest to a topic, the nearest first; equal ones in the catalogue's order.

    Cosine similarity of TF-IDF vectors of words and word pairs (scikit-learn), plus `REMEDY` for each of `remedies`.

    Args:
        topic: symptoms, directive, hypothesis, reflection: any text.
        remedies: names that the parent's symptoms call for.
        leave_out: names the parent has already.
        most: how many at most; fewer where nothing else bears on the topic.
    """
    vectorizer, rows, entries = _index()
    alike = (rows @ vectorizer.transform([_words(topic)]).T).toarray().ravel()
    wanted = set(remedies)
    scores = [
        (float(score) + (REMEDY if entry.name in wanted else 0.0), entry)
        for score, entry in zip(alike, entries, strict=True)
        if entry.name not in leave_out
    ]
    best = sorted(scores, key=lambda pair: -pair[0])
    return [entry for score, entry in best[:most] if score > 0]


def in_detail(entry: Entry) -> str:
    """What a mechanism does, its formula and when it acts: its docstring in a paragraph a line."""
    node = ast.parse(entry.source).body[0]
    assert isinstance(node, ast.ClassDef)
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(ast.get_docstring(node) or entry.doc))
    told = [" ".join(p.split()) for p in paragraphs]
    stages = ", ".join(entry.stages)
    return f"- {entry.name} [{stages}]: " + "\n  ".join(told)


@cache
def _index() -> tuple[Any, Any, tuple[Entry, ...]]:
    from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import

    entries = tuple(catalogue().values())
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, stop_words="english")
    rows = vectorizer.fit_transform([_words(f"{e.name} {' '.join(e.stages)} {in_detail(e)}") for e in entries])
    return vectorizer, rows, entries


def _words(text: str) -> str:
    """`ClipHigher` is about "clip" and "higher" too."""
    return text + " " + re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text)
