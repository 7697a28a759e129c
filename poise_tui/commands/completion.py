"""`poise completion`: what a shell needs to complete commands, options, runs and nodes."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_POISE_COMPLETE"
"""In which a shell asks `poise` itself, by click's convention."""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print what a shell needs to complete commands, options, runs and nodes.

    \b
    bash, in ~/.bashrc:  eval "$(poise completion bash)"
    zsh, in ~/.zshrc:    eval "$(poise completion zsh)"
    fish:                poise completion fish > ~/.config/fish/completions/poise.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # click knows all three
    print(made(ctx.find_root().command, {}, "poise", VARIABLE).source())
