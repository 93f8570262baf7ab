"""Structured output as LangChain offers it; an answer that does not fit is kept in the error."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

from deepseek_async.errors import InvalidRequestError
from deepseek_async.integrations.langchain.request import definition_of

Schema = dict[str, Any] | type
StructuredMethod = Literal["function_calling", "json_mode", "json_schema"]
Parser = BaseOutputParser[Any]


def structured(
    model: BaseChatModel,
    schema: Schema | None,
    *,
    method: StructuredMethod,
    include_raw: bool,
    strict: bool | None,
    further: Mapping[str, Any],
) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
    """Return ``model`` with a parser. Raises InvalidRequestError for a method that needs a schema and has none."""
    if schema is None and method != "json_mode":
        raise InvalidRequestError(f"schema must be a class or a JSON Schema for method={method!r}, got None")
    bound: Runnable[LanguageModelInput, AIMessage]
    if method == "function_calling":
        assert schema is not None  # noqa: S101  checked above
        name = definition_of(schema)["function"]["name"]
        bound = model.bind_tools(
            [schema], tool_choice=name, strict=strict, **_traced(schema, method, strict=strict), **further
        )
        kind = _model(schema)
        parser: Any = (
            _ToolValues(key_name=name, first_tool_only=True)
            if kind is None
            else _ToolObjects(tools=[kind], first_tool_only=True)
        )
    elif method in ("json_mode", "json_schema"):
        wanted: dict[str, Any] = {"type": "json_object"}
        if method == "json_schema":
            assert schema is not None  # noqa: S101  checked above
            wanted = {"type": "json_schema", "json_schema": {"schema": convert_to_json_schema(schema)}}
        bound = model.bind(response_format=wanted, **_traced(schema, method, strict=strict), **further)
        kind = _model(schema)
        parser = _TextValues() if kind is None else _TextObjects(pydantic_object=kind)
    else:
        raise InvalidRequestError(f"method must be function_calling, json_mode or json_schema, got {method!r}")
    return _with_raw(bound, parser) if include_raw else bound | parser


def _model(schema: Schema | None) -> type[BaseModel] | None:
    return schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None


def _traced(schema: Schema | None, method: str, *, strict: bool | None) -> dict[str, Any]:
    """Return what tracers are told; the base class takes it out of the request."""
    return {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema or {}}}


def _with_raw(bound: Runnable[LanguageModelInput, AIMessage], parser: Any) -> Runnable[LanguageModelInput, Any]:
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=RunnableLambda(lambda _: None))
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


class _KeepsAnswer:
    """Parsers whose errors hold the answer, which was paid for, as ``answer``."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse the message. Raises OutputParserException."""
        try:
            found = super().parse_result(result, partial=partial)  # type: ignore[misc]  # of the parser beside it
        except Exception as error:
            if partial:
                raise
            raise _unfit(result, f"the answer does not fit the schema: {error}") from error
        if found is None and not partial:
            raise _unfit(result, "the answer holds no object that fits the schema")
        return found


class _ToolObjects(_KeepsAnswer, PydanticToolsParser):
    pass


class _ToolValues(_KeepsAnswer, JsonOutputKeyToolsParser):
    pass


class _TextObjects(_KeepsAnswer, PydanticOutputParser[BaseModel]):
    pass


class _TextValues(_KeepsAnswer, JsonOutputParser):
    pass


def _unfit(result: list[Generation], problem: str) -> OutputParserException:
    generation = result[0]
    message = generation.message if isinstance(generation, ChatGeneration) else None
    text = generation.text
    if isinstance(message, AIMessage):
        if message.response_metadata.get("finish_reason") == "length":
            problem += "; it was cut off by max_tokens, which covers reasoning and answer"
        text = text or str(message.tool_calls or message.invalid_tool_calls or "")
    failure = OutputParserException(problem, llm_output=text)
    failure.answer = message  # type: ignore[attr-defined]  # documented at with_structured_output
    return failure
