// The end of a daemon: what SIGTERM does in notice-time and drain-time, and what ends it at once. Each test has a
// daemon of its own.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { answers, Daemon } from "./lib/daemon.mjs";
import { request } from "./lib/http.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

async function withDaemon(server, body) {
  const daemon = await new Daemon({ server }).start();
  try {
    await body(daemon);
  } finally {
    await daemon.stop("SIGINT");
  }
}

async function until(condition) {
  while (!(await condition())) {
    await sleep(20);
  }
}

async function healthOf(daemon) {
  const { status } = await request(daemon.ports.web, { path: "/healthz" });
  return status;
}

describe("SIGTERM", { concurrency: true }, () => {
  test("in notice-time /healthz says 503, and sessions old and new are served", () =>
    withDaemon({ "notice-time": "1h", "drain-time": "100ms" }, async (daemon) => {
      const early = await connect(daemon, overWebSocket);
      daemon.kill("SIGTERM");
      await until(async () => (await healthOf(daemon)) === 503);
      for (const transport of TRANSPORTS) {
        const late = await connect(daemon, transport);
        const topic = freshTopic();
        await early.subscribe(topic, topic);
        await late.request("SEND", { destination: topic }, "late");
        assert.equal((await early.expect({ command: "MESSAGE", subscription: topic })).text, "late");
      }
    }));

  test("then new sockets are refused while sessions are closed over drain-time", () =>
    withDaemon({ "notice-time": "50ms", "drain-time": "5s" }, async (daemon) => {
      const sessions = await Promise.all(Array.from({ length: 40 }, (_, i) => connect(daemon, TRANSPORTS[i % 2])));
      daemon.kill("SIGTERM");
      await until(async () => !(await answers(daemon.ports.web)) && !(await answers(daemon.ports.plain)));
      assert.ok(daemon.isRunning);
      await until(() => sessions.some(({ closed }) => closed));
      const open = sessions.filter(({ closed }) => !closed);
      assert.ok(
        open.length >= sessions.length / 2,
        `${open.length} of ${sessions.length} open when the first is closed`,
      );
      await Promise.all(sessions.map((session) => session.waitFor("its end", () => session.closed)));
      await daemon.stop();
    }));

  test("sessions are closed with 1012 on WebSocket and with an ERROR on TCP", () =>
    withDaemon({ "notice-time": "50ms", "drain-time": "200ms" }, async (daemon) => {
      const [overWs, plain] = [await connect(daemon, overWebSocket), await connect(daemon, overTcp)];
      const fresh = await overWebSocket.open(daemon); // has not logged in
      daemon.kill("SIGTERM");
      await overWs.expectClose(1012);
      assert.deepEqual(overWs.frames, []);
      await fresh.expectClose(1012);
      await plain.expectError(/restart|going down|shutting down|drain/);
      await daemon.stop();
    }));

  test("what was sent before still arrives", () =>
    withDaemon({ "notice-time": "50ms", "drain-time": "200ms" }, async (daemon) => {
      const [subscriber, publisher] = [await connect(daemon, overWebSocket), await connect(daemon, overTcp)];
      const topic = freshTopic();
      await subscriber.subscribe(topic);
      for (let i = 0; i < 50; i++) {
        await publisher.request("SEND", { destination: topic }, String(i));
      }
      daemon.kill("SIGTERM");
      await subscriber.expectClose(1012);
      assert.deepEqual(
        subscriber.frames.map(({ text }) => text),
        Array.from({ length: 50 }, (_, i) => String(i)),
      );
    }));

  test("without sessions the daemon ends when notice-time is over", () =>
    withDaemon({ "notice-time": "100ms", "drain-time": "1h" }, async (daemon) => {
      daemon.kill("SIGTERM");
      await daemon.checkExit();
    }));

  test("a client that does not answer the close does not hold the daemon up", () =>
    withDaemon({ "notice-time": "50ms", "drain-time": "100ms" }, async (daemon) => {
      const sessions = [await connect(daemon, overWebSocket), await connect(daemon, overTcp)];
      sessions.forEach((session) => session.pause());
      daemon.kill("SIGTERM");
      await daemon.checkExit();
      sessions.forEach((session) => session.drop());
    }));
});

describe("At once", { concurrency: true }, () => {
  const ways = [
    ["SIGINT", ["SIGINT"]],
    ["a second SIGTERM", ["SIGTERM", "SIGTERM"]],
    ["SIGINT after SIGTERM", ["SIGTERM", "SIGINT"]],
  ];
  for (const [name, signals] of ways) {
    test(`${name} ends it, with sessions open`, () =>
      withDaemon({ "notice-time": "1h", "drain-time": "1h" }, async (daemon) => {
        const sessions = [await connect(daemon, overWebSocket), await connect(daemon, overTcp)];
        for (const [i, signal] of signals.entries()) {
          daemon.kill(signal);
          if (i + 1 < signals.length) {
            await until(async () => (await healthOf(daemon)) === 503); // signals that wait are merged into one
          }
        }
        await daemon.checkExit();
        await Promise.all(sessions.map((session) => session.waitFor("its end", () => session.closed)));
      }));
  }

  test("SIGINT does not wait long for clients that do not answer", () =>
    withDaemon({}, async (daemon) => {
      const sessions = [await connect(daemon, overWebSocket), await connect(daemon, overTcp)];
      sessions.forEach((session) => session.pause());
      const began = Date.now();
      daemon.kill("SIGINT");
      await daemon.checkExit();
      const took = Date.now() - began;
      assert.ok(took < 3000, `it took ${took} ms`);
      sessions.forEach((session) => session.drop());
    }));

  test("SIGINT closes WebSockets with 1001", () =>
    withDaemon({}, async (daemon) => {
      const session = await connect(daemon, overWebSocket);
      daemon.kill("SIGINT");
      await session.expectClose(1001);
      await daemon.checkExit();
    }));

  test("a second SIGTERM ends it while it is draining", () =>
    withDaemon({ "notice-time": "50ms", "drain-time": "1h" }, async (daemon) => {
      const sessions = await Promise.all(TRANSPORTS.map((transport) => connect(daemon, transport)));
      daemon.kill("SIGTERM");
      await until(async () => !(await answers(daemon.ports.web)));
      daemon.kill("SIGTERM");
      await daemon.checkExit();
      sessions.forEach((session) => session.drop());
    }));
});

test("a daemon that ended can be started again on its ports at once", async () => {
  const daemon = await new Daemon().start();
  const session = await connect(daemon, overWebSocket);
  await daemon.stop("SIGINT");
  await session.waitFor("its end", () => session.closed);
  await daemon.start();
  await (await connect(daemon, overWebSocket)).request("SEND", { destination: freshTopic() });
  await daemon.stop();
});
