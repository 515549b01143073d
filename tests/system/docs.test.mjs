// What README.md and docs/ show is tried: conf snippets pass -t, the bash snippets do what they say, every function and
// file that docs/architecture.md names exists, and docs/operations.md has every metric.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { ask, askApi, Cluster } from "./lib/cluster.mjs";
import { PROGRAM, useDaemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { connect, overTcp, overWebSocket } from "./lib/transports.mjs";

const run = promisify(execFile);
const readme = await fs.readFile("README.md", "utf8");
const operations = await fs.readFile("docs/operations.md", "utf8");
const blocks = (language) =>
  [...readme.matchAll(new RegExp("^```" + language + "\\n(.*?)^```", "gms"))].map(([, text]) => text);

async function checkConf(conf) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-docs-"));
  const file = path.join(folder, "stompd.conf");
  await fs.writeFile(file, conf);
  await run(PROGRAM, ["-t", "-c", file]);
  await fs.rm(folder, { recursive: true });
}

describe("README.md", () => {
  const daemon = useDaemon();

  test("its conf files are free of faults", async () => {
    const confs = blocks("ini");
    assert.ok(confs.length > 0);
    for (const conf of confs) {
      await checkConf(conf);
    }
  });

  test("its lines for bash reach the chat", async () => {
    const [script, ...more] = blocks("bash");
    assert.deepEqual(more, []);
    const page = await connect(daemon, overWebSocket);
    await page.subscribe("/topic/chat.lobby");
    const { stdout } = await run("bash", ["-c", script.replace("61613", String(daemon.ports.plain))]);
    assert.match(stdout, /receipt-id:all-taken/);
    assert.equal((await page.expect("MESSAGE")).text, "hello from a shell");
    page.drop();
  });
});

describe("docs/operations.md", () => {
  const cluster = new Cluster();
  let sessions;

  before(async () => {
    await cluster.start();
    const alice = { login: "alice", passcode: "wonderland" };
    const [a, b] = cluster.nodes;
    sessions = [
      await connect(a, overWebSocket, alice),
      await connect(b, overTcp, alice),
      await connect(b, overTcp, { login: "bob", passcode: "builder" }),
    ];
    await eventually("all to be known", async () => {
      const [users, nodes] = [await askApi(a, "users"), await askApi(a, "nodes")];
      return nodes.length === 2 && users.users.reduce((sum, { sessions: count }) => sum + count, 0) === 3;
    });
  });
  after(() => {
    sessions.forEach((session) => session.drop());
    return cluster.stop();
  });

  /** What differs from run to run is left out, and so is the order in which nodes and sessions come. */
  function comparable(value) {
    if (Array.isArray(value)) {
      return value.map(comparable).sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1));
    }
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, key === "silent_ms" ? 0 : comparable(of)]));
    }
    return typeof value === "string" ? value.replace(/:[0-9a-f]{12}(:\d+-\d+)?$/, "") : value;
  }

  test("its conf snippet is free of faults", async () => {
    const [, snippet] = /^```ini\n(.*?)^```/ms.exec(operations);
    await checkConf(`${snippet}[listen web]\nbind = 127.0.0.1:8080\n`);
  });

  test("its commands are answered as it says", async () => {
    const port = String(cluster.nodes[0].ports.admin);
    const examples = [...operations.matchAll(/^```bash\n(.*?)^```\s*^```(json|text)\n(.*?)^```/gms)];
    assert.equal(examples.length, [...operations.matchAll(/^```bash$/gm)].length);
    assert.ok(examples.length >= 4);
    for (const [, script, language, expected] of examples) {
      const { stdout } = await run("bash", ["-c", script.replaceAll("9090", port)]);
      if (language === "json") {
        assert.deepEqual(comparable(JSON.parse(stdout)), comparable(JSON.parse(expected)));
      } else {
        assert.equal(stdout, expected);
      }
    }
  });

  test("it has every metric and every cause, and no others", async () => {
    const { body } = await ask(cluster.nodes[0], "/metrics");
    const names = (found) => [...new Set([...found].map(([, name]) => name))].sort();
    assert.deepEqual(
      names(operations.matchAll(/\b((?:stompd|process)_[a-z_]+)/g)),
      names(body.matchAll(/^# TYPE ([a-z_]+)/gm)),
    );
    const [, causes] = /^\| cause \|.*?\n((?:\|.*\n)+)/m.exec(operations);
    assert.deepEqual(
      names([...causes.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) => [...cell.matchAll(/`([a-z-]+)`/g)])),
      names(body.matchAll(/cause="([^"]+)"/g)),
    );
  });
});

test("every name in docs/architecture.md is one in the code", async () => {
  const text = await fs.readFile("docs/architecture.md", "utf8");
  const { stdout: code } = await run("sh", ["-c", "cat src/*.c src/*/*.[ch] include/stompd/*/*.h"], {
    maxBuffer: 1 << 24,
  });
  const { stdout: files } = await run("sh", ["-c", "ls -d src/*/* src/*/lua/* include/stompd/*/* docs/* tests/*"]);
  const names = [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  const unknown = names.filter((name) => (name.includes("/") ? !files.includes(name) : !code.includes(name)));
  assert.deepEqual(unknown, []);
});
