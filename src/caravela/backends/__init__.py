"""Where flows run. A backend is chosen by its name or given as an object; each is imported when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caravela.errors import BackendError

if TYPE_CHECKING:
    from caravela.backends.base import Backend

__all__ = ["chosen"]


def chosen(backend: Any) -> Backend:
    """Give the backend that is meant by its name, or that is given.

    Raises:
        BackendError: It is none, or it cannot run here.

    >>> chosen("threading").now() > 0
    True
    """
    if backend == "threading":
        from caravela.backends import threads  # noqa: PLC0415 - imported when it is needed

        return threads.default_backend()
    if backend == "asyncio":
        from caravela.backends import aio  # noqa: PLC0415

        return aio.default_backend()
    from caravela.backends.base import Backend  # noqa: PLC0415

    if isinstance(backend, Backend):
        return backend
    raise BackendError(
        f"{backend!r} is no backend",
        wrong=f"flow.start(backend={backend!r})",
        right='flow.start(backend="threading"), "asyncio", or a VirtualBackend()',
    )
