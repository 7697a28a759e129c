"""`poise serve`: the dashboard in a browser."""

import secrets
import socket
from pathlib import Path

import click

from engine.errors import Exit, PoiseError
from poise_tui import client
from poise_tui.commands.common import run_argument, runs_dir_option
from poise_tui.web.guard import Guard, is_loopback

LEAST_TOKEN = 16
"""Characters of a token that a user chooses."""


@click.command("serve")
@run_argument
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, metavar="N", help="0: a free one."
)
@click.option("--steer", is_flag=True, help="Let visitors pause, prune and inject too; they then need the token.")
@click.option("--token", metavar="TEXT", envvar="POISE_TOKEN", show_envvar=True, help="Instead of one made up.")
@click.option("--public-url", metavar="URL", default="", help="What visitors type, behind a proxy.")
@runs_dir_option
def serve_command(
    run: str | None, host: str, port: int, steer: bool, token: str | None, public_url: str, runs_dir: Path | None
) -> None:
    """Show a run's dashboard in a browser; read-only unless --steer, until Ctrl-C.

    It listens on this machine alone: `ssh -L 8000:localhost:8000 MACHINE` brings it to yours. With another --host, and
    with --steer, a visitor needs the token in the address that is printed. There is no TLS: put a proxy before it.
    """
    live = client.live_run(runs_dir) if run is None else None
    folder = (live or client.connect(run, runs_dir)).folder
    if token is not None and len(token) < LEAST_TOKEN:
        raise PoiseError(f"--token: at least {LEAST_TOKEN} characters, or leave it out: one is made up", Exit.USAGE)
    if public_url and not public_url.startswith(("http://", "https://")):
        raise PoiseError(f"--public-url {public_url}: give http://... or https://...", Exit.USAGE)
    here = is_loopback(host)
    if token is None and (steer or not here):
        token = secrets.token_urlsafe(24)
    listening = listen(host, port)
    from poise_tui.web.server import DashboardServer

    shown = "localhost" if here else f"[{host}]" if ":" in host else host
    address = public_url.rstrip("/") or f"http://{shown}:{listening.getsockname()[1]}"
    print(f"{folder.id} at {address}/{f'?token={token}' if token else ''}", flush=True)
    print("visitors may steer it" if steer else "visitors can only look", flush=True)
    guard = Guard(token, public_url, any_host=not here and not public_url)
    DashboardServer(folder.path.resolve(), guard, readonly=not steer).serve_on(listening)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; on a free port for 0.

    Raises:
        PoiseError: refused (4): the port is taken, or the address is none of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise PoiseError(
            f"cannot listen on {host} port {port}: {error.strerror}; give another --port or --host", Exit.REFUSED
        ) from None
