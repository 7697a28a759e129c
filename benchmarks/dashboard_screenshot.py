"""A picture of the dashboard on a run, as SVG.

python -P -m benchmarks.dashboard_screenshot RUN_DIR OUT.svg [--size 120x36] [--keys j,j,3]
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from engine.archive.folder import RunFolder
from poise_tui.app import PoiseApp
from tests.dashboard.recorded import until


async def picture(folder: Path, size: tuple[int, int], keys: list[str]) -> str:
    """The screen after these keys."""
    app = PoiseApp(folder=RunFolder(folder.resolve()))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: bool(app.shown.snapshot.tree), "the run is read")
        await pilot.pause(1.0)  # a long one to its end
        await pilot.press(*keys)
        await pilot.pause(0.5)
        return app.export_screenshot(title="poise")


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="120x36")
    parser.add_argument("--keys", default="j")
    a = parser.parse_args()
    columns, rows = map(int, a.size.split("x"))
    a.out.write_text(asyncio.run(picture(a.run_dir, (columns, rows), a.keys.split(","))))


if __name__ == "__main__":
    main()
