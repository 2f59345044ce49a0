"""Property tests draw new examples on every machine but the one that judges a change: there the same ones each time.

How long an example takes decides nothing: a machine may be busy with something else.
"""

import os

from hypothesis import HealthCheck, settings

_SUPPRESSED = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)
settings.register_profile("here", deadline=None, suppress_health_check=_SUPPRESSED)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
