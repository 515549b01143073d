// That ./dev bench says what is: medians and budgets, with figures made up here; what it does when a server loses or
// reorders messages, does not start, or ends, with servers that do so; and one short run of the whole. How fast
// anything is, is not tested.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";

import { faultsOf, judge, spread, spreads } from "../../bench/figures.mjs";
import { Rounds } from "../../bench/rounds.mjs";
import { endWithUs } from "./lib/child.mjs";
import { PROGRAM } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { FakeStomp } from "./lib/fakestomp.mjs";

const BUILD = path.dirname(PROGRAM);

const folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-bench-"));
after(() => fs.rm(folder, { recursive: true }));

describe("figures", () => {
  test("the median is the one in the middle, or between the two that are", () => {
    assert.deepEqual(spread([10, 9, 100]), { median: 10, lowest: 9, highest: 100 });
    assert.deepEqual(spread([4, 1, 2, 100]), { median: 3, lowest: 1, highest: 100 });
  });

  test("a figure that one of the rounds does not know is not known", () => {
    const figures = spreads([
      { messages: 1, rate: null, cores: 2 },
      { messages: 3, rate: null, cores: null },
    ]);
    assert.deepEqual(figures, { messages: { median: 2, lowest: 1, highest: 3 } });
  });

  test("all that must not be is named", () => {
    assert.equal(faultsOf({ lost: 0, reordered: 0, closed_connections: null }), "");
    assert.equal(faultsOf({ lost: 3, reordered: 1 }), "3 lost, 1 out of order");
    assert.equal(faultsOf({ lost: 3, reordered: 1 }, ["reordered"]), "3 lost");
    assert.equal(faultsOf({ closed_connections: 2 }), "2 connections closed by the server");
  });

  test("a budget is kept up to its bound, and not when it was not measured", () => {
    const medians = { "work us": 7, "work them": 10 };
    const figuresOf = (...key) => ({ speed: { median: medians[key.join(" ")] } });
    const ratio = { figure: "speed", of: ["work", "us"], against: ["work", "them"] };
    const isKept = (budget) => judge(budget, figuresOf).isKept;
    assert.equal(judge({ ...ratio, atLeast: 0.7 }, figuresOf).value, 0.7);
    assert.equal(isKept({ ...ratio, atLeast: 0.7 }), true);
    assert.equal(isKept({ ...ratio, atLeast: 0.71 }), false);
    assert.equal(isKept({ ...ratio, atMost: 0.7 }), true);
    assert.equal(isKept({ ...ratio, atMost: 0.69 }), false);
    assert.equal(isKept({ figure: "speed", of: ["work", "us"], atMost: 7 }), true);
    assert.equal(isKept({ figure: "speed", of: ["work", "us"], atMost: 6 }), false);
    assert.equal(isKept({ ...ratio, against: ["other work", "them"], atLeast: 0 }), false);
    assert.equal(judge({ ...ratio, ceiling: ["work", "us"], atLeast: 1 }, figuresOf).ceilingValue, 0.7);
    assert.equal(judge({ ...ratio, atLeast: 1 }, figuresOf).ceilingValue, null);
  });
});

describe("rounds", () => {
  const work = {
    name: "fan-out",
    title: "fan-out 1→2",
    args: ["fan-out", "--subscribers", 2, "--window", 4, "--timeout", "300ms"],
  };
  const plan = { rounds: 2, slowRounds: 1, seconds: 0.2, warmUpSeconds: 0, inAllSeconds: 60 };

  /** A kind of server: a fake that does `onSend` to messages, and whose end is up to `mustRun`. */
  function kind(title, { onSend, onConnect, mustRun = () => {}, isSlow = false } = {}) {
    const start = async () => {
      const fake = await new FakeStomp({ onSend, onConnect }).start();
      return { urls: [fake.url], pids: () => [process.pid], mustRun, stop: () => fake.stop() };
    };
    return { title, start, isSlow };
  }

  async function play(kinds, group = {}) {
    const said = [];
    const rounds = new Rounds({ kinds, plan, build: BUILD, say: (line) => said.push(line) });
    try {
      await rounds.play({ share: 1, works: [{ ...work, servers: Object.keys(kinds) }], ...group });
    } finally {
      await rounds.stop();
    }
    return { rounds, said };
  }

  test("servers that lose nothing have figures of each of their rounds", async () => {
    const { rounds, said } = await play({ good: kind("good"), slow: kind("slow", { isSlow: true }) });
    assert.deepEqual(said, []);
    assert.deepEqual(rounds.faults, []);
    assert.equal(rounds.measurementOf("fan-out", "good").rounds.length, 2);
    assert.equal(rounds.measurementOf("fan-out", "slow").rounds.length, 1);
    const { figures, command } = rounds.measurementOf("fan-out", "good");
    assert.ok(figures.deliveries_per_cpu_second.median >= figures.deliveries_per_cpu_second.lowest);
    assert.match(command, /^stomp-bench fan-out .*--duration 0.2 .*--target stomp:.* --pid \d+ /);
  });

  test("a fresh server for each measurement, when the group wants it", async () => {
    let started = 0;
    const { start, ...good } = kind("good");
    const counting = { ...good, start: () => (started++, start()) };
    await play({ counting }, { fresh: true });
    assert.equal(started, 2);
  });

  test("no round begins when the group's time is up, but one there is", async () => {
    const { rounds, said } = await play({ good: kind("good") }, { share: 0 });
    assert.equal(rounds.measurementOf("fan-out", "good").rounds.length, 1);
    assert.deepEqual(said, ["\nthe time is up: 1 of 2 rounds"]);
  });

  test("a loss is a fault, and its round does not count", async () => {
    const onSend = (message, n, server) => n !== 3 && server.publish(message);
    const { rounds, said } = await play({ bad: kind("bad", { onSend }) });
    assert.deepEqual(rounds.faults, ["bad, fan-out 1→2: 2 lost"]);
    assert.deepEqual(said, ["FAULT: bad, fan-out 1→2: 2 lost"]);
    assert.equal(rounds.measurementOf("fan-out", "bad").rounds.length, 1);
  });

  test("so is what comes out of order, which stomp-bench itself forgives", async () => {
    let held = null;
    const onSend = (message, n, server) => {
      if (n === 3) {
        held = message;
        return;
      }
      server.publish(message);
      if (held) {
        server.publish(held);
        held = null;
      }
    };
    const { rounds } = await play({ bad: kind("bad", { onSend }) });
    assert.deepEqual(rounds.faults, ["bad, fan-out 1→2: 2 out of order"]);
  });

  test("a server that has ended is told with its log, and one that refuses with what it says", async () => {
    const mustRun = () => {
      throw new Error("it does not run:\nthe last line of its log");
    };
    const onConnect = (connection) => connection.say("ERROR\nmessage:no room\n\n");
    await assert.rejects(play({ ended: kind("ended", { mustRun }) }), /the last line of its log/);
    await assert.rejects(play({ full: kind("full", { onConnect }) }), /^Error: full, fan-out 1→2: .*no room/s);
  });

  test("one that does not start is named, and those before it are stopped", async () => {
    const good = kind("good");
    let stopped = 0;
    const counting = {
      ...good,
      start: async () => {
        const server = await good.start();
        return { ...server, stop: () => (stopped++, server.stop()) };
      },
    };
    const missing = { title: "RabbitMQ", start: () => Promise.reject(new Error("it is not installed")) };
    await assert.rejects(play({ counting, missing }), /^Error: RabbitMQ does not start: it is not installed/);
    assert.equal(stopped, 1);
  });
});

describe("the whole", () => {
  const json = path.join(folder, "bench.json");
  const args = ["bench/run.mjs", "--build", BUILD, "--without", "rabbitmq", "--rounds", "1", "--json", json];

  /** Resolves with { code, stdout, stderr }. */
  function run(...more) {
    return new Promise((resolve) => {
      const whenDone = (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr });
      execFile(process.execPath, more, whenDone);
    });
  }

  test("prints and writes figures and budgets, ends with 1 when one is not kept, and the page follows", async () => {
    const { code, stdout, stderr } = await run(...args, "--work", "fan-out-1-1-w32");
    const { budgets, measurements, faults, versions, machine } = JSON.parse(await fs.readFile(json, "utf8"));
    const [budget] = budgets;
    assert.deepEqual(faults, [], stderr);
    assert.equal(budgets.length, 1);
    assert.equal(code, budget.isKept ? 0 : 1);
    assert.match(stdout, budget.isKept ? /^ {2}kept .*at least 0.6$/m : /^ {2}NOT KEPT .*at least 0.6$/m);
    assert.deepEqual(measurements.map(({ server }) => server), ["stompd", "ceiling"]);
    const [own, ceiling] = measurements.map(({ figures }) => figures.deliveries_per_cpu_second.median);
    assert.ok(Math.abs(budget.value - own / ceiling) < 1e-9);
    assert.ok(versions.stompd && versions.compiler && machine.cores > 0);

    const page = path.join(folder, "performance.md");
    assert.equal((await run("bench/performance.mjs", json, page)).code, 0);
    const text = await fs.readFile(page, "utf8");
    assert.ok(text.includes(`| ${budget.isKept ? "yes" : "**no**"} |`));
    assert.ok(text.includes(machine.cpu) && text.includes("--window 32 --duration 1"));
    assert.ok(!/undefined|null|NaN/.test(text), text);
  });

  test("a program that was not built is named", async () => {
    const { code, stderr } = await run("bench/run.mjs", "--build", folder);
    assert.equal(code, 1);
    assert.equal(stderr, `bench/run: there is no ${path.join(folder, "stompd")}: ./dev build makes it\n`);
  });

  test("a work that there is not is refused with those that there are", async () => {
    const { code, stderr } = await run(...args, "--work", "fan-in");
    assert.equal(code, 1);
    assert.match(stderr, /^bench\/run: there is no fan-in; there are fan-out-1-1-w1, /);
  });

  test("leaves nothing running when it is interrupted", async () => {
    const child = spawn(process.execPath, [...args, "--work", "latency"], { stdio: ["ignore", "inherit", "pipe"] });
    endWithUs(child);
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    const pids = await eventually("stompd, the ceiling and stomp-bench", async () => {
      const found = await childrenOf(child.pid);
      return found.length === 3 && found;
    });
    child.kill("SIGINT");
    const [code] = await once(child, "close");
    assert.equal(code, 1);
    assert.equal(stderr, "bench/run: ended by SIGINT\n");
    await eventually("the end of all", async () => !pids.some(isRunning));
  });
});

async function childrenOf(pid) {
  return (await fs.readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).match(/\d+/g) ?? [];
}

function isRunning(pid) {
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch {
    return false;
  }
}
