// Clients that say goodbye at once: what they sent before counts, and what they are owed still reaches them, though
// their own end of the connection is shut already.
import assert from "node:assert/strict";
import net from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useCertificate } from "./lib/certificate.mjs";
import { useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { clientFrame, openRawWs } from "./lib/http.mjs";
import { cpuTicks } from "./lib/process.mjs";
import { openTcp } from "./lib/tcp.mjs";
import { connect, freshTopic, overTcp } from "./lib/transports.mjs";

const { conf: tls, ca } = useCertificate();

const daemon = useDaemon({
  "listen secure-plain": { protocol: "stomp", ...tls },
  limits: { "outbox-size": "64m", "frame-size": "16m", "body-size": "16m" },
});

const LARGE = 900_000;
const MANY = 20;
const HUGE = 12 << 20; // more than sockets hold

const TEXT = 0x81;
const CLOSE = 0x88;
const CONNECT = encodeFrame("CONNECT", { "accept-version": "1.2", host: "test" });
const goodbye = (code) => clientFrame(CLOSE, Buffer.from([code >> 8, code & 255]));

/** Whoever waits for a socket must not spin. */
async function assertIdle() {
  const before = cpuTicks(daemon.pid);
  await sleep(500);
  const spent = cpuTicks(daemon.pid) - before;
  assert.ok(spent <= 25, `${spent} ticks in half a second of 50`);
}

const WAYS = {
  TCP: (options) => openTcp(daemon.ports.plain, { allowHalfOpen: true, ...options }),
  "TCP over TLS": (options) => openTcp(daemon.ports["secure-plain"], { ca, allowHalfOpen: true, ...options }),
};

for (const [way, open] of Object.entries(WAYS)) {
  describe(`A client that shuts its end over ${way}`, () => {
    /** Subscribed, and not reading, so that its socket fills. */
    async function subscribed(topic) {
      const session = await (await open()).connect();
      await session.subscribe(topic);
      session.pause();
      return session;
    }

    const messages = (session) => session.frames.filter(({ command }) => command === "MESSAGE");

    test("behind a DISCONNECT gets its messages and the receipt", async () => {
      const topic = freshTopic();
      const session = await subscribed(topic);
      for (let i = 0; i < MANY; i++) {
        session.send("SEND", { destination: topic }, Buffer.alloc(LARGE, i));
      }
      session.send("DISCONNECT", { receipt: "bye" });
      session.finish();
      await sleep(1000);
      await assertIdle();
      session.resume();
      await session.expect({ command: "RECEIPT", "receipt-id": "bye" });
      assert.equal(messages(session).length, MANY);
      await session.expectClose();
    });

    test("without a DISCONNECT gets what waits for it", async () => {
      const topic = freshTopic();
      const session = await subscribed(topic);
      const publisher = await connect(daemon, overTcp);
      for (let i = 0; i < MANY; i++) {
        await publisher.request("SEND", { destination: topic }, Buffer.alloc(LARGE, i));
      }
      session.finish();
      await sleep(200);
      session.resume();
      await session.waitFor("its messages", () => messages(session).length === MANY);
      await session.expectClose();
      publisher.drop();
    });
  });
}

describe("A close frame behind other frames", () => {
  /** Sends it all in one packet. */
  async function sendAtOnce(...frames) {
    const connection = await openRawWs(daemon.ports.web);
    connection.write(clientFrame(TEXT, CONNECT));
    await connection.until("CONNECTED");
    await connection.until("\0");
    connection.write(Buffer.concat(frames));
    return connection;
  }

  const send = (topic, body = "") => clientFrame(TEXT, `SEND\ndestination:${topic}\nreceipt:r\n\n${body}\0`);

  test("is answered behind the receipt", async () => {
    const connection = await sendAtOnce(send(freshTopic()), goodbye(1000));
    const text = await connection.untilClosed();
    assert.match(text, /RECEIPT\nreceipt-id:r\n\n\0\x88\x02\x03\xe8$/);
  });

  test("is answered behind a message too that the socket does not take at once", async () => {
    const topic = freshTopic();
    const connection = await sendAtOnce(clientFrame(TEXT, `SUBSCRIBE\nid:0\ndestination:${topic}\n\n\0`));
    connection.socket.pause();
    const frame = send(topic, "x".repeat(HUGE));
    connection.write(frame.subarray(0, -100));
    await sleep(500); // so that the rest comes in one piece
    connection.write(Buffer.concat([frame.subarray(-100), goodbye(1000)]));
    connection.socket.end();
    await sleep(500);
    await assertIdle();
    connection.socket.resume();
    assert.match(await connection.untilClosed(), /xxx\0.*RECEIPT\nreceipt-id:r\n\n\0\x88\x02\x03\xe8$/s);
  });

  test("does not keep a DISCONNECT from its receipt", async () => {
    const connection = await sendAtOnce(clientFrame(TEXT, "DISCONNECT\nreceipt:bye\n\n\0"), goodbye(1000));
    assert.match(await connection.untilClosed(), /RECEIPT\nreceipt-id:bye\n\n\0\x88\x02\x03\xe8$/);
  });
});
