import { askForKey, element, errorOf, events, foreign, headers, onKey, say } from "/pages/session.js";

const by = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en-US");
const dollars = (value) => value.toFixed(Math.abs(value) < 1 ? 4 : 2);
const shown = new Map();
let watching = new AbortController();

// Draws a part only when its data have changed: a reader's place, a selection and a scroll position stay.
const draw = (id, data, made) => {
  const written = JSON.stringify(data);
  if (shown.get(id) === written) return;
  shown.set(id, written);
  by(id).replaceChildren(...made(data));
};
const rows = (id, data, empty, made) => {
  const columns = by(id).closest("table").querySelectorAll("th").length;
  draw(id, data, () => (data.length ? data.map((row) => element("tr", {}, ...made(row))) : [element("tr", {}, element("td", { colspan: columns, class: "empty" }, empty))]));
};
const name = (value, ...more) => (value ? element("td", { class: "text" }, foreign(value), ...more) : element("td", {}, "–"));
const count = (value) => element("td", { class: "n" }, number(value));
const money = (value) => element("td", { class: "n" }, dollars(value));
const bar = (label, value, most, ...more) =>
  element("td", {}, element("progress", { value, max: Math.max(1, most), "aria-label": label }), ...more);
const note = (text) => element("small", {}, foreign(text));

const tiles = (data) => {
  const total = (column) => data.activity.spent.reduce((sum, row) => sum + row[column], 0);
  const [sent, cached] = [total("prompt_tokens"), total("cached_tokens")];
  const made = [
    ["In flight", number(data.in_flight)],
    ["Waiting", number(data.queued)],
    ["Calls per second", data.activity.per_second.toFixed(1), "over the last minute"],
    ["Spent", `$${dollars(total("cost"))}`, "since start"],
    ["Prefix cache", sent ? `${Math.round((100 * cached) / sent)} %` : "–", "of tokens sent"],
    ["Answers from cache", number(data.activity.cached_answers), "without a request"],
  ];
  if (data.budget !== null) made.push(["Budget left today", `$${dollars(data.budget_remaining)}`, `of $${dollars(data.budget)}`]);
  if (data.stopped_by) made.push(["Stopped", "DeepSeek does not accept the gateway's key"]);
  return made;
};

const batchStatus = (batch) => {
  const fault = batch.error;
  const place = fault?.line ? `line ${fault.line}: ` : "";
  return name(
    batch.status,
    ...(batch.waiting_for ? [note(`waits: ${batch.waiting_for}`)] : []),
    ...(fault ? [element("small", { class: "bad" }, foreign(place + fault.message))] : []));
};

const show = (data) => {
  draw("tiles", tiles(data), (made) => made.map(([term, value, unit]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, value, ...(unit ? [element("small", {}, unit)] : [])))));
  rows("models", data.models, "No request yet.", (row) => [
    name(row.model), count(row.in_flight), count(row.limit),
    bar(`${row.model}: ${row.in_flight} of ${row.limit} in flight`, row.in_flight, row.limit),
    count(row.queued), name(row.state)]);
  rows("spent", data.activity.spent, "Nothing spent.", (row) => [
    name(row.caller), name(row.model), count(row.calls), count(row.failed),
    count(row.prompt_tokens), count(row.cached_tokens), count(row.completion_tokens), money(row.cost)]);
  rows("jobs", data.batches, "No batch.", (batch) => {
    const { total, completed, failed } = batch.request_counts;
    const progress = `${number(completed + failed)} of ${number(total)}`;
    const words = Object.entries(batch.metadata).map(([key, value]) => note(`${key}: ${value}`));
    return [
      name(batch.id, ...words), name(batch.owner), batchStatus(batch),
      bar(`${progress} rows`, completed + failed, total, element("small", {}, progress)), count(failed), money(batch.cost)];
  });
  draw("failures", data.activity.failures, (failures) => (failures.length ? failures.map(failure) : [element("li", { class: "empty" }, "None.")]));
};

const failure = (row) => {
  const at = new Date(row.at * 1000);
  const who = [row.caller, row.model || "no model", row.request_id && `request ${row.request_id}`].filter(Boolean);
  return element("li", {},
    foreign(row.what),
    element("small", {}, element("time", { datetime: at.toISOString() }, at.toLocaleTimeString()),
      ...who.flatMap((word) => [" · ", foreign(word)])));
};

const watch = async () => {
  const { signal } = watching;
  while (!signal.aborted) {
    try {
      const response = await fetch("/console/events", { headers: headers(), signal });
      if (response.status === 401) {
        by("figures").hidden = true;
        askForKey();
        return;
      }
      if (response.ok) {
        by("figures").hidden = false;
        say("live", "good");
        for await (const data of events(response)) show(JSON.parse(data));
        say("no connection; trying again…", "bad");
      } else {
        say(await errorOf(response), "bad");
      }
    } catch {
      // The gateway has gone, and may come back.
      say("no connection; trying again…", "bad");
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
};

onKey(watch, () => watching.abort());
watch();
