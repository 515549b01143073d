// Asks the application something and prints the answer, as a browser's page would do it.
//
//     node ask.mjs DESTINATION BODY [LOGIN PASSCODE] [URL]
import { randomUUID } from "node:crypto";

import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

Object.assign(globalThis, { WebSocket }); // in a browser it is there

const PATIENCE_MS = 5000;

const [destination, body] = process.argv.slice(2, 4);
const others = process.argv.slice(4);
const url = others.length % 2 === 1 ? others.pop() : "ws://127.0.0.1:8080/ws";
const [login, passcode] = others;
const question = randomUUID();

const client = new Client({
  brokerURL: url,
  connectHeaders: login === undefined ? {} : { login, passcode }, // without a name we are a guest
  onConnect: () => {
    // "/user/…" always means one's own. A guest's is that of the session.
    client.subscribe("/user/queue/answers", ({ headers, body: answer }) => {
      if (headers["correlation-id"] === question) {
        console.log(answer);
        end();
      }
    });
    client.publish({ destination, body, headers: { "correlation-id": question } });
  },
  onStompError: ({ headers }) => {
    console.log(`refused: ${headers.message}`);
    end();
  },
});

const timer = setTimeout(() => {
  console.log("no answer");
  end();
}, PATIENCE_MS);

function end() {
  clearTimeout(timer);
  client.deactivate();
}

client.activate();
