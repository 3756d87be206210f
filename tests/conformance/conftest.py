"""Every test of this folder runs on all backends; those with functions, with plain and with async ones."""

import pytest

from tests.conformance.functions import FORMS
from tests.conformance.harness import STAGES


@pytest.fixture(params=STAGES)
def stage(request, caplog):
    """A backend made ready."""
    with STAGES[request.param]() as stage:
        yield stage
    assert "fault of Caravela" not in caplog.text


@pytest.fixture(params=["threading", "virtual"])
def sync_stage(request):
    """A backend whose callers wait without `await`, and may say for how long."""
    with STAGES[request.param]() as stage:
        yield stage


@pytest.fixture(params=FORMS)
def form(request):
    """Whether functions are plain or async."""
    return request.param
