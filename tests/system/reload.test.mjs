// SIGHUP: the conf file is read again. What may change does so under sessions that stay, what may not is told, and a
// file with a fault changes nothing.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";

import { useCertificate } from "./lib/certificate.mjs";
import { Daemon, freePort } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { request, upgrade } from "./lib/http.mjs";
import { threadTicks } from "./lib/process.mjs";
import { changeAndReload, changeConf, reload } from "./lib/reload.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const POLICY = 1008;
const SIZE = 1009;

const cryptHash = (password, rounds) =>
  execFileSync("perl", ["-e", `print crypt("${password}", q($6$rounds=${rounds}$saltsaltsalt$))`]).toString();

let daemon;

/** Each test begins with a daemon of its own, as its conf can't be unread. */
function freshDaemons(conf = {}) {
  beforeEach(async () => (daemon = await new Daemon(conf).start()));
  afterEach(() => daemon.stop());
}

const logIn = (login, passcode, transport = overTcp) => connect(daemon, transport, { login, passcode });

/** Once this session has its answer, its worker goes by the new conf. */
const ask = (session) => session.request("SEND", { destination: freshTopic() });

async function assertRefused(headers, message) {
  const session = await overTcp.open(daemon);
  session.send("CONNECT", { "accept-version": "1.2", host: "test", ...headers });
  await session.expectError(message);
}

/** Goes on with a frame, since only its worker knows when the new conf has come there. */
async function dripUntilError(session, piece, message) {
  const dripping = setInterval(() => session.sendRaw(piece), 20);
  await session.expectError(message, SIZE).finally(() => clearInterval(dripping));
}

/** Resolves when a helper thread checks a password: nothing else here takes processor time. */
async function untilHashing() {
  const spent = () => [...threadTicks(daemon.pid).values()].reduce((sum, ticks) => sum + ticks);
  const before = spent();
  await until(() => spent() > before + 3);
}

async function until(condition) {
  while (!(await condition())) {
    await sleep(10);
  }
}

describe("Users", () => {
  freshDaemons({ "user carol": { password: cryptHash("opera", 1000) } });

  for (const transport of TRANSPORTS) {
    test(`come and go, while their sessions over ${transport.name} stay`, async () => {
      const alice = await logIn("alice", "wonderland", transport);
      const carol = await logIn("carol", "opera", transport);
      const log = await changeAndReload(daemon, {
        "user alice": null,
        "user bob": { password: "plain:demolisher" },
        "user carol": { password: cryptHash("other", 1000) },
        "user dave": { password: "plain:new" },
      });
      assert.match(log, /\[user\]: 1 added, 1 removed, 2 with another password/);
      const wrong = /login or passcode/;
      await assertRefused({ login: "alice", passcode: "wonderland" }, wrong);
      await assertRefused({ login: "bob", passcode: "builder" }, wrong);
      await assertRefused({ login: "carol", passcode: "opera" }, wrong); // which was right and remembered
      const others = await Promise.all([
        logIn("bob", "demolisher"),
        logIn("carol", "other"),
        logIn("dave", "new", transport),
      ]);
      await alice.subscribe("/user/queue/x");
      others[0].send("SEND", { destination: "/user/alice/queue/x" }, "still there");
      assert.equal((await alice.expect("MESSAGE")).text, "still there");
      await ask(carol);
      [alice, carol, ...others].forEach((session) => session.drop());
    });
  }

  test("without a name are let in or not, and stay", async () => {
    const nameless = await connect(daemon, overWebSocket);
    const log = await changeAndReload(daemon, { auth: { anonymous: "no" } });
    assert.match(log, /\[auth\] anonymous is no now, was yes/);
    await assertRefused({}, /login/);
    await ask(nameless);
    await changeAndReload(daemon, { auth: { anonymous: "yes" } });
    (await connect(daemon, overTcp)).drop();
    nameless.drop();
  });
});

describe("A login that is under way", () => {
  freshDaemons({ "user slow": { password: cryptHash("secret", 3000000) }, limits: { "connect-time": "1m" } });

  test("is judged by the conf that it began with, later ones by the new", async () => {
    const session = await overTcp.open(daemon);
    session.sendRaw(encodeFrame("CONNECT", { "accept-version": "1.2", login: "slow", passcode: "secret" }));
    await untilHashing();
    await changeAndReload(daemon, { "user slow": { password: "plain:other" } });
    await changeAndReload(daemon, { "user slow": null });
    assert.equal((await session.expect("CONNECTED")).headers["user-name"], "slow");
    await assertRefused({ login: "slow", passcode: "secret" }, /login or passcode/);
    session.drop();
  });

  test("is forgotten with its connection", async () => {
    const session = await overTcp.open(daemon);
    session.sendRaw(encodeFrame("CONNECT", { "accept-version": "1.2", login: "slow", passcode: "secret" }));
    await untilHashing();
    session.drop();
    await changeAndReload(daemon, { "user slow": null });
    await assertRefused({ login: "slow", passcode: "secret" }, /login or passcode/);
  });
});

describe("Limits", () => {
  freshDaemons({ limits: { "connect-time": "1h", "frame-time": "1h" } });

  for (const transport of TRANSPORTS) {
    test(`hold for sessions over ${transport.name} that exist`, async () => {
      const session = await connect(daemon, transport);
      for (let i = 0; i < 4; i++) {
        await session.subscribe(freshTopic(), String(i));
      }
      const log = await changeAndReload(daemon, { limits: { subscriptions: 4, headers: 300, "body-size": "2k" } });
      assert.match(log, /\[limits\] subscriptions is 4 now, was 1000/);
      assert.match(log, /\[limits\] body-size is 2k now, was 1m/);
      await ask(session);
      const many = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`h${i}`, "x"]));
      await session.request("SEND", { destination: freshTopic(), ...many });
      const other = await connect(daemon, transport);
      other.send("SEND", { destination: freshTopic() }, "x".repeat(2049));
      await other.expectError(/body-size/, SIZE);
      session.send("SUBSCRIBE", { id: "4", destination: freshTopic() });
      await session.expectError(/subscriptions/, POLICY);
    });

    test(`below what has come of a frame over ${transport.name} end it, and only it`, async () => {
      const sessions = await Promise.all([1, 2, 3].map(() => connect(daemon, transport)));
      const [headers, body, whole] = sessions;
      const other = await connect(daemon, transport);
      headers.sendRaw(`SEND\ndestination:/topic/a\n${"x:y\n".repeat(50)}`);
      body.sendRaw(`SEND\ndestination:/topic/a\n\n${"x".repeat(30_000)}`);
      whole.sendRaw(`SEND\ndestination:/topic/a\nreceipt:w\n\n${"x".repeat(500)}`);
      await ask(other);
      await changeAndReload(daemon, { limits: { headers: 20, "frame-size": "20k" } });
      await Promise.all([dripUntilError(headers, "x:y\n", /headers/), dripUntilError(body, "x", /frame-size/)]);
      whole.sendRaw("\0");
      await whole.expect({ command: "RECEIPT", "receipt-id": "w" });
      [whole, other].forEach((session) => session.drop());
    });
  }

  test("of time hold for what waits already", async () => {
    const silent = net.connect(daemon.ports.plain, "127.0.0.1");
    const slow = await connect(daemon, overTcp);
    slow.sendRaw("SEND\n");
    await sleep(50);
    await changeAndReload(daemon, { limits: { "connect-time": "100ms", "frame-time": "100ms" } });
    await Promise.all([
      new Promise((resolve) => silent.resume().once("close", resolve)),
      slow.expectError(/frame-time/),
    ]);
  });

  test("of connections hold from then on, and none is cut", async () => {
    const [first, second] = [await connect(daemon, overTcp), await connect(daemon, overWebSocket)];
    await changeAndReload(daemon, { limits: { connections: 2 } });
    await assert.rejects(connect(daemon, overTcp));
    await Promise.all([ask(first), ask(second)]);
    await changeAndReload(daemon, { limits: { connections: 3 } });
    const third = await connect(daemon, overTcp);
    [first, second, third].forEach((session) => session.drop());
  });

  test("of connections that descriptors do not allow are told", async () => {
    const log = await changeAndReload(daemon, { limits: { connections: 9_000_000 } });
    assert.match(log, /connections is \d+, not 9000000/);
  });
});

describe("The server", () => {
  freshDaemons({ server: { "notice-time": "1h", "ping-time": "1h" } });

  test("offers other heart-beats to new sessions", async () => {
    const early = await connect(daemon, overTcp, { "heart-beat": "20000,20000" });
    await changeAndReload(daemon, { server: { "heart-beat-send": "30s", "heart-beat-receive": "40s" } });
    const late = await connect(daemon, overTcp, { "heart-beat": "20000,20000" });
    assert.equal(early.connected.headers["heart-beat"], "10000,10000");
    assert.equal(late.connected.headers["heart-beat"], "30000,40000");
    [early, late].forEach((session) => session.drop());
    await changeAndReload(daemon, { server: { "notice-time": "0" } });
  });

  test("pings silent WebSockets by the new ping-time", async () => {
    const session = await connect(daemon, overWebSocket);
    await changeAndReload(daemon, { server: { "ping-time": "200ms", "notice-time": "0" } });
    await session.waitFor("a ping", () => session.pings > 0);
    session.drop();
  });

  test("logs by the new log-level, and drains by the new notice-time", async () => {
    await changeAndReload(daemon, { server: { "log-level": "debug" } });
    (await connect(daemon, overTcp)).drop();
    await until(() => /debug: .*session .* opened/.test(daemon.log));
    await changeAndReload(daemon, { server: { "notice-time": "10ms" } });
    await daemon.stop();
    daemon = await new Daemon().start(); // for afterEach()
  });
});

describe("Listeners", () => {
  freshDaemons();

  test("have other origins, paths, files and compression for new connections", async () => {
    const session = await connect(daemon, overWebSocket);
    const { web } = daemon.ports;
    const from = (Origin, where = "/ws") => upgrade(web, { path: where, headers: { Origin } });
    await fs.writeFile(path.join(daemon.folder, "page.html"), "a page");
    assert.equal((await from("https://app.example")).status, 403);
    assert.equal((await request(web, { path: "/page.html" })).status, 404);

    const changed = { origins: "https://app.example", path: "/ws /other", files: daemon.folder, deflate: "yes" };
    const log = await changeAndReload(daemon, { "listen web": changed });
    assert.match(log, /\[listen web\] origins is https:\/\/app\.example now, was unset/);
    assert.match(log, /\[listen web\] path is \/ws \/other now, was \/ws/);
    assert.equal((await from("https://app.example")).status, 101);
    assert.equal((await from("https://app.example", "/other")).status, 101);
    assert.equal((await request(web, { path: "/page.html" })).body, "a page");
    const deflated = await overWebSocket.open(daemon, { perMessageDeflate: true });
    assert.match(deflated.socket.extensions, /permessage-deflate/);

    await changeAndReload(daemon, { "listen web": { origins: "https://b.example", path: "/other", files: null } });
    assert.equal((await from("https://app.example", "/other")).status, 403);
    assert.equal((await from("https://b.example")).status, 404);
    assert.equal((await request(web, { path: "/page.html" })).status, 404);
    await ask(session);
    [session, deflated].forEach((each) => each.drop());
  });

  test("are the same although the file has them in another order, and more of them", async () => {
    const port = await freePort();
    const { web, plain } = daemon.ports;
    const log = await changeAndReload(daemon, {
      "listen web": null,
      "listen more": { bind: `127.0.0.1:${port}`, protocol: "stomp" },
    });
    assert.match(log, /\[listen more\] is new: a restart is needed/);
    assert.match(log, /\[listen web\] is gone: a restart is needed/);
    await assert.rejects(request(port));
    await changeAndReload(daemon, { "listen web": { bind: `127.0.0.1:${web}`, path: "/late" } });
    assert.equal((await upgrade(web, { path: "/late" })).status, 101);
    (await connect(daemon, overTcp)).drop();
    assert.equal(plain, daemon.ports.plain);
  });
});

describe("Certificates", () => {
  const [first, second] = [useCertificate(), useCertificate()];
  const files = Object.values(first.conf);
  freshDaemons({ "listen web": first.conf, "listen plain": first.conf });

  const shown = (port) =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on("error", reject);
    });

  const copyFiles = (from) => Promise.all(Object.values(from).map((file, i) => fs.copyFile(file, files[i])));

  test("that have new content or another place are shown to new connections, while sessions stay", async () => {
    const sessions = await Promise.all(TRANSPORTS.map((each) => connect(daemon, each, {}, { ca: first.ca })));
    for (const port of Object.values(daemon.ports)) {
      const before = await shown(port);
      await changeAndReload(daemon, { "listen web": second.conf, "listen plain": second.conf });
      const after = await shown(port);
      assert.notEqual(before, after);
      await changeAndReload(daemon, { "listen web": first.conf, "listen plain": first.conf });
      assert.equal(await shown(port), before);
      const kept = await Promise.all(files.map((file) => fs.readFile(file)));
      await copyFiles(second.conf);
      await reload(daemon);
      assert.equal(await shown(port), after);
      await Promise.all(files.map((file, i) => fs.writeFile(file, kept[i])));
      await reload(daemon);
    }
    await Promise.all(sessions.map(ask));
    sessions.forEach((session) => session.drop());
  });

  test("that do not fit their key change nothing", async () => {
    const before = await shown(daemon.ports.web);
    const mixed = { "tls-certificate": second.conf["tls-certificate"], "tls-key": first.conf["tls-key"] };
    const log = await changeAndReload(daemon, { "listen web": mixed, auth: { anonymous: "no" } });
    assert.match(log, /listen web: .*tls-key/);
    assert.match(log, /nothing has changed/);
    assert.equal(await shown(daemon.ports.web), before);
    (await connect(daemon, overTcp, {}, { ca: first.ca })).drop();
  });

  test("with another kind of key wait for a restart, and TLS is not switched off", async () => {
    const before = await shown(daemon.ports.web);
    const rsa = ["certificate", "key"].map((name) => path.join(daemon.folder, `rsa-${name}.pem`));
    const kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"];
    execFileSync("openssl", ["req", ...kind, "-out", rsa[0], "-keyout", rsa[1]], { stdio: "pipe" });
    const log = await changeAndReload(daemon, {
      "listen web": { "tls-certificate": rsa[0], "tls-key": rsa[1] },
      "listen plain": { "tls-certificate": null, "tls-key": null },
    });
    assert.match(log, /listen web: .*another kind of key: a restart is needed/);
    assert.match(log, /\[listen plain\] tls-key: a restart is needed for this change; it stays /);
    assert.equal(await shown(daemon.ports.web), before);
    assert.equal(await shown(daemon.ports.plain), before);
  });
});

describe("A change that needs a restart", () => {
  freshDaemons({ server: { workers: 2 } });

  test("is told with what stays, each time, and the rest takes effect", async () => {
    const { web, plain } = daemon.ports;
    const changes = {
      server: { node: "other", workers: 3, "drain-time": "60ms" },
      "listen web": { bind: `127.0.0.1:${await freePort()}` },
      "listen plain": { protocol: "ws" },
      admin: { bind: `127.0.0.1:${await freePort()}` },
      cluster: { redis: `127.0.0.1:${await freePort()}` },
      limits: { subscriptions: 1 },
    };
    const told = [
      "[server] node: a restart is needed for this change; it stays test-node",
      "[server] workers: a restart is needed for this change; it stays 2",
      `[listen web] bind: a restart is needed for this change; it stays 127.0.0.1:${web}`,
      "[listen plain] protocol: a restart is needed for this change; all of the section stays as it was",
      "[admin] is new: a restart is needed for this change",
      "[cluster] is new: a restart is needed for this change",
    ];
    const log = await changeAndReload(daemon, changes);
    for (const line of [...told, "[server] drain-time is 60ms now, was 50ms"]) {
      assert.ok(log.includes(`${line}\n`), `${line} is not in\n${log}`);
    }
    const again = await reload(daemon);
    assert.deepEqual(
      told.map((line) => again.includes(line)),
      told.map(() => true),
    );
    assert.doesNotMatch(again, /drain-time|subscriptions/);
    const session = await connect(daemon, overWebSocket);
    assert.match(session.connected.headers.session, /^test-node:/);
    await session.subscribe(freshTopic());
    session.send("SUBSCRIBE", { id: "1", destination: freshTopic() });
    await session.expectError(/subscriptions/, POLICY);
    assert.ok(plain > 0 && (await connect(daemon, overTcp)).connected);
  });
});

describe("A file with faults", () => {
  freshDaemons();

  test("changes nothing, and each fault is told with its line", async () => {
    const session = await connect(daemon, overTcp);
    await changeConf(daemon, {
      auth: { anonymous: "no" },
      "user alice": { password: "plain:changed" },
      limits: { subscriptions: 1, headers: "many" },
      server: { "log-level": "debug", workers: 0 },
    });
    const file = path.join(daemon.folder, "stompd.conf");
    const lines = (await fs.readFile(file, "utf8")).split("\n");
    const log = await reload(daemon);
    for (const fault of ["workers = 0", "headers = many"]) {
      assert.ok(log.includes(`${file}:${lines.indexOf(fault) + 1}: ${fault}, expected `), log);
    }
    assert.match(log, /nothing has changed/);
    assert.doesNotMatch(log, /is .* now, was/);
    await session.subscribe(freshTopic(), "0");
    await session.subscribe(freshTopic(), "1");
    const others = [await connect(daemon, overTcp), await logIn("alice", "wonderland")];
    [session, ...others].forEach((each) => each.drop());
  });

  test("that is not there changes nothing, until it is again", async () => {
    const file = path.join(daemon.folder, "stompd.conf");
    await fs.rename(file, `${file}.away`);
    assert.match(await reload(daemon), /stompd\.conf:0: can't be opened/);
    (await connect(daemon, overTcp)).drop();
    await fs.rename(`${file}.away`, file);
    assert.match(await reload(daemon), /is in force/);
  });
});

describe("Many reloads in a row", () => {
  freshDaemons({ server: { workers: 4 }, "user carol": { password: cryptHash("opera", 1000) } });

  test("lose no message of those that talk meanwhile", async () => {
    const pairs = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const transport = TRANSPORTS[i % 2];
        const [from, to] = [await connect(daemon, transport), await connect(daemon, TRANSPORTS[(i >> 1) % 2])];
        const destination = freshTopic();
        await to.subscribe(destination);
        return { from, to, destination };
      }),
    );
    let reloading = true;
    const logins = (async () => {
      while (reloading) {
        (await logIn("carol", "opera")).drop();
      }
    })();
    const talks = pairs.map(async ({ from, to, destination }) => {
      let sent = 0;
      while (reloading || sent < 100) {
        for (let i = 0; i < 20; i++) {
          from.send("SEND", { destination, n: sent++ });
        }
        await ask(from);
      }
      for (let n = 0; n < sent; n++) {
        assert.equal((await to.expect("MESSAGE")).headers.n, String(n));
      }
    });
    for (let n = 0; n < 50; n++) {
      await changeAndReload(daemon, {
        "user dave": { password: `plain:${n}` },
        limits: { headers: 20 + n, "outbox-size": `${1 + (n % 2)}m` },
        "listen web": { origins: n % 2 === 0 ? "*" : null },
      });
      daemon.kill("SIGHUP"); // and once more, while the workers take the first
    }
    reloading = false;
    await Promise.all([logins, ...talks]);
    pairs.forEach(({ from, to }) => [from, to].forEach((session) => session.drop()));
    await reload(daemon);
  });
});
