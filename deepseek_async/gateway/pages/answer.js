// An answer as it grows out of a stream, and its elements.
import { element, foreign, link } from "/pages/session.js";
import { rendered } from "/pages/markdown.js";

const KNOWN = new Set(["role", "content", "reasoning_content", "tool_calls"]);

export const started = () => ({ content: "", reasoning: "", calls: [], others: {} });

// Adds a streamed piece. Fields of the service's own tools are kept as they come: the next request sends them back.
export const grow = (answer, delta) => {
  if (delta.reasoning_content) answer.reasoning += delta.reasoning_content;
  if (delta.content) answer.content += delta.content;
  for (const piece of delta.tool_calls ?? []) {
    const call = (answer.calls[piece.index] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    if (piece.id) call.id = piece.id;
    if (piece.function?.name) call.function.name += piece.function.name;
    if (piece.function?.arguments) call.function.arguments += piece.function.arguments;
  }
  for (const [name, value] of Object.entries(delta)) {
    if (KNOWN.has(name) || value === null) continue;
    const known = answer.others[name];
    answer.others[name] = Array.isArray(known) && Array.isArray(value) ? [...known, ...value] : value;
  }
};

// Messages that stand for a whole answer in the next request. With tools, earlier reasoning must go back word for word.
export const messagesOf = (answer) => {
  const calls = answer.calls.filter(Boolean);
  const said = {
    role: "assistant",
    content: answer.content,
    ...(answer.reasoning ? { reasoning_content: answer.reasoning } : {}),
    ...(calls.length ? { tool_calls: calls } : {}),
    ...answer.others,
  };
  return [said, ...calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "This page does not run tools." }))];
};

// Pages in anything of the answer but its text: [address, title].
const sourcesOf = (value, found = new Map()) => {
  if (Array.isArray(value)) value.forEach((each) => sourcesOf(each, found));
  else if (value && typeof value === "object") {
    const { url, title } = value;
    if (typeof url === "string" && /^https?:/i.test(url) && !found.get(url)) found.set(url, typeof title === "string" ? title : "");
    Object.values(value).forEach((each) => sourcesOf(each, found));
  }
  return found;
};

export const drawn = (answer, open) => {
  const parts = [];
  if (answer.reasoning) parts.push(element("details", { open }, element("summary", {}, "Reasoning"), ...rendered(answer.reasoning)));
  parts.push(...rendered(answer.content));
  for (const call of answer.calls.filter(Boolean)) {
    parts.push(element("pre", { tabindex: "0", role: "group", "aria-label": "Call of a tool", dir: "ltr" },
      element("code", {}, `${call.function.name}(${call.function.arguments})`)));
  }
  const sources = [...sourcesOf(answer.others)];
  if (sources.length) {
    parts.push(element("details", { class: "sources" }, element("summary", {}, `Sources (${sources.length})`),
      element("ol", {}, ...sources.map(([url, title]) => element("li", {}, link(title, url, url))))));
  }
  if (!parts.length) parts.push(element("p", { class: "empty" }, foreign("…")));
  return parts;
};
