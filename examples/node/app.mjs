// An application behind stompd: it takes what browsers send to /app/… and answers. Start as many of it as you like, on
// any node: each message goes to one of them.
//
//     node app.mjs [URL]
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

Object.assign(globalThis, { WebSocket }); // STOMP.js looks for the browser's

/** What this application can do: a destination, and the answer to a message's body. */
const handlers = {
  "/app/greet": (body) => `Hello, ${body}!`,
  "/app/add": (body) => String(sum(JSON.parse(body))),
};

function sum(list) {
  if (!Array.isArray(list) || !list.every((item) => typeof item === "number")) {
    throw new Error("not a list of numbers");
  }
  return list.reduce((total, number) => total + number, 0);
}

const client = new Client({
  brokerURL: process.argv[2] ?? "ws://127.0.0.1:8080/ws",
  connectHeaders: { login: "application", passcode: "secret" },
  reconnectDelay: 1000, // it connects again by itself, and onConnect subscribes again
  onConnect: () => {
    // The pattern is that of the conf file's section, which names this user in app-consumers. We acknowledge each
    // message by itself, and get no more than ten at a time; so others get their share when we are busy.
    client.subscribe("/app/**", receive, { ack: "client-individual", "prefetch-count": "10" });
    console.log("waiting for messages to /app/**");
  },
  onStompError: ({ headers }) => console.error(`the server says: ${headers.message}`),
});

/**
 * We answer first and acknowledge then. If this process dies between the two, another one gets the message again (with
 * redelivered:true) and answers twice. The other way round the answer could be lost. To have both or neither, put them
 * into a transaction: client.begin().
 */
function receive(message) {
  const { destination } = message.headers;
  try {
    answer(message, handlers[destination](message.body));
    message.ack();
    console.log(`answered ${destination}`);
  } catch (error) {
    // It would fail each time, so it must not come back: with requeue:false it goes to /queue/app.dead, where somebody
    // can look at it. For what may work later, message.nack() alone gives it back, to be delivered again.
    message.nack({ requeue: "false" });
    console.log(`rejected ${destination}: ${error.message}`);
  }
}

/** `user` and `session` were set by the server; nobody can send in another's name. */
function answer({ headers }, body) {
  const target = answerTo(headers);
  if (headers["correlation-id"] !== undefined) {
    target["correlation-id"] = headers["correlation-id"]; // so that the asker knows what this is the answer to
  }
  const { destination, ...others } = target;
  client.publish({ destination, body, headers: others });
}

function answerTo({ "reply-to": replyTo, user, session }) {
  if (replyTo !== undefined) {
    return { destination: replyTo }; // where the asker wants it
  }
  if (user !== undefined) {
    // All pages of this user. With { session } too, only the page that asked.
    return { destination: `/user/${escapeName(user)}/queue/answers` };
  }
  return { destination: "/user//queue/answers", session }; // a guest has no name, but a session
}

/** In a destination a name's "/" would look like the end of the name. */
function escapeName(name) {
  return name.replaceAll("%", "%25").replaceAll("/", "%2F");
}

client.activate();

// What we have not acknowledged goes to others when we leave.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => client.deactivate());
}
