"""Dispatcher of service requests by route name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deepseek_async.simulator.services import embeddings, images
from deepseek_async.simulator.services.files import Files
from deepseek_async.simulator.services.fine_tunes import FineTunes
from deepseek_async.simulator.services.recognition import Recognition
from deepseek_async.simulator.services.request import Outcome, ServiceRequest, WrongRequestError
from deepseek_async.simulator.services.tools import Tools
from deepseek_async.simulator.wire import refusals

if TYPE_CHECKING:
    from deepseek_async.simulator.settings import SimulatorSettings


class ServiceDispatcher:
    """Passes a request to its service; errors are returned as outcomes."""

    def __init__(self, settings: SimulatorSettings) -> None:
        live_only = settings.live_only
        self.files = files = Files(any_purpose=not live_only)
        tunes = FineTunes(files.knows)
        recognition = Recognition(settings.cut_every_page)
        tools = Tools(
            searches=settings.searches_per_second,
            fetches=settings.fetches_per_second,
            fetches_of_a_site=settings.fetches_of_a_site_per_second,
        )
        self._services: dict[str, Callable[[ServiceRequest], Outcome]] = {
            "embed": embeddings.embed,
            "generate_image": images.generate,
            "fetch_image": images.fetch,
            "create_file": files.create,
            "list_files": files.list,
            "retrieve_file": files.retrieve,
            "read_file": files.content,
            "delete_file": files.delete,
            "search": tools.search,
            "fetch": tools.fetch,
            "ocr": recognition.ocr,
            "transcribe": recognition.transcribe,
            "create_fine_tune": tunes.create,
            "list_fine_tunes": tunes.list,
            "retrieve_fine_tune": tunes.retrieve,
            "cancel_fine_tune": tunes.cancel,
            "list_fine_tune_events": tunes.events,
        }

    def serve(self, name: str, request: ServiceRequest) -> Outcome:
        if not isinstance(request.body, dict):
            return refusals.invalid_request("expected a JSON object", 422)
        try:
            return self._services[name](request)
        except WrongRequestError as wrong:
            return wrong.refusal
