"""`python -m poise_tui` is `poise`."""

from poise_tui.cli import main

main()
