// What stands still: a daemon that was stopped for a while, as with its virtual machine, must not take that for its
// clients' silence; a client that stops taking what it has asked for must not hold its place for ever.
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Daemon, useDaemon } from "./lib/daemon.mjs";
import { requestText } from "./lib/http.mjs";
import { connect, freshTopic, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const INTERVAL_MS = 1000; // of heart-beats
const STALL_MS = 5000; // more than three of them

const BEATING = { "heart-beat": `${INTERVAL_MS},0` };

async function withDaemon(conf, body) {
  const daemon = await new Daemon(conf).start();
  try {
    await body(daemon);
  } finally {
    daemon.kill("SIGCONT");
    await daemon.stop("SIGINT");
  }
}

async function standStill(daemon) {
  daemon.kill("SIGSTOP");
  await sleep(STALL_MS);
  daemon.kill("SIGCONT");
}

/** Sends a heart-beat now and then, until it is stopped. */
function beatEvery(session, ms) {
  const timer = setInterval(() => session.sendRaw("\n"), ms);
  return () => clearInterval(timer);
}

async function assertAlive(session) {
  await session.request("SEND", { destination: freshTopic() });
  assert.equal(session.closed, null);
}

describe("A daemon that stood still", { concurrency: true }, () => {
  const conf = { server: { "heart-beat-receive": `${INTERVAL_MS}ms`, "heart-beat-send": "3s" } };

  test("cuts no client whose heart-beats wait in its sockets", () =>
    withDaemon(conf, async (daemon) => {
      const sessions = await Promise.all(TRANSPORTS.map((transport) => connect(daemon, transport, BEATING)));
      const stops = sessions.map((session) => beatEvery(session, INTERVAL_MS / 2));
      await standStill(daemon);
      await sleep(2 * INTERVAL_MS);
      await Promise.all(sessions.map(assertAlive));
      stops.forEach((stop) => stop());
      sessions.forEach((session) => session.drop());
    }));

  test("gives a client time whose heart-beats are late, since the network stood still too", () =>
    withDaemon(conf, async (daemon) => {
      const sessions = await Promise.all(TRANSPORTS.map((transport) => connect(daemon, transport, BEATING)));
      await standStill(daemon);
      await sleep(INTERVAL_MS / 2);
      await Promise.all(sessions.map(assertAlive));
      sessions.forEach((session) => session.drop());
    }));

  test("still finds the clients that are silent", () =>
    withDaemon(conf, async (daemon) => {
      const open = (transport) => connect(daemon, transport, BEATING, { autoPong: false });
      const sessions = await Promise.all(TRANSPORTS.map(open));
      await standStill(daemon);
      await Promise.all(sessions.map((session) => session.expectError(/heart-beat/, 1008)));
    }));

  test("sends the heart-beat that is overdue at once", () =>
    withDaemon(conf, async (daemon) => {
      const sessions = [];
      for (const transport of TRANSPORTS) {
        sessions.push(await connect(daemon, transport, { "heart-beat": "0,3000" }));
      }
      await standStill(daemon);
      await Promise.all(sessions.map((session) => session.waitFor("a heart-beat", () => session.beats > 0, 1000)));
      sessions.forEach((session) => session.drop());
    }));

  test("takes the answer to a ping that waits in its socket", () =>
    withDaemon({ server: { "ping-time": `${INTERVAL_MS}ms` } }, async (daemon) => {
      const session = await connect(daemon, overWebSocket, {}, { autoPong: false });
      await session.waitFor("a ping", () => session.pings > 0);
      const stall = standStill(daemon);
      session.socket.pong("?");
      await stall;
      await assertAlive(session);
      await session.waitFor("another ping", () => session.pings > 1);
      session.drop();
    }));

  test("logs those in who sent their CONNECT in time", () =>
    withDaemon({ limits: { "connect-time": "2s" } }, async (daemon) => {
      const sessions = await Promise.all(TRANSPORTS.map((transport) => transport.open(daemon)));
      const stall = standStill(daemon);
      await sleep(100);
      const connecting = sessions.map((session) => session.connect());
      await stall;
      await Promise.all(connecting);
      sessions.forEach((session) => session.drop());
    }));
});

describe("A download", () => {
  const FRAME_TIME_MS = 1000;
  const SIZE = 64 << 20; // more than sockets hold
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "stompd-files-"));
  after(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, "large"), "");
  fs.truncateSync(path.join(folder, "large"), SIZE);

  const files = { "listen web": { files: folder } };
  const daemon = useDaemon({ ...files, limits: { "frame-time": `${FRAME_TIME_MS}ms` } });
  const hasty = useDaemon({ ...files, limits: { "frame-time": `${FRAME_TIME_MS}ms`, "connect-time": "500ms" } });

  /** Asks for the file, and reads nothing yet; `received` counts bytes. */
  function download({ ports }) {
    const socket = net.connect(ports.web, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.received = 0;
    socket.on("data", (bytes) => (socket.received += bytes.length));
    socket.ended = new Promise((resolve) => socket.once("close", resolve));
    socket.write(requestText("/large", { Connection: "close" }));
    return socket;
  }

  test("that the client does not read ends", async () => {
    const socket = download(daemon);
    await sleep(4 * FRAME_TIME_MS);
    socket.resume();
    await socket.ended;
    assert.ok(socket.received < SIZE / 2, `${socket.received} bytes have come`);
  });

  test("that the client reads slowly goes on to its end", async () => {
    const began = Date.now();
    const socket = download(hasty);
    let wanted = 0;
    socket.on("data", () => socket.received >= wanted && socket.pause());
    while (socket.received < SIZE && !socket.destroyed) {
      wanted = socket.received + SIZE / 32;
      socket.resume();
      await sleep(100);
    }
    assert.ok(socket.received > SIZE, `${socket.received} bytes have come`); // headers too
    assert.ok(Date.now() - began > 3 * FRAME_TIME_MS);
    socket.destroy();
  });
});
