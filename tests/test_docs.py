"""The documentation, tried: examples are run, pictures redrawn, links followed, names looked up.

How a page is written, so that this can be done:

- The `python` blocks of a page are run in order, in one namespace.
- A `text` block directly below one is what it prints. Where an example is about an error of Caravela's, the block lets
  it be raised, and its type and message are the end of the `text` block.
- A `mermaid` block stands below a comment that says what it draws, `<!-- mermaid: sync_book.machine -->`: an
  expression in the namespace of the page, at that place, that gives a machine or a text.
- What stands in backticks in the prose is a name of the source or of the page's examples, a path of the tree, or one
  of the names in `FOREIGN`.

`python tests/test_docs.py --write` puts what is printed and drawn now into the pages. Read the difference afterwards.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import gc
import io
import keyword
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import caravela
from caravela import CaravelaError, Machine

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
LINKING = (*PAGES, ROOT / "CHANGELOG.md")

FENCE = re.compile(
    r"(?:^<!-- mermaid: (?P<shows>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)

FOREIGN = {
    # Python's own, and other people's libraries
    *("__cause__", "sleep", "attrs", "contextvars", "eventsourcing", "msgspec", "pydantic", "transitions"),
    # the Elixir system
    *("Caravela", "Flow", "caravela_flow", "error", "flow_done", "flow_error", "flow_state", "ok"),
    # made by the compiler and the pictures
    *("save_2", "s0", "s1"),
}


# ----------------------------------------------------------------------------------------------------------------------
# Examples and pictures
# ----------------------------------------------------------------------------------------------------------------------


def rendered(page: Path) -> str:
    """Give the text of a page with what its examples print, and what its machines look like, today."""
    text = page.read_text(encoding="utf-8")
    blocks = list(FENCE.finditer(text))
    namespace: dict[str, Any] = {"__name__": page.stem}
    pieces: list[str] = []
    written, printed = 0, None
    for block, following in pairwise([*blocks, None]):
        now = block["code"]
        match block["language"]:
            case "python":
                printed = _run(page, block, namespace, shown=_is_shown(text, block, following))
            case "text":
                assert printed is not None, f"{_place(page, block)}: a text block without an example above it"
                now, printed = printed, None
            case "mermaid":
                assert block["shows"], f"{_place(page, block)}: no comment says what this picture shows"
                now = _drawn(eval(block["shows"], namespace))  # noqa: S307 - our own pages
        pieces += text[written : block.start("code")], now
        written = block.end("code")
    gc.collect()  # a coroutine that nobody awaited warns here, and the warning is an error
    return "".join((*pieces, text[written:]))


def _run(page: Path, block: re.Match[str], namespace: dict[str, Any], *, shown: bool) -> str | None:
    """Run an example and give what it prints; None if it prints nothing, and nothing is to be shown."""
    above = "\n" * block.string.count("\n", 0, block.start("code"))  # so that a traceback names the line of the page
    code = compile(above + block["code"], str(page), "exec", dont_inherit=True)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            exec(code, namespace)  # noqa: S102 - our own pages
        except CaravelaError as error:
            if not shown:
                raise
            output.write(f"{type(error).__name__}: {error}")
    if shown:
        return output.getvalue().rstrip("\n") + "\n"
    assert not output.getvalue(), f"{_place(page, block)}: prints something, and no text block below shows it"
    return None


def _is_shown(text: str, block: re.Match[str], following: re.Match[str] | None) -> bool:
    return (
        following is not None and following["language"] == "text" and not text[block.end() : following.start()].strip()
    )


def _drawn(shown: Machine | str) -> str:
    return shown.to_mermaid() if isinstance(shown, Machine) else shown


def _place(page: Path, block: re.Match[str]) -> str:
    return f"{page.relative_to(ROOT)}:{block.string.count(chr(10), 0, block.start()) + 1}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run_and_print_and_draw_what_the_page_shows(page: Path) -> None:
    assert rendered(page) == page.read_text(encoding="utf-8")


# ----------------------------------------------------------------------------------------------------------------------
# Names
# ----------------------------------------------------------------------------------------------------------------------


@cache
def source_names() -> frozenset[str]:
    """Give every name of the source: what is defined, passed or looked up there, and texts that are names."""
    names = {*dir(builtins), *keyword.kwlist, *sys.stdlib_module_names}
    for file in sorted((ROOT / "src").rglob("*.py")):
        names.add(file.stem)
        names.add(file.parent.name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names.update(_names(node))
    return frozenset(names)


def _names(node: ast.AST) -> Iterator[str]:
    for slot in ("id", "attr", "arg", "name", "module"):
        name = getattr(node, slot, None)
        if isinstance(name, str):
            yield from name.split(".")
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value


def prose(page: Path) -> str:
    """Give a page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def in_blocks(page: Path) -> str:
    """Give the blocks of a page."""
    return "\n".join(block["code"] for block in FENCE.finditer(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_nothing_that_does_not_exist(page: Path) -> None:
    known = source_names() | FOREIGN | set(re.findall(r"[^\W\d]\w*", in_blocks(page)))
    unknown = []
    for span in CODE_SPAN.findall(prose(page)):
        if " " not in span and ("/" in span or re.fullmatch(r"[\w.]+\.(py|md|toml|ini)", span)):
            found = any((folder / span).exists() for folder in (ROOT, ROOT / "src/caravela", ROOT / "docs"))
            unknown += [] if found or list((ROOT / "src").rglob(span.strip("/"))) else [span]
        else:
            words = re.findall(r"[^\W\d]\w*", STRING.sub("", span))
            unknown += [f"{word} in {span}" for word in words if word not in known]
    assert not unknown


def test_every_public_name_is_explained_somewhere() -> None:
    told = " ".join(" ".join(CODE_SPAN.findall(prose(page))) + in_blocks(page) for page in PAGES)
    missing = set(caravela.__all__) - set(re.findall(r"\w+", told))
    assert not missing


# ----------------------------------------------------------------------------------------------------------------------
# Links and commands
# ----------------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as hosts of Markdown make them."""
    found: list[str] = []
    for heading in HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return set(found)


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def commands() -> list[str]:
    """Give the commands of the README, one a line."""
    readme = PAGES[0].read_text(encoding="utf-8")
    blocks = [block["code"] for block in FENCE.finditer(readme) if block["language"] == "bash"]
    return "".join(blocks).splitlines()


def test_the_gate_runs_the_command_of_the_readme() -> None:
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in gate if "python3 -m venv" in line] == [
        command for command in commands() if command.endswith("tox")
    ]


def test_the_commands_of_the_readme_name_files_that_exist() -> None:
    named = [word for command in commands() for word in command.split() if word.endswith(".py")]
    assert named
    assert [word for word in named if not (ROOT / word).exists()] == []


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    for page in PAGES:
        page.write_text(rendered(page), encoding="utf-8")
