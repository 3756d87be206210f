"""The pictures: what is drawn, what is folded away, and how it reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caravela.compile import compile_steps
from caravela.diagrams import to_dot, to_mermaid, to_text
from caravela.diagrams.fold import fold
from caravela.errors import CaravelaError, ExportError
from caravela.steps import debounce, fail, race, repeat, run, set_state, wait, wait_until

GOLDEN = Path(__file__).parent / "golden"
FORMATS = {"mmd": to_mermaid, "dot": to_dot, "txt": to_text}


def push(state):
    """A function to run."""


def sync_book():
    """The flow of the README."""
    round_ = (
        wait_until(lambda state: state["dirty"]),
        debounce(0.5),
        set_state(dirty=False),
        run(push, retries=3),
    )
    return compile_steps("sync_book", (repeat(*round_),), {"mark_dirty": lambda state: {**state, "dirty": True}})


def edges(machine, **options):
    picture = fold(machine, **options)
    return [
        (edge.source.name if edge.source else "", " / ".join(map(str, edge.ways)), edge.target.name)
        for edge in (*picture.starts, *picture.edges)
    ]


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_pictures_of_the_readme_are_those_in_the_golden_files(suffix):
    drawn = FORMATS[suffix](sync_book(), active="running(attempt=2)")
    golden = GOLDEN / f"sync_book.{suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(drawn, encoding="utf-8")
    assert drawn == golden.read_text(encoding="utf-8"), "if that is meant, run the test once with UPDATE_GOLDEN=1"


def test_transient_states_are_folded_away():
    found = edges(compile_steps("f", (wait(1), set_state(a=1), set_state(b=1), wait(1))))
    assert ("sleeping:1", "elapsed", "sleeping:2") in found
    assert ("sleeping:1", "elapsed [the function failed in set_state:a or set_state:b]", "failed") in found


def test_transient_states_are_drawn_on_request():
    machine = compile_steps("f", (wait(1), set_state(a=1)))
    assert ("sleeping", "elapsed", "set_state") in edges(machine, transient=True)
    assert ("set_state", "", "done") in edges(machine, transient=True)
    assert ("set_state", "[the function failed]", "failed") in edges(machine, transient=True)
    assert "set_state (" not in machine.to_text()
    assert "· " in machine.to_text(transient=True)
    assert '"set_state"' in machine.to_mermaid(transient=True)
    assert "set_state" in machine.to_dot(transient=True)


def test_a_flow_may_begin_behind_a_transient_state():
    machine = compile_steps("f", (set_state(a=1), wait(1)))
    starts = [("", "", "sleeping"), ("", "[the function failed in set_state]", "failed")]
    assert sorted(edges(machine)[:2]) == sorted(starts)
    assert "[*] --> s1\n" in to_mermaid(machine)
    assert to_text(machine).count("▶") == 2  # the state and the legend: a flow that fails at once starts nowhere
    assert "(start)" in to_text(machine)


def test_what_a_folded_loop_head_asks_is_put_into_one_sentence():
    def full(state):
        return True

    machine = compile_steps("f", (repeat(run(push), until=full, times=3), wait(1)))
    assert ("running", "succeeded [until holds or rounds done]", "sleeping") in edges(machine)
    assert ("running", "succeeded [until does not hold, rounds left]", "running") in edges(machine)

    nested = compile_steps("f", (repeat(repeat(run(push), until=full, name="in"), until=full, name="out"), wait(1)))
    assert ("running", "succeeded [until holds in again:in and again:out]", "sleeping") in edges(nested)


def test_a_loop_head_that_yields_is_folded_away_and_drawn_where_a_run_rests_there():
    machine = compile_steps("f", (repeat(set_state(a=1), wait_until(lambda s: True), times=5_000),))
    assert machine.by_name["again"].yields
    assert "again" not in {name for edge in edges(machine) for name in (edge[0], edge[2])}
    assert "●  again" in to_text(machine, active="again").replace("·", "")


def test_edges_between_the_same_states_are_one():
    for machine in (sync_book(), compile_steps("f", (race([push, push], "w"), fail("no")))):
        ends = [(source, target) for source, _, target in edges(machine)]
        assert len(ends) == len(set(ends))


def test_signals_are_one_word_where_they_are_many():
    few = compile_steps("f", (debounce(1),), {name: lambda state: state for name in "abc"})
    many = compile_steps("f", (debounce(1),), {name: lambda state: state for name in "abcd"})
    assert ("debouncing", "signal | a | b | c", "debouncing") in edges(few)
    assert ("debouncing", "any signal", "debouncing") in edges(many)


def test_a_hundred_loops_in_a_row_make_no_exponential_label():
    loops = (repeat(set_state(a=1), times=2, until=lambda state: False) for _ in range(100))
    machine = compile_steps("f", (wait(1), *loops, wait(1)))
    found = {(source, target): ways for source, ways, target in edges(machine)}
    assert "…" in found["sleeping:1", "sleeping:2"]
    assert len(found["sleeping:1", "sleeping:2"]) < 1_000
    assert "more" in found["sleeping:1", "failed"]


@pytest.mark.parametrize("active", ["running", "running(attempt=n)", "running(attempt=2)"])
@pytest.mark.parametrize("draw", FORMATS.values())
def test_the_active_state_is_marked_and_shown_under_its_live_name(draw, active):
    plain, marked = draw(sync_book()), draw(sync_book(), active=active)
    assert marked != plain
    assert active in marked


@pytest.mark.parametrize(
    "active", ["runing", "running(attempt=2", "running(2)", "waiting(attempt=1)", "", "running(index=2)"]
)
@pytest.mark.parametrize("draw", FORMATS.values())
def test_an_unknown_active_state_is_refused_with_the_names_that_there_are(draw, active):
    with pytest.raises(ExportError, match="there are waiting, debouncing, set_state, ") as refused:
        draw(sync_book(), active=active)
    assert isinstance(refused.value, CaravelaError)
    assert "right: active='waiting'" in str(refused.value)


def test_a_long_list_of_names_is_cut_in_the_message():
    machine = compile_steps("f", tuple(wait(1) for _ in range(50)))
    with pytest.raises(ExportError, match="sleeping:30, and 22 more"):
        to_text(machine, active="nowhere")


def test_the_table_keeps_to_a_hundred_columns():
    names = ("charge the customer", "send the confirmation", "a rather long name for a step of a flow")
    machine = compile_steps("f", tuple(run(push, name=name, retries=2, attempt_timeout=1) for name in names))
    table = to_text(machine)
    assert max(map(len, table.splitlines())) <= 100
    assert "settled | abandoned [timed out," in table


def test_dot_quotes_what_users_write():
    machine = compile_steps('a "b"\n', (wait(1, name='"x" \\N & {y}'), wait(1)))
    drawn = to_dot(machine)
    assert 'digraph "a \\"b\\"\\n" {' in drawn
    assert 'label="sleeping:\\"x\\" \\\\N &amp; {y}"' in drawn


def test_final_states_have_a_double_border_in_dot():
    finals = [line for line in to_dot(compile_steps("f", (wait(1),))).splitlines() if "peripheries=2" in line]
    assert [line.split('"')[1] for line in finals] == ["done", "stopped"]


def test_pictures_do_not_change_with_the_hash_seed():
    code = (
        "from caravela.compile import compile_steps\n"
        "from caravela.steps import *\n"
        "m = compile_steps('f', (set_state(a=1), repeat(run(print, retries=2), until=bool), race([print], 'w')),"
        " {'x': lambda s: s, 'y': lambda s: s})\n"
        "print(m.to_mermaid(), m.to_dot(), m.to_text(), m.to_text(transient=True))"
    )
    drawn = {
        subprocess.run(  # noqa: S603 - the interpreter that runs this test
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(drawn) == 1
