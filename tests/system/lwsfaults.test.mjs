// Faults of libwebsockets 4.1.6 that a client can provoke on a plain WebSocket listener (those of TLS are in tls, of
// compression in deflate): each is avoided, or costs nobody but that client anything.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { clientFrame, openRawWs, RawConnection, request, requestText, upgrade, upgradeHeaders } from "./lib/http.mjs";
import { cpuTicks } from "./lib/process.mjs";
import { connect, freshTopic, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

/** A crypt(3) hash that takes about a quarter of a second to check, so that a login waits that long. */
const SLOW_HASH = execFileSync("perl", ["-e", 'print crypt("secret", q($6$rounds=1500000$saltsaltsalt$))']).toString();

let witness;

const daemon = useDaemon({ "user slow": { password: SLOW_HASH } }, async () => {
  witness = await connect(daemon, overWebSocket);
});

const TEXT = 0x81;
const PING = 0x89;
const CLOSE = 0x88;
const CONNECT = encodeFrame("CONNECT", { "accept-version": "1.2", host: "test" });

const upgradeWith = (headers, options = {}) => upgrade(daemon.ports.web, { headers, ...options });

afterEach(() => witness.request("SEND", { destination: freshTopic() }));

describe("Sub-protocols", () => {
  for (const offer of [
    "v10.stomp, v12.stomp",
    "v10.stomp,v11.stomp,v12.stomp",
    "mqtt, v10.stomp , v12.stomp, v11.stomp",
  ]) {
    test(`the best of "${offer}" is chosen, not the first`, async () => {
      const { status, headers } = await upgradeWith({ "Sec-WebSocket-Protocol": offer });
      assert.equal(status, 101);
      assert.equal(headers["sec-websocket-protocol"], "v12.stomp");
    });
  }

  for (const offer of ["mqtt", "v13.stomp", "mqtt, amqp", "http", "v12.stompx", "V12.STOMP"]) {
    test(`an offer of "${offer}" is answered 400, not by hanging up`, async () => {
      assert.equal((await upgradeWith({ "Sec-WebSocket-Protocol": offer })).status, 400);
    });
  }

  test("a very long offer is answered too", async () => {
    const offer = Array.from({ length: 200 }, (_, i) => `proto${i}`).join(", ");
    assert.equal((await upgradeWith({ "Sec-WebSocket-Protocol": offer })).status, 400);
  });
});

describe("The upgrade request", () => {
  test("must be a GET", async () => {
    for (const method of ["POST", "PUT", "OPTIONS"]) {
      assert.equal((await upgradeWith({}, { method })).status, 405, method);
    }
  });

  for (const version of ["8", "12", "14", "0", "x", null]) {
    test(`must have version 13, not ${version}`, async () => {
      const { status, headers } = await upgradeWith({ "Sec-WebSocket-Version": version });
      assert.equal(status, 426);
      assert.equal(headers["sec-websocket-version"], "13");
    });
  }

  test("must have a key", async () => {
    assert.equal((await upgradeWith({ "Sec-WebSocket-Key": null })).status, 400);
  });

  test("h2c is refused", async () => {
    const { status } = await upgradeWith({
      Connection: "Upgrade, HTTP2-Settings",
      Upgrade: "h2c",
      "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA",
    });
    assert.notEqual(status, 101);
  });

  test("HTTP/2 without an upgrade is not spoken", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    connection.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])); // SETTINGS
    assert.doesNotMatch(await connection.untilClosed(), /^\0/);
  });

  test("may carry 8 KB of cookies", async () => {
    const cookies = Array.from({ length: 8 }, (_, i) => `c${i}=${"x".repeat(1000)}`).join("; ");
    assert.equal((await upgradeWith({ Cookie: cookies })).status, 101);
    assert.equal((await request(daemon.ports.web, { path: "/healthz", headers: { Cookie: cookies } })).status, 200);
  });

  test("with headers beyond all measure ends in a close", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write(requestText("/ws", upgradeHeaders({ Cookie: "x".repeat(200_000) })));
    assert.doesNotMatch(await connection.untilClosed(), / 101 /);
  });

  test("a chunked request body harms nobody", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write(requestText("/healthz", { "Transfer-Encoding": "chunked" }, "POST"));
    connection.write("5\r\nhello\r\n0\r\n\r\n");
    connection.socket.end();
    await connection.untilClosed();
  });

  test("a socket that is gone within the handshake is forgotten", async () => {
    for (let i = 0; i < 50; i++) {
      const connection = new RawConnection(daemon.ports.web);
      connection.write(requestText("/ws", upgradeHeaders()).slice(0, i * 4));
      await sleep(1);
      connection.drop();
    }
  });
});

// libwebsockets loops for ever on some of these; that the witness is still served shows that this one does not.
describe("HTTP request bodies", () => {
  const request = (line, body = "", headers = "") => `${line} HTTP/1.1\r\nHost: test\r\n${headers}\r\n${body}`;
  const withBody = (line, body, length = body.length) => request(line, body, `Content-Length: ${length}\r\n`);
  const healthz = request("GET /healthz");
  const chunked = request("POST /x", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n");
  const cases = [
    ["behind another request", healthz + withBody("POST /x", "hello")],
    ["incomplete behind another request", healthz + withBody("POST /x", "he", 5)],
    ["of a GET behind another request", healthz + withBody("GET /healthz", "hello")],
    ["of two GETs", withBody("GET /healthz", "hello").repeat(2)],
    ["of a HEAD behind another request", healthz + withBody("HEAD /index.html", "hello")],
    ["of a PUT behind another request", healthz + withBody("PUT /x", "hello")],
    ["of a negative length", healthz + withBody("POST /x", "he", -5)],
    ["of a huge length", healthz + withBody("POST /x", "he", "99999999999999999999")],
    ["in chunks, twice", chunked.repeat(2)],
  ];
  for (const [what, text] of cases) {
    test(`${what} end the connection`, async () => {
      const connection = new RawConnection(daemon.ports.web);
      connection.write(text);
      assert.match(await connection.untilClosed(), /^HTTP\/1.1 /);
    });
  }
});

describe("WebSocket frames", () => {
  const openLoggedIn = async () => {
    const connection = await openRawWs(daemon.ports.web);
    connection.write(clientFrame(TEXT, CONNECT));
    await connection.until("CONNECTED");
    await connection.until("\0");
    return connection;
  };

  test("the last of several queued pings is answered or an earlier one, and the session goes on", async () => {
    const connection = await openLoggedIn();
    const pings = Array.from({ length: 5 }, (_, i) => clientFrame(PING, `ping-${i}`));
    connection.write(
      Buffer.concat([...pings, clientFrame(TEXT, `SEND\ndestination:${freshTopic()}\nreceipt:r\n\n\0`)]),
    );
    await connection.until("ping-");
    connection.write(clientFrame(TEXT, `SEND\ndestination:${freshTopic()}\nreceipt:r2\n\n\0`));
    assert.ok(await connection.until("receipt-id:r2"));
    connection.drop();
  });

  test("a ping within a fragmented message is answered, and the message is whole", async () => {
    const connection = await openLoggedIn();
    connection.write(clientFrame(0x01, `SEND\ndestination:${freshTopic()}\n`));
    connection.write(clientFrame(PING, "within"));
    assert.ok(await connection.until("within"));
    connection.write(clientFrame(0x80, "receipt:r\n\n\0"));
    assert.ok(await connection.until("receipt-id:r\n"));
    connection.drop();
  });

  test("pongs and messages do not mix while much is written", async () => {
    const session = await connect(daemon, overWebSocket);
    const topic = freshTopic();
    await session.subscribe(topic);
    for (let i = 0; i < 200; i++) {
      session.send("SEND", { destination: topic }, "x".repeat(5000));
      session.socket.ping(String(i));
    }
    await session.waitFor("all messages", () => session.frames.length === 200);
    await session.waitFor("pongs", () => session.pongs > 0);
    session.drop();
  });

  for (const code of [1000, 1001, 1012, 3000, 4999]) {
    test(`a close by the client with ${code} ends the session in order`, async () => {
      const session = await connect(daemon, overWebSocket);
      session.socket.close(code);
      await session.waitFor("its end", () => session.closed);
      assert.notEqual(session.closed.code, 1006);
    });
  }

  const answers = [
    ["without a code", [], 1000],
    ["of a single byte", [3], 1002],
    ["with a code and a reason", [3, 0xe8, 0xc3, 0xa9], 1000],
    ["with a reason that is not UTF-8", [3, 0xe8, 0xff], 1007],
    ["with a reason that is not whole UTF-8", [3, 0xe8, 0xc3], 1007],
    ["with a code that may not be sent", [3, 0xed], 1002],
    ["with a code beyond all that there are", [0x13, 0x88], 1002],
  ];
  for (const [what, payload, code] of answers) {
    test(`a close ${what} is answered ${code}`, async () => {
      const connection = await openLoggedIn();
      connection.write(clientFrame(CLOSE, Buffer.from(payload)));
      const answer = Buffer.from(await connection.untilClosed(), "latin1");
      assert.deepEqual([...answer], [CLOSE, 2, code >> 8, code & 255]);
    });
  }

  test("an unmasked client frame harms nobody", async () => {
    const connection = await openLoggedIn();
    connection.write(clientFrame(TEXT, `SEND\ndestination:${freshTopic()}\nreceipt:r\n\n\0`, { masked: false }));
    connection.write(clientFrame(CLOSE, Buffer.from([0x03, 0xe8])));
    await connection.untilClosed();
  });

  test("a client that closes while much waits for it is let go", async () => {
    const session = await connect(daemon, overWebSocket);
    const topic = freshTopic();
    await session.subscribe(topic);
    for (let i = 0; i < 50; i++) {
      session.send("SEND", { destination: topic }, "x".repeat(20_000));
    }
    session.socket.close(1000);
    await session.waitFor("its end", () => session.closed);
  });
});

describe("A session whose reading is paused by its login", { concurrency: true }, () => {
  for (const transport of TRANSPORTS) {
    test(`is forgotten when its socket is gone, over ${transport.name}`, async () => {
      for (let i = 0; i < 3; i++) {
        const session = await transport.open(daemon);
        const login = { login: "slow", passcode: `wrong-${transport.name}-${i}` };
        session.sendRaw(encodeFrame("CONNECT", { "accept-version": "1.2", host: "test", ...login }));
        session.sendRaw(encodeFrame("SEND", { destination: freshTopic() }, "x".repeat(100_000)));
        await sleep(30);
        session.drop();
      }
    });

    test(`gets the frames behind the CONNECT processed after it, over ${transport.name}`, async () => {
      const session = await transport.open(daemon);
      const login = { login: "slow", passcode: "secret" };
      session.sendRaw(encodeFrame("CONNECT", { "accept-version": "1.2", host: "test", ...login }));
      session.sendRaw(encodeFrame("SEND", { destination: freshTopic(), receipt: "r" }, "x".repeat(100_000)));
      await session.expect("CONNECTED");
      await session.expect({ command: "RECEIPT", "receipt-id": "r" });
      session.drop();
    });
  }
});

describe("A login that takes longer than connect-time", { concurrency: true }, () => {
  const hash = `$6$rounds=9000000$saltsaltsalt$${"a".repeat(86)}`; // of no password, and a second's work to find out
  const hurried = useDaemon({ limits: { "connect-time": "200ms" }, "user slow": { password: hash } });

  for (const transport of TRANSPORTS) {
    test(`is told so over ${transport.name}, though much input is waiting`, async () => {
      const session = await transport.open(hurried);
      const login = { login: "slow", passcode: transport.name };
      session.sendRaw(encodeFrame("CONNECT", { "accept-version": "1.2", host: "test", ...login }));
      for (let i = 0; i < 20; i++) {
        session.sendRaw(encodeFrame("SEND", { destination: freshTopic() }, "x".repeat(8000)));
      }
      await session.expectError(/connect-time/, 1008);
    });
  }
});

describe("An idle daemon", () => {
  const idle = useDaemon();

  test("takes no processor time, though sessions are open", async () => {
    const sessions = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(idle, TRANSPORTS[i % 2])));
    await sleep(300);
    const before = cpuTicks(idle.pid);
    await sleep(1000);
    const spent = cpuTicks(idle.pid) - before;
    assert.ok(spent <= 30, `${spent} ticks in a second of 100`);
    sessions.forEach((session) => session.drop());
  });
});
