"""``deepseek-async config``: what holds and why, and a file to begin with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from deepseek_async.cli.terminal import columns, say
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.configuration.settings_file import ValueOrigin

SHOW: Final = """\
Show every setting, its value and where it comes from; secrets are masked.

Arguments of a program win over the environment, the environment over the file."""
SHOW_EXAMPLES: Final = """\
For example:

    deepseek-async config show config.yaml
    deepseek-async config show             # the environment and the defaults"""
INIT: Final = "Write a settings file in which every setting is explained. Never overwrites one."
INIT_EXAMPLES: Final = """\
For example:

    deepseek-async config init config.yaml"""


def show(
    path: Annotated[Path | None, Parameter(help="The settings file.")] = None,
    /,
) -> int:
    from deepseek_async.configuration.settings_file import SettingsFile  # noqa: PLC0415  brings PyYAML

    file = SettingsFile(path)
    rows = [("setting", "value", "from")]
    rows += [(origin.name, _shown(origin), origin.source) for origin in file.origins()]
    sys.stdout.write(columns(rows))
    # What is only wrong together with something else is found by making a client's arguments.
    file.arguments()
    return 0


def _shown(origin: ValueOrigin) -> str:
    from deepseek_async.configuration.credential import ApiKey  # noqa: PLC0415
    from deepseek_async.configuration.redis_url import is_redis, place_of  # noqa: PLC0415

    value: Any = origin.value
    if value is None:
        return "-"
    if origin.name == "api_key":
        return str(ApiKey(value))
    if origin.name == "shared":
        return place_of(value) if is_redis(value) else _known_word(value)
    if origin.secret:
        return "(set)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _known_word(value: Any) -> str:
    """What ``shared`` says; a URL with a slip in it may hold a password."""
    return "(set)" if isinstance(value, str) and ":" in value else str(value).lower()


def init(
    path: Annotated[Path, Parameter(help="The file to write.")] = Path("config.yaml"),
    /,
) -> int:
    from deepseek_async.configuration.settings_file import commented_file  # noqa: PLC0415
    from deepseek_async.files.replacement import replaced  # noqa: PLC0415

    if path.is_file() and path.stat().st_size:
        # Settings are written by hand, so that there is no --force as elsewhere.
        raise ConfigurationError(f"{path} exists and is not overwritten: name another file")
    with replaced(path) as file:
        file.write(commented_file().encode())
    say(f"wrote {path}; look at it with: deepseek-async config show {path}")
    return 0
