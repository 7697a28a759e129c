"""Where the style sheets lie: beside this file in a wheel, beside the package in a checkout or editable install."""

from pathlib import Path

from engine.errors import PoiseError


def styles_folder() -> Path:
    """The folder with the dashboard's .tcss files.

    Raises:
        PoiseError: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "styles", package.parent / "styles"):
        if (folder / "base.tcss").is_file():
            return folder
    raise PoiseError(f"the dashboard's style sheets are missing beside {package}: install poise-tui again")
