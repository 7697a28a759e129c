"""The command `poise`: finds the subcommand, and turns every failure into one line and an exit code."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from engine.errors import Exit, PoiseError

SECTIONS: dict[str, dict[str, str]] = {
    "Discover": {"run": "run", "resume": "steer", "pause": "steer", "stop": "steer"},
    "Watch": {"attach": "attach", "replay": "replay", "ls": "status", "status": "status", "serve": "serve"},
    "Steer": {
        "prune": "steer",
        "restore": "steer",
        "pin": "steer",
        "unpin": "steer",
        "promote": "steer",
        "direct": "suggest",
        "weights": "suggest",
        "inject": "suggest",
    },
    "Prove": {"confirm": "study", "ablate": "study"},
    "Take away": {"export": "export", "report": "report", "compare": "compare", "log": "log"},
    "Tidy": {"gc": "gc"},
    "By hand": {"verify": "job", "train": "job", "score": "job", "control": "control"},
    "When in doubt": {"doctor": "doctor", "completion": "completion"},
}
"""Every command and the module in `poise_tui.commands` that holds it, imported when it is needed."""

MODULES = {name: module for section in SECTIONS.values() for name, module in section.items()}

DEBUG = click.Option(
    ["--debug"], is_flag=True, expose_value=False, help="When something fails, show where (a traceback)."
)


class Commands(click.Group):
    """The subcommands, in sections, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in MODULES:
            return None
        module = importlib.import_module(f"poise_tui.commands.{MODULES[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        if DEBUG not in command.params:
            command.params.append(DEBUG)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings."""
        width = formatter.width - max(map(len, MODULES)) - 6
        for section, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(section):
                formatter.write_dl([(name, c.get_short_help_str(width)) for name, c in commands if c])


def _say_versions(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from poise_tui.versions import version_lines

        print("\n".join(version_lines()))
        context.exit()


@click.group(cls=Commands, params=[DEBUG], invoke_without_command=True)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_versions,
    help="Show the versions that matter and exit.",
)  # fmt: skip
@click.pass_context
def poise(context: click.Context) -> None:
    """Discover better policy-optimization algorithms for language models, live in the terminal.

    Alone, `poise` opens the dashboard: on the run that is going on, else on a new run of the profile `tiny`.

    A RUN is a run's id, its folder, or nothing for the newest one. A NODE is a candidate's id (c003) or name.
    Runs live in --runs-dir, else $POISE_RUNS, else ./runs in a checkout, else the user's data folder.

    Exit codes: 0 done, 2 wrong usage, 3 no such run or node, 4 refused, 1 anything else.
    """
    if context.invoked_subcommand is None:
        from poise_tui.commands.attach import alone

        alone()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit; a failure is one line on stderr, with a traceback only after `--debug`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = poise.main(given, prog_name="poise", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else Exit.DONE)
    except BrokenPipeError:
        # Whoever read our output has gone; Python's flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.ERROR)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in given:
            traceback.print_exception(error)
        line, code = _explain(error)
        print(f"poise: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(code)


def _explain(error: BaseException) -> tuple[str, Exit]:
    match error:
        case PoiseError():
            return str(error), error.code
        case click.UsageError():
            hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
            return error.format_message().rstrip(".") + hint, Exit.USAGE
        case click.ClickException():
            return error.format_message(), Exit.ERROR
        case KeyboardInterrupt() | click.Abort():
            return "interrupted", Exit.ERROR
        case OSError(strerror=str(reason)):
            return f"{error.filename}: {reason}" if error.filename else reason, Exit.ERROR
        case _:
            return f"{type(error).__name__}: {error} (--debug shows where)", Exit.ERROR
