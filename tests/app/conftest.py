"""What the tests of the pages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ui import session


@pytest.fixture
def own_jobs() -> Iterator[None]:
    """Nothing is made yet, and what this test makes is not found by the next one."""
    session.jobs.cache_clear()
    yield
    session.jobs.cache_clear()
