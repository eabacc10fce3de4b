// WEBHOOK_SECRET=whsec_… node receiver.mjs        (Node 20.10 or newer, and nothing else)

import { createHmac, timingSafeEqual } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const MAX_BODY_BYTES = 10_000_000;
const STORE = process.env.STORE ?? "readings.jsonl";
const keys = keysOf(process.env.WEBHOOK_SECRET ?? "");
const known = new Set(storedIds());

// The keys of one secret, or of two, separated by a space, while the key is rotated.
function keysOf(secrets) {
  const found = secrets.trim().split(/\s+/);
  if (!found.every((secret) => /^whsec_([A-Za-z0-9+/=]{4}){8,22}$/.test(secret))) {
    console.error("WEBHOOK_SECRET has to be the whsec_… that the forwarder signs with");
    process.exit(1);
  }
  return found.map((secret) => Buffer.from(secret.slice("whsec_".length), "base64"));
}

// Why a request is not genuine (Standard Webhooks 1.0.0); undefined when it is.
function whyNot(headers, body) {
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`]);
  if (!id || !signatures || !/^[0-9]{1,12}$/.test(timestamp ?? "")) {
    return "webhook-id, webhook-timestamp or webhook-signature is missing";
  }
  if (Math.abs(Date.now() / 1000 - timestamp) > 300) return "webhook-timestamp is more than 5 minutes off";
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const expected = keys.map((key) => Buffer.from("v1," + createHmac("sha256", key).update(signed).digest("base64")));
  const given = signatures.split(" ").map((signature) => Buffer.from(signature));
  const fits = expected.some((one) => given.some((each) => each.length === one.length && timingSafeEqual(each, one)));
  return fits ? undefined : "no signature fits";
}

// The readings in a body, standard or CloudEvents, one or a batch; none in types that we do not know.
function readingsOf(body) {
  return [JSON.parse(body)].flat().flatMap(({ type, data }) =>
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

const server = createServer(async (request, response) => {
  const answer = (status, sentence = "") => response.writeHead(status).end(sentence);
  if (request.method !== "POST") return answer(405);
  if (!(request.headers["content-length"] <= MAX_BODY_BYTES)) return answer(413);
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks); // as it came: parsed and written again it would not fit the signature
    const problem = whyNot(request.headers, body);
    if (problem) return answer(401, problem);
    // On disk before the answer: what is answered 2xx is not sent again.
    for (const { id, device, measured_at } of keep(readingsOf(body))) console.log(id, device, measured_at);
    answer(204);
  } catch (error) {
    console.error(error);
    answer(500);
  }
});

server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
