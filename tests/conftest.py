"""How the tests run wherever they run: their examples, and what runs beside what.

Property tests draw new examples on every machine but the one that judges a change: there the same ones each time.
How long an example takes decides nothing: a machine may be busy with something else.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

_SUPPRESSED = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)
settings.register_profile("here", deadline=None, suppress_health_check=_SUPPRESSED)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


class _OneNetworkEach(LoadScopeScheduling):
    """The tests of a module in e2e share a network of real processes: one worker runs them, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module.startswith("tests/e2e/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _OneNetworkEach(config, log)
