"""The verbs in the command palette."""

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from poise_tui.commanding import Commanding
from poise_tui.screens.keys import KEYS, Key, shown


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
