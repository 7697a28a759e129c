"""What an event may tell of, and what its `data` holds: the dashboard's only feed."""

EVENT_KINDS: dict[str, str] = {
    "run.created": "the run document",
    "run.status": '`{"status", "reason"}`',
    "run.updated": "changed fields of the run document (spent, budget, ...)",
    "candidate.created": "the candidate document (status queued or training)",
    "candidate.status": '`{"status", "cause"}`',
    "candidate.updated": (
        "changed fields of the candidate document (verification, overall, benchmarks, reflection, cost, finished, ...)"
    ),
    "trial.created": 'the trial document and `{"steps": total updates}`',
    "trial.updated": '`{"trial", changed fields}`',
    "trial.metrics": (
        '`{"trial", "points": [{"step", "reward", "kl", ...}]}`, checked by the engine, which follows metrics.jsonl; '
        "at most one event a trial a second"
    ),
    "decision": '`{"id", "parent", "saw", "terms", "round", "why"}`',
    "steering": (
        '`{"command", "node", "by", "user", "id", "answer"}`: `id` as the client sent it, `answer` what it was told'
    ),
    "llm.call": '`{"purpose", "model", "tokens_in", "tokens_out", "usd", "seconds", "ok"}`',
    "log": '`{"level": "info|warning|error", "message"}`',
}
"""By kind. Every event has `seq` (from 1), `time` (unix seconds), `kind`, `node` (a candidate's id or null), `data`."""
