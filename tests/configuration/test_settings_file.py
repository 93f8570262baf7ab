"""A settings file: the mission's works as written, and a wrong one says where and what."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clients import Connect
from support.servers import ANSWER, CANARY, Serve
from support.thoroughness import often

from deepseek_async import AsyncDeepSeek, BreakerPolicy, ConfigurationError, DeepSeekError, RetryPolicy
from deepseek_async.configuration.schema import SCHEMA, SettingKey
from deepseek_async.configuration.settings_file import SettingsFile, commented_file
from deepseek_async.configuration.yaml_document import parse

MISSION = """\
# config.yaml
deepseek:
  api_key: "prod_xxxxxxxx"
  endpoint: "https://api.deepseek.com"
  retry_policy:
    max_attempts: 3
    base_delay: 1.0
    max_delay: 30.0
  circuit_breaker:
    failure_threshold: 5
    reset_timeout: 60
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write_file


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEEPSEEK_ASYNC_LOG", raising=False)
    log = logging.getLogger("deepseek_async")
    monkeypatch.setattr(log, "handlers", list(log.handlers))


def test_the_missions_file_works_as_written(write: Write):
    client = AsyncDeepSeek.from_settings(write(MISSION))
    assert client.settings.base_url == "https://api.deepseek.com"
    assert client.settings.retry == RetryPolicy(max_attempts=3, base_delay=1.0, max_delay=30.0)
    assert client.settings.breaker == BreakerPolicy(failure_threshold=5, reset_timeout=60)


@pytest.mark.parametrize("place", ["inside", "beside", "as JSON"])
async def test_the_missions_security_settings_work_inside_and_beside(
    write: Write,
    serve: Serve,
    tmp_path: Path,
    place: str,
):
    server = await serve([ANSWER])
    security = '{"content_filter": true, "data_retention": 90, "audit_logging": true}'
    deepseek = f'"api_key": "sk-x", "endpoint": "{server.url}"'
    text = {
        "inside": f"deepseek: {{{deepseek}, security_settings: {security}}}",
        "beside": f"deepseek: {{{deepseek}}}\nsecurity_settings: {security}",
        "as JSON": f'{{"deepseek": {{{deepseek}}}, "security_settings": {security}}}',
    }[place]
    async with AsyncDeepSeek.from_settings(write(text)) as client:
        messages = [{"role": "user", "content": "my key is sk-" + "a1B2" * 8}]
        await client.chat.completions.create(model="deepseek-flash", messages=messages)
    assert "[api_key]" in server.requests[0].body.decode()
    (log,) = (tmp_path / "state" / "deepseek_async" / "audit").iterdir()
    assert json.loads(log.read_text())["content"] == "redacted"


async def test_everything_at_once(write: Write, serve: Serve, tmp_path: Path):
    server = await serve([ANSWER])
    (tmp_path / "key").write_text("sk-from-a-file\n")
    path = write(f"""
deepseek:
  api_key: file:{tmp_path}/key
  endpoint: {server.url}
  timeout: 30
  max_concurrency: 7
  fallback_models: [deepseek-v4-pro]
  holidays: [2027-01-01, 2027-02-09]
  log: error
  circuit_breaker: false
  cache: {{path: {tmp_path}/answers.sqlite, stale_if_error: 100, only_deterministic: false}}
  budget: {{daily: 5, zone: UTC, at_cap: cheaper, cheaper_model: deepseek-flash}}
  metrics: {{port: 0}}
  telemetry: true
  security_settings: {{data_retention: 1, audit_logging: true, content_filter: true, personal: block}}
""")
    async with AsyncDeepSeek.from_settings(path) as client:
        for _ in range(2):
            done = await client.chat.completions.create(
                model="deepseek-flash",
                messages=[{"role": "user", "content": "Hi"}],
                max_tokens=10,
            )
        assert done.cached == "memory"
        assert server.requests[0].header("authorization") == "Bearer sk-from-a-file"
        assert client.settings.max_concurrency == 7
        assert client.settings.timeouts.total == 30
        assert client.settings.breaker is None
        assert len(client.settings.holidays) == 2
        operations = client._runtime.features
        assert operations.budget is not None
        assert operations.cache is not None
        # Answers are kept no longer than the law of the file lets audit lines be.
        assert (operations.cache.ttl, operations.cache.stale_if_error) == (86_400, 0)
        assert [type(listener).__name__ for listener in operations.listeners] == [
            "AuditLog",
            "ServedMetrics",
            "Telemetry",
            "CallLog",
        ]
    assert len(server.requests) == 1


def test_arguments_win_over_the_environment_and_that_over_the_file(write: Write, monkeypatch: pytest.MonkeyPatch):
    path = write(
        "deepseek: {api_key: sk-file-0000000000, endpoint: 'http://127.0.0.1:1', max_concurrency: 1, lint: 'off'}"
    )
    assert AsyncDeepSeek.from_settings(path).settings.max_concurrency == 1
    monkeypatch.setenv("DEEPSEEK_ASYNC_MAX_CONCURRENCY", "2")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "http://127.0.0.1:2")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-environment-1111")
    client = AsyncDeepSeek.from_settings(path)
    assert (client.settings.max_concurrency, client.settings.base_url) == (2, "http://127.0.0.1:2")
    assert repr(client.settings.api_key) == "sk-…1111"
    assert client.settings.lint == "off"
    client = AsyncDeepSeek.from_settings(path, max_concurrency=3, base_url="http://127.0.0.1:3", lint="error")
    assert (client.settings.max_concurrency, client.settings.base_url) == (3, "http://127.0.0.1:3")
    assert client.settings.lint == "error"


PROXIED = "deepseek: {api_key: sk-x, endpoint: 'https://api.example', proxy: 'http://u:secret@file.proxy:1'%s}"


@pytest.mark.parametrize(
    ("environment", "more", "arguments", "taken"),
    [
        ({}, "", {}, "http://file.proxy:1"),
        ({"HTTPS_PROXY": "http://variable:1"}, "", {}, "http://variable:1 (HTTPS_PROXY)"),
        ({"all_proxy": "http://variable:1"}, "", {}, "http://variable:1 (all_proxy)"),
        ({"HTTP_PROXY": "http://variable:1"}, "", {}, "http://file.proxy:1"),
        ({"NO_PROXY": "api.example"}, "", {}, None),
        ({"NO_PROXY": "another.example"}, "", {}, "http://file.proxy:1"),
        ({"HTTPS_PROXY": "http://variable:1"}, ", trust_env: false", {}, "http://file.proxy:1"),
        ({"HTTPS_PROXY": "http://variable:1"}, "", {"trust_env": False}, "http://file.proxy:1"),
        (
            {"HTTPS_PROXY": "http://variable:1"},
            ", trust_env: false",
            {"trust_env": True},
            "http://variable:1 (HTTPS_PROXY)",
        ),
        ({"HTTPS_PROXY": "http://variable:1"}, "", {"proxy": "http://argument:1"}, "http://argument:1"),
    ],
)
def test_a_proxy_is_the_arguments_then_the_environments_then_the_files(
    write: Write, environment: dict, more: str, arguments: dict, taken: str | None
):
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        client = AsyncDeepSeek.from_settings(write(PROXIED % more), **arguments)
    proxy = client.settings.proxies.get("https://api.example")
    assert (None if proxy is None else str(proxy)) == taken
    assert "secret" not in repr(client.settings)


def test_where_the_proxy_comes_from_is_told(write: Write):
    def told(**environment: str) -> tuple[bool, str]:
        file = SettingsFile(write(PROXIED % ""), environment)
        (found,) = [origin for origin in file.origins() if origin.name == "proxy"]
        return found.value is not None, found.source.rpartition("/")[2]

    assert told()[0]
    assert told()[1].endswith(":1")
    assert told(HTTPS_PROXY="http://v:1", all_proxy="x") == (True, "HTTPS_PROXY")
    assert told(all_proxy="http://v:1") == (True, "all_proxy")
    assert told(HTTPS_PROXY="http://v:1", no_proxy="*") == (False, "no_proxy")


def test_a_secret_is_fetched_from_where_the_file_says(write: Write):
    path = write("deepseek: {api_key: 'env:MY_KEY'}")
    file = SettingsFile(path, {"MY_KEY": "sk-from-my-variable"})
    assert file.arguments()["api_key"] == "sk-from-my-variable"
    (origin,) = [origin for origin in file.origins() if origin.name == "api_key"]
    assert origin.source == f"env:MY_KEY in {path}:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "deepseek: {retry_polcy: {max_attempts: 3}}",
            "line 1: unknown setting deepseek.retry_polcy; did you mean 'retry_policy'?",
        ),
        (
            "deepseek:\n  retry_policy:\n    max_atempts: 3",
            "line 3: unknown setting retry_policy.max_atempts; did you mean 'max_attempts'?",
        ),
        ("deepsek:\n  api_key: x", "line 1: unknown setting deepsek; did you mean 'deepseek'?"),
        ("deepseek:\n  zzzz: 1", "line 2: unknown setting deepseek.zzzz; allowed: account, api_key"),
        ("deepseek:\n  api_key: a\n  api_key: b", "line 3: duplicate key 'api_key', first on line 2"),
        (
            "deepseek:\n  lint: warn\n  retry_policy: {base_delay: 1, base_delay: 2}",
            "line 3: duplicate key 'base_delay'",
        ),
        (
            "deepseek: {security_settings: {}}\nsecurity_settings: {}",
            "line 2: duplicate security_settings, first on line 1",
        ),
        ("deepseek:\n  timeout: soon", "line 2: timeout must be a number, got 'soon'"),
        ("deepseek:\n  retry_policy: {max_attempts: 1.5}", "line 2: retry_policy.max_attempts must be an integer"),
        ("deepseek:\n  retry_policy: fast", "line 2: retry_policy must be a mapping, got 'fast'"),
        ("deepseek:\n  circuit_breaker: maybe", "line 2: circuit_breaker must be true or false, got 'maybe'"),
        ("deepseek:\n  fallback_models: deepseek-flash", "line 2: fallback_models must be a list of strings"),
        ("deepseek:\n  holidays: [2027-13-01]", "line 2: holidays must be a list of dates"),
        (
            "deepseek:\n  default_headers: {X: 5}",
            "line 2: default_headers must be a mapping of strings, got a value of another type",
        ),
        ("deepseek:\n  security_settings: {content_filter: yes please}", "content_filter must be true or false"),
        ("deepseek: [a, b]", "deepseek must be a mapping, got a list"),
        ("just text", "the file must be a mapping"),
        (
            "deepseek: {api_key: 'env:NOT_THERE'}",
            "line 1: api_key: environment variable NOT_THERE is not set",
        ),
        ("deepseek: {api_key: 'file:/not/there'}", "line 1: api_key: cannot read /not/there"),
        ("deepseek:\n  api_key: {a: b}", "line 2: api_key must be a string, got a value of another type"),
        ("deepseek: {budget: {zone: UTC}}", "budget requires daily"),
        ("api_key: x", "line 1: unknown setting api_key; move it under deepseek:"),
        ("deepseek:\n  retry: 3", "line 2: unknown setting deepseek.retry; did you mean 'retry_policy'?"),
        ("deepseek:\n  max_retries: 3", "line 2: unknown setting deepseek.max_retries; did you mean 'retry_policy'?"),
        ("deepseek:\n  base_url: x", "line 2: unknown setting deepseek.base_url; did you mean 'endpoint'?"),
        ("deepseek:\n  verify: no", "line 2: unknown setting deepseek.verify; allowed: account"),
        ("deepseek:\n  timeout: sk-canary0123456789", "line 2: timeout must be a number, got 'sk-…'"),
        ("deepseek:\n\n  retry_policy: {max_attempts: 0}", "line 3: retry_policy.max_attempts must be an integer"),
        (
            "deepseek:\n  retry_policy:\n    base_delay: 1\n    max_delay: 0.5",
            "line 4: retry_policy.max_delay must be at least",
        ),
        ("deepseek:\n  circuit_breaker: {reset_timeout: 0}", "line 2: circuit_breaker.reset_timeout must be above 0"),
        ("deepseek:\n  lint: warn\n  budget: {zone: UTC}", "line 3: budget requires daily"),
        ("deepseek:\n  budget: -1", "line 2: budget must be US dollars above 0"),
        ("deepseek:\n  cache: {ttl: 0}", "line 2: cache.ttl must be at least"),
        (
            "deepseek:\n  security_settings:\n    audit_logging: true\n    data_retention: 0",
            "line 4: security_settings.data_retention must be",
        ),
        ("deepseek:\n\tapi_key: x", "line 2: found character"),
        ("deepseek: {a: [}", "line 1: "),
        ("deepseek: &a {lint: warn}\nsecurity_settings: *a", "line 1: aliases (*name) are not allowed"),
        ("deepseek: {lint: !!python/object/apply:os.system [ls]}", "line 1: "),
        (
            "deepseek: {lint: !!python/name:os.system x}",
            "line 1: tag 'tag:yaml.org,2002:python/name:os.system' is not allowed",
        ),
        ("deepseek: {lint: !!binary aGk=}", "line 1: tag"),
        ("deepseek:\n  1: x", "line 2: keys must be strings"),
        ("{a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}", "nesting must be at most 8 levels deep"),
        ("deepseek: " + "[" * 5000 + "]" * 5000, "nested"),
    ],
)
def test_a_wrong_file_says_where_and_what(write: Write, text: str, said: str):
    path = write(text)
    with pytest.raises(ConfigurationError) as caught:
        SettingsFile(path, {}).arguments()
    assert said in caught.value.message
    if "line" in said:
        assert caught.value.message.startswith(str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deepseek:\n\n  endpoint: nonsense", "line 3: endpoint must be a full URL"),
        ("deepseek:\n  max_concurrency: 0", "line 2: max_concurrency must be an integer of at least 1"),
        ("deepseek:\n  timeout: -1", "line 2: timeout must be above 0"),
        ("deepseek:\n  lint: loud", "line 2: lint must be one of off, warn"),
        ("deepseek:\n  fallback_models: [a, a]", "line 2: fallback_models must not repeat a model"),
        ("deepseek:\n  tokens_per_minute: 0", "line 2: tokens_per_minute must be above 0"),
        ("deepseek:\n  proxy: nowhere", "line 2: proxy must be the full URL"),
    ],
)
def test_a_value_that_only_the_client_refuses_is_told_with_its_line(write: Write, text: str, said: str):
    path = write(text)
    with pytest.raises(ConfigurationError) as caught:
        AsyncDeepSeek.from_settings(path, api_key=CANARY)
    assert caught.value.message.startswith(f"{path}, {said}")


def test_a_wrong_argument_or_variable_is_not_blamed_on_the_file(write: Write, monkeypatch: pytest.MonkeyPatch):
    path = write("deepseek:\n  endpoint: https://right.example\n  lint: warn")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "nonsense")
    with pytest.raises(ConfigurationError, match=r"^DEEPSEEK_BASE_URL must be"):
        AsyncDeepSeek.from_settings(path, api_key=CANARY)
    monkeypatch.delenv("DEEPSEEK_BASE_URL")
    with pytest.raises(ConfigurationError, match=r"^lint must be"):
        AsyncDeepSeek.from_settings(path, api_key=CANARY, lint="loud")


@pytest.mark.parametrize("wrong", ["missing", "folder", "large", "bytes"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, wrong: str):
    path = tmp_path / "config.yaml"
    if wrong == "folder":
        path.mkdir()
    elif wrong == "large":
        path.write_text("#" * 300_000)
    elif wrong == "bytes":
        path.write_bytes(b"deepseek: \xff")
    with pytest.raises(ConfigurationError, match=r"config\.yaml"):
        SettingsFile(path)


@pytest.mark.parametrize(
    "text", ["", "# nothing but a comment", "deepseek:", "deepseek: {}", "deepseek:\n  timeout:\n"]
)
def test_a_file_without_settings_is_one(write: Write, text: str):
    assert SettingsFile(write(text), {}).arguments() == {}


def test_a_file_with_the_key_that_others_can_read_is_warned_of(write: Write):
    path = write("deepseek: {api_key: sk-plain}")
    path.chmod(0o644)
    with pytest.warns(UserWarning, match="chmod 600"):
        SettingsFile(path)
    write("deepseek: {api_key: 'env:DEEPSEEK_API_KEY'}").chmod(0o644)
    SettingsFile(path, {"DEEPSEEK_API_KEY": "sk-x"})


@pytest.mark.parametrize("wrong", ["retry_policy: {max_attempts: 0}", "zzz: 1", "timeout: x", "lint: [", "budget: -1"])
def test_the_key_in_a_wrong_file_is_not_shown(write: Write, wrong: str):
    path = write(f"deepseek:\n  api_key: {CANARY}\n  {wrong}\n")
    with pytest.raises(DeepSeekError) as caught:
        AsyncDeepSeek.from_settings(path)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert CANARY.removeprefix("sk-").removesuffix("TAIL") not in shown


async def test_a_key_from_a_file_is_not_shown(write: Write, connect: Connect):
    file = SettingsFile(write(f"deepseek: {{api_key: {CANARY}, proxy: 'http://user:{CANARY}@127.0.0.1:1'}}"), {})
    assert CANARY not in f"{file!r} {vars(file)} {file.arguments()} {file.origins()}"


def test_the_file_that_init_writes_is_a_file_and_names_every_setting():
    text = commented_file()
    file = parse(text, "config.yaml")
    assert list(file.value) == ["deepseek"]
    everything = parse("\n".join(_uncommented(text)), "config.yaml").value["deepseek"].value
    assert set(everything) == set(SCHEMA)
    for name, entry in SCHEMA.items():
        if not isinstance(entry, SettingKey):
            assert set(everything[name].value) == set(entry.keys)


def test_every_example_of_it_is_one(write: Write, tmp_path: Path):
    text = "\n".join(
        line
        for line in _uncommented(commented_file())
        if not line.split("#")[0].rstrip().endswith(":") or line.strip()[:-1] in SCHEMA or line.startswith("deepseek")
    )
    environment = {"DEEPSEEK_API_KEY": "sk-x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    arguments = SettingsFile(write(text), environment).arguments()
    assert {"retry", "breaker", "cache", "budget", "content_filter", "listeners"} <= set(arguments)


def _uncommented(text: str) -> list[str]:
    lines = []
    for line in text.splitlines():
        if (line.startswith("  # ") and ": " in f"{line} ".split("#")[1]) or line.startswith("  #   "):
            name = line[4:].split(":")[0].strip()
            known = name in SCHEMA or any(
                not isinstance(entry, SettingKey) and name in entry.keys for entry in SCHEMA.values()
            )
            lines.append("  " + line[4:] if known else line)
        else:
            lines.append(line)
    return lines


@settings(deadline=None, max_examples=often(300))
@given(st.text(alphabet="ab:{}[]-&*!|>\n\t '\"#%@,?0é", max_size=60))
def test_any_text_is_settings_or_a_clear_error(text: str):
    said = "config.yaml"
    try:
        parse(text, "config.yaml")
    except ConfigurationError as error:
        said = error.message
    assert said.startswith("config.yaml")
