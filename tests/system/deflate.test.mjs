// permessage-deflate: off by default, negotiated where the listener offers it, without context takeover either way.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { clientFrame, openRawWs, upgrade } from "./lib/http.mjs";
import { connect, freshTopic, overWebSocket } from "./lib/transports.mjs";

const daemon = useDaemon({
  "listen web": { deflate: "yes" },
  "listen still": { protocol: "ws", path: "/ws" },
});

const DEFLATE = { perMessageDeflate: { threshold: 0 } };

const connectDeflated = () => connect(daemon, overWebSocket, {}, DEFLATE);

function extensionsFor(offer, port = daemon.ports.web) {
  return upgrade(port, { headers: { "Sec-WebSocket-Extensions": offer } });
}

describe("The offer", () => {
  test("is taken where the listener has deflate", async () => {
    const session = await connectDeflated();
    assert.match(session.socket.extensions, /permessage-deflate/);
    session.drop();
  });

  test("is declined by default", async () => {
    const { status, headers } = await extensionsFor("permessage-deflate", daemon.ports.still);
    assert.equal(status, 101);
    assert.equal(headers["sec-websocket-extensions"], undefined);
  });

  const declined = ["permessage-deflate; server_max_window_bits=10", "x-webkit-deflate-frame"];
  for (const offer of declined) {
    test(`"${offer}" is declined, and the session goes on without`, async () => {
      const { status, headers } = await extensionsFor(offer);
      assert.equal(status, 101);
      assert.equal(headers["sec-websocket-extensions"], undefined);
    });
  }

  const taken = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; client_max_window_bits; server_no_context_takeover",
    "x-webkit-deflate-frame, permessage-deflate",
  ];
  for (const offer of taken) {
    test(`"${offer}" is answered without context takeover`, async () => {
      const { headers } = await extensionsFor(offer);
      assert.equal(
        headers["sec-websocket-extensions"],
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
      );
    });
  }
});

describe("Compressed sessions", () => {
  const bodies = [
    ["small texts", () => Buffer.from("small")],
    ["50 KB that compress well", (n) => Buffer.from(`message ${n} `.repeat(4500))],
    ["50 KB that do not compress", () => randomBytes(50_000)],
  ];
  for (const [what, bodyOf] of bodies) {
    test(`carry ${what} both ways`, async () => {
      const session = await connectDeflated();
      const plain = await connect(daemon, overWebSocket);
      const topic = freshTopic();
      await session.subscribe(topic);
      await plain.subscribe(topic);
      for (let n = 0; n < 20; n++) {
        const body = bodyOf(n);
        session.send("SEND", { destination: topic }, body);
        assert.deepEqual((await session.expect("MESSAGE")).body, body);
        assert.deepEqual((await plain.expect("MESSAGE")).body, body);
      }
      session.drop();
      plain.drop();
    });
  }

  test("carry many messages at once, in order and with pings in between", async () => {
    const [session, publisher] = [await connectDeflated(), await connectDeflated()];
    const topic = freshTopic();
    await session.subscribe(topic);
    const count = 100;
    for (let n = 0; n < count; n++) {
      publisher.send("SEND", { destination: topic }, `${n} `.repeat(1 + (n % 10) * 500));
      if (n % 10 === 0) {
        session.socket.ping();
        publisher.socket.ping();
      }
    }
    await session.waitFor("all messages", () => session.frames.length === count);
    assert.deepEqual(
      session.frames.map(({ text }) => text.split(" ")[0]),
      Array.from({ length: count }, (_, n) => String(n)),
    );
    await session.waitFor("pongs", () => session.pongs > 0);
    await publisher.waitFor("pongs", () => publisher.pongs > 0);
    await session.request("DISCONNECT");
    await session.expectClose(1000);
    publisher.drop();
  });

  test("a message that inflates beyond body-size is refused", async () => {
    const session = await connectDeflated();
    session.send("SEND", { destination: freshTopic() }, Buffer.alloc(64 * 1024 * 1024));
    await session.expectError(/-size/, 1009);
  });

  test("only a message's first frame may be marked as compressed", async () => {
    const offer = { "Sec-WebSocket-Extensions": "permessage-deflate" };
    const connection = await openRawWs(daemon.ports.web, { headers: offer });
    const [TEXT_BEGINS, CONTINUED_AND_MARKED] = [0x01, 0xc0];
    connection.write(clientFrame(TEXT_BEGINS, "CONNECT\naccept-version:1.2\n"));
    connection.write(clientFrame(CONTINUED_AND_MARKED, "\n\0"));
    assert.ok(await connection.until("\x88\x02\x03\xea"), "a close frame with 1002"); // the ERROR is compressed
    connection.drop();
  });
});
