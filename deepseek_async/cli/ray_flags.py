"""Ray cluster options of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Group, Parameter
from cyclopts.types import PositiveInt

from deepseek_async.cli.connection import ConnectionFlags, key_if_any
from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.batch import StoppableJob
    from deepseek_async.client import AsyncDeepSeek

_GROUP: Final = Group("Many machines", sort_key=5)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RayFlags:
    """Cluster and number of parts."""

    ray: Annotated[
        str | None,
        Parameter(
            group=_GROUP,
            metavar="ADDRESS",
            help="Run the job on a Ray cluster: auto, host:port or ray://host:port. Input and output must be on "
            "storage shared by all nodes; limits and --budget are divided among the parts. Requires the extra ray.",
        ),
    ] = None
    ray_parts: Annotated[
        PositiveInt | None,
        Parameter(group=_GROUP, help="Number of parts. Default: one per CPU of the cluster."),
    ] = None

    def job(
        self,
        source: Path,
        output: Path,
        *,
        options: Mapping[str, Any],
        rows: RowFlags,
        connection: ConnectionFlags,
        limits: Mapping[str, Any],
    ) -> Callable[[AsyncDeepSeek], StoppableJob]:
        """Connect to the cluster and return the job factory. Raises ConfigurationError if there is no cluster."""
        from deepseek_async.configuration.credential import hidden  # noqa: PLC0415
        from deepseek_async.integrations.ray.cluster import connect  # noqa: PLC0415  brings aiohttp
        from deepseek_async.integrations.ray.job import RayJob  # noqa: PLC0415

        if self.ray is None:
            raise ConfigurationError("--ray-parts requires --ray")
        arguments = hidden(connection.arguments(api_key=key_if_any(), **limits))
        address, parts, schema = self.ray, self.ray_parts, rows.schema_document()
        sent = {name: value for name, value in options.items() if schema is None or name != "response_format"}
        connect(address)

        def make(client: AsyncDeepSeek) -> StoppableJob:
            if client.settings.shared == "machine":
                arguments["shared"] = "ray"
            return RayJob(
                source,
                output,
                address=address,
                client=arguments,
                options=sent,
                schema=schema,
                settings_file=connection.settings_file,
                parts=parts,
            )

        return make
