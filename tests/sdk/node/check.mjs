// Google's SDK for Node against the Gemini sandbox at the address in argv: generate, stream, chat, count, embed,
// models, errors. Says what is wrong and exits with 1.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { ApiError, FinishReason, GoogleGenAI } from "@google/genai";

const MODEL = "gemini-3.8-flash";
const EMBEDDING_MODEL = "gemini-embedding-001";

const baseUrl = process.argv[2];
const client = new GoogleGenAI({ apiKey: "any", httpOptions: { baseUrl } });
const ask = (contents, config, model = MODEL) => client.models.generateContent({ model, contents, config });

async function generate() {
  const answer = await ask("What is 17 + 25?");
  assert.equal(answer.text, "17 + 25 = 42.");
  assert.equal(answer.candidates[0].finishReason, FinishReason.STOP);
  assert.equal(answer.modelVersion, MODEL);
  const usage = answer.usageMetadata;
  assert.equal(usage.totalTokenCount, usage.promptTokenCount + usage.candidatesTokenCount);
  const brief = await ask("Tell me about the sea", {
    systemInstruction: "Be brief.",
    maxOutputTokens: 5,
    temperature: 0.5,
    safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }],
  });
  assert.equal(brief.candidates[0].finishReason, FinishReason.MAX_TOKENS);
}

async function stream() {
  const text = "Grüße, नमस्ते दुनिया, 你好 👩‍👩‍👧!";
  const chunks = [];
  for await (const chunk of await client.models.generateContentStream({
    model: MODEL,
    contents: `[[sandbox:say ${text}]]`,
  })) {
    chunks.push(chunk);
  }
  assert.equal(chunks.map((chunk) => chunk.text ?? "").join(""), text);
  assert.ok(chunks.length > 3);
  assert.equal(chunks.at(-1).candidates[0].finishReason, FinishReason.STOP);
  assert.ok(chunks.at(-1).usageMetadata.candidatesTokenCount > 0);
}

async function thoughts() {
  const answer = await ask("hello", { thinkingConfig: { includeThoughts: true } });
  const [thought, said] = answer.candidates[0].content.parts;
  assert.ok(thought.thought && !said.thought);
}

async function chat() {
  const talk = client.chats.create({ model: MODEL });
  await talk.sendMessage({ message: "Hello, my name is Ada." });
  assert.equal((await talk.sendMessage({ message: "What is my name?" })).text, "Your name is Ada.");
}

async function count() {
  const counted = await client.models.countTokens({ model: MODEL, contents: "hello world" });
  assert.equal(counted.totalTokens, 5);
}

async function embed() {
  const one = await client.models.embedContent({ model: EMBEDDING_MODEL, contents: "a cat sat on the mat" });
  assert.equal(one.embeddings[0].values.length, 3072);
  const two = await client.models.embedContent({
    model: EMBEDDING_MODEL,
    contents: ["one", "two"],
    config: { outputDimensionality: 256 },
  });
  assert.deepEqual(two.embeddings.map((embedding) => embedding.values.length), [256, 256]);
}

async function models() {
  const names = [];
  for await (const model of await client.models.list({ config: { pageSize: 2 } })) names.push(model.name);
  assert.ok(names.includes(`models/${MODEL}`) && names.includes(`models/${EMBEDDING_MODEL}`) && names.length > 2);
  const one = await client.models.get({ model: MODEL });
  assert.equal(one.inputTokenLimit, 1_048_576);
  assert.equal(one.outputTokenLimit, 65_536);
}

async function fails(call, status, word) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ApiError, error);
    assert.equal(error.status, status);
    assert.ok(error.message.includes(word), error.message);
    return true;
  });
}

async function faults() {
  await fails(() => ask("[[sandbox:429 retry=38s]]"), 429, "38s");
  await fails(() => ask("[[sandbox:500]]"), 500, "INTERNAL");
  await fails(() => ask("hello", undefined, "gemini-1.5-flash"), 404, "NOT_FOUND");
  const wrongKey = new GoogleGenAI({ apiKey: "invalid", httpOptions: { baseUrl } });
  await fails(() => wrongKey.models.generateContent({ model: MODEL, contents: "hello" }), 400, "API_KEY_INVALID");
  const blocked = await ask("[[sandbox:block PROHIBITED_CONTENT]]");
  assert.equal(blocked.promptFeedback.blockReason, "PROHIBITED_CONTENT");
  assert.equal(blocked.candidates, undefined);
  const late = await ask("[[sandbox:finish SAFETY after=1]]");
  assert.equal(late.candidates[0].finishReason, FinishReason.SAFETY);
}

await generate();
await stream();
await thoughts();
await chat();
await count();
await embed();
await models();
await faults();
const { version } = JSON.parse(readFileSync(new URL("node_modules/@google/genai/package.json", import.meta.url)));
console.log(`@google/genai ${version} for Node: generate, stream, chat, count, embed, models, faults`);
