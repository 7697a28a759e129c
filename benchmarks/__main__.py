"""What there is to measure; `make bench` prints this and runs the shortest.

python -P -m benchmarks.engine_times             first step, training, scoring, warm start, a run of 16
python -P -m benchmarks.dashboard_first_frame    first frame and memory of the dashboard
python -P -m benchmarks.tiny_ranking             algorithms of the library against GRPO over seeds (half an hour)
"""

import runpy

if __name__ == "__main__":
    print(__doc__)
    runpy.run_module("benchmarks.dashboard_first_frame", run_name="__main__")
