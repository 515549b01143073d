// What can be seen of the workers from outside: sockets are spread evenly, there are descriptors for all, and slow work
// of one session is no wait for another.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";

import { Daemon, useDaemon, WORKERS as WORKERS_TEXT } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { descriptorLimit } from "./lib/process.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const WORKERS = Number(WORKERS_TEXT);

/** A crypt(3) hash that takes about a quarter of a second to check. */
const SLOW_HASH = execFileSync("perl", ["-e", 'print crypt("secret", q($6$rounds=1500000$saltsaltsalt$))']).toString();

const daemon = useDaemon({ "user slow": { password: SLOW_HASH } });

test("each socket goes to the worker with the fewest", async () => {
  const each = 10;
  const sessions = [];
  for (let n = 0; n < each * WORKERS; n++) {
    sessions.push(await connect(daemon, TRANSPORTS[n % TRANSPORTS.length]));
  }
  const byWorker = new Map();
  for (const { connected } of sessions) {
    const [, worker] = /:(\d+)-\d+$/.exec(connected.headers.session);
    byWorker.set(worker, (byWorker.get(worker) ?? 0) + 1);
  }
  const counts = [...byWorker.values()];
  assert.equal(counts.length, WORKERS);
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts} sessions a worker`); // a probe may be open still
  sessions.forEach((session) => session.drop());
});

describe("Descriptors", { concurrency: true }, () => {
  const many = { server: { workers: 40 }, limits: { connections: 1 } };
  const within = (soft, hard) => ({ within: ["prlimit", `--nofile=${soft}:${hard}`] });

  test("are reserved for many workers, however few connections there may be", async () => {
    const crowd = await new Daemon(many).start();
    await eventually("the only place to be free", () => connect(crowd, overTcp).catch(() => null));
    await crowd.stop("SIGINT");
  });

  test("are not taken away, where the process has more than it needs", async () => {
    const rich = await new Daemon({ limits: { connections: 1 } }, within(3000, 4000)).start();
    assert.equal(descriptorLimit(rich.pid), 3000);
    await rich.stop("SIGINT");
  });

  test("that are so many that libwebsockets would waste memory on them are", async () => {
    const rich = await new Daemon({ limits: { connections: 1 } }, within(20_000, 20_000)).start();
    assert.equal(descriptorLimit(rich.pid), 16_384);
    await rich.stop("SIGINT");
  });

  test("that are too few for the workers are told", async () => {
    const poor = new Daemon(many, within(200, 200));
    await poor.launch();
    assert.deepEqual(await poor.exited, [1, null]);
    assert.match(poor.log, /the hard limit of open files is 200, and 40 workers need \d+ besides those of clients/);
  });
});

describe("A password that takes long to check", () => {
  test("holds up nobody else, on the same worker either", async () => {
    const others = [];
    for (let n = 0; n < WORKERS; n++) {
      others.push(await connect(daemon, overWebSocket));
    }
    const slow = await overTcp.open(daemon);
    let answered = false;
    slow.sendRaw(encodeFrame("CONNECT", { "accept-version": "1.2", host: "test", login: "slow", passcode: "secret" }));
    const connected = slow.expect("CONNECTED").then(() => (answered = true));
    await Promise.all(others.map((other) => other.request("SEND", { destination: freshTopic() })));
    assert.equal(answered, false, "the others were answered after the slow login");
    await connected;
    [slow, ...others].forEach((session) => session.drop());
  });
});
