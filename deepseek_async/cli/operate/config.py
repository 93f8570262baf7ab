"""``deepseek-async config``: effective settings, and a template for a settings file."""

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
Show every setting, its value and its source; secrets are masked.

Program arguments take precedence over the environment, the environment over the file."""
SHOW_EXAMPLES: Final = """\
For example:

    deepseek-async config show config.yaml
    deepseek-async config show             # the environment and the defaults"""
INIT: Final = "Write a settings file with every setting documented. Never overwrites a file."
INIT_EXAMPLES: Final = """\
For example:

    deepseek-async config init config.yaml"""


def show(
    path: Annotated[Path | None, Parameter(help="Settings file.")] = None,
    /,
) -> int:
    from deepseek_async.configuration.settings_file import SettingsFile  # noqa: PLC0415  brings PyYAML

    file = SettingsFile(path)
    rows = [("setting", "value", "from")]
    rows += [(origin.name, _shown(origin), origin.source) for origin in file.origins()]
    sys.stdout.write(columns(rows))
    # Constraints between settings are checked when client arguments are built.
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
    """Return the value of ``shared`` for display; a malformed URL may contain a password."""
    return "(set)" if isinstance(value, str) and ":" in value else str(value).lower()


def init(
    path: Annotated[Path, Parameter(help="File to write.")] = Path("config.yaml"),
    /,
) -> int:
    from deepseek_async.configuration.settings_file import commented_file  # noqa: PLC0415
    from deepseek_async.files.replacement import replaced  # noqa: PLC0415

    if path.is_file() and path.stat().st_size:
        # Settings files are edited by hand, so there is no --force.
        raise ConfigurationError(f"{path} exists: name another file")
    with replaced(path) as file:
        file.write(commented_file().encode())
    say(f"wrote {path}; show it with: deepseek-async config show {path}")
    return 0
