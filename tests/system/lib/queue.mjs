// Queues as tests see them: names that no other test uses, frames that settle a message, and what is left in a queue.
import { connect, overTcp } from "./transports.mjs";

let names = 0;

/** A queue that no other test uses; `family`: the policy section /queue/FAMILY.** that it falls under. */
export function freshQueue(family = "fresh") {
  return `/queue/${family}.${++names}`;
}

export const textsOf = (messages) => messages.map(({ text }) => text);

/** Sends the texts and waits until all of them are stored. */
export async function put(session, destination, texts, headers = {}) {
  texts.slice(0, -1).forEach((text) => session.send("SEND", { destination, ...headers }, text));
  await session.request("SEND", { destination, ...headers }, texts.at(-1));
}

/** Takes so many messages; `wanted`: headers that they must have. */
export async function take(session, count, wanted = {}) {
  const messages = [];
  while (messages.length < count) {
    messages.push(await session.expect({ command: "MESSAGE", ...wanted }));
  }
  return messages;
}

/** What ACK and NACK must carry to settle that MESSAGE. */
export function settling(version, { headers }) {
  switch (version) {
    case "1.0":
      return { "message-id": headers["message-id"] };
    case "1.1":
      return { "message-id": headers["message-id"], subscription: headers.subscription };
    default:
      return { id: headers.ack };
  }
}

/** Each waits for its receipt. */
export const ack = (session, message, headers = {}) =>
  session.request("ACK", { ...settling(session.version, message), ...headers });
export const nack = (session, message, headers = {}) =>
  session.request("NACK", { ...settling(session.version, message), ...headers });

/** Takes all that is ready in a queue that has no other consumer, in its order. */
export async function leftIn(daemon, queue) {
  const session = await connect(daemon, overTcp);
  await session.subscribe(queue, "left", { ack: "client-individual" });
  session.send("SEND", { destination: queue }, "the last");
  const messages = [];
  for (;;) {
    const message = await session.expect("MESSAGE");
    await ack(session, message);
    if (message.text === "the last") {
      break;
    }
    messages.push(message);
  }
  await session.request("DISCONNECT");
  return messages;
}

/** What is on its way to the session has come then: three messages, one after the other, through a queue of its own. */
export async function roundTrip(session) {
  const destination = freshQueue("round-trip");
  await session.subscribe(destination, destination);
  for (let i = 0; i < 3; i++) {
    session.send("SEND", { destination });
    await session.expect({ command: "MESSAGE", destination });
  }
  await session.request("UNSUBSCRIBE", { id: destination });
}

/** Nothing comes, although there was time for it. */
export async function mustStayQuiet(session) {
  await roundTrip(session);
  if (session.frames.length > 0) {
    const { command, headers, text } = session.frames[0];
    throw new Error(`comes unasked: ${command} ${JSON.stringify(headers)} ${text.slice(0, 100)}`);
  }
}
