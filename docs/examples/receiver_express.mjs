// The receiver as an Express application, verified by the public library.
//
//   npm install express standardwebhooks
//   WEBHOOK_SECRET=whsec_… node receiver_express.mjs        (Node 20.10 or newer)

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import express from "express";
import { Webhook } from "standardwebhooks";

const STORE = process.env.STORE ?? "readings.jsonl";
const webhooks = webhooksOf(process.env.WEBHOOK_SECRET ?? "");
const known = new Set(storedIds());
const app = express();

// The bytes as they came: what express.json() makes of them no longer fits the signature.
app.post("/", express.raw({ type: () => true, limit: "10mb" }), (request, response) => {
  const event = verified(request.body, request.headers);
  if (event === undefined) {
    return response.status(401).type("text").send("no signature fits, or it is more than 5 minutes old");
  }
  // On disk before the answer: what is answered 2xx is not sent again.
  for (const { id, device, measured_at } of keep(readingsOf(event))) console.log(id, device, measured_at);
  response.status(204).end();
});

// A verifier for each secret; there are two, separated by a space, while the key is rotated.
function webhooksOf(secrets) {
  const found = secrets.trim().split(/\s+/);
  if (!found.every((secret) => /^whsec_([A-Za-z0-9+/=]{4}){8,22}$/.test(secret))) {
    console.error("WEBHOOK_SECRET has to be the whsec_… that the forwarder signs with");
    process.exit(1);
  }
  return found.map((secret) => new Webhook(secret));
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

// The readings in an event, standard or CloudEvents, one or a batch; none in types that we do not know.
function readingsOf(event) {
  return [event].flat().flatMap(({ type, data }) =>
    ["meter.reading", "meter.readings"].includes(type.replace(/^ch\.whatwatt\./, "")) ? data : []);
}

// Keeps those that are new, and returns them. In a database this is a unique key and "on conflict do nothing".
function keep(readings) {
  const unseen = readings.filter(({ id }) => !known.has(id));
  const lines = unseen.map((reading) => "\n" + JSON.stringify(reading)).join("");
  appendFileSync(STORE, lines, { flush: true });
  for (const { id } of unseen) known.add(id);
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

const server = app.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
