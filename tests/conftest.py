"""Property tests draw new examples on every machine but the one that judges a change: there the same ones each time."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
