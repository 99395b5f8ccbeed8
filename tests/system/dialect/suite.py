"""All of SQLAlchemy's tests for dialects."""

import os

from sqlalchemy.testing.suite import *  # noqa: F403

if os.environ.get("SUITE_SHARDED"):
    import sharded  # noqa: F401
