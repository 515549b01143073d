// STOMP.js as it is, over ws: what a browser application does with it.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Client, Versions } from "@stomp/stompjs";
import WebSocket from "ws";

import { Daemon, useDaemon } from "./lib/daemon.mjs";
import { PATIENCE_MS } from "./lib/session.mjs";
import { freshTopic } from "./lib/transports.mjs";

Object.assign(globalThis, { WebSocket });

const daemon = useDaemon({ server: { "heart-beat-send": "300ms", "heart-beat-receive": "300ms" } });

const clients = [];
const connectedHeaders = new Map();
after(() => Promise.all(clients.map((client) => client.deactivate({ force: true }))));

/** Resolves with what `start` hands to its argument. */
function promised(what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waiting for ${what}`)), PATIENCE_MS);
    start((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** A connected client. The headers of its CONNECTED are in connectedHeaders. */
async function open(config = {}, port = daemon.ports.web) {
  const client = new Client({ brokerURL: `ws://127.0.0.1:${port}/ws`, reconnectDelay: 0, ...config });
  clients.push(client);
  const { headers } = await promised("CONNECTED", (resolve) => {
    client.onConnect = resolve;
    client.activate();
  });
  connectedHeaders.set(client, headers);
  return client;
}

/** Subscribes, waits for the receipt, and gives next(), which waits for the next message. */
async function subscribe(client, destination, headers = {}) {
  const waiting = [];
  const messages = [];
  const receipt = `subscribed-${destination}`;
  let subscription;
  await promised("the SUBSCRIBE's receipt", (resolve) => {
    client.watchForReceipt(receipt, resolve);
    subscription = client.subscribe(
      destination,
      (message) => (waiting.length > 0 ? waiting.shift()(message) : messages.push(message)),
      { receipt, ...headers },
    );
  });
  const next = () =>
    promised("a message", (resolve) => (messages.length > 0 ? resolve(messages.shift()) : waiting.push(resolve)));
  return { subscription, messages, next };
}

/** Waits until the server has processed all that the client has sent. */
function roundTrip(client) {
  const receipt = randomBytes(6).toString("hex");
  return promised("a receipt", (resolve) => {
    client.watchForReceipt(receipt, resolve);
    client.publish({ destination: freshTopic(), headers: { receipt } });
  });
}

describe("STOMP.js", () => {
  test("two clients talk", async () => {
    const [one, other] = [await open(), await open()];
    const topic = freshTopic();
    const [toOne, toOther] = [await subscribe(one, topic), await subscribe(other, topic)];
    one.publish({ destination: topic, body: "žluťoučký 🐎", headers: { custom: "value" } });
    for (const { next } of [toOne, toOther]) {
      const message = await next();
      assert.equal(message.body, "žluťoučký 🐎");
      assert.equal(message.headers.custom, "value");
      assert.equal(message.headers.destination, topic);
    }
  });

  for (const [version, protocol] of [
    ["1.0", "v10.stomp"],
    ["1.1", "v11.stomp"],
    ["1.2", "v12.stomp"],
  ]) {
    test(`speaks STOMP ${version}`, async () => {
      const client = await open({ stompVersions: new Versions([version]) });
      assert.equal(connectedHeaders.get(client).version, version);
      assert.equal(client.webSocket.protocol, protocol);
      const topic = freshTopic();
      const { next } = await subscribe(client, topic);
      client.publish({ destination: topic, body: version, headers: { plain: "value" } });
      const message = await next();
      assert.equal(message.body, version);
      assert.equal(message.headers.plain, "value");
    });
  }

  test("gets the newest version by default", async () => {
    const client = await open();
    assert.equal(client.connectedVersion, "1.2");
    assert.equal(client.webSocket.protocol, "v12.stomp");
  });

  test("header values with special characters arrive as they were", async () => {
    for (const [version, value] of [
      ["1.2", "a:b\nc\rd"],
      ["1.1", "http://a:80/"],
      ["1.0", "http://a:80/"],
    ]) {
      const client = await open({ stompVersions: new Versions([version]) });
      const topic = freshTopic();
      const { next } = await subscribe(client, topic);
      client.publish({ destination: topic, headers: { value } });
      // Received values are unescaped by STOMP.js in 1.2 only.
      const { headers } = await next();
      assert.equal(version === "1.1" ? headers.value.replaceAll("\\c", ":") : headers.value, value);
    }
  });

  test("binary bodies arrive as they were", async () => {
    const client = await open();
    const topic = freshTopic();
    const { next } = await subscribe(client, topic);
    const binaryBody = new Uint8Array([0, 255, 254, 0, 10, 13, 195, 40, 0]);
    client.publish({ destination: topic, binaryBody });
    assert.deepEqual([...(await next()).binaryBody], [...binaryBody]);
  });

  test("receipts come for publish, subscribe and disconnect", async () => {
    const client = await open();
    await subscribe(client, freshTopic());
    await roundTrip(client);
    const disconnected = promised("the DISCONNECT's receipt", (resolve) => (client.onDisconnect = resolve));
    const closed = promised("the close", (resolve) => (client.onWebSocketClose = resolve));
    await client.deactivate();
    assert.equal((await disconnected).command, "RECEIPT");
    assert.equal((await closed).code, 1000);
  });

  test("heart-beats both ways keep an idle connection", async () => {
    const client = await open({ heartbeatIncoming: 300, heartbeatOutgoing: 300 });
    let beats = 0;
    client.webSocket.addEventListener("message", () => beats++);
    let closed = false;
    client.onWebSocketClose = () => (closed = true);
    while (beats < 6 && !closed) {
      await sleep(50);
    }
    assert.ok(!closed);
    assert.ok(client.connected);
    await roundTrip(client);
  });

  test("transactions commit and abort", async () => {
    const client = await open();
    const topic = freshTopic();
    const { messages, next } = await subscribe(client, topic);
    const aborted = client.begin();
    client.publish({ destination: topic, body: "aborted", headers: { transaction: aborted.id } });
    aborted.abort();
    const committed = client.begin();
    client.publish({ destination: topic, body: "committed", headers: { transaction: committed.id } });
    await roundTrip(client);
    assert.deepEqual(messages, []);
    committed.commit();
    assert.equal((await next()).body, "committed");
    await roundTrip(client);
    assert.deepEqual(messages, []);
  });

  for (const version of ["1.1", "1.2"]) {
    test(`${version}: message.ack() and message.nack() are accepted`, async () => {
      const client = await open({ stompVersions: new Versions([version]) });
      const topic = freshTopic();
      const { next } = await subscribe(client, topic, { ack: "client-individual" });
      for (const settle of ["ack", "nack"]) {
        client.publish({ destination: topic });
        (await next())[settle]();
      }
      await roundTrip(client);
    });
  }

  test("unsubscribe() ends the messages", async () => {
    const client = await open();
    const topic = freshTopic();
    const { subscription, messages } = await subscribe(client, topic);
    subscription.unsubscribe();
    client.publish({ destination: topic });
    await roundTrip(client);
    assert.deepEqual(messages, []);
  });

  for (const splitBinary of [false, true]) {
    test(`large frames may be split over ${splitBinary ? "binary" : "text"} messages`, async () => {
      const client = await open({
        splitLargeFrames: true,
        maxWebSocketChunkSize: 1000,
        forceBinaryWSFrames: splitBinary,
      });
      const topic = freshTopic();
      const { next } = await subscribe(client, topic);
      const body = "0123456789".repeat(10_000);
      client.publish({ destination: topic, body });
      assert.equal((await next()).body, body);
      client.publish({ destination: topic, body: "small" });
      assert.equal((await next()).body, "small");
    });
  }

  test("an error reaches onStompError, and the server closes", async () => {
    const client = await open();
    const closed = promised("the close", (resolve) => (client.onWebSocketClose = resolve));
    const error = promised("ERROR", (resolve) => (client.onStompError = resolve));
    client.publish({ destination: "/exchange/none" });
    assert.match((await error).headers.message, /destination/);
    assert.equal((await closed).code, 1002);
  });

  test("a wrong login reaches onStompError, and the server closes", async () => {
    const client = new Client({
      brokerURL: `ws://127.0.0.1:${daemon.ports.web}/ws`,
      reconnectDelay: 0,
      connectHeaders: { login: "alice", passcode: "wrong" },
    });
    clients.push(client);
    const closed = promised("the close", (resolve) => (client.onWebSocketClose = resolve));
    const error = await promised("ERROR", (resolve) => {
      client.onStompError = resolve;
      client.activate();
    });
    assert.match(error.headers.message, /login/);
    assert.equal((await closed).code, 1008);
  });

  test("private messages reach the user", async () => {
    const alice = await open({ connectHeaders: { login: "alice", passcode: "wonderland" } });
    const bob = await open({ connectHeaders: { login: "bob", passcode: "builder" } });
    assert.equal(connectedHeaders.get(alice)["user-name"], "alice");
    const { next } = await subscribe(alice, "/user/queue/notes");
    bob.publish({ destination: "/user/alice/queue/notes", body: "psst" });
    const message = await next();
    assert.equal(message.body, "psst");
    assert.equal(message.headers.destination, "/user/queue/notes");
  });

  test("reconnects after a restart of the daemon, and hears and is heard again", async () => {
    const restarted = await new Daemon().start();
    const topic = freshTopic();
    const client = new Client({ brokerURL: `ws://127.0.0.1:${restarted.ports.web}/ws`, reconnectDelay: 100 });
    clients.push(client);
    const connectOnce = () =>
      promised("a connection", (resolve) => (client.onConnect = resolve)).then(() => subscribe(client, topic));
    let connected = connectOnce();
    client.activate();
    await connected;
    const closed = promised("the close", (resolve) => (client.onWebSocketClose = resolve));
    connected = connectOnce();
    await restarted.stop();
    assert.equal((await closed).code, 1012);
    await restarted.start();
    const { next } = await connected;
    client.publish({ destination: topic, body: "after" });
    assert.equal((await next()).body, "after");
    await client.deactivate();
    await restarted.stop();
  });
});
