// Clients behind proxies: the PROXY protocol's header ahead of their bytes, and X-Forwarded-For in their requests. By
// which address a client is known is read in the log.
import assert from "node:assert/strict";
import net from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";

import { useCertificate } from "./lib/certificate.mjs";
import { useDaemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { RawConnection, requestText, upgradeHeaders } from "./lib/http.mjs";
import { TcpSession } from "./lib/tcp.mjs";
import { freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";
import { openWs } from "./lib/ws.mjs";

const CLIENT = "192.0.2.1";
const CLIENT_PORT = 4711;

const V1 = Buffer.from(`PROXY TCP4 ${CLIENT} 192.0.2.2 ${CLIENT_PORT} 80\r\n`);
const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n");

/** A header of version 2 with these bytes behind its length. */
function v2(command, kind, rest = Buffer.alloc(0)) {
  return Buffer.concat([V2_SIGNATURE, Buffer.from([command, kind, rest.length >> 8, rest.length & 0xff]), rest]);
}

const V2_ADDRESSES = Buffer.from([192, 0, 2, 1, 192, 0, 2, 2, CLIENT_PORT >> 8, CLIENT_PORT & 0xff, 0, 80]);
const V2 = v2(0x21, 0x11, V2_ADDRESSES);
const V2_WITH_MORE = v2(0x21, 0x11, Buffer.concat([V2_ADDRESSES, Buffer.from([4, 0, 200]), Buffer.alloc(200)]));

/** A connection whose first bytes are the header. */
function connectBehind(header, port) {
  const socket = net.connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  socket.write(header);
  return socket;
}

/** A session over it; with `ca`, TLS begins behind the header. */
async function openBehind(header, transport, daemon, { ca } = {}) {
  const open = (port) => {
    const socket = connectBehind(header, port);
    return ca === undefined ? socket : tls.connect({ socket, ca, host: "127.0.0.1" });
  };
  if (transport === overTcp) {
    return new TcpSession(open(daemon.ports.plain));
  }
  return openWs(daemon.ports.web, { ca, createConnection: () => open(daemon.ports.web) });
}

/** The address by which the daemon knows the session. */
async function peerOf(daemon, session) {
  const id = session.connected.headers.session.replaceAll(".", "\\.");
  const line = new RegExp(`debug: (\\S+): session ${id} opened`);
  const [, peer] = await eventually("the session in the log", () => line.exec(daemon.log));
  return peer;
}

async function assertPeer(daemon, session, expected) {
  await session.connect();
  const peer = await peerOf(daemon, session);
  if (expected instanceof RegExp) {
    assert.match(peer, expected);
  } else {
    assert.equal(peer, expected);
  }
  session.drop();
}

const LOGGED = { server: { "log-level": "debug" } };

describe("The PROXY protocol", () => {
  const listener = { "proxy-protocol": "any" };
  const daemon = useDaemon({ ...LOGGED, "listen web": listener, "listen plain": listener });

  for (const transport of TRANSPORTS) {
    for (const [name, header] of Object.entries({ V1, V2, V2_WITH_MORE })) {
      test(`${name} over ${transport.name}: the client is known by its own address`, async () => {
        await assertPeer(daemon, await openBehind(header, transport, daemon), `${CLIENT}:${CLIENT_PORT}`);
      });
    }

    test(`over ${transport.name} a proxy may speak for itself`, async () => {
      for (const header of [v2(0x20, 0), v2(0x21, 0x31, Buffer.alloc(216)), "PROXY UNKNOWN\r\n"]) {
        await assertPeer(daemon, await openBehind(header, transport, daemon), /^127\.0\.0\.1:\d+$/);
      }
    });
  }

  test("an IPv6 client", async () => {
    const header = "PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n";
    await assertPeer(daemon, await openBehind(header, overTcp, daemon), "[2001:db8::1]:4711");
  });

  test("the header may come byte by byte, and with the client's first bytes", async () => {
    for (const header of [V1, V2]) {
      const socket = connectBehind("", daemon.ports.plain);
      for (const byte of header.subarray(0, -1)) {
        await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
      }
      const session = new TcpSession(socket);
      const frame = encodeFrame("CONNECT", { "accept-version": "1.2", host: "test" });
      session.sendRaw(Buffer.concat([header.subarray(-1), Buffer.from(frame)]));
      session.connected = await session.expect("CONNECTED");
      assert.equal(await peerOf(daemon, session), `${CLIENT}:${CLIENT_PORT}`);
      session.drop();
    }
  });

  test("what is no header is closed and named in the log, and costs nobody else", async () => {
    const one = await openBehind(V1, overWebSocket, daemon);
    await one.connect();
    const topic = freshTopic();
    await one.subscribe(topic);
    const wrong = [
      requestText("/ws", upgradeHeaders()),
      encodeFrame("CONNECT", { "accept-version": "1.2", host: "test" }),
      "PROXY TCP4 here there 1 2\r\n",
      "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
      `PROXY UNKNOWN ${"x".repeat(200)}`,
      v2(0x31, 0x11, V2_ADDRESSES),
      v2(0x21, 0x11, V2_ADDRESSES.subarray(1)),
      Buffer.concat([V2_SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])]),
      Buffer.from([0x16, 3, 1, 2, 0, 1, 0]),
    ];
    for (const bytes of wrong) {
      const connection = new RawConnection(daemon.ports.web);
      connection.write(bytes);
      assert.equal(await connection.untilClosed(), "");
    }
    await eventually("the reason in the log", () =>
      /listen web: 127\.0\.0\.1:\d+: closed without a PROXY header: what came is no header/.test(daemon.log),
    );
    await one.request("SEND", { destination: topic }, "still here");
    assert.equal((await one.expect("MESSAGE")).text, "still here");
    one.drop();
  });
});

describe("A listener", () => {
  const daemon = useDaemon({ ...LOGGED, "listen web": { "proxy-protocol": "v1" } });

  test("takes only the version that it is told", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write(V2);
    assert.equal(await connection.untilClosed(), "");
    await assertPeer(daemon, await openBehind(V1, overWebSocket, daemon), `${CLIENT}:${CLIENT_PORT}`);
  });

  test("that is told none takes none", async () => {
    const session = new TcpSession(connectBehind(V1, daemon.ports.plain));
    await session.expectError(/command/i);
  });
});

describe("TLS behind the header", () => {
  const { conf: certificate, ca } = useCertificate();
  const listener = { ...certificate, "proxy-protocol": "v2" };
  const daemon = useDaemon({ ...LOGGED, "listen web": listener, "listen plain": listener });

  for (const transport of TRANSPORTS) {
    test(`over ${transport.name}`, async () => {
      await assertPeer(daemon, await openBehind(V2, transport, daemon, { ca }), `${CLIENT}:${CLIENT_PORT}`);
    });
  }
});

describe("Those who never send a header", () => {
  const daemon = useDaemon({ limits: { connections: 4 }, "listen web": { "proxy-protocol": "any" } });

  /** What is said to one who comes without a proxy. */
  async function tryToConnect() {
    const session = await overTcp.open(daemon);
    session.send("CONNECT", { "accept-version": "1.2", host: "test" });
    const frame = await session.expect(({ command }) => command === "CONNECTED" || command === "ERROR");
    session.drop();
    return frame;
  }

  test("count as connections, and are closed after a time", async () => {
    const waiting = [];
    const refused = await eventually("the limit", async () => {
      waiting.push(new RawConnection(daemon.ports.web));
      waiting.at(-1).write(waiting.length % 2 === 0 ? "PROXY TCP4" : "");
      const frame = await tryToConnect();
      return frame.command === "ERROR" && frame;
    });
    assert.match(refused.headers.message, /connections/);
    const answers = await Promise.all(waiting.map((connection) => connection.untilClosed()));
    assert.ok(answers.filter((answer) => answer === "").length >= 2); // others came when there was no place
    await eventually("a place", async () => (await tryToConnect()).command === "CONNECTED");
    assert.match(daemon.log, /closed without a PROXY header: it did not come in time/);
  });
});

describe("X-Forwarded-For", () => {
  const daemon = useDaemon({
    ...LOGGED,
    "listen web": { "trusted-proxies": "127.0.0.1 10.0.0.0/8 fd00::/8" },
    "listen open": { protocol: "ws" },
    "listen both": { protocol: "ws", "proxy-protocol": "v1", "trusted-proxies": "10.0.0.0/8" },
  });
  const OWN = /^127\.0\.0\.1:\d+$/;

  /** `value`: of the header, or several of them. */
  const openForwarded = (value, { port = daemon.ports.web, ...options } = {}) =>
    openWs(port, { headers: { "X-Forwarded-For": value }, ...options });

  const values = [
    ["one address", CLIENT, CLIENT],
    ["one address with a port", `${CLIENT}:4711`, CLIENT],
    ["an IPv6 address", "[2001:db8::1]:4711", "2001:db8::1"],
    ["several proxies", `${CLIENT}, fd00::7,10.1.1.1`, CLIENT],
    ["what the client itself has put in front", `198.51.100.7, rubbish, ${CLIENT}, 10.1.1.1`, CLIENT],
    ["several headers", ["198.51.100.7", `${CLIENT}, 10.1.1.1`, "10.2.2.2"], CLIENT],
    ["a long one", `${"x".repeat(8000)}, ${CLIENT}`, CLIENT],
    ["nothing but proxies", "10.3.3.3, 10.1.1.1", "10.3.3.3"],
    ["rubbish", "rubbish", OWN],
    ["rubbish behind an address", `${CLIENT}, unknown`, OWN],
    ["an empty one", `${CLIENT},`, OWN],
  ];
  for (const [what, value, expected] of values) {
    test(`of a trusted proxy: ${what}`, async () => {
      await assertPeer(daemon, await openForwarded(value), expected);
    });
  }

  test("without it the peer is the proxy", async () => {
    await assertPeer(daemon, await openWs(daemon.ports.web), OWN);
  });

  test("of somebody else does not count", async () => {
    const session = await openForwarded(CLIENT, { localAddress: "127.0.0.2" });
    await assertPeer(daemon, session, /^127\.0\.0\.2:\d+$/);
  });

  test("does not count where nobody is trusted", async () => {
    await assertPeer(daemon, await openForwarded(CLIENT, { port: daemon.ports.open }), OWN);
  });

  test("who is trusted is told by the PROXY header, where there is one", async () => {
    const behind = (proxy) => {
      const createConnection = () => connectBehind(`PROXY TCP4 ${proxy} 10.0.0.1 1 80\r\n`, daemon.ports.both);
      return openForwarded("198.51.100.7", { port: daemon.ports.both, createConnection });
    };
    await assertPeer(daemon, await behind("10.9.9.9"), "198.51.100.7");
    await assertPeer(daemon, await behind("192.0.2.9"), "192.0.2.9:1");
  });

  test("of an earlier request over the same connection does not count", async () => {
    const connection = new RawConnection(daemon.ports.web);
    connection.write(requestText("/healthz", { "X-Forwarded-For": "198.51.100.8" }));
    assert.ok(await connection.until("ok\n"));
    connection.write(requestText("/ws", upgradeHeaders({ "X-Forwarded-For": "198.51.100.9" })));
    assert.ok(await connection.until("101"));
    await eventually("the session in the log", () => daemon.log.includes("198.51.100.9: session"));
    assert.ok(!daemon.log.includes("198.51.100.8"));
    connection.drop();
  });
});
