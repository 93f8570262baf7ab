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
    "admission.budget.keeper": "admission.budget.worker",
    "admission.concurrency.adaptive": "admission.concurrency.adaptive_limit",
    "admission.concurrency.brake": "admission.concurrency.failure_share",
    "admission.concurrency.doubt": "admission.concurrency.reconsideration",
    "admission.concurrency.drain": "admission.concurrency.recovery_probe",
    "admission.concurrency.named_limit": "admission.concurrency.reported_limit",
    "admission.concurrency.pace": "admission.concurrency.pacing",
    "admission.concurrency.series": "admission.concurrency.experiment",
    "admission.concurrency.surprise": "admission.concurrency.change_detection",
    "admission.concurrency.travel": "admission.concurrency.round_trip",
    "admission.gate": "admission.account_limiter",
    "admission.memory": "admission.remembered_limits",
    "admission.rate": "admission.rate_limits",
    "admission.scope": "admission.model_limiter",
    "admission.sharing.account": "admission.sharing.account_limit",
    "admission.sharing.meeting": "admission.sharing.rendezvous",
    "admission.sharing.shared_window": "admission.sharing.shared_limit",
    "admission.slots": "admission.wait_queue",
    "admission.turnstile": "admission.admission_policy",
    "admission.window": "admission.concurrency_limit",
    "admission.windows": "admission.limit_factory",
    "batch.askings": "batch.row_attempts",
    "batch.finished": "batch.finished_rows",
    "batch.kept": "batch.kept_answers",
    "batch.origin": "batch.row_origin",
    "batch.own_forms": "batch.answer_classes",
    "batch.schedule.feed": "batch.schedule.row_feed",
    "batch.schedule.lineup": "batch.schedule.prefix_scheduler",
    "batch.survey": "batch.resume_plan",
    "batch.together": "batch.combined",
    "bounded_files": "files.bounded_lines",
    "call.surroundings": "call.middleware",
    "call.witness": "call.recorder",
    "connections": "runtime.client_runtime",
    "credential": "configuration.credential",
    "elsewhere": "runtime.endpoint_sessions",
    "endpoint": "configuration.endpoint",
    "figures": "text.figures",
    "forks": "process.forks",
    "garbage": "process.garbage",
    "operations": "configuration.features",
    "private_files": "files.private_files",
    "quotation": "text.quotation",
    "redaction": "text.redaction",
    "redis_address": "configuration.redis_url",
    "replacement": "files.replacement",
    "resources.connection": "resources.resource_client",
    "resources.unanswered": "resources.lost_uploads",
    "settings": "configuration.settings",
    "sqlite_file": "files.sqlite_file",
    "tracebacks": "process.tracebacks",
    "unicode": "text.unicode",
    "unpriced": "pricing.unpriced",
    "upload": "files.upload",
    "wiring": "runtime.origin_session",
}

_CLASSES: Final[dict[str, dict[str, str]]] = {
    "admission.budget.keeper": {"Keeper": "BudgetWorker"},
    "admission.concurrency.adaptive": {"AdaptiveWindow": "AdaptiveLimit"},
    "admission.concurrency.brake": {"Overload": "FailureShare"},
    "admission.concurrency.doubt": {"Doubt": "Reconsideration"},
    "admission.concurrency.drain": {"Drain": "RecoveryProbe"},
    "admission.concurrency.named_limit": {"NamedLimit": "ReportedLimit"},
    "admission.concurrency.pace": {"Pace": "Pacing"},
    "admission.concurrency.probing": {"Probing": "LimitProbe"},
    "admission.concurrency.series": {"Series": "Experiment", "Then": "NextStep"},
    "admission.concurrency.surprise": {"Surprise": "ChangeDetector"},
    "admission.concurrency.travel": {"Travel": "RoundTrips"},
    "admission.concurrency.trial": {"Manner": "LoadLevel"},
    "admission.gate": {"Gate": "AccountLimiter"},
    "admission.memory": {"CeilingMemory": "RememberedLimits"},
    "admission.scope": {"Scope": "ModelLimiter"},
    "admission.sharing.account": {"AccountWindow": "AccountLimit"},
    "admission.sharing.division": {"Part": "Share"},
    "admission.sharing.group": {"Terms": "GroupTerms"},
    "admission.sharing.group_ray": {"Hall": "GroupActor"},
    "admission.sharing.meeting": {"Meeting": "Rendezvous"},
    "admission.sharing.shared_window": {"SharedWindow": "SharedLimit"},
    "admission.slots": {"Slots": "WaitQueue"},
    "admission.statistics": {"ScopeStatistics": "ModelStatistics"},
    "admission.turnstile": {"Turnstile": "AdmissionPolicy"},
    "admission.window": {"FixedWindow": "FixedLimit", "Window": "ConcurrencyLimit"},
    "admission.windows": {"Windows": "LimitFactory"},
    "batch.answer_body": {
        "Block": "BodyBlock",
        "Body": "AnswerBody",
        "Choice": "BodyChoice",
        "Message": "BodyMessage",
        "Page": "BodyPage",
    },
    "batch.answer_kind": {"Answer": "AnswerKind"},
    "batch.askings": {"Askings": "RowAttempts"},
    "batch.finished": {"Finished": "FinishedRows"},
    "batch.journal.folder": {"Found": "JournaledRow"},
    "batch.origin": {"Origin": "RowOrigin"},
    "batch.own_forms": {"OwnForms": "AnswerClasses"},
    "batch.progress": {"Ending": "JobEnding"},
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
    "cache.cache": {"Found": "CacheHit"},
    "call.classification": {"Ending": "AttemptEnding"},
    "call.surroundings": {"Attendant": "StreamMiddleware", "Surroundings": "CallMiddleware"},
    "call.texts": {"Passing": "StreamFilter"},
    "call.witness": {"Witness": "CallRecorder"},
    "codec.multipart": {"Form": "MultipartForm"},
    "configuration.schema": {"Key": "SettingKey"},
    "configuration.settings_file": {"Origin": "ValueOrigin"},
    "connections": {"Connections": "ClientRuntime"},
    "content.patterns": {"Finding": "PatternMatch"},
    "content.texts": {"Place": "TextLocation"},
    "elsewhere": {"Elsewhere": "EndpointSessions"},
    "integrations.ray.shard": {"Ended": "ShardEnded", "Order": "ShardOrder"},
    "operations": {"Operations": "Features"},
    "resources.connection": {"Connection": "ResourceClient"},
    "resources.unanswered": {"Lookout": "LostUpload"},
    "sqlite_file": {"Connection": "SQLiteConnection"},
    "structured.form": {"Form": "AnswerForm"},
    "transport.fields": {"Fields": "CallerFields"},
    "transport.http1": {"Fields": "HeaderFields"},
    "transport.protocol": {"Outgoing": "HTTPRequest", "Response": "HTTPResponse"},
    "transport.route": {"Route": "NetworkRoute"},
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
