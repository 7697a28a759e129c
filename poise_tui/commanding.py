"""Verbs by name: the `:` line, the palette, the help, and leaving."""

from functools import partial

from rich.text import Text
from textual import work
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from engine.errors import PoiseError
from poise_tui.screens.dialogs import Help
from poise_tui.screens.keys import BY_ID, KEYS, Key, shown
from poise_tui.screens.prompt import Prompt
from poise_tui.snapshot import ENDED
from poise_tui.steering import Steering


class Commanding(Steering):
    """What is done by a verb's name is what its key does."""

    async def obey(self, key: Key, text: str = "") -> None:
        """Do what a verb says.

        Args:
            text: its argument, for one that takes one; without it the verb asks.
        """
        namespace, _, action = key.action.rpartition(".")
        target = self if namespace == "app" else self.view
        try:
            if text:
                await self.run_action((namespace, action.partition("(")[0], (text,)), target)
            else:
                await self.run_action(action, target)
        except PoiseError as error:
            self.notify(str(error), severity="error", markup=False)

    def action_command(self) -> None:
        """Ask for a verb by its name, with its argument."""
        names = [key.id for key in KEYS]

        def typed(line: str) -> str:
            found = [key for key in KEYS if key.id.startswith(line.partition(" ")[0])]
            if len(found) == 1 or (line.strip() and found and found[0].id == line.partition(" ")[0]):
                key = found[0]
                return f"{key.id}{' ' * bool(key.argument)}{key.argument}: {key.help}"
            return "  ".join(key.id for key in found) if found else f"there is no {line.partition(' ')[0]}"

        def decide(line: str | None) -> None:
            if line and line.strip():
                self.do(line)

        self.push_screen(Prompt(":", history=self.history("command"), typed=typed, words=names), decide)

    @work
    async def do(self, line: str) -> None:
        """Do what a `:` line says."""
        name, _, text = line.strip().removeprefix(":").partition(" ")
        found = [BY_ID[name]] if name in BY_ID else [key for key in KEYS if key.id.startswith(name)]
        if len(found) != 1:
            why = f"is one of {', '.join(key.id for key in found)}" if found else "is no command: `?` lists them"
            self.notify(f":{name} {why}", severity="error", markup=False)
        elif text and not found[0].argument:
            self.notify(f":{found[0].id} takes nothing after it", severity="error", markup=False)
        else:
            await self.obey(found[0], text.strip())

    def action_palette(self) -> None:
        """Look for a verb."""
        self.push_screen(CommandPalette(providers=[Verbs]))

    def action_help(self) -> None:
        """All keys."""
        self.push_screen(Help(self.keymap, self.extra))

    def action_leave(self) -> None:
        """Leave at once where nothing goes on; else ask what becomes of the run."""
        run, folder = self.shown.snapshot.run, self.shown.folder
        if self.readonly or (run is not None and run.shown in ENDED):
            self.exit()
            return
        name = folder.id if folder else ""
        farewell = Text(f"the run goes on: `poise attach {name}".rstrip() + "` shows it again")
        answers = {"d": "leave it running"}
        if folder is not None:
            answers["s"] = "stop it (`poise resume` takes it up again)"
        state = "The engine is still starting." if run is None else f"{name} is {run.shown}."
        self.ask(state, answers, d=lambda: self.exit(message=farewell), s=lambda: self.command("stop", None))


class Verbs(Provider):
    """All verbs, for the palette."""

    async def discover(self) -> Hits:
        """All of them, as long as nothing is typed."""
        for key in KEYS:
            if key.section != "Move":
                yield DiscoveryHit(self._line(key), partial(self._do, key), help=key.help)

    async def search(self, query: str) -> Hits:
        """Those whose name or help is like what was typed."""
        matcher = self.matcher(query)
        for key in KEYS:
            if (score := matcher.match(f"{key.id} {key.help}")) > 0:
                yield Hit(score, self._line(key), partial(self._do, key), help=key.help)

    def _line(self, key: Key) -> str:
        assert isinstance(self.app, Commanding)
        return f"{key.id} ({shown(key, self.app.keymap)})"

    async def _do(self, key: Key) -> None:
        assert isinstance(self.app, Commanding)
        await self.app.obey(key)
