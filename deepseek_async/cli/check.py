"""``deepseek-async check``: diagnose the installation, configuration and connection."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from deepseek_async import __version__
from deepseek_async.cli.connection import ConnectionFlags, key_of_environment
from deepseek_async.cli.terminal import one_line
from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    DeepSeekError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from deepseek_async.client import AsyncDeepSeek
    from deepseek_async.types import ModelList

ABOUT: Final = """\
Check versions, limits, API key, base URL, models and balance.

Exit codes: 0 nothing failed (warnings may remain) · 1 something failed."""
EXAMPLES: Final = """\
For example:

    deepseek-async check
    deepseek-async check --concurrency 2500 --base-url http://127.0.0.1:8000"""

_FIELDS: Final = frozenset({"created", "input_modalities", "output_modalities", "effort"})
"""Undocumented fields that the live service has returned for models since September 2026, and other servers return."""

_SECONDS: Final = 15.0
_STAND_IN: Final = "sk-none"
"""Sent without a key: a rejection also shows that the server is reachable."""


class CheckReport:
    """Prints findings and records whether one failed."""

    def __init__(self) -> None:
        self.failed = False

    def ok(self, what: str, text: str) -> None:
        """Report a passed check."""
        self._write("ok", what, text)

    def warn(self, what: str, text: str) -> None:
        """Report a problem that does not prevent use."""
        self._write("warn", what, text)

    def fail(self, what: str, text: str) -> None:
        """Report a problem that prevents use."""
        self.failed = True
        self._write("fail", what, text)

    def _write(self, level: str, what: str, text: str) -> None:
        sys.stdout.write(f"{level:<5} {what:<10} {one_line(text)}\n")
        sys.stdout.flush()


def check(
    *,
    concurrency: Annotated[
        PositiveInt | None,
        Parameter(
            name=["--concurrency", "-c"],
            help="Planned requests in flight. Default: DEEPSEEK_ASYNC_MAX_CONCURRENCY, then 100.",
        ),
    ] = None,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    found = CheckReport()
    _check_versions(found)
    key = _check_key(found)
    connection = connection or ConnectionFlags()
    try:
        client = connection.client(
            api_key=key or _STAND_IN,
            max_concurrency=concurrency,
            timeout=connection.timeout or _SECONDS,
            retry=connection.attempts or 1,
        )
    except ConfigurationError as error:
        found.fail("settings", error.message)
        return 1
    _check_descriptors(found, client.settings.most_connections)
    with runner() as loop:
        loop.run(_check_service(found, client, has_key=key is not None))
    return int(found.failed)


def _check_versions(found: CheckReport) -> None:
    found.ok("versions", f"deepseek-async {__version__}, Python {platform.python_version()}, aiohttp {_of('aiohttp')}")
    if uvloop := _of("uvloop"):
        found.ok("uvloop", uvloop)
    else:
        found.warn("uvloop", 'not installed: pip install "deepseek-async[fast]"')


def _of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _check_key(found: CheckReport) -> str | None:
    try:
        key = key_of_environment()
        found.ok("key", f"DEEPSEEK_API_KEY is set: {ApiKey(key)}")
    except ConfigurationError as error:
        found.fail("key", error.message)
        return None
    return key


def _check_descriptors(found: CheckReport, concurrency: int) -> None:
    from deepseek_async.cli.process import SPARE_DESCRIPTORS, descriptor_limits  # noqa: PLC0415

    soft, hard = descriptor_limits()
    needed = concurrency + SPARE_DESCRIPTORS
    asked = f"{concurrency:,} requests in flight need {needed:,} open files"
    if soft < 0 or soft >= needed:
        found.ok("files", f"{asked}; the limit is {'none' if soft < 0 else f'{soft:,}'}")
    elif hard < 0 or hard >= needed:
        found.warn(
            "files",
            f"{asked}, the limit is {soft:,}: batch run raises it, elsewhere run ulimit -n {needed}",
        )
    else:
        found.fail(
            "files",
            f"{asked}, the hard limit is {hard:,}: use --concurrency {max(1, hard - SPARE_DESCRIPTORS)}, or raise the "
            "hard limit (limits.conf, LimitNOFILE=)",
        )


async def _check_service(found: CheckReport, client: AsyncDeepSeek, *, has_key: bool) -> None:
    address = client.settings.base_url
    proxy = client.settings.proxies.get(address)
    if proxy is not None:
        found.ok("proxy", str(proxy))
    async with client:
        try:
            listed = await client.models.list()
        except (AuthenticationError, PermissionDeniedError) as error:
            found.ok("address", f"{address} is reachable")
            if has_key:
                found.fail(
                    "key", f"rejected: {error.message}; create a new key at https://platform.deepseek.com/api_keys"
                )
            return
        except APIConnectionError as error:
            hint = "" if error.reason == "proxy" else "; check DEEPSEEK_BASE_URL and the network"
            found.fail("address", f"{error.message}{hint}")
            return
        except DeepSeekError as error:
            found.fail("address", f"{address} is not a DeepSeek API: {error.message}")
            return
        found.ok("address", f"{address} is reachable")
        if not has_key:
            return
        found.ok("key", f"accepted; models: {', '.join(model.id for model in listed.data) or 'none'}")
        _check_news(found, listed)
        await _check_balance(found, client)


def _check_news(found: CheckReport, listed: ModelList) -> None:
    """Report models and fields unknown to this version: usable, but neither validated nor priced."""
    from deepseek_async.pricing.prices import price_table  # noqa: PLC0415
    from deepseek_async.types import Model  # noqa: PLC0415
    from deepseek_async.types.answer_part import fields_of  # noqa: PLC0415

    table, known = price_table(), fields_of(Model).keys() | _FIELDS
    models = {model.id for model in listed.data} - table.prices.keys() - table.aliases.keys()
    fields = {name for model in listed.data for name in model.to_dict()} - known
    news = [
        f"{what} {', '.join(sorted(names))}"
        for what, names in (("models", models), ("fields of models", fields))
        if names
    ]
    if news:
        found.warn(
            "news", f"unknown to deepseek-async {__version__}: {'; '.join(news)}; a newer version may support them"
        )


async def _check_balance(found: CheckReport, client: AsyncDeepSeek) -> None:
    try:
        account = await client.user.balance()
    except DeepSeekError as error:
        found.warn("balance", f"unknown: {error.message}")
        return
    amounts = ", ".join(f"{info.total_balance} {info.currency}" for info in account.balance_infos) or "no amount"
    if account.is_available:
        found.ok("balance", amounts)
    else:
        found.fail(
            "balance", f"{amounts}: insufficient for further calls; top up at https://platform.deepseek.com/top_up"
        )
