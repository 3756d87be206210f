"""What subscribers and `notify` receive: `FlowState` at every change, then exactly one of the final messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["FlowDone", "FlowFailed", "FlowState", "FlowStopped", "Message", "SignalRejected"]

S = TypeVar("S")


@dataclass(frozen=True, slots=True, repr=False)
class Envelope:
    """What every message carries beside its content.

    Attributes:
        tag: What was given to `start(tag=...)`.
        runner_id: The number of the runner, unique in its process.
        seq: The number of the message among those of its runner, from 1. The first message of a subscription tells the
            state at that moment and has the number of the last message before it.
        time: When it was sent, in seconds of the backend's clock.
    """

    tag: Any = field(default=None, kw_only=True)
    runner_id: int = field(default=0, kw_only=True)
    seq: int = field(default=0, kw_only=True)
    time: float = field(default=0.0, kw_only=True)

    def __repr__(self) -> str:
        """Show the content, and the tag if there is one: `notify=print` is to be read."""
        names: tuple[str, ...] = self.__match_args__
        shown = [f"{name}={getattr(self, name)!r}" for name in names]
        if self.tag is not None:
            shown.append(f"tag={self.tag!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, slots=True, repr=False)
class FlowState(Envelope, Generic[S]):
    """The state has changed, or is this when a subscription begins.

    Attributes:
        state: The new state.
    """

    state: S


@dataclass(frozen=True, slots=True, repr=False)
class FlowDone(Envelope, Generic[S]):
    """The flow is done. The last message.

    Attributes:
        state: The final state.
    """

    state: S


@dataclass(frozen=True, slots=True, repr=False)
class FlowFailed(Envelope, Generic[S]):
    """The flow has failed. The last message.

    Attributes:
        reason: What was given: the text of `Fail("text")`, or the exception that was raised.
        state: The state at the failure.
        error: The exception behind it; `StepFailedError` for a text.
        step: The place of the step in the flow.
        machine_state: The machine state in which it failed.
        attempts: The exceptions of the step's attempts, in order.
        compensation_errors: What went wrong while the flow undid its work; empty without sagas.
    """

    reason: Any
    state: S
    error: BaseException
    step: str = ""
    machine_state: str = ""
    attempts: tuple[BaseException, ...] = ()
    compensation_errors: tuple[BaseException, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class FlowStopped(Envelope, Generic[S]):
    """The flow was stopped. The last message.

    Attributes:
        state: The state at the end.
        compensation_errors: What went wrong while the flow undid its work; empty without sagas.
    """

    state: S
    compensation_errors: tuple[BaseException, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class SignalRejected(Envelope):
    """A signal changed nothing: its function raised, or the flow ended before its turn.

    Attributes:
        signal: The name of the signal; that of its function if it was not declared.
        error: What the function raised, or `FlowEndedError`.
    """

    signal: str
    error: BaseException


Message: TypeAlias = FlowState[S] | FlowDone[S] | FlowFailed[S] | FlowStopped[S] | SignalRejected
