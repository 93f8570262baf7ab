"""The scripted servers under the name by which programs outside the suite import them, with tests/ on their path."""

from support.servers import *  # noqa: F403
