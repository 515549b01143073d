// Nodes behind a real HAProxy with the conf file that we ship: who is sent where, who a client is, and what becomes of
// clients when a node drains, dies or is full. The nodes share nothing here; cluster*.test.mjs are about that.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";

import { Daemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { HaProxy } from "./lib/haproxy.mjs";
import { request } from "./lib/http.mjs";
import { Page } from "./lib/page.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const PROXIED = { "proxy-protocol": "v2" };

/** Longer than HAProxy takes to notice. */
const NOTICE = { "notice-time": "3s", "drain-time": "300ms" };

function newNode(node, { listener = PROXIED, limits = {} } = {}) {
  const server = { node, "log-level": "debug", ...NOTICE };
  return new Daemon({ server, limits, "listen web": listener, "listen plain": listener });
}

/** Two nodes and HAProxy in front of them, while the tests of the describe() run. */
function useNodes({ limits = {}, listener, change } = {}) {
  const nodes = {
    "node-a": newNode("node-a", { limits, listener }),
    "node-b": newNode("node-b", { listener }),
  };
  const proxy = new HaProxy(nodes, { change });
  before(async () => {
    await Promise.all(Object.values(nodes).map((node) => node.start()));
    await proxy.start();
  });
  after(async () => {
    await proxy.stop();
    await Promise.all(Object.values(nodes).map((node) => node.stop("SIGINT")));
  });
  return { a: nodes["node-a"], b: nodes["node-b"], proxy };
}

const nodeOf = (session) => session.connected.headers.session.split(":")[0];

/** So many sessions, one after the other; resolves with them by their node. */
async function connectMany(proxy, count, transport = overWebSocket) {
  const byNode = { "node-a": [], "node-b": [] };
  for (let i = 0; i < count; i++) {
    const session = await connect(proxy, transport);
    byNode[nodeOf(session)].push(session);
  }
  return byNode;
}

const dropAll = (byNode) => Object.values(byNode).flatMap((sessions) => sessions.map((session) => session.drop()));

test("conf/haproxy.cfg is free of faults and warnings, and an ordinary user may use it", () => {
  const user = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
  execFileSync("haproxy", ["-c", "-dW", "-f", "conf/haproxy.cfg"], user);
});

describe("Behind HAProxy", () => {
  const { a, b, proxy } = useNodes();

  for (const transport of TRANSPORTS) {
    test(`${transport.name} goes to the node that has the fewest`, async () => {
      const byNode = await connectMany(proxy, 6, transport);
      assert.equal(byNode["node-a"].length, 3);
      assert.equal(byNode["node-b"].length, 3);
      dropAll(byNode);
    });

    test(`${transport.name}: a node learns the client's own address`, async () => {
      const session = await transport.open(proxy, { localAddress: "127.0.0.77" });
      await session.connect();
      await eventually("the address in a log", () => `${a.log}${b.log}`.includes("127.0.0.77"));
      session.drop();
    });
  }

  test("STOMP.js talks through it to a program on plain TCP", async () => {
    const topic = freshTopic();
    const page = await new Page(proxy.ports.web, { destinations: [topic] }).start();
    let program;
    do {
      program?.drop();
      program = await connect(proxy, overTcp);
    } while (nodeOf(program) !== page.node);
    await program.subscribe(topic);
    await page.request(topic, "from the page");
    assert.equal((await program.expect("MESSAGE")).text, "from the page");
    await program.request("SEND", { destination: topic }, "from the program");
    await page.hears("from the program");
    await page.stop();
    program.drop();
  });

  test("the nodes' pages and health are served through it", async () => {
    assert.equal((await request(proxy.ports.web, { path: "/healthz" })).status, 200);
    assert.equal((await request(proxy.ports.web, { path: "/none" })).status, 404);
    assert.match((await request(proxy.ports.stats, { path: "/metrics" })).body, /haproxy_server_status/);
  });
});

describe("A node that drains", () => {
  const { a, proxy } = useNodes();

  test("gets nobody new, keeps those it has, and closes them itself", async () => {
    const topic = freshTopic();
    const { "node-a": [one, other] } = await connectMany(proxy, 4);
    const { "node-a": [program] } = await connectMany(proxy, 2, overTcp);
    await one.subscribe(topic);
    a.kill("SIGTERM");
    await proxy.untilServers("DOWN", ["node-a"]);
    for (const transport of TRANSPORTS) {
      assert.deepEqual((await connectMany(proxy, 4, transport))["node-a"], []);
    }
    await other.request("SEND", { destination: topic }, "still here");
    await program.request("SEND", { destination: topic }, "so am I");
    assert.equal((await one.expect("MESSAGE")).text, "still here");
    assert.equal((await one.expect("MESSAGE")).text, "so am I");
    await Promise.all([one, other].map((session) => session.expectClose(1012)));
    await program.expectError(/./);
    await a.checkExit();
  });

  test("is used again once it is back", async () => {
    await a.start();
    await proxy.untilServers("UP");
    const byNode = await connectMany(proxy, 4);
    assert.notEqual(byNode["node-a"].length, 0);
    dropAll(byNode);
  });
});

describe("A node that is killed", () => {
  const { a, proxy } = useNodes();

  test("its pages are on the other one soon, and those who come meanwhile too", async () => {
    const topic = freshTopic();
    const pages = await Promise.all(
      Array.from({ length: 20 }, () => new Page(proxy.ports.web, { destinations: [topic] }).start()),
    );
    const moved = pages.filter(({ node }) => node === "node-a");
    assert.equal(moved.length, 10);
    await a.crash();
    const late = await connectMany(proxy, 4); // HAProxy has not noticed yet
    assert.equal(late["node-b"].length, 4);
    await Promise.all(moved.map((page) => page.untilSubscribed(2)));
    assert.ok(pages.every(({ node }) => node === "node-b"));
    await moved[0].request(topic, "after the move");
    await Promise.all(pages.map((page) => page.hears("after the move")));
    await Promise.all(pages.map((page) => page.stop()));
    dropAll(late);
    await a.start();
    await proxy.untilServers("UP");
  });
});

describe("A node that is full", () => {
  const { proxy } = useNodes({ limits: { connections: 3 } });

  test("is passed over, and nobody is refused", async () => {
    const byNode = await connectMany(proxy, 12);
    assert.ok(byNode["node-a"].length <= 3);
    dropAll(byNode);
  });
});

describe("With X-Forwarded-For, as the conf file's comment has it", () => {
  const header = /^ +# +(http-request set-header X-Forwarded-For .*)$/m;
  const change = (text) =>
    text.replace(/^ +default-server send-proxy-v2 check-send-proxy$/m, `    ${header.exec(text)[1]}`);
  const listener = { "trusted-proxies": "127.0.0.1" };
  const nodes = { "node-a": new Daemon({ server: { node: "node-a", "log-level": "debug" }, "listen web": listener }) };
  nodes["node-a"].ports.plain = 1; // no STOMP over TCP here
  const proxy = new HaProxy(nodes, { change });
  before(async () => {
    await nodes["node-a"].start();
    await proxy.start();
  });
  after(async () => {
    await proxy.stop();
    await nodes["node-a"].stop();
  });

  test("a node learns the client's own address, whatever the client says", async () => {
    const options = { localAddress: "127.0.0.78", headers: { "X-Forwarded-For": "192.0.2.1" } };
    const session = await overWebSocket.open(proxy, options);
    await session.connect();
    await eventually("the address in the log", () => nodes["node-a"].log.includes("127.0.0.78"));
    assert.doesNotMatch(nodes["node-a"].log, /192\.0\.2\.1/);
    session.drop();
  });
});
