"""The front door: `flow()` makes a `Flow`, `Flow.start()` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from caravela.async_runner import AsyncRunner
from caravela.backends import chosen
from caravela.compile import compile_steps
from caravela.errors import StateError
from caravela.machine import Machine, mimebundle
from caravela.nodes import Step
from caravela.outlet import Outlet
from caravela.runner import Run
from caravela.runners import Runner
from caravela.signals import Signals
from caravela.state import copied, field_names
from caravela.vocabulary import INVOKING_KINDS

if TYPE_CHECKING:
    from caravela.backends.aio import AsyncioBackend
    from caravela.backends.base import Backend

__all__ = ["Flow", "compile_flow", "flow"]

S = TypeVar("S")

_SAME: Any = object()


def flow(
    name: str,
    *steps: Step[S],
    initial_state: S,
    signals: Mapping[str, Callable[..., S]] | None = None,
) -> Flow[S]:
    """Make a flow of some steps, checked and compiled.

    Args:
        name: What the flow is called, in errors and pictures.
        steps: What it does, in order.
        initial_state: The state with which it starts, unless `start` is given another.
        signals: Functions `(state, ...) -> state` that may be sent by their names.

    Raises:
        FlowDefinitionError: A step, an option or their order is wrong; the message names the step and the fix.

    >>> from caravela import debounce, repeat, run, wait_until
    >>> sync_book = flow(
    ...     "sync_book",
    ...     repeat(wait_until(lambda s: s["dirty"]), debounce(0.5), run(print, retries=3)),
    ...     initial_state={"dirty": False},
    ... )
    >>> [state.title for state in sync_book.machine.states]
    ['waiting', 'debouncing', 'running(attempt=n)', 'backoff(attempt=n)', 'cancelling', 'again', 'failed', 'stopped']
    """
    return Flow(name, steps, initial_state, {} if signals is None else signals)


class Flow(Generic[S]):
    """A named tree of steps with an initial state; made by `flow()`.

    Attributes:
        name: What it is called.
        steps: What it does, in order.
        initial_state: The state with which it starts.
        machine: What it was compiled to.
        signals: The declared signals, with the signatures that a sender sees.
    """

    def __init__(
        self, name: str, steps: tuple[Step[S], ...], initial_state: S, signals: Mapping[str, Callable[..., S]]
    ) -> None:
        self.name = name
        self.steps = steps
        self.initial_state = initial_state
        self.machine: Machine = compile_steps(name, steps, signals)
        self.signals = Signals(signals, name)
        self._calls_functions = any(state.kind in INVOKING_KINDS for state in self.machine.states)

    @overload
    def start(  # type: ignore[overload-overlap]  # an AsyncioBackend is a Backend, and the first that fits is meant
        self,
        *,
        initial_state: S = ...,
        backend: Literal["asyncio"] | AsyncioBackend,
        notify: Any = ...,
        tag: Any = ...,
        history: int = ...,
    ) -> AsyncRunner[S]: ...
    @overload
    def start(
        self,
        *,
        initial_state: S = ...,
        backend: Literal["threading"] | Backend = ...,
        notify: Any = ...,
        tag: Any = ...,
        history: int = ...,
    ) -> Runner[S]: ...
    def start(
        self,
        *,
        initial_state: S = _SAME,
        backend: str | Backend = "threading",
        notify: Any = None,
        tag: Any = None,
        history: int = 0,
    ) -> Runner[S] | AsyncRunner[S]:
        """Run the flow, and give its runner.

        Args:
            initial_state: Another state to start with.
            backend: `"threading"`, `"asyncio"` inside a running loop, or a backend of your own making.
            notify: Takes every message: a function, which must be quick, or a queue without bound.
            tag: Whatever helps you to tell runners apart; every message carries it.
            history: How many of the last transitions the runner keeps.

        Raises:
            StateError: The state lacks a field that a step names.
            BackendError: The flow cannot run there, or `notify` cannot take every message.
        """
        state = self.initial_state if initial_state is _SAME else initial_state
        self._check_fields(state)
        host = chosen(backend)
        host.prepare()
        context = host.context() if self._calls_functions else None
        run = Run(host, self.machine, copied(state), context)
        run.begin(self._outlet(run, host, notify, tag, history))
        return (AsyncRunner if host.is_async else Runner)(run, self, tag)

    def _outlet(self, run: Run, host: Backend, notify: Any, tag: Any, history: int) -> Outlet | None:
        kept = None if host.keeps_all else history
        if notify is None and kept == 0:
            return None
        from caravela.backends.notify import sender  # noqa: PLC0415 - knows queues of all kinds

        return Outlet(run.id, tag, sender(notify, host), kept)

    def _check_fields(self, state: S) -> None:
        known = field_names(state)
        if known is None:
            return
        for needed in self.machine.requirements:
            if needed.field not in known:
                raise StateError(
                    f"{needed.option} names the field {needed.field!r}, which {type(state).__name__} does not have; "
                    f"it has: {', '.join(known) or 'none'}",
                    flow=self.name,
                    step=needed.path,
                )

    def __repr__(self) -> str:
        return f"<Flow {self.name!r}: {len(self.machine.states)} states, {len(self.machine.transitions)} transitions>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return mimebundle(self.machine)


def compile_flow(flow: Flow[Any], /) -> Machine:
    """Compile a flow anew, and give its machine; `flow.machine` is the same table, kept.

    >>> from caravela import wait
    >>> nap = flow("nap", wait(1), initial_state={})
    >>> compile_flow(nap) == nap.machine
    True
    """
    return compile_steps(flow.name, flow.steps, flow.signals.functions)
