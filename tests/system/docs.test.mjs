// What README.md and docs/ show is tried: conf snippets pass -t, the bash snippet does what it says, and every function
// and file that docs/architecture.md names exists.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";

import { PROGRAM, useDaemon } from "./lib/daemon.mjs";
import { connect, overWebSocket } from "./lib/transports.mjs";

const run = promisify(execFile);
const readme = await fs.readFile("README.md", "utf8");
const blocks = (language) =>
  [...readme.matchAll(new RegExp("^```" + language + "\\n(.*?)^```", "gms"))].map(([, text]) => text);

describe("README.md", () => {
  const daemon = useDaemon();

  test("its conf file is free of faults", async () => {
    const [conf, ...more] = blocks("ini");
    assert.deepEqual(more, []);
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-docs-"));
    await fs.writeFile(path.join(folder, "stompd.conf"), conf);
    await run(PROGRAM, ["-t", "-c", path.join(folder, "stompd.conf")]);
    await fs.rm(folder, { recursive: true });
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

test("every name in docs/architecture.md is one in the code", async () => {
  const text = await fs.readFile("docs/architecture.md", "utf8");
  const { stdout: code } = await run("sh", ["-c", "cat src/*.c src/*/*.[ch] include/stompd/*/*.h"], {
    maxBuffer: 1 << 24,
  });
  const { stdout: files } = await run("sh", ["-c", "ls src/*/* include/stompd/*/*"]);
  const names = [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  const unknown = names.filter((name) => (name.includes("/") ? !files.includes(name) : !code.includes(name)));
  assert.deepEqual(unknown, []);
});
