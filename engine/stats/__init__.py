"""The statistics of a discovery, as pure functions: numbers in, numbers and one plain sentence out.

Nothing here reads a file or knows the engine. `docs/evidence.md` says why each is as it is; every claim about error
rates, power and cost is simulated by `benchmarks/protocol_simulation.py`. Scores are in points of Overall (0-100).
"""
