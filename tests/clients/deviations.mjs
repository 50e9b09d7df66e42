// What Vercel's AI SDK must read of every provider that the demo imitates. Run by `run.py`.

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";

const baseURL = process.env.RELAY_DEVIANT;
const relay = createOpenAICompatible({ name: "relay", baseURL, apiKey: "anything", includeUsage: true });
const prompt = "Hello there!";
const tools = {
  weather: tool({
    inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
  }),
};

// Its streams end in an error on purpose.
const BREAKS_OFF = "deviant-groq-tool-error";
const THINKS = ["deviant-mistral", "deviant-xai"];

async function streamed(model, more = {}) {
  const errors = [];
  const result = streamText({ model: relay(model), prompt, maxRetries: 0, onError: ({ error }) => errors.push(error), ...more });
  const seen = { text: "", calls: [], reason: null, errors };
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") seen.text += part.text;
    if (part.type === "tool-call") seen.calls.push(part);
    if (part.type === "finish") Object.assign(seen, { reason: part.finishReason, usage: part.totalUsage });
    if (part.type === "error") seen.errors.push(part.error);
  }
  return seen;
}

const whole = {
  async chat(model) {
    const answer = await generateText({ model: relay(model), prompt, maxRetries: 0 });
    assert.match(answer.text, /Hello there!/);
    assert.equal(answer.finishReason, "stop");
    assert.ok(answer.usage.outputTokens > 0);
    if (THINKS.includes(model)) assert.ok(answer.reasoningText);
  },
  async tools(model) {
    const answer = await generateText({ model: relay(model), prompt, tools, maxRetries: 0 });
    assert.equal(answer.finishReason, "tool-calls");
    assert.deepEqual(answer.toolCalls.map((call) => [call.toolName, typeof call.input.city]), [["weather", "string"]]);
  },
};
const streams = {
  async stream(model) {
    const seen = await streamed(model);
    assert.deepEqual([seen.errors, seen.calls, seen.reason], [[], [], "stop"]);
    assert.match(seen.text, /Hello there!/);
    assert.ok(seen.usage.outputTokens > 0);
  },
  async streamedTools(model) {
    const seen = await streamed(model, { tools });
    assert.deepEqual([seen.errors, seen.reason], [[], "tool-calls"]);
    assert.deepEqual(seen.calls.map((call) => [call.toolName, typeof call.input.city]), [["weather", "string"]]);
  },
};
const breakingOff = {
  async breaksOff(model) {
    const seen = await streamed(model);
    assert.ok(seen.errors.length > 0, "a stream that breaks off was read as if it were whole");
  },
};

const models = (await (await fetch(`${baseURL}/models`)).json()).data.map((entry) => entry.id);
let passed = 0;
for (const model of models) {
  const checks = { ...whole, ...(model === BREAKS_OFF ? breakingOff : streams) };
  for (const [name, check] of Object.entries(checks)) {
    await check(model).catch((cause) => {
      throw new Error(`${name} of ${model}`, { cause });
    });
    passed += 1;
  }
}
console.log(`ai-sdk: ${models.length} deviations read, ${passed} passed, 0 failed`);
