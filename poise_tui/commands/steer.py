"""`poise pause | resume | stop | prune | restore | pin | unpin | promote`: one command to a run's engine each."""

from pathlib import Path

import click

from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import Amount, F, run_argument, runs_dir_option, weak_sandbox_option
from poise_tui.completing import complete_run_or_node
from poise_tui.format import one_line


def node_argument(function: F) -> F:
    """`[RUN] NODE`: a single word is the node, of the newest run."""
    return click.argument("target", nargs=-1, required=True, metavar="[RUN] NODE", shell_complete=complete_run_or_node)(
        function
    )


def _run_and_node(target: tuple[str, ...]) -> tuple[str | None, str]:
    match target:
        case (node,):
            return None, node
        case (run, node):
            return run, node
        case _:
            raise click.UsageError(f"give a run and one node, not {len(target)} words")


def _steer_node(command: str, done: str, target: tuple[str, ...], runs_dir: Path | None) -> None:
    run, node = _run_and_node(target)
    connection = client.connect(run, runs_dir)
    data = connection.send(command, node)
    nodes = data.get(done) or [node]
    print(f"{connection.folder.id}: {done} {', '.join(map(one_line, nodes))}")


@click.command("pause")
@run_argument
@click.argument("node", required=False)
@runs_dir_option
def pause_command(run: str | None, node: str | None, runs_dir: Path | None) -> None:
    """Pause a run, or one node of it.

    What trains is checkpointed at its next step and its memory is freed; `poise resume` goes on from there.
    """
    connection = client.connect(run, runs_dir)
    connection.send("pause", node)
    print(f"{connection.folder.id}: pausing {one_line(node) if node else 'the run'}")


@click.command("resume")
@run_argument
@click.argument("node", required=False)
@click.option("--candidates", type=click.IntRange(min=1), metavar="N", help="Extend the run to N candidates.")
@click.option("--hours", type=Amount(), metavar="H", help="Its budget of hours from now on, spent ones included.")
@click.option("--gpu-hours", type=Amount(), metavar="H", help="Its budget of GPU hours, spent ones included.")
@click.option("--usd", type=Amount(), metavar="X", help="Its budget for the model, what is spent included.")
@weak_sandbox_option
@runs_dir_option
def resume_command(
    run: str | None, node: str | None, allow_weak_sandbox: bool, runs_dir: Path | None, **budget: float | None
) -> None:
    """Resume a run or one node of it, starting its engine if none runs.

    Returns once the engine answers. A finished run goes on with a larger budget (candidates are nodes besides the
    root); a budget that is not named stays.
    """
    connection = client.connect(run, runs_dir)
    engine = connection.folder.engine()
    if engine is None:
        handle = client.resume_engine(connection.folder.path, allow_weak_sandbox, **budget)
        print(f"{handle.run}: engine started (process {handle.pid})")
        if node is None:
            return
    elif named := [f"--{name.replace('_', '-')}" for name, given in budget.items() if given is not None]:
        raise PoiseError(
            f"{connection.folder.id} is run by {engine}: stop it before you change {', '.join(named)}", Exit.REFUSED
        )
    connection.send("resume", node)
    print(f"{connection.folder.id}: resumed {one_line(node) if node else 'the run'}")


@click.command("stop")
@run_argument
@runs_dir_option
def stop_command(run: str | None, runs_dir: Path | None) -> None:
    """Stop a run: what trains is checkpointed, what scores is finished, and the engine ends.

    `poise resume` takes it up again.
    """
    connection = client.connect(run, runs_dir)
    connection.send("stop")
    print(f"{connection.folder.id}: stopping")


@click.command("prune")
@node_argument
@runs_dir_option
def prune_command(target: tuple[str, ...], runs_dir: Path | None) -> None:
    """Prune a node and all that descends from it: no more training, never a parent again.

    Nothing is deleted; `poise restore` takes it back.
    """
    _steer_node("prune", "pruned", target, runs_dir)


@click.command("restore")
@node_argument
@runs_dir_option
def restore_command(target: tuple[str, ...], runs_dir: Path | None) -> None:
    """Take the pruning of a node and its branch back."""
    _steer_node("restore", "restored", target, runs_dir)


@click.command("pin")
@node_argument
@runs_dir_option
def pin_command(target: tuple[str, ...], runs_dir: Path | None) -> None:
    """Pin a node: it is a parent of every round, and stays in view."""
    _steer_node("pin", "pinned", target, runs_dir)


@click.command("unpin")
@node_argument
@runs_dir_option
def unpin_command(target: tuple[str, ...], runs_dir: Path | None) -> None:
    """Unpin a node: it is chosen by its merits again."""
    _steer_node("unpin", "unpinned", target, runs_dir)


@click.command("promote")
@node_argument
@runs_dir_option
def promote_command(target: tuple[str, ...], runs_dir: Path | None) -> None:
    """Let a node that was stopped at a rung go on to the next one, where it is judged again."""
    run, node = _run_and_node(target)
    connection = client.connect(run, runs_dir)
    updates = connection.send("promote", node)["updates"]
    print(f"{connection.folder.id}: {one_line(node)} goes on to update {updates}")
