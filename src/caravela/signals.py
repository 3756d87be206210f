"""What a sender means: a function, changed fields, or a declared signal by its name or its function.

Bad arguments of a declared signal are found here, at the sender, and not on the loop.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from caravela.core.postponed import Signal
from caravela.errors import RunnerError, SignalArgumentsError, UnknownSignalError
from caravela.nodes import Step
from caravela.state import evolve

__all__ = ["Signals"]


class Signals(Mapping[str, inspect.Signature]):
    """The declared signals of a flow: their names with the signatures that a sender sees.

    >>> signals = Signals({"mark_dirty": lambda state, book_id: state}, "sync_book")
    >>> print(*signals.items())
    ('mark_dirty', <Signature (book_id)>)
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], flow: str) -> None:
        self.functions = dict(functions)
        self._flow = flow
        self._signatures = {name: _signature(fn) for name, fn in self.functions.items()}

    def __getitem__(self, name: str) -> inspect.Signature:
        return self._signatures[name]

    def __iter__(self) -> Any:
        return iter(self.functions)

    def __len__(self) -> int:
        return len(self.functions)

    def __repr__(self) -> str:
        return f"Signals({', '.join(f'{name}{signature}' for name, signature in self._signatures.items())})"

    def meant(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], waiting: Any = None) -> Signal:
        """Give the signal that a sender means.

        Args:
            target: A function of the state, the name of a declared signal, or None for changed fields.
            args: The arguments after the state.
            kwargs: The keyword arguments, or the changed fields.
            waiting: Who waits for the new state.

        Raises:
            UnknownSignalError: The flow declares no signal of that name.
            SignalArgumentsError: The declared signal does not take these arguments.
            RunnerError: It is no signal at all.
        """
        if target is None:
            return evolve, (), kwargs or None, "", waiting
        if isinstance(target, str):
            return self._declared(target, args, kwargs, waiting)
        if not callable(target) or isinstance(target, Step):
            raise RunnerError(
                f"{target!r} is no signal; a signal is a function, a declared name, or changed fields",
                flow=self._flow,
                wrong=f"runner.signal({target!r})",
                right="runner.signal(lambda state: ...), runner.signal(dirty=True)",
            )
        for name, fn in self.functions.items():
            if fn == target:
                return self._declared(name, args, kwargs, waiting)
        return target, args, kwargs or None, "", waiting

    def _declared(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], waiting: Any) -> Signal:
        fn = self.functions.get(name)
        if fn is None:
            import difflib  # noqa: PLC0415 - only on the way to an error

            known = ", ".join(map(repr, self.functions)) or "none"
            meant = difflib.get_close_matches(name, self.functions, n=1)
            raise UnknownSignalError(
                f"there is no signal {name!r}; declared are: {known}",
                flow=self._flow,
                wrong=f"runner.signal({name!r})",
                right=f"runner.signal({meant[0]!r})" if meant else f'flow(..., signals={{"{name}": fn}})',
            )
        try:
            self._signatures[name].bind(*args, **kwargs)
        except TypeError as error:
            shown = f"{name}{self._signatures[name]}"
            raise SignalArgumentsError(f"signal {shown}: {error}", flow=self._flow, right=shown) from error
        return fn, args, kwargs or None, name, waiting


def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    """Give the signature without the state, which is the runner's to give."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # a builtin that does not tell
        return inspect.Signature([inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)])
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind != inspect.Parameter.VAR_POSITIONAL:
        parameters = parameters[1:]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
