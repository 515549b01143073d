// The port for operators: health, metrics that count what happened, who is online on which node, who may ask, and word to
// systemd.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";

import { Child } from "./lib/child.mjs";
import { ask, askApi, metric, useCluster } from "./lib/cluster.mjs";
import { answers, Daemon, useDaemon, WORKERS } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { request } from "./lib/http.mjs";
import { openTcp } from "./lib/tcp.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const ALICE = { login: "alice", passcode: "wonderland" };
const BOB = { login: "bob", passcode: "builder" };

/** Waits until the metric has grown by that much since `before`. */
async function untilGrown(daemon, name, label, before, by) {
  await eventually(`${name} ${label} to be ${before} + ${by}`, async () => {
    return (await metric(daemon, name, label)) === before + by;
  });
}

describe("A node on its own", () => {
  const daemon = useDaemon({ admin: {}, "user o'neil / sons %": { password: "plain:secret" } });

  async function leave(sessions) {
    sessions.forEach((session) => session.drop());
    await eventually("all to be gone", async () => (await metric(daemon, "stompd_sessions")) === 0);
    await eventually("all to be forgotten", async () => (await metric(daemon, "stompd_registry_users")) === 0);
  }

  test("is healthy and ready", async () => {
    assert.deepEqual(await ask(daemon, "/healthz"), { status: 200, body: "ok\n" });
    assert.deepEqual(await ask(daemon, "/readyz"), { status: 200, body: "ready\n" });
  });

  test("lists itself", async () => {
    const [self, ...others] = await askApi(daemon, "nodes");
    assert.deepEqual(others, []);
    assert.match(self.boot, /^test-node:[0-9a-f]{12}$/);
    assert.deepEqual(
      { ...self, boot: null },
      { node: "test-node", boot: null, state: "alive", self: true, silent_ms: 0, stale: false },
    );
  });

  test("has the metrics of each worker, and none of a cluster", async () => {
    const { body } = await ask(daemon, "/metrics");
    const [{ boot }] = await askApi(daemon, "nodes");
    assert.match(body, new RegExp(`^stompd_build_info\\{version="[0-9.]+",node="test-node",boot="${boot}"\\} 1$`, "m"));
    for (let n = 0; n < Number(WORKERS); n++) {
      assert.match(body, new RegExp(`^stompd_sessions\\{worker="${n}"\\} \\d+$`, "m"));
    }
    assert.doesNotMatch(body, /redis|cluster/);
    const started = await metric(daemon, "process_start_time_seconds");
    assert.ok(Math.abs(Date.now() / 1000 - started) < 600);
    assert.ok((await metric(daemon, "process_resident_memory_bytes")) > 1 << 20);
  });

  test("counts each turn of its loops, which are not late for long", async () => {
    const before = await metric(daemon, "stompd_loop_turns_total");
    await eventually("the loops to turn", async () => (await metric(daemon, "stompd_loop_turns_total")) > before);
    await eventually("the loops to be in time", async () => (await metric(daemon, "stompd_loop_age_seconds")) < 5);
  });

  for (const transport of TRANSPORTS) {
    const protocol = transport === overTcp ? "stomp" : "ws";

    test(`counts what a session does over ${transport.name}`, async () => {
      const names = {
        stompd_sessions_opened_total: "",
        stompd_publications_total: "",
        stompd_deliveries_total: "",
        stompd_deliveries_written_total: "",
        stompd_frames_received_total: 'command="SEND"',
        stompd_connections_accepted_total: `protocol="${protocol}"`,
      };
      const count = () => Promise.all(Object.entries(names).map(([name, label]) => metric(daemon, name, label)));
      const open = await metric(daemon, "stompd_sessions");
      const subscriptions = await metric(daemon, "stompd_subscriptions");
      const received = await metric(daemon, "stompd_received_bytes_total");
      const sent = await metric(daemon, "stompd_sent_bytes_total");
      const before = await count();
      const session = await connect(daemon, transport);
      const topic = freshTopic();
      await session.subscribe(topic, "exact");
      await session.subscribe(`${topic}.**`, "pattern");
      for (let n = 0; n < 10; n++) {
        session.send("SEND", { destination: `${topic}` }, "x".repeat(100));
      }
      await session.request("SEND", { destination: freshTopic() });
      for (let n = 0; n < 20; n++) {
        await session.expect("MESSAGE"); // `a.**` stands for `a` too
      }
      assert.equal(await metric(daemon, "stompd_sessions"), open + 1);
      assert.equal(await metric(daemon, "stompd_subscriptions"), subscriptions + 2);
      assert.deepEqual(
        (await count()).map((value, n) => value - before[n]),
        [1, 11, 20, 20, 11, 1],
      );
      assert.ok((await metric(daemon, "stompd_received_bytes_total")) > received + 1000);
      assert.ok((await metric(daemon, "stompd_sent_bytes_total")) > sent + 2000);
      session.drop();
      await eventually("the session to be gone", async () => (await metric(daemon, "stompd_sessions")) === open);
      assert.equal(await metric(daemon, "stompd_subscriptions"), subscriptions);
    });
  }

  test("tells who is online, with how many sessions", async () => {
    const sessions = [];
    for (const headers of [ALICE, ALICE, BOB, {}, { login: "o'neil / sons %", passcode: "secret" }]) {
      sessions.push(await connect(daemon, TRANSPORTS[sessions.length % 2], headers));
    }
    await eventually("all to be known", async () => (await metric(daemon, "stompd_registry_sessions")) === 4);
    assert.equal(await metric(daemon, "stompd_registry_users"), 3);
    const all = { alice: 2, bob: 1, "o'neil / sons %": 1 };
    const { users, next, stale } = await askApi(daemon, "users");
    assert.deepEqual(Object.fromEntries(users.map(({ user, sessions: count }) => [user, count])), all);
    assert.deepEqual({ next, stale }, { next: null, stale: false });
    const ids = sessions.slice(0, 2).map(({ connected }) => connected.headers.session);
    const alice = await askApi(daemon, "users/alice");
    assert.deepEqual(alice.sessions.map(({ id }) => id).sort(), ids.sort());
    assert.deepEqual(
      { ...alice, sessions: null },
      { user: "alice", online: true, session_count: 2, nodes: { "test-node": 2 }, sessions: null, stale: false },
    );
    const neil = await askApi(daemon, `users/${encodeURIComponent("o'neil / sons %")}`);
    assert.deepEqual([neil.user, neil.session_count], ["o'neil / sons %", 1]);
    await leave(sessions);
    assert.equal((await askApi(daemon, "users/alice")).online, false);
  });

  test("gives users in pages, each with the way to the next", async () => {
    const sessions = [await connect(daemon, overTcp, ALICE), await connect(daemon, overTcp, BOB)];
    await eventually("both to be known", async () => (await metric(daemon, "stompd_registry_users")) === 2);
    const seen = [];
    let next = "/api/v1/users?limit=1";
    while (next !== null) {
      const { status, body } = await ask(daemon, next);
      assert.equal(status, 200);
      seen.push(...body.users.map(({ user }) => user));
      next = body.next;
    }
    assert.deepEqual(seen, ["alice", "bob"]);
    await leave(sessions);
  });

  test("answers nonsense with a reason", async () => {
    for (const [where, status, reason] of [
      ["/api/v1/users?limit=many", 400, /limit must be a number from 1 to 1000/],
      ["/api/v1/users?page=2", 400, /only the parameters after and limit/],
      ["/api/v1/user", 404, /there are nodes, users and users\/NAME/],
      ["/api/v2/users", 404, /not found/],
      ["/..%2f..%2fetc%2fpasswd", 404, /not found/],
    ]) {
      const answer = await ask(daemon, where);
      assert.equal(answer.status, status, where);
      assert.match(answer.body.error ?? answer.body, reason);
    }
    const { status, headers } = await request(daemon.ports.admin, { path: "/metrics", method: "POST", body: "x" });
    assert.ok(status === 405 ? headers.allow === "GET, HEAD" : status === 413, `status ${status}`);
  });

  test("goes on when clients that say nothing hold its port", async () => {
    const silent = Array.from({ length: 100 }, () => net.connect(daemon.ports.admin, "127.0.0.1"));
    silent.forEach((socket) => socket.on("error", () => {}));
    await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    const session = await connect(daemon, overWebSocket);
    await session.request("SEND", { destination: freshTopic() });
    assert.equal((await ask(daemon, "/healthz")).status, 200);
    silent.forEach((socket) => socket.destroy());
    session.drop();
  });
});

describe("Why sessions ended", () => {
  const daemon = useDaemon({
    admin: {},
    server: { "heart-beat-receive": "100ms" },
    limits: { subscriptions: 1, "body-size": "1k", "outbox-size": "64k" },
  });
  const ended = (cause) => metric(daemon, "stompd_sessions_ended_total", `cause="${cause}"`);

  const CAUSES = {
    disconnect: async (session) => session.request("DISCONNECT"),
    gone: async (session) => session.drop(),
    protocol: async (session) => session.send("FROB"),
    limit: async (session) => ["1", "2"].forEach((id) => session.send("SUBSCRIBE", { id, destination: freshTopic() })),
    size: async (session) => session.send("SEND", { destination: freshTopic() }, "x".repeat(2000)),
    "slow-consumer": async (session) => {
      const topic = freshTopic();
      await session.subscribe(topic);
      session.pause();
      const publisher = await connect(daemon, overTcp);
      const before = await ended("slow-consumer");
      await eventually("the reader to be cut", async () => {
        for (let n = 0; n < 1000; n++) {
          publisher.send("SEND", { destination: topic }, "x".repeat(1000));
        }
        await publisher.request("SEND", { destination: freshTopic() });
        return (await ended("slow-consumer")) > before;
      });
      publisher.drop();
    },
  };

  for (const [cause, end] of Object.entries(CAUSES)) {
    test(`${cause} is told`, async () => {
      const before = await ended(cause);
      const session = await connect(daemon, overTcp);
      await end(session);
      await untilGrown(daemon, "stompd_sessions_ended_total", `cause="${cause}"`, before, 1);
      session.drop();
    });
  }

  test("heart-beat is told", async () => {
    const before = await ended("heart-beat");
    const session = await overTcp.open(daemon);
    await session.connect({ "heart-beat": "100,0" });
    await untilGrown(daemon, "stompd_sessions_ended_total", 'cause="heart-beat"', before, 1);
    session.drop();
  });

  test("login is told", async () => {
    const before = await ended("login");
    const session = await overWebSocket.open(daemon);
    session.send("CONNECT", { "accept-version": "1.2", host: "test", login: "alice", passcode: "guess" });
    await session.expectError(/wrong/, 1008);
    await untilGrown(daemon, "stompd_sessions_ended_total", 'cause="login"', before, 1);
  });
});

describe("What clients could not have", () => {
  const daemon = useDaemon({ admin: {}, limits: { connections: 100, "connect-time": "300ms" } });

  test("a client that does not log in within connect-time is told as timeout", async () => {
    const session = await openTcp(daemon.ports.plain);
    await untilGrown(daemon, "stompd_sessions_ended_total", 'cause="timeout"', 0, 1);
    session.drop();
  });

  test("sockets above the limit on connections are told", async () => {
    const sockets = [];
    await eventually("a socket to be refused", async () => {
      for (let n = 0; n < 50; n++) {
        const socket = net.connect(daemon.ports.web, "127.0.0.1");
        socket.on("error", () => {});
        sockets.push(socket);
      }
      return (await metric(daemon, "stompd_sockets_refused_total")) > 0;
    });
    sockets.forEach((socket) => socket.destroy());
  });
});

describe("With a token", () => {
  const folder = path.join(os.tmpdir(), `stompd-admin-${process.pid}`);
  const file = path.join(folder, "token");
  let daemon;

  before(async () => {
    await fs.mkdir(folder);
    await fs.writeFile(file, "sesame\n");
    daemon = await new Daemon({ admin: { "token-file": file } }).start();
  });
  after(async () => {
    await daemon.stop();
    await fs.rm(folder, { recursive: true });
  });

  const statusOf = async (where, authorization) => {
    const headers = authorization === undefined ? {} : { Authorization: authorization };
    return (await request(daemon.ports.admin, { path: where, headers })).status;
  };

  test("health is open, all else needs it", async () => {
    assert.equal(await statusOf("/healthz"), 200);
    assert.equal(await statusOf("/readyz"), 200);
    for (const where of ["/", "/metrics", "/api/v1/nodes", "/api/v1/users", "/api/v1/users/alice", "/nothing"]) {
      assert.equal(await statusOf(where), 401, where);
      assert.equal(await statusOf(where, "Bearer open"), 401, where);
      assert.equal(await statusOf(where, "Bearer sesame"), where === "/nothing" ? 404 : 200, where);
    }
  });

  test("a reload takes the file's new token", async () => {
    await fs.writeFile(file, "mustard\n");
    assert.equal(await statusOf("/metrics", "Bearer sesame"), 200);
    daemon.kill("SIGHUP");
    await eventually("the new token", async () => (await statusOf("/metrics", "Bearer mustard")) === 200);
    assert.equal(await statusOf("/metrics", "Bearer sesame"), 401);
  });
});

test("While a node drains it is neither healthy nor ready", async () => {
  const daemon = await new Daemon({ server: { "notice-time": "1h" }, admin: {} }).start();
  const session = await connect(daemon, overTcp);
  daemon.kill("SIGTERM");
  await eventually("the drain", async () => (await ask(daemon, "/healthz")).status === 503);
  assert.deepEqual(await ask(daemon, "/healthz"), { status: 503, body: "draining\n" });
  assert.deepEqual(await ask(daemon, "/readyz"), { status: 503, body: "draining\n" });
  assert.equal(await metric(daemon, "stompd_draining"), 1);
  assert.equal(await metric(daemon, "stompd_ready"), 0);
  session.drop();
  await daemon.stop();
});

describe("In a cluster", () => {
  const cluster = useCluster();
  const usersOf = async (node) => {
    const { users } = await askApi(node, "users");
    return Object.fromEntries(users.map(({ user, sessions }) => [user, sessions]));
  };

  test("every node answers for all, also after one has died and Redis was away", async () => {
    const [a, b] = cluster.nodes;
    const sessions = [
      await connect(a, overWebSocket, ALICE),
      await connect(b, overTcp, ALICE),
      await connect(b, overTcp, ALICE),
      await connect(b, overWebSocket, BOB),
    ];
    const ids = sessions.slice(0, 3).map(({ connected }) => connected.headers.session);
    for (const node of cluster.nodes) {
      await eventually("all users", async () => JSON.stringify(await usersOf(node)) === '{"alice":3,"bob":1}');
      const alice = await askApi(node, "users/alice");
      assert.deepEqual(alice.sessions.map(({ id }) => id).sort(), [...ids].sort());
      assert.deepEqual(alice.nodes, { "node-a": 1, "node-b": 2 });
      assert.equal(alice.stale, false);
      const nodes = await eventually("all nodes", async () => {
        const known = await askApi(node, "nodes");
        return known.length === 2 && known;
      });
      assert.deepEqual(
        nodes.map(({ node: name, state, self, stale }) => [name, state, self, stale]).sort(),
        cluster.nodes.map((other) => [other.node, "alive", other === node, false]),
      );
      assert.equal(await metric(node, "stompd_cluster_members", 'state="alive"'), 2);
      assert.equal(await metric(node, "stompd_cluster_state", 'state="up"'), 1);
      assert.equal(await metric(node, "stompd_redis_up"), 1);
    }

    const first = await ask(a, "/api/v1/users?limit=1");
    assert.deepEqual(first.body.users, [{ user: "alice", sessions: 3 }]);
    assert.deepEqual((await ask(a, first.body.next)).body.users, [{ user: "bob", sessions: 1 }]);

    await b.crash();
    await eventually("the dead node's users to be gone", async () => (await usersOf(a)).bob === undefined);
    await eventually("the dead node to be gone", async () => (await askApi(a, "nodes")).length === 1);
    assert.deepEqual((await askApi(a, "users/alice")).nodes, { "node-a": 1 });
    assert.equal((await askApi(a, "users/bob")).online, false);

    await cluster.redis.stop();
    await eventually("the node to notice", async () => (await ask(a, "/readyz")).status === 503);
    assert.match((await ask(a, "/readyz")).body, /^Redis can't be reached/);
    assert.equal((await ask(a, "/healthz")).status, 200);
    assert.equal(await metric(a, "stompd_redis_up"), 0);
    assert.deepEqual(await ask(a, "/api/v1/users"), {
      status: 200,
      body: { users: [{ user: "alice", sessions: 1 }], next: null, stale: true },
    });
    const alice = await askApi(a, "users/alice");
    assert.deepEqual([alice.stale, alice.online, alice.session_count], [true, true, 1]);

    await cluster.redis.start();
    await eventually("the node to be back", async () => (await ask(a, "/readyz")).status === 200);
    await eventually("the registry to be back", async () => JSON.stringify(await usersOf(a)) === '{"alice":1}');
    assert.equal((await askApi(a, "users/alice")).stale, false);
    sessions.forEach((session) => session.drop());
  });

  test("what others wrote into the registry is shown, and breaks nothing", async () => {
    const [a] = cluster.nodes;
    await cluster.redis.command("SADD", "stompd:user:eve", "no id of ours", Buffer.from([0xff, 0xfe]), "");
    await cluster.redis.command("ZADD", "stompd:users", 0, Buffer.from([0xc3, 0x28]), 0, "eve");
    const eve = await askApi(a, "users/eve");
    assert.deepEqual(eve.sessions.map(({ id }) => id).sort(), ["", "\\xff\\xfe", "no id of ours"]);
    assert.deepEqual(eve.nodes, {});
    assert.ok((await usersOf(a)).eve === 3);
    assert.equal((await ask(a, "/healthz")).status, 200);
  });
});

describe("Under systemd", () => {
  // Prints each message of the notification socket, its lines joined by blanks, on one line.
  const LISTEN = `
    use IO::Socket::UNIX;
    $| = 1;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die "$ARGV[0]: $!";
    print "listening\\n";
    while (defined $socket->recv(my $message, 4096)) { $message =~ s/\\n/ /g; print "$message\\n"; }`;
  let folder;
  let systemd;

  before(async () => {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-notify-"));
    systemd = new Child("perl", ["-e", LISTEN, path.join(folder, "socket")]);
    await heard(/^listening$/m);
  });
  beforeEach(() => {
    systemd.log = "";
  });
  after(async () => {
    await systemd.end();
    await fs.rm(folder, { recursive: true });
  });

  const heard = (pattern) => {
    return eventually(`${pattern} in:\n${systemd.log}`, () => {
      systemd.mustRun();
      return pattern.test(systemd.log);
    });
  };

  test("it hears that a node still waits for its place, which may take longer than TimeoutStartSec", async () => {
    const within = ["sh", "-c", `NOTIFY_SOCKET='${folder}/socket' exec "$0" "$@"`];
    const redis = path.join(folder, "nobody");
    const daemon = await new Daemon({ cluster: { redis: `unix:${redis}` } }, { within }).start();
    await heard(/^EXTEND_TIMEOUT_USEC=30000000 STATUS=waiting for a place among the nodes$[^]*^READY=1 /m);
    await daemon.stop();
    await heard(/^STOPPING=1 /m);
  });

  test("it hears of readiness, signs of life, reloads and the end", async () => {
    const variables = `NOTIFY_SOCKET='${folder}/socket' WATCHDOG_USEC=600000 WATCHDOG_PID=$$`;
    const within = ["sh", "-c", `${variables} exec "$0" "$@"`];
    const daemon = await new Daemon({}, { within }).start();
    await heard(/^READY=1 STATUS=serving clients$/m);
    assert.ok(await answers(daemon.ports.web));
    await heard(/^(WATCHDOG=1\n){3}/m);
    daemon.kill("SIGHUP");
    await heard(/^RELOADING=1 MONOTONIC_USEC=\d+ .*\n(WATCHDOG=1\n)*READY=1 STATUS=serving clients, with the new conf$/m);
    await daemon.stop();
    await heard(/^STOPPING=1 STATUS=.*$/m);
    assert.doesNotMatch(systemd.log, /STOPPING=1[^]*READY=1/);
  });
});
