// Receives readings: verifies each request, keeps each reading once, answers at once.
//
//   npm install standardwebhooks
//   WEBHOOK_SECRET=whsec_... node receiver.mjs        (Node 20.10 or newer)

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const MAX_BODY_BYTES = 2 * 1024 * 1024;
const STORE = process.env.STORE ?? "readings.jsonl";
// Two secrets, separated by a space, while the key is rotated.
const webhooks = process.env.WEBHOOK_SECRET.split(" ").map((secret) => new Webhook(secret));
const known = new Set(storedIds());

const server = createServer(async (request, response) => {
  const answer = (status) => response.writeHead(status, { "content-length": 0 }).end();
  try {
    if (request.method !== "POST") return answer(405);
    if (!(request.headers["content-length"] <= MAX_BODY_BYTES)) return answer(413);
    const event = verified(await rawBody(request), request.headers);
    if (event === undefined) return answer(401);
    // On disk before the answer: after a 2xx the forwarder does not send it again.
    for (const reading of keep(readingsOf(event))) {
      console.log(reading.id, reading.device, reading.measured_at);
    }
    answer(204);
  } catch (error) {
    console.error(error);
    answer(500);
  }
});

// The bytes as they came: parsed and written again they would no longer fit the signature.
async function rawBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// The event that one of our secrets signed, undefined when none did.
function verified(body, headers) {
  for (const webhook of webhooks) {
    try {
      return webhook.verify(body, headers);
    } catch {
      continue;
    }
  }
  return undefined;
}

// The readings in an event; none in one of a type that we do not know, such as webhook.test.
function readingsOf(event) {
  if (event.type === "meter.reading") return [event.data];
  if (event.type === "meter.readings") return event.data;
  return [];
}

// Keeps those that are new, and returns them. In a database this is a unique key and "on conflict do nothing".
function keep(readings) {
  const unseen = readings.filter((reading) => !known.has(reading.id));
  const lines = unseen.map((reading) => "\n" + JSON.stringify(reading)).join("");
  appendFileSync(STORE, lines, { flush: true });
  for (const reading of unseen) known.add(reading.id);
  return unseen;
}

function storedIds() {
  if (!existsSync(STORE)) return [];
  return readFileSync(STORE, "utf8").split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line).id];
    } catch {
      return []; // a line that was cut off in a crash: its reading was not answered, and comes again
    }
  });
}

server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
