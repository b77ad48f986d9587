// Asks a server everything by OpenAI's own client, and prints what came of it as one JSON document.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0, timeout: 20_000 });

const chat = (content, more = {}) => ({ model: "chat-model", messages: [{ role: "user", content }], ...more });

const told = (error) => ({
  name: error.constructor.name,
  message: error.message,
  status: error.status ?? null,
  type: error.type ?? null,
  code: error.code ?? null,
  param: error.param ?? null,
  requestId: error.requestID ?? null,
  retryAfter: error.headers?.get("retry-after") ?? null,
});

const failureOf = async (asking) => {
  try {
    return { answered: await asking };
  } catch (error) {
    return told(error);
  }
};

const exercises = {
  async chat() {
    const { data, request_id } = await client.chat.completions.create(chat("Hello there")).withResponse();
    return { text: data.choices[0].message.content, usage: data.usage, requestId: request_id };
  },

  async stream() {
    const asked = chat("one two three", { stream: true, stream_options: { include_usage: true } });
    let text = "";
    let usage = null;
    for await (const chunk of await client.chat.completions.create(asked)) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return { text, usage };
  },

  async gatheredStream() {
    const whole = await client.chat.completions.stream(chat("one two three")).finalChatCompletion();
    return { text: whole.choices[0].message.content, finishReason: whole.choices[0].finish_reason };
  },

  async brokenStream() {
    let text = "";
    try {
      for await (const chunk of await client.chat.completions.create(chat("break", { stream: true }))) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
    } catch (error) {
      return { text, failure: told(error) };
    }
    return { text };
  },

  async streamLeft() {
    for await (const chunk of await client.chat.completions.create(chat("stall", { stream: true }))) {
      return chunk.choices.length;
    }
  },

  async tools() {
    const tools = [{ type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } }];
    const whole = await client.chat.completions.create(chat("call", { tools, tool_choice: "required" }));
    const streamed = await client.chat.completions.stream(chat("stream a call", { tools })).finalChatCompletion();
    return { whole: whole.choices[0].message.tool_calls, streamed: streamed.choices[0].message.tool_calls };
  },

  async schema() {
    const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const format = { type: "json_schema", json_schema: { name: "place", strict: true, schema } };
    const answer = await client.chat.completions.create(chat("json", { response_format: format }));
    return JSON.parse(answer.choices[0].message.content);
  },

  async embeddings() {
    const asked = { model: "embedding-model", input: ["first", "second"], dimensions: 5 };
    const vectors = (answer) => answer.data.map((one) => one.embedding);
    const packed = await client.embeddings.create(asked);
    const numbers = await client.embeddings.create({ ...asked, encoding_format: "float" });
    return { packed: vectors(packed), numbers: vectors(numbers), usage: numbers.usage };
  },

  async models() {
    const ids = [];
    for await (const model of client.models.list()) {
      ids.push(model.id);
    }
    const missing = await failureOf(client.models.retrieve("no-such-model"));
    return { ids, one: (await client.models.retrieve("chat-model")).id, missing };
  },

  async errors() {
    const failures = {};
    for (const status of [400, 401, 403, 404, 409, 422, 429, 500, 503]) {
      failures[status] = await failureOf(client.chat.completions.create(chat(`fail ${status}`)));
    }
    return failures;
  },

  async refusedField() {
    return failureOf(client.chat.completions.create(chat("Hello", { temperature: 9 })));
  },

  async timeout() {
    return failureOf(client.withOptions({ timeout: 200 }).chat.completions.create(chat("wait")));
  },

  async retry() {
    const answer = await client.withOptions({ maxRetries: 2 }).chat.completions.create(chat("busy once"));
    return answer.choices[0].message.content;
  },
};

const results = {};
for (const [name, exercise] of Object.entries(exercises)) {
  results[name] = await failureOf(exercise());
}
console.log(JSON.stringify(results));
