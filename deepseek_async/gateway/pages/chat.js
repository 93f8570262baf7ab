import { element, events, forget, headers, remember } from "/pages/session.js";
import { rendered } from "/pages/markdown.js";

const by = (id) => document.getElementById(id);
let messages = [];
let running = null;

const refused = (message) => {
  forget();
  by("refused").textContent = message;
  by("login").hidden = false;
  by("key").focus();
};

const turn = (role, name) => {
  const made = { box: element("article", { class: `turn ${role}` }, element("h3", {}, name)), text: element("div") };
  made.box.append(made.text);
  by("talk").append(made.box);
  return made;
};

const errorOf = async (response) => {
  try {
    return (await response.json()).error.message;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
};

const asked = () => {
  const body = {
    model: by("model").value,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    thinking: { type: by("thinking").checked ? "enabled" : "disabled" },
  };
  const tools = by("tools").value.trim() ? JSON.parse(by("tools").value) : [];
  if (by("search").checked) tools.push({ type: "web_search" });
  if (tools.length) body.tools = tools;
  return body;
};

// Adds a streamed piece to an answer, whole tool calls included.
const grow = (answer, delta) => {
  if (delta.reasoning_content) answer.reasoning += delta.reasoning_content;
  if (delta.content) answer.content += delta.content;
  for (const piece of delta.tool_calls ?? []) {
    const call = (answer.calls[piece.index] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    if (piece.id) call.id = piece.id;
    if (piece.function?.name) call.function.name += piece.function.name;
    if (piece.function?.arguments) call.function.arguments += piece.function.arguments;
  }
};

const draw = (shown, answer) => {
  const parts = [];
  if (answer.reasoning) parts.push(element("details", {}, element("summary", {}, "Reasoning"), ...rendered(answer.reasoning)));
  parts.push(...rendered(answer.content));
  for (const call of answer.calls.filter(Boolean)) {
    parts.push(element("pre", { tabindex: "0" }, element("code", {}, `${call.function.name}(${call.function.arguments})`)));
  }
  const open = shown.text.querySelector("details")?.open;
  shown.text.replaceChildren(...parts);
  if (open) shown.text.querySelector("details").open = true;
};

const costOf = async (model, usage) => {
  const query = new URLSearchParams({ model, usage: JSON.stringify(usage) });
  const response = await fetch(`/console/cost?${query}`, { headers: headers() });
  return response.ok ? (await response.json()).cost : null;
};

const bill = async (shown, model, usage) => {
  if (!usage) return;
  const cost = await costOf(model, usage).catch(() => null);
  const cached = usage.prompt_cache_hit_tokens ?? usage.prompt_tokens_details?.cached_tokens ?? 0;
  const words = `${usage.prompt_tokens} tokens in (${cached} cached), ${usage.completion_tokens} out`;
  shown.box.append(element("p", { class: "cost" }, cost === null ? words : `$${cost.toFixed(6)}: ${words}`));
};

const ask = async (question) => {
  let body;
  messages.push({ role: "user", content: question });
  try {
    body = asked();
  } catch {
    messages.pop();
    by("state").textContent = "the tools are not valid JSON";
    return;
  }
  turn("user", "You").text.replaceChildren(...rendered(question));
  const shown = turn("assistant", body.model);
  const answer = { content: "", reasoning: "", calls: [] };
  let usage = null;
  running = new AbortController();
  by("send").disabled = true;
  by("stop").disabled = false;
  by("talk").setAttribute("aria-busy", "true");
  by("state").textContent = "answering…";
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers() },
      body: JSON.stringify(body),
      signal: running.signal,
    });
    if (!response.ok) {
      const message = await errorOf(response);
      messages.pop();
      if (response.status === 401) refused(message);
      throw new Error(message);
    }
    for await (const data of events(response)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices ?? []) grow(answer, choice.delta ?? {});
      draw(shown, answer);
    }
    by("state").textContent = "";
  } catch (error) {
    const stopped = error.name === "AbortError";
    by("state").textContent = stopped ? "stopped" : "failed";
    if (!stopped) shown.box.append(element("p", { class: "bad", role: "alert" }, error.message));
  } finally {
    running = null;
    by("send").disabled = false;
    by("stop").disabled = true;
    by("talk").setAttribute("aria-busy", "false");
  }
  if (answer.content || answer.calls.length) {
    const said = { role: "assistant", content: answer.content };
    if (answer.calls.length) {
      said.tool_calls = answer.calls.filter(Boolean);
      said.reasoning_content = answer.reasoning;
    }
    messages.push(said);
    for (const call of said.tool_calls ?? []) {
      messages.push({ role: "tool", tool_call_id: call.id, content: "This page does not run tools." });
    }
  }
  await bill(shown, body.model, usage);
};

const listModels = async () => {
  const response = await fetch("/v1/models", { headers: headers() });
  if (response.status === 401) return refused(await errorOf(response));
  if (!response.ok) {
    by("state").textContent = await errorOf(response);
    return undefined;
  }
  const models = (await response.json()).data.map((model) => element("option", {}, model.id));
  by("model").replaceChildren(...models);
  return undefined;
};

by("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = by("question").value.trim();
  if (!question || running) return;
  by("question").value = "";
  ask(question);
});
by("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    by("ask").requestSubmit();
  }
});
by("stop").addEventListener("click", () => running?.abort());
by("clear").addEventListener("click", () => {
  running?.abort();
  messages = [];
  by("talk").replaceChildren();
  by("question").focus();
});
by("login").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(by("key").value.trim());
  by("key").value = "";
  by("login").hidden = true;
  listModels();
});
listModels();
