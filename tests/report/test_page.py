"""The page stands alone, and no text of a candidate or a model becomes markup in it."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from engine.archive.folder import RunFolder
from engine.archive.store import read_archive
from engine.report.html import SCRIPT, to_html
from engine.report.markdown import inline, to_markdown
from engine.report.story import Story, read_story
from engine.report.write import make_report, write_report
from tests.report.conftest import Report
from tests.report.made_up import WINNER, make_run, write

VOID = {"meta", "br"}
EVIL = (
    "</title></svg><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt; "
    "```` ` \x1b]0;owned\x07\x1b[31m \u202e ](javascript:x)"
)


class Page(HTMLParser):
    """What a browser would find: tags, attributes, texts; and whether all that opens closes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return to_html(report)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A run all of whose texts attack the reader."""
    runs = tmp_path_factory.mktemp("hostile")
    made = make_run(runs, "made-up")
    archive = read_archive(made.archive)
    folder = RunFolder(runs / "attack")
    folder.path.mkdir()
    candidates = archive.candidates()
    for candidate in candidates:
        mechanisms = [{"name": EVIL, "params": {EVIL: EVIL}}]
        candidate |= {
            "name": EVIL,
            "cause": EVIL,
            "flags": [EVIL],
            "proposal": {"hypothesis": EVIL, "mechanisms": mechanisms},
        }
        if candidate["attribution"]:
            for one in candidate["attribution"]["mechanisms"]:
                one |= {"name": EVIL, "verdict": EVIL, "benchmarks": {EVIL: one["off"]}}
        if candidate["confirmed"]:
            candidate["confirmed"]["line"] = EVIL
    folder.knowledge.write_text(
        f"# {EVIL}\n\n- {EVIL}\n\n<script>alert(3)</script>\n\n![x](http://evil/x.png) <http://evil>\n"
    )
    trials = [t | {"flags": [EVIL]} for t in archive.trials()]
    write(
        folder, archive.run() | {"directive": EVIL, "llm": EVIL, "profile": EVIL, "protocol": EVIL}, candidates, trials
    )
    for candidate in candidates:
        folder.candidate(candidate["id"]).path.mkdir(parents=True)
        folder.candidate(candidate["id"]).algorithm.write_text(
            f"# {EVIL}\n</code></pre><script>alert(4)</script>\n```\n~~~~\n"
        )
    return read_story(folder)


def test_the_page_fetches_nothing(page: str) -> None:
    for tag, attrs in Page(page).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form"), tag
        assert not {"src", "srcset", "action", "background"} & set(attrs), (tag, attrs)
        assert all(attrs[key].startswith("#") for key in attrs if key.endswith("href")), (tag, attrs)  # type: ignore[union-attr]
    assert "@import" not in page
    assert page.count("url(") == page.count("url(#")


def test_its_policy_forbids_requests_and_every_script_but_its_own(page: str) -> None:
    import base64
    import hashlib

    policies = [a["content"] for t, a in Page(page).tags if t == "meta" and "http-equiv" in a]
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert policies and policies[0] and policies[0].startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policies[0]
    assert f"<script>{SCRIPT}</script>" in page


def test_the_page_is_whole_without_its_script(page: str) -> None:
    text = " ".join(Page(page).text)
    for words in ("What this run is", "Leaderboard", "Confirmation", "Variant-5", "class ClipHigher(Mechanism)"):
        assert words in text


def test_no_text_of_a_candidate_becomes_markup(hostile: Story) -> None:
    page = Page(to_html(make_report(hostile)))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [tag for tag, _ in page.tags if tag in ("img", "b", "iframe")]
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert all((attrs[key] or "").startswith("#") for key in attrs if key.endswith("href")), (tag, attrs)
    assert "<script>alert(1)</script>" in "".join(page.text), "it is shown as what it is"


def test_no_control_character_reaches_either_file(hostile: Story) -> None:
    for text in (to_html(make_report(hostile)), to_markdown(make_report(hostile))):
        assert not [c for c in set(text) if c != "\n" and not c.isprintable()]
        assert "\u202e" not in text


def test_no_text_of_a_candidate_becomes_html_a_link_or_a_picture_in_the_markdown(hostile: Story) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(to_markdown(make_report(hostile)))
    every = [token for top in tokens for token in [top, *(top.children or [])]]
    kinds = {token.type for token in every}
    assert not kinds & {"html_block", "html_inline", "image", "link_open"}, kinds
    assert "table_open" in kinds
    headings = [
        t.content
        for t, before in zip(tokens[1:], tokens, strict=False)
        if before.type == "heading_open" and before.tag == "h2"
    ]
    assert headings[0] == "What this run is"
    assert len(headings) == 13, "nobody adds a section"


@pytest.mark.parametrize("text", ["```x`", "``a` <b> `c", "`a``<b>``c`", "a|b", "<b>", "&lt;b&gt;", "[a](b)", "\\<b>"])
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    def shown(tokens: list[Any]) -> str:
        return "".join(c.content for t in tokens for c in (t.children or []))

    assert shown(MarkdownIt("commonmark").parse(inline(text))).replace("`", "") == text.replace("`", "")


def test_both_files_say_the_same(made_up: RunFolder, tmp_path: Path) -> None:
    html, markdown = write_report(made_up, tmp_path / "out.html")
    assert (html, markdown) == (tmp_path / "out.html", tmp_path / "out.md")
    page, text = "".join(Page(html.read_text()).text), markdown.read_text()
    confirmed = next(c for c in read_story(made_up).candidates if c["id"] == WINNER)["confirmed"]
    for words in (
        f"{confirmed['gain']:+.1f}",
        "poise run --profile tiny",
        "class ClipHigher(Mechanism)",
        "0123456789abcdef",
    ):
        assert words in page
        assert words in text


def test_the_same_run_gives_the_same_pictures(story: Story, report: Report) -> None:
    assert make_report(story).sections == report.sections


def test_a_report_changes_nothing_in_the_runs_folder_but_its_two_files(made_up: RunFolder) -> None:
    def files() -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in made_up.path.rglob("*") if p.is_file() and p.stem != "report"}

    before = files()
    assert write_report(made_up) == (made_up.path / "report.html", made_up.path / "report.md")
    assert files() == before


def test_a_report_needs_neither_torch_nor_a_model_client_nor_the_dashboard(made_up: RunFolder, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engine.archive.folder import RunFolder; "
        "from engine.report.write import write_report; write_report(RunFolder(Path(sys.argv[1])), Path(sys.argv[2])); "
        "print({'torch', 'transformers', 'trl', 'litellm', 'sklearn', 'textual', 'matplotlib.pyplot'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, made_up.path, tmp_path / "r.html"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
    assert done.stderr == ""
