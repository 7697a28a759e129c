"""A table of real trainings of the tiny profile, closed under switching mechanisms on and off.

    python -P -m benchmarks.landscape.train pilot   # 16 algorithms x 2: more between them than between seeds?
    python -P -m benchmarks.landscape.train run     # 256 algorithms x 2 and the root x 256; hours, resumable
    python -P -m benchmarks.landscape.train check   # train some entries again: they must come out equal

Everything about search, rungs and confirmation that needs thousands of repetitions is asked of this table.
"""
