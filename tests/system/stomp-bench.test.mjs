// stomp-bench: every command against a real daemon; what a server does wrong is noticed (a fake one that loses, doubles,
// reorders, damages and stalls); what its JSON, its drawing, its --help and its man page say; and bad input.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useCertificate } from "./lib/certificate.mjs";
import { Child } from "./lib/child.mjs";
import { Daemon, freePort, PROGRAM, useDaemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { startFake } from "./lib/fakestomp.mjs";
import { cpuTicks } from "./lib/process.mjs";
import { openTcp } from "./lib/tcp.mjs";
import { openWs } from "./lib/ws.mjs";

const BENCH = path.join(path.dirname(PROGRAM), "stomp-bench");
const SHORT = ["--duration", "300ms", "--warm-up", "100ms"];

const folder = await fs.mkdtemp(path.join(os.tmpdir(), "stomp-bench-"));
after(() => fs.rm(folder, { recursive: true }));

/** Resolves with { code, stdout, stderr }, whatever they are. */
function bench(...args) {
  return new Promise((resolve) => {
    execFile(BENCH, args.map(String), (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
  });
}

/** Runs with --json, which must be all that is said; resolves with { code, json, results, first }. */
async function measure(...args) {
  const { code, stdout, stderr } = await bench(...args, "--json", "-");
  assert.ok(stdout.startsWith("{"), `status ${code}: ${stderr}${stdout}`);
  const json = JSON.parse(stdout);
  return { code, stderr, json, results: json.results, first: json.results[0] };
}

function assertNoFault({ code, results }) {
  for (const { lost, duplicates, reordered, strays, damaged } of results) {
    assert.deepEqual({ lost, duplicates, reordered, strays, damaged }, noFaults);
  }
  assert.equal(code, 0);
}
const noFaults = { lost: 0, duplicates: 0, reordered: 0, strays: 0, damaged: 0 };

/** Those with a latency are in order, and as many a second as were counted. */
function assertConsistent(result) {
  const keys = ["latency_p50_ms", "latency_p90_ms", "latency_p99_ms", "latency_p99_9_ms", "latency_max_ms"];
  const latencies = keys.map((key) => result[key]);
  assert.deepEqual([...latencies].sort((a, b) => a - b), latencies);
  assert.ok(latencies[0] > 0);
  assert.ok(Math.abs(result.messages / result.seconds - result.messages_per_second) < 0.01);
  assert.ok(Math.abs(result.deliveries / result.seconds - result.deliveries_per_second) < 0.01);
}

const manual = await fs.readFile("docs/stomp-bench.1", "utf8");

/** The entries of the nth list of the man page's section: [[head, text]], without markup. */
function manualEntries(section, list = 0) {
  const [, text] = new RegExp(`^\\.Sh ${section}\\n(.*?)(?=^\\.Sh |$(?![^]))`, "ms").exec(manual);
  const [, entries] = text.split(".Bl -tag -width Ds\n")[list + 1].match(/^(.*?)\.El$/ms);
  const plain = (line) => line.replaceAll("\\-", "-").replaceAll("\\e", "\\");
  return entries
    .split(".It ")
    .slice(1)
    .map((entry) => {
      const [head, ...lines] = entry.trimEnd().split("\n");
      const words = plain(head.replace(/^Fl /, "-").replace(/^(Cm|Li) /, "").replace(/ Ar /, " "));
      return [words, plain(lines.join(" "))];
    });
}

describe("against a daemon", () => {
  const certificate = useCertificate();
  const daemon = useDaemon({
    "listen tls": { protocol: "ws", path: "/ws", ...certificate.conf },
    "listen tlsplain": { protocol: "stomp", ...certificate.conf },
  });
  const web = () => ["--target", `ws://127.0.0.1:${daemon.ports.web}/ws`];
  const plain = () => ["--target", `stomp://127.0.0.1:${daemon.ports.plain}`];
  const secure = () => ["--target", `wss://127.0.0.1:${daemon.ports.tls}/ws`];
  const securePlain = () => ["--target", `stomps://127.0.0.1:${daemon.ports.tlsplain}`];

  test("fan-out: every subscriber gets every message of every publisher", async () => {
    const run = await measure("fan-out", ...web(), "--publishers", 3, "--subscribers", 7, "--pid", daemon.pid, ...SHORT);
    assertNoFault(run);
    assertConsistent(run.first);
    assert.equal(run.first.window, 32);
    assert.ok(run.first.messages > 10);
    assert.ok(run.first.deliveries > 6 * run.first.messages - 7 * 3 * 32 && run.first.deliveries < 8 * run.first.messages + 7 * 3 * 32);
    assert.ok(run.first.server_resident_bytes > 1 << 20);
    assert.ok(run.first.server_cores >= 0 && run.first.tool_cores > 0);
  });

  test("pairs: an open loop sends as many as it was asked for, at each rate", async () => {
    const run = await measure("pairs", ...plain(), "--pairs", 5, "--rates", "100,400", "--duration", "500ms", "--warm-up", 0);
    assertNoFault(run);
    const asked = run.results.map(({ rate, window, messages }) => ({ rate, window, messages }));
    assert.deepEqual(asked, [
      { rate: 100, window: null, messages: 50 },
      { rate: 400, window: null, messages: 200 },
    ]);
    run.results.forEach(assertConsistent);
    assert.equal(run.first.server_cores, null);
  });

  test("pairs: a closed loop of 1 never has more on its way", async () => {
    const run = await measure("pairs", ...web(), "--pairs", 3, "--size", 36, "--content", "random", ...SHORT);
    assertNoFault(run);
    assert.ok(run.first.messages - run.first.deliveries <= 3);
  });

  test("match: each message reaches the one subscription that it is for, exact or pattern", async () => {
    const sizes = ["--subscribers", 4, "--subscriptions", "10,1501", "--patterns", 50];
    const run = await measure("match", ...web(), ...sizes, "--window", 16, ...SHORT);
    assertNoFault(run);
    assert.deepEqual(run.results.map(({ subscriptions }) => subscriptions), [10, 1501]);
    run.results.forEach(assertConsistent);
  });

  test("queue: every message is stored, delivered once and acknowledged", async () => {
    const run = await measure("queue", ...plain(), "--producers", 3, "--consumers", 2, "--prefetch", 10, ...SHORT);
    assertNoFault(run);
    assertConsistent(run.first);
    const open = await measure("queue", ...web(), "--rate", 200, "--header", "persistent:true", ...SHORT);
    assertNoFault(open);
    assert.equal(open.first.messages, 60);
  });

  test("idle: all stay, and both messages reach all", async () => {
    const run = await measure("idle", ...web(), "--connections", 50, "--duration", "200ms", "--pid", daemon.pid);
    assertNoFault(run);
    const { connections, closed_connections, first_to_all_ms, last_to_all_ms } = run.first;
    assert.deepEqual({ connections, closed_connections }, { connections: 50, closed_connections: 0 });
    assert.ok(first_to_all_ms > 0 && last_to_all_ms > 0);
    assert.ok(run.first.resident_open_bytes >= run.first.resident_before_bytes);
  });

  test("churn: clients come and go, as fast as it goes or at a rate", async () => {
    for (const target of [web(), plain()]) {
      const run = await measure("churn", ...target, "--at-a-time", 3, ...SHORT);
      assert.equal(run.code, 0);
      assert.equal(run.first.failed_clients, 0);
      assert.ok(run.first.clients > 3 && run.first.latency_p50_ms > 0);
    }
    const open = await measure("churn", ...web(), "--rate", 40, "--duration", "1s", "--warm-up", 0);
    assert.equal(open.code, 0);
    assert.ok(open.first.clients > 20 && open.first.clients <= 41, `${open.first.clients} clients`);
  });

  test("connections are spread over targets, and publishers may have their own", async () => {
    const other = await startFake();
    assertNoFault(await measure("fan-out", ...web(), ...plain(), "--subscribers", 5, ...SHORT));
    const apart = await measure("fan-out", ...plain(), "--publish-target", web()[1], "--subscribers", 2, ...SHORT);
    assertNoFault(apart);
    assert.deepEqual(apart.json.publish_targets, [web()[1]]);
    const lost = await measure("fan-out", ...plain(), "--publish-target", other.url, "--rate", 100, "--timeout", "200ms", ...SHORT);
    assert.equal(lost.code, 1); // they are not of one cluster
    assert.equal(other.sends, 40);
  });

  test("bodies of any bytes and size, over every transport", async () => {
    const ca = path.join(folder, "ca.pem");
    await fs.writeFile(ca, certificate.ca);
    for (const target of [web(), plain(), [...secure(), "--ca", ca], [...securePlain(), "--ca", ca]]) {
      const body = ["--content", "binary", "--size", 100_000, "--window", 4];
      const run = await measure("fan-out", ...target, "--subscribers", 2, ...body, ...SHORT);
      assertNoFault(run);
      assert.ok(run.first.deliveries > 0);
    }
  });

  test("TLS: a certificate is checked, unless it need not be", async () => {
    for (const target of [secure(), securePlain()]) {
      const refused = await bench("pairs", ...target, "--pairs", 1, ...SHORT);
      assert.match(refused.stderr, /^stomp-bench: subscriber 0 at \S+: TLS fails: self.signed certificate.*--insecure/);
      assert.equal(refused.code, 3);
      assertNoFault(await measure("pairs", ...target, "--pairs", 1, "--insecure", ...SHORT));
    }
  });

  test("--login and --passcode", async () => {
    const login = ["--login", "alice", "--passcode"];
    assertNoFault(await measure("pairs", ...plain(), "--pairs", 1, ...login, "wonderland", ...SHORT));
    const refused = await bench("pairs", ...web(), "--pairs", 1, ...login, "wrong", ...SHORT);
    assert.match(refused.stderr, /^stomp-bench: subscriber 0 at ws:\S+: the login is refused: ERROR: \w+/);
    assert.equal(refused.code, 3);
  });

  test("an ERROR of the server is shown", async () => {
    const { code, stderr } = await bench("fan-out", ...plain(), "--destination", "/nowhere/a", "--subscribers", 1, ...SHORT);
    assert.match(stderr, /^stomp-bench: subscriber 0 at stomp:\S+: it says: ERROR: .+/);
    assert.equal(code, 3);
  });

  test("a table for people, without --json", async () => {
    const { code, stdout } = await bench("fan-out", ...web(), "--subscribers", 2, "--rates", "50,100", ...SHORT);
    assert.equal(code, 0);
    assert.match(stdout, /^fan-out: 1 to 2, 128 bytes, 0.3 s\nws:\S+\n\nrate asked for, \/s +50 +100\n/);
    assert.match(stdout, /^messages\/s +\d+ +\d+\n/m);
    assert.match(stdout, /^ {2}99.9 % +[\d.]+ ms +[\d.]+ ms\n/m);
    assert.match(stdout, /^lost +0 +0\n/m);
    assert.doesNotMatch(stdout, /nan|server/);
  });

  test("--plot: lines over the rates that were asked for, in a well-formed drawing", async () => {
    const file = path.join(folder, "plot.svg");
    const { code } = await bench("pairs", ...web(), "--pairs", 2, "--rates", "400,100,200", "--plot", file, ...SHORT);
    assert.equal(code, 0);
    const svg = await fs.readFile(file, "utf8");
    assertWellFormed(svg);
    const lines = [...svg.matchAll(/<polyline class="(.)" points="([^"]+)"/g)].map(([, kind, points]) => [
      kind,
      points.split(" ").map((point) => Number(point.split(",")[0])),
    ]);
    assert.deepEqual(lines.map(([kind]) => kind).sort(), ["a", "b", "c"]);
    for (const [, xs] of lines) {
      assert.equal(xs.length, 3);
      assert.deepEqual([...xs].sort((a, b) => a - b), xs);
      assert.ok(Math.abs(xs[1] - xs[0] - (xs[2] - xs[1])) < 0.2, "twice the rate is the same step each time");
    }
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.doesNotMatch(svg, /nan|inf/);
  });

  test("--json FILE has what the man page names, and nothing else", async () => {
    const file = path.join(folder, "out.json");
    const seen = new Set();
    const few = { "fan-out": ["--subscribers", 1], pairs: ["--pairs", 1], idle: ["--connections", 1], churn: [] };
    const commands = { ...few, match: ["--subscribers", 1, "--subscriptions", "1"], queue: [] };
    for (const [command, args] of Object.entries(commands)) {
      const warmUp = command === "idle" ? [] : ["--warm-up", 0];
      const { code } = await bench(command, ...web(), ...args, "--duration", "100ms", ...warmUp, "--json", file);
      assert.equal(code, 0);
      const json = JSON.parse(await fs.readFile(file, "utf8"));
      assert.deepEqual(Object.keys(json), ["version", "command", "targets", "publish_targets", "options", "results"]);
      assert.equal(json.command, command);
      assert.equal(json.options.duration, 0.1);
      Object.keys(json.results[0]).forEach((name) => seen.add(name));
    }
    assert.deepEqual([...seen].sort(), manualEntries("FIGURES").map(([name]) => name).sort());
  });

  test("SIGINT ends a measurement early, and what it has found is told", async () => {
    const child = new Child(BENCH, ["fan-out", ...web(), "--subscribers", "2", "--duration", "1h", "--warm-up", "0"]);
    await eventually("traffic", () => cpuTicks(child.pid) > 10);
    child.kill("SIGINT");
    assert.deepEqual(await child.exited, [0, null]);
    assert.match(child.log, /^messages\/s +[1-9]/m);
  });

  test("more connections than files: a clear sentence", async () => {
    const args = ["idle", ...web(), "--connections", "100"].join(" ");
    const run = await new Promise((resolve) => {
      execFile("bash", ["-c", `ulimit -n 64; exec ${BENCH} ${args}`], (error, stdout, stderr) =>
        resolve({ code: error?.code, stderr }),
      );
    });
    assert.equal(run.stderr, "stomp-bench: 101 connections are more than this process may open: ulimit -Hn says 64\n");
    assert.equal(run.code, 4);
  });

  test("no WebSocket there: the server's answer is shown", async () => {
    const { code, stderr } = await bench("pairs", "--target", `ws://127.0.0.1:${daemon.ports.web}/none`, ...SHORT);
    assert.match(stderr, /no WebSocket is opened there; the answer is "HTTP\/1.\d 404/);
    assert.equal(code, 3);
  });
});

test("bench/ceiling writes the frames that stompd writes", async () => {
  const ports = { web: await freePort(), plain: await freePort() };
  const ceiling = new Child(path.join(path.dirname(PROGRAM), "ceiling"), [ports.web, ports.plain].map(String));
  await eventually("the ceiling", () => ceiling.log.includes("ready"));
  const daemon = await new Daemon().start();
  const headers = { destination: "/topic/a", "content-type": "text/plain", mine: "1", receipt: "sent" };
  const framesOf = async (session) => {
    await session.connect();
    await session.subscribe("/topic/a", "7");
    session.send("SEND", { ...headers, "content-length": 5 }, "hello");
    const { pairs, text } = await session.expect("MESSAGE");
    const receipt = await session.expect("RECEIPT");
    session.drop();
    const known = pairs.map(([name, value]) => [name, name === "message-id" ? value.replace(/[^-]/g, "n") : value]);
    return { pairs: known, text, receipt: receipt.pairs };
  };
  for (const [open, port] of [[openWs, "web"], [openTcp, "plain"]]) {
    const theirs = await framesOf(await open(ports[port]));
    assert.deepEqual(theirs, await framesOf(await open(daemon.ports[port])));
  }
  const run = await measure("fan-out", "--target", `ws://127.0.0.1:${ports.web}/ws`, "--subscribers", 20, ...SHORT);
  assertNoFault(run);
  await daemon.stop();
  ceiling.kill("SIGKILL");
});

/** Every element is closed, in order, and values hold no markup. */
function assertWellFormed(svg) {
  const open = [];
  for (const [whole, closes, name, empty] of svg.matchAll(/<(\/?)(\w+)(?:\s+[\w:-]+="[^"<&]*")*\s*(\/?)>/g)) {
    if (closes) {
      assert.equal(open.pop(), name, whole);
    } else if (!empty) {
      open.push(name);
    }
  }
  assert.deepEqual(open, []);
  assert.doesNotMatch(svg.replace(/<(\/?)(\w+)(?:\s+[\w:-]+="[^"<&]*")*\s*(\/?)>/g, ""), /[<&]/);
  assert.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
}

describe("against a server that does wrong", () => {
  const OPEN = ["--rate", 200, "--duration", "500ms", "--warm-up", 0, "--timeout", "300ms"];
  const fanOut = (fake, ...args) => measure("fan-out", "--target", fake.url, "--subscribers", 2, ...OPEN, ...args);
  const faultsOf = ({ first: { lost, duplicates, reordered, strays, damaged } }) => ({
    ...{ lost, duplicates, reordered, strays, damaged },
  });

  test("what is lost is counted, and makes the exit status 1", async () => {
    const onSend = (message, n, server) => n % 10 !== 3 && server.publish(message);
    const run = await fanOut(await startFake({ onSend }));
    assert.deepEqual(faultsOf(run), { ...noFaults, lost: 20 });
    assert.equal(run.code, 1);
    const allowed = await fanOut(await startFake({ onSend }), "--allow-loss");
    assert.equal(allowed.first.lost, 20);
    assert.equal(allowed.code, 0);
  });

  test("what only one subscriber misses, and the last message, are losses too", async () => {
    const onSend = (message, n, server) =>
      n === 5 ? server.subscribers(message)[1].deliver(message) : n < 100 && server.publish(message);
    assert.deepEqual(faultsOf(await fanOut(await startFake({ onSend }))), { ...noFaults, lost: 3 });
  });

  test("a closed loop goes on after a loss", async () => {
    const fake = await startFake({ onSend: (message, n, server) => n !== 3 && server.publish(message) });
    const closed = ["--window", 2, "--duration", "600ms", "--warm-up", 0, "--timeout", "200ms"];
    const run = await measure("fan-out", "--target", fake.url, "--subscribers", 1, ...closed);
    assert.deepEqual(faultsOf(run), { ...noFaults, lost: 1 });
    assert.ok(fake.sends > 20, `${fake.sends} SENDs`);
  });

  test("what comes twice", async () => {
    const onSend = (message, n, server) => {
      server.publish(message);
      if (n % 20 === 10) {
        server.publish(message);
      }
    };
    const run = await fanOut(await startFake({ onSend }));
    assert.deepEqual(faultsOf(run), { ...noFaults, duplicates: 10 });
    assert.equal(run.code, 0);
  });

  test("what comes out of order", async () => {
    let held;
    const onSend = (message, n, server) => {
      if (n % 20 === 0) {
        held = message;
        return;
      }
      server.publish(message);
      if (n % 20 === 1 && held) {
        server.publish(held);
      }
    };
    const run = await fanOut(await startFake({ onSend }), "--duration", "455ms");
    assert.deepEqual(faultsOf(run), { ...noFaults, reordered: 8 });
  });

  test("what comes with another body counts as lost", async () => {
    const onSend = (message, n, server) =>
      server.publish(n === 7 ? { ...message, body: message.body.slice(0, -1) + "y" } : message);
    const run = await fanOut(await startFake({ onSend }));
    assert.deepEqual(faultsOf(run), { ...noFaults, lost: 2, damaged: 2 });
    assert.equal(run.code, 1);
  });

  test("what comes to another subscriber", async () => {
    const others = ({ connections }, { destination }) =>
      [...connections].filter(({ subscriptions }) => subscriptions.size > 0 && !subscriptions.has(destination));
    const onSend = (message, n, server) => {
      server.publish(message);
      if (n === 4) {
        others(server, message)[0].deliver(message);
      }
    };
    const fake = await startFake({ onSend });
    assert.deepEqual(faultsOf(await measure("pairs", "--target", fake.url, "--pairs", 2, ...OPEN)), { ...noFaults, strays: 1 });
  });

  test("a stall of 300 ms is in the latency of all that was due in that time", async () => {
    const onSend = (message, n, server, sender) => {
      if (n === 100) {
        sender.socket.pause();
        setTimeout(() => sender.socket.resume(), 300);
      }
      server.publish(message);
    };
    const args = ["--rate", 200, "--duration", "1500ms", "--warm-up", 0, "--timeout", "5s"];
    const run = await measure("fan-out", "--target", (await startFake({ onSend })).url, "--subscribers", 1, ...args);
    assertNoFault(run);
    assert.equal(run.first.messages, 300);
    assert.ok(run.first.latency_p99_ms > 250, `p99 is ${run.first.latency_p99_ms} ms`);
    assert.ok(run.first.latency_p90_ms > 100, `p90 is ${run.first.latency_p90_ms} ms`); // 60 of 300 were due, evenly
    assert.ok(run.first.latency_p50_ms < 100, `p50 is ${run.first.latency_p50_ms} ms`);
  });

  test("what was due while this tool itself could not run is late too", async () => {
    const file = path.join(folder, "late.json");
    const load = ["--rate", "200", "--duration", "1500ms", "--warm-up", "0", "--timeout", "5s", "--json", file];
    const fake = await startFake();
    const child = new Child(BENCH, ["fan-out", "--target", fake.url, "--subscribers", "1", ...load]);
    await eventually("traffic", () => fake.sends > 50);
    child.kill("SIGSTOP");
    await sleep(300);
    child.kill("SIGCONT");
    assert.deepEqual(await child.exited, [0, null]);
    const [{ messages, latency_p99_ms: p99, latency_p90_ms: p90 }] = JSON.parse(await fs.readFile(file, "utf8")).results;
    assert.equal(messages, 300);
    assert.ok(p99 > 250 && p90 > 100, `p99 is ${p99} ms, p90 ${p90} ms`);
  });

  test("connections take the targets in turn", async () => {
    const fakes = [await startFake(), await startFake()];
    const targets = fakes.flatMap(({ url }) => ["--target", url]);
    await measure("idle", ...targets, "--connections", 6, "--duration", 0, "--timeout", "200ms");
    const counts = fakes.map(({ peers }) => peers.length);
    assert.deepEqual(counts, [6, 3]); // the first has had the one that warms up, and both publishers besides
  });

  test("a connection that ends ends the run; idle counts it", async () => {
    const onSend = (message, n, server) => {
      if (n === 2) {
        server.subscribers(message)[0].socket.destroy();
      }
      server.publish(message);
    };
    const fake = await startFake({ onSend });
    const { code, stderr } = await bench("fan-out", "--target", fake.url, ...OPEN);
    assert.match(stderr, /^stomp-bench: subscriber \d+ at \S+: the connection was closed by the server in the session/);
    assert.equal(code, 3);
    const idle = ["--target", (await startFake({ onSend })).url, "--connections", 3, "--duration", "200ms", "--timeout", "300ms"];
    const run = await measure("idle", ...idle);
    assert.equal(run.code, 1);
    assert.equal(run.first.closed_connections, 1);
    assert.equal(run.first.lost, 2); // of both messages
  });

  test("a server that says nothing is not waited for", async () => {
    const fake = await startFake({ onConnect: () => {} });
    const { code, stderr } = await bench("pairs", "--target", fake.url, "--timeout", "200ms");
    assert.match(stderr, /: no answer after CONNECT within 0.2 s$/m);
    assert.equal(code, 3);
  });

  test("a server that speaks something else is told", async () => {
    const { url } = await startFake({ onConnect: (connection) => connection.say("+OK\nhello\n\n") });
    const { code, stderr } = await bench("pairs", "--target", url);
    assert.match(stderr, /: what it sends is not STOMP$/m);
    assert.equal(code, 3);
    const web = await bench("pairs", "--target", url.replace("stomp:", "ws:"), "--timeout", "200ms");
    assert.match(web.stderr, /no answer in the upgrade to WebSocket/);
    assert.equal(web.code, 3);
  });

  test("churn counts clients that fail, once some have come through", async () => {
    let count = 0;
    const onConnect = (connection) =>
      ++count % 5 === 0
        ? connection.say("ERROR\nmessage:not today\n\n")
        : connection.say("CONNECTED\nversion:1.2\n\n");
    const { url } = await startFake({ onConnect });
    const run = await measure("churn", "--target", url, "--at-a-time", 1, ...SHORT);
    assert.equal(run.code, 1);
    assert.ok(run.first.failed_clients > 0 && run.first.clients > run.first.failed_clients);
    assert.match(run.stderr, /the first client that failed, at \S+: the login is refused: ERROR: not today\n$/);
  });

  test("--from: addresses are taken in turn", async () => {
    const fake = await startFake();
    const from = ["--from", "127.0.0.2,127.0.0.3", "--connections", 4, "--duration", 0];
    assert.equal((await measure("idle", "--target", fake.url, ...from)).code, 0);
    const counts = ["127.0.0.2", "127.0.0.3"].map((address) => fake.peers.filter((peer) => peer === address).length);
    assert.deepEqual(counts.sort(), [3, 4]); // and 2 that have warmed the server up
    assert.equal(fake.peers.length, 7);
  });
});

describe("the command line", () => {
  const target = ["--target", "ws://127.0.0.1:1/ws"];
  const faults = [
    [[], /^a command is needed; stomp-bench --help shows/],
    [["fly"], /^there is no command fly; /],
    [["fan-out"], /^a server must be named, such as --target ws:/],
    [["fan-out", ...target, "--pairs", "3"], /^fan-out has no --pairs; /],
    [["fan-out", ...target, "--speed", "3"], /^there is no option --speed; /],
    [["fan-out", ...target, "7"], /^there is no option 7; /],
    [["fan-out", ...target, "--window"], /^--window needs a value: N$/],
    [["fan-out", ...target, "--window", "0"], /^--window 0: it takes a number from 1 to 1000000$/],
    [["fan-out", ...target, "--window", "-1"], /^--window -1: it takes a number from 1 to/],
    [["fan-out", ...target, "--window=x"], /^--window x: it takes a number/],
    [["fan-out", ...target, "--insecure=yes"], /^--insecure takes no value$/],
    [["fan-out", ...target, "--rates", "1,,2"], /^--rates : it takes a number from 1 to/],
    [["fan-out", ...target, "--rates", "1".repeat(65).split("").join(",")], /^--rates: 64 are the most$/],
    [["fan-out", ...target, "--size", "35"], /^--size 35: it takes a number from 36 to/],
    [["fan-out", ...target, "--content", "html"], /^--content html: it takes text, random or binary$/],
    [["fan-out", ...target, "--header", "none"], /^--header none: it takes NAME:VALUE/],
    [["fan-out", ...target, "--duration", "soon"], /^--duration soon: it takes a time below two days, such as/],
    [["fan-out", ...target, "--duration", "5d"], /^--duration 5d: it takes a time/],
    [["fan-out", ...target, "--duration", "60h"], /^--duration 60h: it takes a time/],
    [["fan-out", ...target, "--pid", "init"], /^--pid init: it takes the number of a process$/],
    [["fan-out", ...target, "--from", "localhost"], /^--from localhost: it takes IP addresses/],
    [["fan-out", ...target, "--plot", "a.svg"], /^--plot draws latency over rate, so it needs --rates$/],
    [["fan-out", ...target, "--children"], /^--children are those of a --pid$/],
    [["fan-out", ...target, "--passcode", "x"], /^--passcode goes with a --login$/],
    [["fan-out", ...target, "--login", "a\nb"], /^--login: its value has more than one line$/],
    [["fan-out", ...target, "--json", "/none/a.json"], /^--json \/none\/a.json: it can't be written$/],
    [["match", ...target, "--subscriptions", "10,5"], /^--subscriptions must grow from one to the next$/],
    [["fan-out", "--target", "http://a/"], /^--target http:\/\/a\/: it must begin with ws:\/\/, wss:/],
    [["fan-out", "--target", "ws://:80/"], /: it has no host, or too long a one$/],
    [["fan-out", "--target", "ws://a:0/"], /: its port is not a number from 1 to 65535$/],
    [["fan-out", "--target", "ws://a:b/"], /: its port is not a number/],
    [["fan-out", "--target", "ws://a:/"], /: its port is not a number/],
    [["fan-out", "--target", "stomp://a/ws"], /: only ws:\/\/ and wss:\/\/ have a path$/],
    [["fan-out", "--target", "ws://a/b c"], /: its path has blanks, or is too long$/],
    [["fan-out", "--target", "wss://127.0.0.1:1/ws", "--ca", "/none"], /^--ca \/none: no certificates can be read from it$/],
  ];
  for (const [args, expected] of faults) {
    test(`refused: ${args.filter((arg) => !target.includes(arg)).join(" ").slice(0, 60)}`, async () => {
      const { code, stdout, stderr } = await bench(...args);
      assert.match(stderr, /^stomp-bench: [^\n]+\n$/);
      assert.match(stderr.slice("stomp-bench: ".length).trimEnd(), expected);
      assert.equal(stdout, "");
      assert.equal(code, 2);
    });
  }

  test("a target that is not there", async () => {
    const { code, stderr } = await bench("fan-out", "--target", `ws://127.0.0.1:${await freePort()}/ws`);
    assert.match(stderr, /^stomp-bench: subscriber 0 at ws:\S+: it can't be reached: Connection refused\n$/);
    assert.equal(code, 3);
  });

  test("a host that does not exist", async () => {
    const { code, stderr } = await bench("fan-out", "--target", "ws://nowhere.invalid/ws");
    assert.match(stderr, /^stomp-bench: ws:\/\/nowhere.invalid\/ws: the host nowhere.invalid is not known: /);
    assert.equal(code, 3);
  });

  test("a process that does not exist", async () => {
    const fake = await startFake();
    const { code, stderr } = await bench("idle", "--target", fake.url, "--connections", 1, "--pid", 2 ** 31 - 1);
    assert.equal(stderr, "stomp-bench: there is no process 2147483647 (--pid)\n");
    assert.equal(code, 3);
  });

  test("--version", async () => {
    assert.match((await bench("--version")).stdout, /^stomp-bench \d+\.\d+\.\d+\n$/);
  });
});

describe("--help and docs/stomp-bench.1", async () => {
  const { code, stdout: help } = await bench("--help");

  /** Entries of a list: a head, two blanks or more, text that may go on below. */
  function helpEntries(text) {
    return text
      .split(/\n(?=  \S)/)
      .map((entry) => /^ *(\S+(?: \S+)?) {1,}(?:  )*([^]*)$/.exec(entry.replace(/\n +/g, " ")))
      .map(([whole]) => whole.trim().split(/ {2,}/))
      .map(([head, ...rest]) => [head, rest.join(" ")]);
  }
  const part = (pattern) => pattern.exec(help)[1];

  test("the man page has the commands, options and examples of --help, in the same words", () => {
    assert.equal(code, 0);
    const options = helpEntries(part(/^Options.*?:\n(.*?)\n\nExamples/ms));
    assert.ok(options.length > 20);
    assert.deepEqual(manualEntries("OPTIONS"), options);
    assert.deepEqual(manualEntries("DESCRIPTION"), helpEntries(part(/OPTION…\]\n\n(.*?)\n\nOptions/s)));
    const examples = part(/^Examples:\n(.*?)\n\n/ms).split("\n").map((line) => line.trim());
    const [, shown] = /^\.Bd -literal.*?\n(.*?)\n\.Ed/ms.exec(manual);
    assert.deepEqual(shown.replaceAll("\\-", "-").split("\n"), examples);
  });

  test("each command has an example, and its own help", async () => {
    for (const [command] of manualEntries("DESCRIPTION")) {
      const own = await bench(command, "--help");
      assert.equal(own.code, 0);
      assert.match(own.stdout, new RegExp(`^Examples:\\n  stomp-bench ${command} --target [^\\n]+\\n\\n`, "m"));
    }
    const { stdout: idle } = await bench("idle", "--help");
    assert.match(idle, /--connections N/);
    assert.doesNotMatch(idle, /--window/);
  });

  test("the examples are command lines that are taken", async () => {
    const port = await freePort();
    for (const [, line] of help.matchAll(/^  stomp-bench (.*--target .*)$/gm)) {
      const args = line.replace(/(:\/\/127.0.0.1):\d+/, `$1:${port}`).replace(/--(plot|json) \S+/, `--$1 ${folder}/out`).split(" ");
      const { code: refused, stderr } = await bench(...args);
      assert.match(stderr, /can't be reached|more than this process may open|there is no process/, line);
      assert.notEqual(refused, 2, line);
    }
  });

  test("the exit statuses of both", () => {
    const inHelp = [...part(/^Exit status: (.*)$/ms).matchAll(/\b(\d) /g)].map(([, status]) => status);
    assert.deepEqual(manualEntries("EXIT STATUS").map(([status]) => status), inHelp);
  });
});
