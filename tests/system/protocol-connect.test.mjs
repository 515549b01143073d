// The beginning and the end of a session: CONNECT or STOMP, CONNECTED, Protocol Negotiation, Heart-beating, DISCONNECT,
// Lingering.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

// Every negotiated interval is BEAT_MS unless the client asks for a longer one; the server allows three of silence.
const BEAT_MS = 400;

const idlers = []; // sessions that are open from the beginning to the end
const idlersOpened = Date.now();
const daemon = useDaemon({}, async () => {
  for (const transport of TRANSPORTS) {
    idlers.push(await connect(daemon, transport));
  }
});
const beating = useDaemon({ server: { "heart-beat-send": `${BEAT_MS}ms`, "heart-beat-receive": `${BEAT_MS}ms` } });

for (const transport of TRANSPORTS) {
  describe(`CONNECT or STOMP over ${transport.name}`, () => {
    for (const command of ["CONNECT", "STOMP"]) {
      test(`${command} opens a session`, async () => {
        const session = await connect(daemon, transport, { command });
        assert.equal(session.connected.headers.version, "1.2");
        session.drop();
      });
    }

    test("Spring's deviation: host may be missing", async () => {
      const session = await transport.open(daemon);
      session.sendRaw("CONNECT\naccept-version:1.1,1.2\n\n\0");
      await session.expect("CONNECTED");
      session.drop();
    });

    test("any host is taken", async () => {
      const session = await connect(daemon, transport, { host: "no.such.host" });
      session.drop();
    });

    test("a receipt header on CONNECT is ignored", async () => {
      const session = await connect(daemon, transport, { receipt: "of-connect" });
      await session.request("SEND", { destination: freshTopic() });
      assert.deepEqual(session.frames, []);
      session.drop();
    });

    test("CONNECTED names version, session, server and heart-beat", async () => {
      const session = await connect(daemon, transport);
      const { headers } = session.connected;
      assert.equal(headers.version, "1.2");
      assert.match(headers.session, /^test-node:[^:]+:./);
      assert.match(headers.server, /^stompd\/\d+\.\d+/);
      assert.equal(headers["heart-beat"], "10000,10000");
      assert.equal(headers["user-name"], undefined);
      session.drop();
    });

    test("CONNECTED names the user", async () => {
      const session = await connect(daemon, transport, { login: "alice", passcode: "wonderland" });
      assert.equal(session.connected.headers["user-name"], "alice");
      session.drop();
    });

    test("session ids are unique", async () => {
      const sessions = await Promise.all(Array.from({ length: 20 }, () => connect(daemon, transport)));
      const ids = new Set(sessions.map((session) => session.connected.headers.session));
      assert.equal(ids.size, sessions.length);
      sessions.forEach((session) => session.drop());
    });
  });

  describe(`Protocol Negotiation over ${transport.name}`, () => {
    const accepted = [
      ["1.0", "1.0"],
      ["1.1", "1.1"],
      ["1.2", "1.2"],
      ["1.0,1.1", "1.1"],
      ["1.2,1.1,1.0", "1.2"],
      ["1.1,9.9", "1.1"],
    ];
    for (const [offer, version] of accepted) {
      test(`accept-version:${offer} gives ${version}`, async () => {
        const session = await connect(daemon, transport, { version: offer });
        assert.equal(session.connected.headers.version, version);
        session.drop();
      });
    }

    test("without accept-version it is 1.0", async () => {
      const session = await transport.open(daemon);
      session.sendRaw("CONNECT\n\n\0");
      const { headers } = await session.expect("CONNECTED");
      assert.equal(headers.version, undefined);
      assert.equal(headers["heart-beat"], undefined);
      assert.notEqual(headers.session, undefined);
      session.drop();
    });

    for (const offer of ["2.0", "1.3,1.20", "x", ""]) {
      test(`accept-version:${offer} is refused with the versions that are spoken`, async () => {
        const session = await transport.open(daemon);
        session.sendRaw(`CONNECT\naccept-version:${offer}\nhost:test\n\n\0`);
        const error = await session.expectError(/version/, 1002);
        assert.equal(error.headers.version, "1.0,1.1,1.2");
      });
    }
  });

  describe(`Heart-beating over ${transport.name}`, { concurrency: true }, () => {
    test("CONNECTED says what the server offers and wants", async () => {
      const session = await connect(beating, transport, { "heart-beat": "0,0" });
      assert.equal(session.connected.headers["heart-beat"], `${BEAT_MS},${BEAT_MS}`);
      session.drop();
    });

    test("the server beats when the client wants it", async () => {
      const session = await connect(beating, transport, { "heart-beat": "0,1" });
      await session.waitFor("three heart-beats", () => session.beats >= 3);
      assert.deepEqual(session.frames, []);
      session.drop();
    });

    test("without a heart-beat header nobody beats, and silence is allowed", async () => {
      const session = await connect(beating, transport);
      await sleep(BEAT_MS * 5);
      assert.equal(session.beats, 0);
      await session.request("SEND", { destination: freshTopic() });
      session.drop();
    });

    test("any data counts as a sign of life", async () => {
      const session = await connect(beating, transport, { "heart-beat": "1,0" });
      for (let i = 0; i < 20; i++) {
        await sleep(BEAT_MS / 4);
        session.sendRaw("\n");
      }
      await session.request("SEND", { destination: freshTopic() });
      assert.equal(session.beats, 0);
      session.drop();
    });
  });

  describe(`DISCONNECT over ${transport.name}`, () => {
    test("its RECEIPT comes, then the connection is closed", async () => {
      const session = await connect(daemon, transport);
      await session.request("DISCONNECT");
      await session.expectClose(1000);
    });

    test("without a receipt the connection is closed too", async () => {
      const session = await connect(daemon, transport);
      session.send("DISCONNECT");
      await session.expectClose(1000);
      assert.deepEqual(session.frames, []);
    });

    test("earlier frames are processed, later ones are not", async () => {
      const witness = await connect(daemon, transport);
      const topic = freshTopic();
      await witness.subscribe(topic);
      const session = await transport.open(daemon);
      session.sendRaw(
        Buffer.concat([
          encodeFrame("CONNECT", { "accept-version": "1.2", host: "test" }),
          encodeFrame("SEND", { destination: topic }, "before"),
          encodeFrame("DISCONNECT", { receipt: "bye" }),
          encodeFrame("SEND", { destination: topic }, "behind"),
        ]),
      );
      await session.expect("CONNECTED");
      await session.expect({ command: "RECEIPT", "receipt-id": "bye" });
      await session.expectClose(1000);
      assert.equal((await witness.expect("MESSAGE")).text, "before");
      await witness.request("SEND", { destination: topic }, "from the witness");
      assert.equal((await witness.expect("MESSAGE")).text, "from the witness");
      witness.drop();
    });

    test("Connection Lingering: who connects, sends and closes at once is heard", async () => {
      const witness = await connect(daemon, transport);
      const topic = freshTopic();
      await witness.subscribe(topic);
      for (let i = 0; i < 30; i++) {
        const session = await transport.open(daemon);
        session.send("CONNECT", { "accept-version": "1.2", host: "test" });
        session.send("SEND", { destination: topic }, String(i));
        session.finish();
        assert.equal((await witness.expect("MESSAGE")).text, String(i));
      }
      witness.drop();
    });

    test("Connection Lingering: many connects and disconnects in a row are served", async () => {
      for (let i = 0; i < 30; i++) {
        const session = await connect(daemon, transport);
        await session.request("DISCONNECT");
        await session.expectClose(1000);
      }
    });
  });
}

describe("A client that promised heart-beats and is silent", { concurrency: true }, () => {
  test("is cut over TCP", async () => {
    const session = await connect(beating, overTcp, { "heart-beat": "1,0" });
    await session.expectError(/heart-beat/);
  });

  test("is cut over WebSocket when it answers no pings either", async () => {
    const session = await connect(beating, overWebSocket, { "heart-beat": "1,0" }, { autoPong: false });
    await session.expectError(/heart-beat/, 1008);
  });

  test("is cut while it is within a frame", async () => {
    const session = await connect(beating, overTcp, { "heart-beat": "1,0" });
    session.sendRaw("SEND\ndestination:/topic/a\n");
    await session.expectError(/heart-beat/);
  });
});

describe("Server pings over WebSocket", () => {
  const pinging = useDaemon({
    server: { "ping-time": "300ms", "heart-beat-receive": `${BEAT_MS}ms`, "heart-beat-send": `${BEAT_MS}ms` },
  });

  test("an idle session is pinged, and its pongs count as a sign of life", async () => {
    const session = await connect(pinging, overWebSocket, { "heart-beat": "1,0" });
    await session.waitFor("pings", () => session.pings >= 8);
    await session.request("SEND", { destination: freshTopic() });
    session.drop();
  });

  test("are no heart-beats, which STOMP clients hear of alone", async () => {
    const session = await connect(pinging, overWebSocket, { "heart-beat": `0,${BEAT_MS}` });
    await session.waitFor("pings", () => session.pings >= 3);
    assert.ok(session.beats >= 2, `${session.beats} heart-beats beside ${session.pings} pings`);
    session.drop();
  });
});

test("an idle session outlives the time-outs that its handshake had", async () => {
  await sleep(Math.max(0, idlersOpened + 13_000 - Date.now()));
  for (const session of idlers) {
    await session.request("SEND", { destination: freshTopic() });
    session.drop();
  }
});
