"""Entry point of ``deepseek-async`` and ``python -m deepseek_async``."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command in ``sys.argv`` and end the process with its exit code."""
    if any(find_spec(name) is None for name in ("cyclopts", "rich")):
        sys.stderr.write('error: the command line requires cyclopts and rich: pip install "deepseek-async[cli]"\n')
        sys.exit(2)
    try:
        from deepseek_async.cli.standard_streams import give_up_broken, open_missing  # noqa: PLC0415

        open_missing()
        from deepseek_async.cli.app import run  # noqa: PLC0415  imports optional packages

        try:
            code = run(sys.argv[1:])
        finally:
            give_up_broken()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code of SIGINT in a shell; a traceback would be noise


if __name__ == "__main__":
    main()
