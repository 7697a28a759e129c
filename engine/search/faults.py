"""What a failed attempt means: whether to try again and when, whether anybody can bill it, and one line about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.search.text import one_line, redact

TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP statuses that a second attempt may not meet."""
FATAL = frozenset({401, 403, 404})
"""HTTP statuses that no later call will escape either."""
UNFORMATTED = re.compile(r"response_format|json_schema|json_object|structured output|guided", re.IGNORECASE)
"""How servers name what they refuse when they cannot be told the shape of an answer."""


@dataclass(frozen=True)
class Fault:
    """A failed attempt."""

    line: str
    """Redacted."""
    again: bool
    """A second attempt may fare better."""
    fatal: bool
    """No later call will fare better."""
    free: bool
    """Surely nobody bills it."""
    pause: float
    """Seconds that the server asks to be left alone."""
    unformatted: bool
    """The server refuses to be told the shape of its answer."""


def fault_of(error: Exception, seconds: float, timeout: bool = False) -> Fault:
    """Read an exception of litellm's.

    Args:
        error: what was raised.
        seconds: that the attempt was allowed.
        timeout: it is litellm's own timeout.
    """
    timeout = timeout or isinstance(error, TimeoutError)
    status = None if timeout else getattr(error, "status_code", None)
    said = str(error)
    return Fault(
        one_line(redact(f"no answer within {round(seconds, 1):g} s" if timeout else f"{type(error).__name__}: {said}")),
        status in TRANSIENT,
        status in FATAL or "LLM Provider NOT provided" in said,
        _surely_free(error, status),
        _retry_after(error),
        status in (400, 422) and UNFORMATTED.search(said) is not None,
    )


def _retry_after(error: Exception) -> float:
    """Seconds that the server asks to be left alone; 0 if it does not say."""
    headers = getattr(error, "litellm_response_headers", None) or getattr(
        getattr(error, "response", None), "headers", {}
    )
    try:
        return max(float(headers.get("retry-after") or 0.0), 0.0)
    except ValueError:  # a date: the usual pause must do
        return 0.0


def _surely_free(error: BaseException, status: int | None) -> bool:
    """Whether nobody can bill a failed attempt: it was refused, or never reached a server.

    litellm calls everything else a 500, an answer that broke off in the middle included; what happened is only in
    the chain of causes.
    """
    if status is None or status < 500:
        return status is not None
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in ("HTTPStatusError", "ConnectError", "ConnectTimeout", "ClientConnectorError"):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
