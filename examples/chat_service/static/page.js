"use strict";
const $ = (id) => document.getElementById(id);
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const kept = sessionStorage; // of this tab: id of the answer and the question, for a reload

const shown = {
  message: (text) => $("answer").append(text),
  reasoning: (text) => { $("thoughts").hidden = false; $("reasoning").append(text); },
  searching: ({ queries }) => { $("state").textContent = "searches: " + queries.join(", "); },
  withdrawn: () => { $("answer").textContent = ""; },
  end: (facts) => done("cost " + (facts.cost == null ? "unknown" : "$" + facts.cost.toFixed(6))),
  stopped: () => done("stopped"),
  failed: (error) => done(error.message),
};

function begin(question) {
  for (const id of ["answer", "reasoning"]) $(id).textContent = "";
  $("thoughts").hidden = true;
  $("asked").textContent = question;
  busy(true, "…");
}

function busy(yes, words) {
  $("ask").disabled = yes;
  $("stop").hidden = !yes;
  $("state").textContent = words;
}

function done(words) {
  busy(false, words);
}

// Reads the events of one response; true after the last event of an answer, false if the connection broke before it.
async function read(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done: over } = await reader.read();
    if (over) return false;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let kind = "message", data = null, id = null;
      for (const line of block.split("\n")) {
        if (line.startsWith("id: ")) id = line.slice(4);
        else if (line.startsWith("event: ")) kind = line.slice(7);
        else if (line.startsWith("data: ")) data = line.slice(6);
      }
      if (data !== null && shown[kind]) shown[kind](JSON.parse(data));
      if (id !== null) read.last = id;
      if (["end", "stopped", "failed"].includes(kind)) return true;
    }
  }
}

// Follows an answer to its end, over as many connections as it takes.
async function follow(response) {
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      if (response.status === 204) return done("this answer is no longer kept");
      if (!response.ok) return done((await response.json()).error?.message ?? "the question was not accepted");
      kept.setItem("answer", response.headers.get("x-answer-id"));
      if (await read(response)) return;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network's errors are TypeErrors
    }
    await wait(500);
    const headers = read.last ? { "Last-Event-ID": read.last } : {};
    response = await fetch("answers/" + kept.getItem("answer"), { headers }).catch(() => new Response(null));
  }
  done("the connection is lost; reload the page");
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = $("question").value;
  read.last = null;
  kept.removeItem("answer");
  kept.setItem("question", question);
  begin(question);
  const options = { method: "POST", body: JSON.stringify({ question }), headers: { "Content-Type": "application/json" } };
  try {
    await follow(await fetch("answers", options));
  } catch {
    done("the service cannot be reached");
  }
});

$("stop").addEventListener("click", () => fetch("answers/" + kept.getItem("answer"), { method: "DELETE" }));

// After a reload the events are read from the first one on: nothing of the page was kept but the id.
if (kept.getItem("answer")) {
  begin(kept.getItem("question"));
  fetch("answers/" + kept.getItem("answer")).then(follow, () => done("the service cannot be reached"));
}
