// TLS: WebSocket and TCP over it, with a self-signed certificate, and the two faults of libwebsockets that only TLS
// shows.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useCertificate } from "./lib/certificate.mjs";
import { Daemon, useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { RawConnection, requestText, upgradeHeaders } from "./lib/http.mjs";
import { threadTicks } from "./lib/process.mjs";
import { freshTopic, TRANSPORTS } from "./lib/transports.mjs";

const { conf: tls, ca } = useCertificate();

/** A crypt(3) hash that takes about a second to check, so that a login waits that long. */
const SLOW_HASH = execFileSync("perl", ["-e", 'print crypt("secret", q($6$rounds=6000000$saltsaltsalt$))']).toString();

const conf = {
  "listen web": { ...tls, deflate: "yes" },
  "listen plain": tls,
  limits: { "connect-time": "1m" }, // the slow login may take long on a busy machine
  ...Object.fromEntries(TRANSPORTS.map(({ name }) => [`user slow-${name}`, { password: SLOW_HASH }])),
};

const idlers = []; // sessions that are open from the beginning to the end
const idlersOpened = Date.now();
const daemon = useDaemon(conf, async () => {
  for (const transport of TRANSPORTS) {
    const session = await openTls(transport);
    idlers.push(await session.connect());
  }
});

const openTls = (transport, options = {}) => transport.open(daemon, { ca, ...options });

for (const transport of TRANSPORTS) {
  describe(`TLS over ${transport.name}`, () => {
    test("sessions talk", async () => {
      const [one, other] = await Promise.all([openTls(transport), openTls(transport)]);
      await Promise.all([one.connect(), other.connect()]);
      const topic = freshTopic();
      await one.subscribe(topic);
      other.send("SEND", { destination: topic }, "secret");
      assert.equal((await one.expect("MESSAGE")).text, "secret");
      await one.request("DISCONNECT");
      await one.expectClose(1000);
      other.drop();
    });

    test("an ERROR gets out before the close", async () => {
      const session = await openTls(transport);
      await session.connect();
      session.send("SEND", { destination: "/exchange/a" });
      await session.expectError(/destination/, 1002);
    });

    test("messages of 200 KB arrive whole", async () => {
      const session = await openTls(transport);
      await session.connect();
      const topic = freshTopic();
      await session.subscribe(topic);
      for (let i = 0; i < 10; i++) {
        const body = randomBytes(200_000);
        session.send("SEND", { destination: topic }, body);
        assert.deepEqual((await session.expect("MESSAGE")).body, body);
      }
      session.drop();
    });

    // Fault 1 of libwebsockets: reading paused while decrypted bytes are pending made its loop spin. A login under way
    // pauses reading.
    test("a paused session with bytes pending takes no processor time, and goes on whole", async () => {
      const session = await openTls(transport);
      const topic = freshTopic();
      const count = 20;
      const sends = Array.from({ length: count }, (_, i) =>
        encodeFrame("SEND", { destination: topic, n: i, receipt: i }, randomBytes(4000).toString("hex")),
      );
      const login = { login: `slow-${transport.name}`, passcode: "secret" };
      session.sendRaw(encodeFrame("CONNECT", { "accept-version": "1.2", host: "test", ...login }));
      session.sendRaw(encodeFrame("SUBSCRIBE", { id: "0", destination: topic }));
      sends.forEach((bytes) => session.sendRaw(bytes));
      const before = threadTicks(daemon.pid);
      await session.expect("CONNECTED");
      const spent = [...threadTicks(daemon.pid)]
        .map(([id, ticks]) => ticks - (before.get(id) ?? 0))
        .sort((a, b) => b - a);
      const [hashing, busiestOther] = spent;
      assert.ok(busiestOther < hashing / 3, `ticks of the daemon's threads while one was hashing: ${spent}`);
      session.version = "1.2";
      for (let i = 0; i < count; i++) {
        await session.expect({ command: "RECEIPT", "receipt-id": String(i) });
        assert.equal((await session.expect("MESSAGE")).headers.n, String(i));
      }
      session.drop();
    });
  });
}

// Fault 2 of libwebsockets: 50 KB inbound, deflated, over TLS broke the stream.
test("50 KB messages come in and go out deflated over TLS", async () => {
  const session = await openTls(TRANSPORTS[0], { perMessageDeflate: { threshold: 0 } });
  assert.match(session.socket.extensions, /permessage-deflate/);
  await session.connect();
  const topic = freshTopic();
  await session.subscribe(topic);
  for (let n = 0; n < 20; n++) {
    const body = n % 2 === 0 ? randomBytes(50_000) : Buffer.from(`message ${n} `.repeat(5000));
    session.send("SEND", { destination: topic }, body);
    assert.deepEqual((await session.expect("MESSAGE")).body, body);
  }
  session.drop();
});

test("several workers give back what they took for it", async () => {
  const crowd = await new Daemon({ ...conf, server: { workers: 3 } }).start();
  await crowd.stop("SIGINT"); // a sanitizer's build tells what was not given back
});

describe("What is no TLS", () => {
  for (const listener of ["web", "plain"]) {
    test(`is cut on the listener ${listener}, and others are served`, async () => {
      for (const bytes of [requestText("/ws", upgradeHeaders()), "CONNECT\n\n\0", randomBytes(2000)]) {
        const connection = new RawConnection(daemon.ports[listener]);
        connection.write(bytes);
        const answer = await connection.untilClosed();
        assert.doesNotMatch(answer, /CONNECTED|101/);
      }
      const session = await openTls(TRANSPORTS[0]);
      await session.connect();
      session.drop();
    });
  }
});

describe("A TLS handshake that is never finished", { concurrency: true }, () => {
  const hurried = useDaemon({ ...conf, limits: { "connect-time": "500ms" } });
  const starts = [
    ["silence", ""],
    ["half a ClientHello", Buffer.from([0x16, 3, 1, 2, 0, 1, 0])],
  ];
  for (const listener of ["web", "plain"]) {
    for (const [what, bytes] of starts) {
      test(`${what} on the listener ${listener} is cut by connect-time`, async () => {
        const connection = new RawConnection(hurried.ports[listener]);
        connection.write(bytes);
        await connection.untilClosed();
      });
    }
  }
});

test("an idle session outlives the time-outs that its handshake had", async () => {
  await sleep(Math.max(0, idlersOpened + 13_000 - Date.now()));
  for (const session of idlers) {
    await session.request("SEND", { destination: freshTopic() });
    session.drop();
  }
});
