import { askForKey, element, errorOf, events, foreign, headers, onKey, say } from "/pages/session.js";
import { drawn, grow, messagesOf, started } from "/pages/answer.js";
import { rendered } from "/pages/markdown.js";

const by = (id) => document.getElementById(id);
let messages = [];
let running = null;

const turn = (role, name) => {
  const made = { box: element("article", { class: `card turn ${role}` }, element("h3", {}, foreign(name))), text: element("div") };
  made.box.append(made.text);
  by("talk").append(made.box);
  return made;
};

const toolsGiven = () => {
  const tools = by("tools").value.trim() ? JSON.parse(by("tools").value) : [];
  if (!Array.isArray(tools)) throw new TypeError("no array");
  return by("search").checked ? [...tools, { type: "deepseek_web_search" }] : tools;
};

const bodyFor = (question, tools) => ({
  model: by("model").value,
  messages: [...messages, { role: "user", content: question }],
  stream: true,
  stream_options: { include_usage: true },
  thinking: { type: by("thinking").checked ? "enabled" : "disabled" },
  ...(tools.length ? { tools } : {}),
});

// At most one drawing a frame: a whole answer is drawn anew each time.
const painter = (shown, answer) => {
  let waiting = 0;
  const paint = () => {
    waiting = 0;
    shown.text.replaceChildren(...drawn(answer, shown.text.querySelector("details")?.open ?? false));
  };
  return {
    soon: () => { waiting ||= requestAnimationFrame(paint); },
    now: () => { cancelAnimationFrame(waiting); paint(); },
  };
};

const bill = async (shown, model, usage) => {
  if (!usage) {
    shown.box.append(element("p", { class: "cost" }, "Cost not known here: the overview counts what was produced."));
    return;
  }
  const query = new URLSearchParams({ model, usage: JSON.stringify(usage) });
  const response = await fetch(`/console/cost?${query}`, { headers: headers() }).catch(() => null);
  const cost = response?.ok ? (await response.json()).cost : null;
  const cached = usage.prompt_cache_hit_tokens ?? usage.prompt_tokens_details?.cached_tokens ?? 0;
  const words = `${usage.prompt_tokens} tokens in (${cached} cached), ${usage.completion_tokens} out`;
  shown.box.append(element("p", { class: "cost" }, typeof cost === "number" ? `$${cost.toFixed(6)}: ${words}` : words));
};

// Reads a stream into the answer; returns its usage.
const listen = async (response, answer, changed) => {
  let usage = null;
  for await (const data of events(response)) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices ?? []) grow(answer, choice.delta ?? {});
    changed();
  }
  return usage;
};

const busy = (controller) => {
  running = controller;
  by("send").disabled = controller !== null;
  by("stop").disabled = controller === null;
  by("talk").setAttribute("aria-busy", String(controller !== null));
};

const ask = async (question, tools) => {
  const body = bodyFor(question, tools);
  const conversation = messages;
  const controller = new AbortController();
  busy(controller);
  say("answering…", "good");
  turn("user", "You").text.replaceChildren(...rendered(question));
  const shown = turn("assistant", body.model);
  const answer = started();
  const paint = painter(shown, answer);
  paint.now();
  shown.box.scrollIntoView({ block: "nearest" });
  let sent = false;
  let whole = false;
  let usage = null;
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers() },
      body: JSON.stringify(body),
      signal: controller.signal,
    });
    if (response.status === 401) askForKey();
    if (!response.ok) throw new Error(await errorOf(response));
    sent = true;
    usage = await listen(response, answer, paint.soon);
    whole = true;
    say("");
  } catch (error) {
    if (controller.signal.aborted) say("stopped");
    else {
      say("failed", "bad");
      shown.box.append(element("p", { class: "bad", role: "alert" }, foreign(error.message)));
    }
  }
  if (!whole) answer.calls = []; // half a call is refused in the next request
  paint.now();
  if (answer.content || answer.calls.length) conversation.push(body.messages.at(-1), ...messagesOf(answer));
  if (running === controller) busy(null);
  if (sent) await bill(shown, body.model, usage);
  shown.box.scrollIntoView({ block: "nearest" });
};

const listModels = async () => {
  const response = await fetch("/v1/models", { headers: headers() }).catch(() => null);
  if (response === null) return say("no connection", "bad");
  if (response.status === 401) return askForKey();
  if (!response.ok) return say(await errorOf(response), "bad");
  const models = (await response.json()).data.map((model) => element("option", {}, model.id));
  by("model").replaceChildren(...models);
  say("");
  return by("question").focus();
};

by("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = by("question").value.trim();
  if (!question || running) return;
  let tools;
  try {
    tools = toolsGiven();
  } catch {
    say("the tools are no JSON array", "bad");
    by("toolbox").open = true;
    by("tools").focus();
    return;
  }
  by("question").value = "";
  ask(question, tools);
});
by("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    by("ask").requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
by("stop").addEventListener("click", () => {
  running?.abort();
  by("question").focus(); // the button is about to be disabled, and would take the focus with it
});
by("clear").addEventListener("click", () => {
  running?.abort();
  messages = [];
  by("talk").replaceChildren();
  by("question").focus();
});
onKey(listModels, () => running?.abort());
listModels();
