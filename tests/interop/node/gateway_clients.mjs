// openai-node and the AI SDK's DeepSeek provider against a gateway, as their users write them.
//
//     node gateway_clients.mjs URL KEY
//
// Prints a JSON line for each call: client, call, and how it failed or null.
import OpenAI, { toFile } from "openai";
import { createDeepSeek } from "@ai-sdk/deepseek";
import { generateText, streamText, tool } from "ai";
import { z } from "zod";

const [url, key] = process.argv.slice(2);
const model = "deepseek-flash";
const hello = [{ role: "user", content: "Say hello" }];
const weather = [{ role: "user", content: "The weather in Oslo?" }];
const api = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const provider = createDeepSeek({ baseURL: `${url}/v1`, apiKey: key });

function equal(got, wanted) {
  if (got !== wanted) throw new Error(`got ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}

async function all(pages) {
  const found = [];
  for await (const each of pages) found.push(each.id);
  return found;
}

const row = JSON.stringify({
  custom_id: "row-1",
  method: "POST",
  url: "/v1/chat/completions",
  body: { model, messages: hello },
});

const calls = {
  "openai-node": {
    async chat() {
      const made = await api.chat.completions.create({ model, messages: hello });
      equal(made.choices[0].message.content, "Hello");
    },
    async stream() {
      let text = "";
      for await (const chunk of await api.chat.completions.create({ model, messages: hello, stream: true }))
        text += chunk.choices[0]?.delta?.content ?? "";
      equal(text, "Hello");
    },
    async tools() {
      const parameters = { type: "object", properties: { city: { type: "string" } } };
      const tools = [{ type: "function", function: { name: "weather", parameters } }];
      const made = await api.chat.completions.create({ model, messages: weather, tools });
      equal(JSON.parse(made.choices[0].message.tool_calls[0].function.arguments).city, "Oslo");
    },
    async responses() {
      equal((await api.responses.create({ model, input: "Say hello" })).output_text, "Hello");
    },
    async files() {
      const made = await api.files.create({ file: await toFile(Buffer.from(row), "in.jsonl"), purpose: "batch" });
      equal((await all(api.files.list())).includes(made.id), true);
      equal(await (await api.files.content(made.id)).text(), row);
      equal((await api.files.delete(made.id)).deleted, true);
    },
    async batches() {
      const file = await api.files.create({ file: await toFile(Buffer.from(row), "in.jsonl"), purpose: "batch" });
      let batch = await api.batches.create({
        input_file_id: file.id,
        endpoint: "/v1/chat/completions",
        completion_window: "24h",
      });
      while (!["completed", "failed"].includes(batch.status)) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        batch = await api.batches.retrieve(batch.id);
      }
      const answer = JSON.parse(await (await api.files.content(batch.output_file_id)).text());
      equal(answer.response.body.choices[0].message.content, "Hello");
    },
    async embeddings() {
      const made = await api.embeddings.create({ model: "text-embedding", input: "Hello" });
      equal(made.data[0].embedding.length > 0, true);
    },
    async models() {
      equal((await all(api.models.list())).includes(model), true);
    },
    async errors() {
      const asked = { model, messages: [{ role: "user", content: "No money" }] };
      const status = await api.chat.completions.create(asked).then(() => 200, (error) => error.status);
      equal(status, 402);
    },
  },
  "ai-sdk": {
    async generateText() {
      equal((await generateText({ model: provider(model), prompt: "Say hello", maxRetries: 0 })).text, "Hello");
    },
    async streamText() {
      let text = "";
      for await (const piece of streamText({ model: provider(model), prompt: "Say hello", maxRetries: 0 }).textStream)
        text += piece;
      equal(text, "Hello");
    },
    async tools() {
      const tools = { weather: tool({ description: "Weather", inputSchema: z.object({ city: z.string() }) }) };
      const made = await generateText({ model: provider(model), prompt: "The weather in Oslo?", tools, maxRetries: 0 });
      equal(made.toolCalls[0].input.city, "Oslo");
    },
  },
};

for (const [client, named] of Object.entries(calls))
  for (const [call, run] of Object.entries(named)) {
    const failure = await run().then(() => null, (error) => String(error.stack ?? error));
    console.log(JSON.stringify([client, call, failure]));
  }
