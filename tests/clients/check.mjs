// What the official Node client must find at the gateway. Run by `run.py`, which says where that is.

import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";
import { VERSION } from "openai/version";

const messages = [{ role: "user", content: "Hello there!" }];
const model = "gpt-4.1-mini";
const weather = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

const client = (variable, apiKey = "anything") =>
  new OpenAI({ baseURL: process.env[variable], apiKey, maxRetries: 0 });

async function fails(status, code, call) {
  await assert.rejects(call, (error) => {
    assert.deepEqual([error.status, error.code], [status, code], error.message);
    return true;
  });
}

const relay = client("RELAY");
const checks = {
  async chat() {
    const answer = await relay.chat.completions.create({ model, messages });
    assert.match(answer.choices[0].message.content, /Hello there!/);
    assert.equal(answer.choices[0].finish_reason, "stop");
  },
  async stream() {
    const stream = await relay.chat.completions.create({
      model, messages, stream: true, stream_options: { include_usage: true },
    });
    let text = "";
    let usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.match(text, /Hello there!/);
    assert.ok(usage.completion_tokens > 0);
  },
  async tools() {
    const answer = await relay.chat.completions.create({ model, messages, tools: [weather] });
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.equal(answer.choices[0].message.tool_calls[0].function.name, "weather");
  },
  async embeddings() {
    const answer = await relay.embeddings.create({ model: "text-embedding-3-small", input: "one" });
    assert.ok(answer.data[0].embedding.length > 8);
  },
  async models() {
    const names = (await relay.models.list()).data.map((entry) => entry.id);
    assert.ok(names.includes(model), names.join());
    assert.equal((await relay.models.retrieve(model)).object, "model");
  },
  async upload() {
    const size = 3 << 20;
    const file = await relay.files.create({ file: await toFile(Buffer.alloc(size, "x"), "big.jsonl"), purpose: "batch" });
    assert.equal(file.bytes, size);
  },
  async disconnect() {
    for (let i = 0; i < 20; i++) {
      const stream = await relay.chat.completions.create({ model, messages, stream: true });
      for await (const _ of stream) break;
    }
    await checks.chat();
  },
  async refusals() {
    const create = (body) => relay.chat.completions.create({ model, messages, ...body });
    await fails(404, "model_not_found", () => create({ model: "gpt-9" }));
    await fails(413, "request_too_large", () => create({ messages: [{ role: "user", content: "x".repeat(1 << 20) }] }));
    await fails(502, "upstream_auth", () => client("RELAY_WRONG_KEY").chat.completions.create({ model, messages }));
  },
  async passThrough() {
    const create = (key) => client("RELAY_PASS_THROUGH", key).chat.completions.create({ model, messages });
    assert.match((await create("demo-key")).choices[0].message.content, /Hello there!/);
    await fails(401, "invalid_api_key", () => create("not-mine"));
    const nobody = { headers: { authorization: null } };
    await fails(401, "missing_api_key", () =>
      client("RELAY_PASS_THROUGH").chat.completions.create({ model, messages }, nobody));
  },
};

for (const check of Object.values(checks)) await check();
console.log(`openai-node ${VERSION}: ${Object.keys(checks).length} passed, 0 failed`);
