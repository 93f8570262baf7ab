"""Classification of error responses by their wording: statuses are ambiguous, and vendors word them differently. Pure.

Every pattern is searched in linear time over a text of a few kilobytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE | re.DOTALL)


_PER_MINUTE: Final = _any_of(
    r"per[ _-]?(?:minute|min|second|sec)\b",
    r"\b[rt]p[ms]\b|\bqp[ms]\b",
    r"/(?:min|minute|sec|second)\b",
    "每分钟|每秒",
)

_AT_ONCE: Final = _any_of(
    r"concurren|simultaneous|in parallel|at (?:once|a time|the same time)",
    "并发|同时(?:请求|处理|进行)",
)
"""A concurrency refusal ends as soon as other calls end, even if it says that a top-up would help."""

_SOON: Final = _any_of(r"\b(?:retry|try again) (?:in|after) \d{1,2}(?:\.\d+)?\s?(?:ms|s|secs?|seconds?)\b")
"""Gemini says "You exceeded your current quota … Please retry in 36.2s" for a per-minute quota."""

_OF_WHAT_WAS_ASKED: Final = _any_of(
    r"firewall|blocked by|(?:was|been|is) (?:blocked|flagged|filtered)|moderat|polic(?:y|ies)\b|guardrail|sensitive",
    r"\b(?:prompt|your input|content)\b|safety|敏感|违规|审核|风险|内容",
)
"""A 403 with these words concerns the content of one call, and may quote it."""

_LINK: Final = re.compile(r"https?://\S+")

_MONEY: Final = r"(?:balance|credits?|quota|funds|allowance|allocation|budget)"
_GONE: Final = (
    r"(?:exceeded|exhausted|used[ _-]up|depleted|insufficient|too[ _-]low|overdue|run[ _-]out|"
    r"not[ _-]enough|reached|consumed|negative|below zero)"
)
_LONG_TIME: Final = r"(?:daily|weekly|monthly|yearly)"

_USED_UP: Final = _any_of(
    # OpenAI, DeepSeek, one-api: "Insufficient Balance", "insufficient_user_quota", "insufficient account balance"
    rf"(?:insufficient|not enough|no more|no remaining|out of|low)[ _-](?:\w{{1,20}}[ _-]){{0,2}}{_MONEY}\b",
    # "quota is used up", "your balance is exhausted", "Budget has been exceeded" (litellm), "credit balance is too low"
    rf"(?<![a-z]){_MONEY}(?![a-z]).{{0,40}}(?<![a-z]){_GONE}",
    # "You exceeded your current quota", "exceeded_current_quota_error" (Moonshot), "ExceededBudget" (litellm)
    r"exceed(?:ed|s)?[ _-]?(?:\w{1,20}[ _-]){0,2}(?:quota|budget|allowance|credits?)",
    r"exhausted[ _-](?:\w{1,20}[ _-]){0,3}(?:quota|balance|credits?|budget|allowance)",
    # "You have reached your specified API usage limits" (Anthropic), "usage limit reached", "usage cap"
    r"usage[ _-](?:limit|cap|quota)",
    r"(?:spend|spending|cost|credit|hard)[ _-](?:limit|cap)s?\b",
    # "daily limit", "monthly quota", "free-models-per-day" (OpenRouter), "tokens per day (TPD)" (Groq)
    rf"\b{_LONG_TIME}[ _-](?:\w{{1,20}}[ _-]){{0,3}}(?:limit|quota|cap|allowance|allocation|budget|usage)",
    r"\bper[ _-](?:day|week|month|year)\b|/(?:day|week|month)\b|\b[rt]p[d]\b",
    r"(?:limit|quota|requests|calls|tokens)\b.{0,30}\b(?:today|this (?:day|week|month))\b",
    r"\bbilling\b(?!-)|\boverdue\b|\barrear(?:s|age)\b|payment (?:required|method|overdue)|recharge your",
    # 余额不足, 账户已欠费 (Zhipu, Aliyun), 额度已用尽, 今日调用次数已达上限, 使用上限, 套餐已用完
    r"余额.{0,6}(?:不足|不够|耗尽|用尽|用完|为零|为0)|欠费|请.{0,4}充值|资金不足|点数不足|积分不足",
    r"(?:额度|配额|限额|用量|流量包?|套餐|资源包|tokens?包).{0,12}(?:不足|不够|用尽|用完|耗尽|超出|超过|已满|上限|到期)",
    r"(?:超出|超过|用尽|用完|耗尽|达到).{0,12}(?:额度|配额|限额|用量|使用上限)|使用上限",
    r"(?:今日|今天|当日|当天|每日|每天|本周|每周|本月|当月|每月).{0,16}(?:上限|限额|限制|额度|配额|次数|用完|用尽|耗尽)",
)

_TOO_LONG: Final = _any_of(
    # DeepSeek, OpenAI, vLLM, Mistral, SGLang: "maximum context length is 4096 tokens"
    r"(?:maximum|max|model'?s) context (?:length|size|window)",
    r"context[ _-](?:length|window|size|limit)[ _-]?(?:has been[ _-]|is[ _-])?exceeded",
    "ContextWindowExceeded|exceed_context",
    # OpenAI: "exceeds the context window of this model"; llama.cpp: "exceeds the available context size"
    r"(?:exceed(?:s|ed|ing)?|(?:long|larg)er than|too (?:large|long|big) for)\b.{0,40}"
    r"\bcontext (?:length|window|size|limit)",
    # vLLM: "longer than the maximum model length of 4096"
    r"longer than the maximum model length|model'?s context length is only",
    # Anthropic: "prompt is too long: 204857 tokens > 200000 maximum"; Bedrock: "Input is too long for requested model"
    r"\b(?:prompt|input|request|conversation)(?: (?:prompt|text|tokens?|messages?|length|history))? is too long\b",
    # SGLang: "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens)"; Gemini: "input token count"
    r"\b(?:input|prompt)(?: token)? (?:length|count)\b.{0,30}\bexceed.{0,60}(?:maximum|limit)",
    r"requested token count exceeds|number of (?:prompt|input) tokens\b.{0,20} exceeds",
    # Moonshot: "Your request exceeded model token limit: 8192"; Ark: "exceed max message tokens"
    r"exceed(?:s|ed)? (?:the )?(?:model'?s? token limit|max(?:imum)? message tokens?)",
    # xAI: "maximum prompt length is 131072 but the request contains 150000 tokens"; Zhipu: "Prompt exceeds max length"
    r"maximum (?:prompt|input) length is \d+|\bprompt exceeds max length",
    # DashScope: "Range of input length should be [1, 30720]"; GitHub: "tokens_limit_reached"
    r"range of input length should be|\btokens_limit_reached\b",
    # SiliconFlow: "max_total_tokens (20000) must be less than or equal to max_seq_len (16384)"
    r"must be less than or equal to max_seq_len",
    # TGI: "`inputs` tokens + `max_new_tokens` must be <= 4096", "`inputs` must have less than 1024 tokens"
    r"`?inputs`? tokens \+ `?max_new_tokens`? must be|`?inputs`? must have less than \d+ tokens",
    # LM Studio: "context the overflows", Cohere: "number of tokens in the prompt cannot exceed"
    r"context (?:length|window|the|size)? ?overflow|number of tokens in the prompt cannot exceed",
    r"reduce the length of (?:the|your) (?:messages|prompt|input)",
    r"(?:超出|超过|大于).{0,20}(?:上下文|最大.{0,6}长度)|上下文.{0,12}(?:超|过长)|(?:prompt|输入).{0,8}(?:超长|过长)",
)

_CONTENT_RISK: Final = "content exists risk"
"""DeepSeek's complete message, with capitals; no quoted prompt is matched by it."""

_KEY_REFUSED: Final = "Authentication Fails"
"""Prefix of DeepSeek's own 401s: ``Authentication Fails, Your api key: ****abcd is invalid``, ``… (governor)``."""


def is_per_minute(text: str) -> bool:
    """Whether a 429 is about a rate that resets within a minute."""
    return bool(_PER_MINUTE.search(text))


def is_used_up(text: str, kinds: Iterable[object]) -> bool:
    """Whether the text of a refusal, or one of its ``kinds``, says that balance or a long-term quota is used up."""
    # A link to a billing page is part of many refusals and means nothing.
    text = _LINK.sub(" ", text)
    if _AT_ONCE.search(text) or _SOON.search(text):
        return False
    # Each matched separately: a quota in the text is not exhausted by the RESOURCE_EXHAUSTED after it (Gemini).
    return any(_USED_UP.search(said) and not _AT_ONCE.search(said) for said in (text, *_words(kinds)))


def is_about_the_call(text: str) -> bool:
    """Whether a 403 is about the content of the call, so that its text may quote anything."""
    return bool(_OF_WHAT_WAS_ASKED.search(text))


def is_too_long(text: str, kinds: Iterable[object]) -> bool:
    """Whether a refusal says that prompt and answer exceed the model's context window."""
    return any(map(_TOO_LONG.search, (text, *_words(kinds))))


def _words(kinds: Iterable[object]) -> list[str]:
    return [kind for kind in kinds if isinstance(kind, str)]


def refuses_key(text: str) -> bool:
    """Whether a 401 is DeepSeek's own, not that of an intermediary."""
    return text.startswith(_KEY_REFUSED)


def refuses_content(text: str) -> bool:
    """Whether a 400 says that the request failed DeepSeek's moderation."""
    return text.lower().startswith(_CONTENT_RISK)
