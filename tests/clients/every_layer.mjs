// What the official Node client and Vercel's AI SDK must find at a gateway that has every layer on. Run by `run.py`, which says
// where that is.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";
import { VERSION } from "openai/version";

const baseURL = process.env.RELAY_EVERY_LAYER;
const model = "gpt-4.1-mini";
const text = "Hello there!";
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const own = { "x-demo-status": "400" };

const rejected = (code, call) => assert.rejects(call, (error) => {
  assert.deepEqual([error.status, error.code], code, error.message);
  return true;
});

function official() {
  const client = (apiKey) => new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const relay = client("sk-every-layer");
  const messages = [{ role: "user", content: text }];
  const create = (body, options, from = relay) => from.chat.completions.create({ model, messages, ...body }, options);
  return {
    async chat() {
      const answer = await create();
      assert.match(answer.choices[0].message.content, /Hello there!/);
      assert.deepEqual([answer.model, answer.choices[0].finish_reason], [model, "stop"]);
    },
    async stream() {
      let seen = "";
      for await (const chunk of await create({ stream: true })) seen += chunk.choices[0]?.delta?.content ?? "";
      assert.match(seen, /Hello there!/);
    },
    async tool_call() {
      const weather = { type: "function", function: { name: "weather", parameters: city } };
      const answer = await create({ tools: [weather] });
      const [call] = answer.choices[0].message.tool_calls;
      assert.deepEqual([answer.choices[0].finish_reason, call.function.name], ["tool_calls", "weather"]);
      assert.ok("city" in JSON.parse(call.function.arguments));
    },
    async error() {
      await rejected([404, "model_not_found"], () => create({ model: "gpt-9" }));
      await rejected([401, "invalid_api_key"], () => create({}, {}, client("sk-of-nobody")));
      await rejected([400, null], () => create({}, { headers: own }));
    },
  };
}

function sdk() {
  const provider = (apiKey) => createOpenAICompatible({ name: "relay", baseURL, apiKey, includeUsage: true });
  const relay = provider("sk-every-layer")(model);
  const request = { model: relay, prompt: text, maxRetries: 0 };
  const fails = (status, code, more) => assert.rejects(() => generateText({ ...request, ...more }), (error) => {
    assert.deepEqual([error.statusCode, JSON.parse(error.responseBody).error.code], [status, code], error.message);
    return true;
  });
  return {
    async chat() {
      const answer = await generateText(request);
      assert.match(answer.text, /Hello there!/);
      assert.equal(answer.finishReason, "stop");
      assert.ok(answer.usage.outputTokens > 0);
    },
    async stream() {
      const errors = [];
      const result = streamText({ ...request, onError: ({ error }) => errors.push(error) });
      let seen = "";
      for await (const piece of result.textStream) seen += piece;
      assert.deepEqual(errors, []);
      assert.match(seen, /Hello there!/);
      assert.ok((await result.usage).outputTokens > 0);
    },
    async tool_call() {
      const answer = await generateText({ ...request, tools: { weather: tool({ inputSchema: jsonSchema(city) }) } });
      assert.equal(answer.finishReason, "tool-calls");
      assert.deepEqual(answer.toolCalls.map((call) => [call.toolName, typeof call.input.city]), [["weather", "string"]]);
    },
    async error() {
      await fails(404, "model_not_found", { model: provider("sk-every-layer")("gpt-9") });
      await fails(401, "invalid_api_key", { model: provider("sk-of-nobody")(model) });
      await fails(400, null, { headers: own });
    },
  };
}

const { version } = createRequire(import.meta.url)("ai/package.json");
for (const [name, checks] of [[`openai-node ${VERSION}`, official()], [`ai-sdk ${version}`, sdk()]]) {
  for (const [what, check] of Object.entries(checks)) {
    // The rollout sends one in two to either side: both have to be right.
    for (let i = 0; i < 4; i++) {
      await check().catch((cause) => {
        throw new Error(`${what} of ${name}`, { cause });
      });
    }
  }
  console.log(`${name} through every layer: ${Object.keys(checks).join(", ")}`);
}
