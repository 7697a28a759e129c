"""A disk that the power can be cut of: an ext4 image, whose copy at any moment is what a real disk would hold then."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TRIES = 100


class NoImages(Exception):
    """This machine mounts none: that takes root and loop devices."""


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    """Mount an image for a while. Raises NoImages."""
    _run("mount", "-o", "loop", image, place)
    try:
        yield
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    for _ in range(TRIES):  # the kernel may not be done with a process that was killed just now
        if subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", place], check=True)


def make_image(path: Path, megabytes: int) -> None:
    """An empty ext4 file system in a file. Raises NoImages."""
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", path)


def _run(*command: str | Path) -> None:
    if shutil.which(command[0]) is None:
        raise NoImages(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoImages(f"{command[0]} does not work here (needs root and loop devices): {done.stderr.strip()}")
