// Bad input costs only its sender: after each piece of it two witnesses, one on each transport, still talk through the
// same daemon. (Frames that break a rule of STOMP are in protocol-refusals, sizes in limits, bad upgrades in http and
// lwsfaults.)
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { clientFrame, openRawWs, RawConnection, requestText, upgradeHeaders } from "./lib/http.mjs";
import { Random } from "./lib/random.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

let witnesses;
const topic = freshTopic();

const daemon = useDaemon(
  { limits: { "connect-time": "1500ms", "frame-time": "1500ms", "outbox-size": "1m" } },
  async () => {
    witnesses = [await connect(daemon, overWebSocket), await connect(daemon, overTcp)];
    await Promise.all(witnesses.map((witness) => witness.subscribe(topic)));
  },
);

const CONNECT = encodeFrame("CONNECT", { "accept-version": "1.2", host: "test" });
const TEXT = 0x81;
const BINARY = 0x82;

async function witnessesTalk() {
  for (const sender of witnesses) {
    sender.send("SEND", { destination: topic }, "still here");
    for (const witness of witnesses) {
      assert.equal((await witness.expect("MESSAGE")).text, "still here");
    }
  }
}

afterEach(witnessesTalk);

describe("Garbage", () => {
  test("instead of STOMP over TCP is answered by an ERROR", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const session = await overTcp.open(daemon);
      session.sendRaw(Buffer.concat([Buffer.from([0x80 + seed]), new Random(seed).bytes(4000), Buffer.from("\n\0")]));
      await session.expect("ERROR");
      session.drop();
    }
  });

  test("HTTP on the STOMP port is answered by an ERROR", async () => {
    const session = await overTcp.open(daemon);
    session.sendRaw(requestText("/ws", upgradeHeaders()));
    await session.expectError(/command/);
  });

  test("instead of HTTP on the WebSocket port ends the connection", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const connection = new RawConnection(daemon.ports.web);
      connection.write(Buffer.concat([new Random(seed).bytes(4000), Buffer.from("\r\n\r\n")]));
      await connection.untilClosed();
    }
  });

  test("STOMP on the WebSocket port ends the connection", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write(CONNECT);
    assert.doesNotMatch(await connection.untilClosed(), /CONNECTED/);
  });

  test("as a binary WebSocket message is answered by an ERROR", async () => {
    const session = await overWebSocket.open(daemon);
    session.sendRaw(Buffer.concat([Buffer.from([0xff]), new Random(1).bytes(4000), Buffer.from("\n\0")]));
    await session.expect("ERROR");
    await session.expectClose();
  });

  for (const transport of TRANSPORTS) {
    test(`a thousand mutated conversations over ${transport.name} leave the daemon in order`, async () => {
      const conversation = Buffer.concat([
        CONNECT,
        encodeFrame("SUBSCRIBE", { id: "0", destination: "/topic/mutated.**", ack: "client" }),
        encodeFrame("BEGIN", { transaction: "t" }),
        encodeFrame("SEND", { destination: "/topic/mutated.a", transaction: "t", x: "a:b\\c\n" }, Buffer.from("a\0b")),
        encodeFrame("SEND", { destination: "/user/alice/queue/a" }, "text"),
        encodeFrame("COMMIT", { transaction: "t" }),
        encodeFrame("DISCONNECT", { receipt: "r" }),
      ]);
      for (let batch = 0; batch < 50; batch++) {
        await Promise.all(
          Array.from({ length: 20 }, async (_, i) => {
            const random = new Random(batch * 20 + i);
            const session = await transport.open(daemon);
            session.sendRaw(random.mutate(conversation), { binary: true });
            session.sendRaw(Buffer.from("\0\n\n\0"), { binary: true }); // ends what a mutation left open
            await session.waitFor("an answer", () => session.bytesReceived > 0 || session.closed);
            session.drop();
          }),
        );
      }
    });
  }
});

describe("Broken WebSocket framing", { concurrency: true }, () => {
  const rows = [
    ["a reserved opcode", clientFrame(0x83, "x")],
    ["a reserved control opcode", clientFrame(0x8b, "x")],
    ["a reserved bit", clientFrame(0xc1, "x")],
    ["a fragmented ping", clientFrame(0x09, "x")],
    ["a ping of more than 125 bytes", clientFrame(0x89, "x".repeat(126))],
    ["a continuation of nothing", clientFrame(0x80, "x")],
    ["a text message that is not UTF-8", clientFrame(TEXT, Buffer.from([0xc3, 0x28]))],
    ["a close frame of one byte", clientFrame(0x88, "x")],
    [
      "a length beyond all limits",
      Buffer.concat([Buffer.from([BINARY, 0xff]), Buffer.alloc(8, 0x7f), Buffer.alloc(4)]),
    ],
  ];
  for (const [what, bytes] of rows) {
    test(`${what} ends the connection`, async () => {
      const connection = await openRawWs(daemon.ports.web);
      connection.write(clientFrame(TEXT, CONNECT));
      await connection.until("CONNECTED");
      connection.write(bytes);
      connection.write(clientFrame(BINARY, new Random(1).bytes(200_000))); // for the one that promised more
      await connection.untilClosed();
    });
  }

  test("mutated frames and handshakes leave the daemon in order", async () => {
    const handshake = requestText("/ws", upgradeHeaders({ "Sec-WebSocket-Protocol": "v12.stomp" }));
    const frames = [
      clientFrame(TEXT, CONNECT),
      clientFrame(0x89, "ping"),
      clientFrame(0x01, "SE"),
      clientFrame(0x80, "ND\n\n\0"),
    ];
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed);
      const connection = new RawConnection(daemon.ports.web);
      const mutateHandshake = seed % 2 === 0;
      connection.write(mutateHandshake ? random.mutate(Buffer.from(handshake)) : handshake);
      connection.write(random.mutate(Buffer.concat(frames)));
      connection.socket.end();
      await connection.untilClosed();
    }
  });
});

describe("What is never finished", { concurrency: true }, () => {
  test("an HTTP request whose body never comes is cut by frame-time", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n");
    assert.match(await connection.untilClosed(), /^HTTP\/1.1 405 /);
  });

  for (const transport of TRANSPORTS) {
    test(`a client that says nothing over ${transport.name} is cut by connect-time`, async () => {
      const session = await transport.open(daemon);
      await session.expectError(/connect-time/, 1008);
    });

    test(`a CONNECT that comes drop by drop over ${transport.name} is cut by connect-time`, async () => {
      const session = await transport.open(daemon);
      for (let i = 0; !session.closed && i < 1000; i++) {
        session.sendRaw(i === 0 ? "CONNECT\n" : i % 2 ? "x" : ":\n");
        await sleep(50);
      }
      await session.expectError(/connect-time/, 1008);
    });

    test(`EOLs alone over ${transport.name} are no CONNECT`, async () => {
      const session = await transport.open(daemon);
      for (let i = 0; !session.closed && i < 1000; i++) {
        session.sendRaw("\n");
        await sleep(50);
      }
      await session.expectError(/connect-time/, 1008);
    });

    test(`a half-sent frame over ${transport.name} is cut by frame-time, though bytes keep coming`, async () => {
      const session = await connect(daemon, transport);
      session.sendRaw("SEND\ndestination:/topic/a\n\n");
      for (let i = 0; !session.closed && i < 1000; i++) {
        session.sendRaw("x");
        await sleep(50);
      }
      await session.expectError(/frame-time/, 1008);
    });

    test(`a truncated frame over ${transport.name} and then the end is no message`, async () => {
      const session = await connect(daemon, transport);
      session.sendRaw(`SEND\ndestination:${topic}\ncontent-length:10\n\nhalf`);
      session.drop();
    });
  }

  test("a handshake that comes drop by drop is cut by connect-time", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write("GET /ws HTTP/1.1\r\nHost: test\r\nX: ");
    for (let i = 0; !connection.closed && i < 1000; i++) {
      connection.write("x");
      await sleep(50);
    }
    assert.ok(connection.closed);
  });

  test("a connection to the WebSocket port that says nothing is cut by connect-time", async () => {
    await new RawConnection(daemon.ports.web).untilClosed();
  });

  test("a WebSocket message of many fragments that never ends is cut by frame-time", async () => {
    const connection = await openRawWs(daemon.ports.web);
    connection.write(clientFrame(TEXT, CONNECT));
    await connection.until("CONNECTED");
    connection.write(clientFrame(0x01, "SEND\ndestination:/topic/a\n\n"));
    for (let i = 0; !connection.closed && i < 1000; i++) {
      connection.write(clientFrame(0x00, "x"));
      await sleep(50);
    }
    assert.match(connection.text, /frame-time/);
  });
});

describe("A client that never reads", () => {
  const COUNT = 2000;
  const WINDOW = 20;
  const PADDING = "x".repeat(16_000);

  for (const transport of TRANSPORTS) {
    test(`is cut over ${transport.name}, and another subscriber gets everything in order`, async () => {
      const flood = freshTopic();
      const slow = await connect(daemon, transport);
      const good = await connect(daemon, transport);
      const publisher = await connect(daemon, transport);
      await Promise.all([slow.subscribe(flood), good.subscribe(flood)]);
      slow.pause();
      for (let n = 0; n < COUNT; n++) {
        publisher.send("SEND", { destination: flood, n }, PADDING);
        if (n % WINDOW === WINDOW - 1) {
          await good.waitFor("the window's messages", () => good.frames.length === WINDOW);
          const numbers = good.frames.splice(0).map(({ headers }) => Number(headers.n));
          assert.deepEqual(
            numbers,
            Array.from({ length: WINDOW }, (_, i) => n - WINDOW + 1 + i),
          );
        }
      }
      slow.resume();
      await slow.waitFor("the end of the connection", () => slow.closed);
      assert.ok(slow.frames.length < COUNT, `it got ${slow.frames.length} messages`);
      slow.frames.forEach(({ command, headers }, i) => {
        assert.ok(command === "ERROR" || headers.n === String(i));
      });
      good.drop();
      publisher.drop();
    });
  }
});
