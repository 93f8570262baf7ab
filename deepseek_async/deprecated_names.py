"""Deprecated aliases of modules and classes renamed before version 0.2; importing one warns."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

_PACKAGE: Final = __name__.rpartition(".")[0]

_MODULES: Final = {
    "admission.budget.keeper": "admission.budget.store_thread",
    "admission.budget.terms": "admission.budget.validation",
    "admission.concurrency.adaptive": "admission.concurrency.adaptive_limit",
    "admission.concurrency.advice": "admission.concurrency.diagnosis",
    "admission.concurrency.brake": "admission.concurrency.failure_share",
    "admission.concurrency.doubt": "admission.concurrency.retrial_interval",
    "admission.concurrency.drain": "admission.concurrency.recovery_probe",
    "admission.concurrency.named_limit": "admission.concurrency.reported_limit",
    "admission.concurrency.pace": "admission.concurrency.pacing",
    "admission.concurrency.probing": "admission.concurrency.limit_probe",
    "admission.concurrency.series": "admission.concurrency.overload_search",
    "admission.concurrency.surprise": "admission.concurrency.change_detection",
    "admission.concurrency.travel": "admission.concurrency.round_trip",
    "admission.concurrency.trial": "admission.concurrency.load_trial",
    "admission.gate": "admission.account_limiter",
    "admission.memory": "admission.remembered_limits",
    "admission.outage.credit": "admission.outage.retry_credit",
    "admission.rate": "admission.rate_limits",
    "admission.scope": "admission.model_limiter",
    "admission.sharing.account": "admission.sharing.account_limit",
    "admission.sharing.meeting": "admission.sharing.rendezvous",
    "admission.sharing.shared_window": "admission.sharing.shared_limit",
    "admission.slots": "admission.wait_queue",
    "admission.turnstile": "admission.admission_policy",
    "admission.window": "admission.concurrency_limit",
    "admission.windows": "admission.limit_factory",
    "batch.answer_kind": "batch.truncated_answers",
    "batch.answerer": "batch.row_executor",
    "batch.askings": "batch.row_attempts",
    "batch.billed": "batch.billed_attempts",
    "batch.documents": "batch.document_rows",
    "batch.finished": "batch.completed_rows",
    "batch.frames": "batch.data_frames",
    "batch.identity": "batch.row_identity",
    "batch.kept": "batch.reused_answers",
    "batch.known_rows": "batch.resume_index",
    "batch.line": "batch.output_line",
    "batch.origin": "batch.row_origin",
    "batch.own_forms": "batch.structured_requests",
    "batch.record": "batch.input_record",
    "batch.review.account": "batch.review.job_summary",
    "batch.review.asked": "batch.review.row_selection",
    "batch.review.output": "batch.review.output_reader",
    "batch.review.running": "batch.review.running_job",
    "batch.schedule.feed": "batch.schedule.row_feed",
    "batch.schedule.lineup": "batch.schedule.prefix_scheduler",
    "batch.source": "batch.row_source",
    "batch.surface": "batch.batch",
    "batch.survey": "batch.resume_plan",
    "batch.together": "batch.combined_runs",
    "bounded_files": "files.bounded_lines",
    "call.halt": "call.account_halt",
    "call.holding": "call.budget_hold",
    "call.metering": "call.usage_check",
    "call.stream.kinds": "call.stream.streams",
    "call.stream.reviews": "call.stream.moderation_wait",
    "call.stream.steps": "call.stream.service_steps",
    "call.surroundings": "call.middleware",
    "call.texts": "call.filtered_texts",
    "call.witness": "call.recorder",
    "codec.blocks": "codec.message_blocks",
    "codec.body": "codec.chat_body",
    "codec.limits": "codec.size_limits",
    "codec.pieces": "codec.text_buffer",
    "codec.refusal": "codec.status_errors",
    "codec.refusal_wording": "codec.error_wording",
    "codec.shape": "codec.python_types",
    "codec.spelled": "codec.text_forms",
    "codec.text": "codec.text_completion",
    "codec.undeclared": "codec.undeclared_fields",
    "codec.verdict": "codec.answer_check",
    "codec.wording": "codec.error_wording",
    "configuration.checked": "configuration.checker",
    "configuration.document": "configuration.yaml_document",
    "connections": "runtime.client_runtime",
    "content.texts": "content.text_locations",
    "credential": "configuration.credential",
    "elsewhere": "runtime.endpoint_sessions",
    "endpoint": "configuration.endpoint",
    "figures": "text.number_format",
    "finetune.calls": "finetune.tool_calls",
    "forks": "process.forks",
    "garbage": "process.garbage",
    "integrations.ray.board": "integrations.ray.progress_board",
    "lint.facts": "lint.api_facts",
    "operations": "configuration.features",
    "private_files": "files.private_files",
    "quotation": "text.quoting",
    "redaction": "text.redaction",
    "redis_address": "configuration.redis_url",
    "replacement": "files.replacement",
    "resources.connection": "resources.resource_client",
    "resources.extensions": "resources.chat_extensions",
    "resources.left_behind": "resources.orphaned_files",
    "resources.pages": "resources.pdf_pages",
    "resources.unanswered": "resources.lost_uploads",
    "settings": "configuration.settings",
    "sqlite_file": "files.sqlite_file",
    "structured.form": "structured.output_form",
    "tracebacks": "process.tracebacks",
    "transport.fields": "transport.header_fields",
    "transport.refusal": "transport.proxy_refusal",
    "transport.unread": "transport.unread_bytes",
    "types.simulated": "types.simulated_mark",
    "unicode": "text.unicode",
    "unpriced": "pricing.unpriced",
    "upload": "files.upload",
    "wiring": "runtime.origin_session",
}

_CLASSES: Final[dict[str, dict[str, str]]] = {
    "admission.budget.keeper": {"Keeper": "StoreThread"},
    "admission.concurrency.adaptive": {"AdaptiveWindow": "AdaptiveLimit"},
    "admission.concurrency.brake": {"Overload": "FailureShare"},
    "admission.concurrency.doubt": {"Doubt": "RetrialInterval"},
    "admission.concurrency.drain": {"Drain": "RecoveryProbe"},
    "admission.concurrency.named_limit": {"NamedLimit": "ReportedLimit"},
    "admission.concurrency.pace": {"Pace": "Pacing"},
    "admission.concurrency.probing": {"Probing": "LimitProbe"},
    "admission.concurrency.series": {"Series": "OverloadSearch", "Then": "NextStep"},
    "admission.concurrency.surprise": {"Surprise": "ChangeDetector"},
    "admission.concurrency.travel": {"Travel": "RoundTrips"},
    "admission.concurrency.trial": {"Manner": "LoadLevel", "Trial": "LoadTrial"},
    "admission.gate": {"Gate": "AccountLimiter"},
    "admission.memory": {"CeilingMemory": "RememberedLimits"},
    "admission.scope": {"Scope": "ModelLimiter"},
    "admission.sharing.account": {"AccountWindow": "AccountLimit"},
    "admission.sharing.meeting": {"Meeting": "Rendezvous"},
    "admission.sharing.shared_window": {"SharedWindow": "SharedLimit"},
    "admission.slots": {"Slots": "WaitQueue"},
    "admission.turnstile": {"Turnstile": "AdmissionPolicy"},
    "admission.window": {"FixedWindow": "FixedLimit", "Window": "ConcurrencyLimit"},
    "admission.windows": {"Windows": "LimitFactory"},
    "batch.answer_kind": {"Answer": "LineAnswer", "AnswerKind": "LineAnswer"},
    "batch.answerer": {"Answerer": "RowExecutor"},
    "batch.askings": {"Askings": "RowAttempts"},
    "batch.documents": {"Documents": "DocumentRows"},
    "batch.finished": {"Finished": "CompletedRows"},
    "batch.kept": {"KeptAnswer": "ReusedAnswer", "KeptAnswers": "ReusedAnswers"},
    "batch.known_rows": {"KnownRows": "ResumeIndex"},
    "batch.line": {"Facts": "OutputFacts"},
    "batch.origin": {"Origin": "RowOrigin"},
    "batch.own_forms": {"OwnForms": "AnswerClasses"},
    "batch.review.account": {"Account": "JobSummary"},
    "batch.review.output": {
        "Bill": "LineBill",
        "Facts": "LineFacts",
        "Line": "OutputLine",
        "Output": "OutputReader",
        "Response": "LineResponse",
    },
    "batch.schedule.feed": {"Feed": "RowFeed"},
    "batch.schedule.lineup": {"Lineup": "PrefixScheduler"},
    "batch.survey": {"Due": "PendingRow", "Survey": "ResumePlan"},
    "call.halt": {"Halt": "AccountHalt"},
    "call.surroundings": {"Attendant": "StreamMiddleware", "Surroundings": "CallMiddleware"},
    "call.texts": {"Passing": "StreamFilter"},
    "call.witness": {"Witness": "CallRecorder"},
    "codec.refusal": {"refusal": "status_error", "refusal_in_stream": "status_error_in_stream"},
    "connections": {"Connections": "ClientRuntime"},
    "content.texts": {"Place": "TextLocation"},
    "elsewhere": {"Elsewhere": "EndpointSessions"},
    "operations": {"Operations": "Features"},
    "resources.connection": {"Connection": "ResourceClient"},
    "resources.unanswered": {"Lookout": "LostUpload"},
    "sqlite_file": {"Connection": "SQLiteConnection"},
    "structured.form": {"Form": "AnswerForm"},
    "transport.fields": {"Fields": "CallerFields"},
    "upload": {"Progress": "UploadProgress"},
    "wiring": {"Connected": "OriginSession"},
}
"""Old class names, by the old name of their module."""


class _RenamedModule(ModuleType):
    """Module at the old name that forwards attribute access to the new module."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        old = self.__name__.removeprefix(f"{_PACKAGE}.")
        new = _CLASSES.get(old, {}).get(name, name)
        return getattr(importlib.import_module(f"{_PACKAGE}.{_MODULES[old]}"), new)


class _RenamedLoader:
    # Implements importlib's protocols without importlib.abc, whose import is too slow for the command line.

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _RenamedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.removeprefix(f"{_PACKAGE}.")
        warnings.warn(
            f"{module.__name__} is renamed; import {_PACKAGE}.{_MODULES[old]}", DeprecationWarning, stacklevel=2
        )


class _RenamedFinder:
    """Last finder on the meta path, so that existing modules cost nothing."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002  importlib's protocol
        if name.startswith(f"{_PACKAGE}.") and name.removeprefix(f"{_PACKAGE}.") in _MODULES:
            loader: Any = _RenamedLoader()
            return ModuleSpec(name, loader)
        return None


def attribute(owner: object, name: str, names: Mapping[str, str]) -> Any:
    """Return the attribute that replaced ``owner.name``, with a DeprecationWarning; AttributeError for other names."""
    if name not in names:
        kind = type(owner).__name__
        raise AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)
    warnings.warn(f"{type(owner).__name__}.{name} is renamed; use {names[name]}", DeprecationWarning, stacklevel=3)
    return getattr(owner, names[name])


def install() -> None:
    """Register the finder for the old names."""
    if not any(isinstance(finder, _RenamedFinder) for finder in sys.meta_path):
        sys.meta_path.append(_RenamedFinder())
