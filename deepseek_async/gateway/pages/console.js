import { element, events, forget, headers, remember } from "/pages/session.js";

const by = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en-US");
const dollars = (value) => value.toFixed(value < 1 ? 4 : 2);
const replace = (id, rows, empty, columns) => {
  const shown = rows.length ? rows : [element("tr", {}, element("td", { colspan: columns, class: "empty" }, empty))];
  by(id).replaceChildren(...shown);
};
const cells = (...values) =>
  values.map((value) => (typeof value === "number" ? element("td", { class: "n" }, number(value)) : element("td", {}, value)));

const show = (data) => {
  const total = data.activity.spent.reduce((sum, row) => sum + row.cost, 0);
  const sent = data.activity.spent.reduce((sum, row) => sum + row.prompt_tokens, 0);
  const cached = data.activity.spent.reduce((sum, row) => sum + row.cached_tokens, 0);
  const tiles = [
    ["In flight", number(data.in_flight)],
    ["Waiting", number(data.queued)],
    ["Calls per second", data.activity.per_second.toFixed(1)],
    ["Spent", `$${dollars(total)}`],
    ["Prefix cache", sent ? `${Math.round((100 * cached) / sent)} % of tokens` : "–"],
    ["Answers from cache", number(data.activity.cached_answers)],
  ];
  if (data.budget !== null) tiles.push(["Budget left today", `$${dollars(data.budget_remaining)} of $${dollars(data.budget)}`]);
  by("tiles").replaceChildren(...tiles.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  replace("models", data.models.map((model) => element("tr", {}, ...cells(
    model.model, model.in_flight, model.limit,
    element("progress", { value: model.in_flight, max: Math.max(1, model.limit), "aria-label": `${model.model}: ${model.in_flight} of ${model.limit} in flight` }),
    model.queued, model.state))), "No request yet.", 6);
  replace("spent", data.activity.spent.map((row) => element("tr", {}, ...cells(
    row.caller || "–", row.model || "–", row.calls, row.failed, row.prompt_tokens, row.cached_tokens, row.completion_tokens),
    element("td", { class: "n" }, dollars(row.cost)))), "Nothing spent.", 8);
  replace("jobs", data.batches.map((batch) => {
    const { total: rows, completed, failed } = batch.request_counts;
    const ended = completed + failed;
    return element("tr", {}, ...cells(
      batch.id, batch.owner || "–", batch.waiting_for ? `${batch.status}: waits for ${batch.waiting_for}` : batch.status,
      element("span", {}, element("progress", { value: ended, max: Math.max(1, rows), "aria-label": `${ended} of ${rows} rows` }), ` ${number(ended)} of ${number(rows)}`),
      failed), element("td", { class: "n" }, dollars(batch.cost)));
  }), "No batch.", 6);
  const failures = data.activity.failures.map((failure) => element("li", {},
    element("time", { datetime: new Date(failure.at * 1000).toISOString() }, new Date(failure.at * 1000).toLocaleTimeString()),
    ` ${failure.caller || "–"}, ${failure.model || "no model"}: ${failure.what}`,
    failure.request_id ? ` (${failure.request_id})` : ""));
  by("failures").replaceChildren(...(failures.length ? failures : [element("li", { class: "empty" }, "None.")]));
};

const watch = async () => {
  by("login").hidden = true;
  for (;;) {
    try {
      const response = await fetch("/console/events", { headers: headers() });
      if (response.status === 401 || response.status === 403) {
        const refused = await response.json();
        by("refused").textContent = sessionStorage.length ? refused.error.message : "";
        forget();
        by("login").hidden = false;
        by("figures").hidden = true;
        by("state").textContent = "a key is required";
        by("key").focus();
        return;
      }
      by("figures").hidden = false;
      by("state").textContent = "live";
      for await (const data of events(response)) show(JSON.parse(data));
    } catch {
      // The gateway has gone, and may come back.
    }
    by("state").textContent = "no connection; trying again…";
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
};

by("login").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(by("key").value.trim());
  by("key").value = "";
  watch();
});
watch();
