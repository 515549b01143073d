// The command line and the conf file: -t, -V, faults, and what start-up says when it cannot go on.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { freePort, PROGRAM, writeConf } from "./lib/daemon.mjs";
import { PATIENCE_MS } from "./lib/session.mjs";

let folder;
before(async () => (folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-conf-"))));
after(() => fs.rm(folder, { recursive: true }));

async function run(...options) {
  const child = spawn(PROGRAM, options, { stdio: ["ignore", "pipe", "pipe"], timeout: PATIENCE_MS });
  const outputs = Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  const [code, signal] = await once(child, "close");
  const [out, err] = (await outputs).map((chunks) => Buffer.concat(chunks).toString());
  return { code, signal, out, err };
}

async function runWith(option, text) {
  const file = path.join(folder, "stompd.conf");
  await fs.writeFile(file, text);
  return { ...(await run(option, ...(option === "-t" ? ["-c"] : []), file)), file };
}

const check = (text) => runWith("-t", text);

/** A good file with these lines at its end, and the number of the first of them. */
function goodConfAnd(lines) {
  const good = writeConf({
    server: { node: "node-a", workers: 2 },
    "listen web": { bind: "127.0.0.1:8080", protocol: "ws", path: "/ws" },
    auth: { anonymous: "yes" },
    "user guest": { password: "plain:guest" },
  });
  return { text: `${good}\n${lines}\n`, line: good.split("\n").length + 1 };
}

describe("-V", () => {
  test("says the version", async () => {
    const { code, out } = await run("-V");
    assert.match(out, /^stompd \d+\.\d+\.\d+\n$/);
    assert.equal(code, 0);
  });
});

describe("-t", () => {
  test("is content with a good file", async () => {
    const { code, err } = await check(goodConfAnd("").text);
    assert.equal(code, 0, err);
    assert.doesNotMatch(err, /stompd\.conf:\d/);
  });

  for (const file of ["conf/stompd.conf", "conf/demo.conf"]) {
    test(`is content with ${file}`, async () => {
      const { code, err } = await run("-t", "-c", file);
      assert.equal(code, 0, err);
    });
  }

  const faults = [
    ["an unknown section", "[nonsense]\na = b", 0, /nonsense/],
    ["an unknown key", "[limits]\nbananas = 3", 1, /bananas/],
    ["a number that is none", "[limits]\nheaders = many", 1, /headers/],
    ["a negative number", "[limits]\nheaders = -1", 1, /headers/],
    ["a size that is none", "[limits]\nbody-size = 12x", 1, /body-size/],
    ["a size beyond all sizes", "[limits]\nbody-size = 99999999999g", 1, /body-size/],
    ["a time that is none", "[limits]\nconnect-time = soon", 1, /connect-time/],
    ["a choice that is none", "[listen other]\nbind = 127.0.0.1:1\nprotocol = smoke", 2, /protocol/],
    ["yes or no that is neither", "[listen other]\nbind = 127.0.0.1:1\nprotocol = ws\ndeflate = perhaps", 3, /deflate/],
    ["a path without a slash", "[listen other]\nbind = 127.0.0.1:1\nprotocol = ws\npath = ws", 3, /path/],
    ["an address without a port", "[listen other]\nbind = localhost\nprotocol = ws", 1, /bind/],
    ["a port that is none", "[listen other]\nbind = 127.0.0.1:70000\nprotocol = ws", 1, /bind/],
    ["a password of no kind", "[user x]\npassword = secret", 1, /password/],
    ["a key given twice", "[limits]\nheaders = 10\nheaders = 11", 2, /headers/],
    ["a line that is none", "[limits]\nheaders", 1, /./],
  ];
  for (const [what, lines, offset, message] of faults) {
    test(`tells ${what}, with file and line`, async () => {
      const { text, line } = goodConfAnd(lines);
      const { code, err, file } = await check(text);
      assert.equal(code, 1);
      const told = err.split("\n").find((each) => each.includes(`${file}:${line + offset}: `));
      assert.ok(told, `no fault for line ${line + offset} in:\n${err}`);
      assert.match(told.slice(told.indexOf(": ") + 2), message);
    });
  }

  test("tells all faults in one run", async () => {
    const { text, line } = goodConfAnd("[limits]\nbananas = 3\nheaders = many\nbody-size = x");
    const { code, err, file } = await check(text);
    assert.equal(code, 1);
    for (const offset of [1, 2, 3]) {
      assert.ok(err.includes(`${file}:${line + offset}: `), err);
    }
  });

  test("tells a listener without bind, and a file without a listener", async () => {
    const { text } = goodConfAnd("[listen other]\nprotocol = ws");
    const missing = await check(text);
    assert.equal(missing.code, 1);
    assert.match(missing.err, /bind/);
    const empty = await check("[server]\nnode = a\n");
    assert.equal(empty.code, 1);
    assert.match(empty.err, /listen/);
  });

  test("tells a file that is not there", async () => {
    const { code, err } = await run("-t", "-c", path.join(folder, "missing.conf"));
    assert.equal(code, 1);
    assert.match(err, /missing\.conf/);
  });
});

describe("Start-up", () => {
  test("with a fault it tells the fault and does not run", async () => {
    const { text, line } = goodConfAnd("[limits]\nbananas = 3");
    const { code, err, file } = await runWith("-c", text);
    assert.equal(code, 1);
    assert.ok(err.includes(`${file}:${line + 1}: `), err);
  });

  test("an unknown option is told", async () => {
    const { code, err } = await run("--bananas");
    assert.notEqual(code, 0);
    assert.match(err, /usage|option/i);
  });

  test("a port in use is told with listener and address", async () => {
    const port = await freePort();
    const holder = net.createServer().listen(port, "127.0.0.1");
    await once(holder, "listening");
    const { code, err } = await runWith(
      "-c",
      writeConf({ "listen taken": { bind: `127.0.0.1:${port}`, protocol: "stomp" }, auth: { anonymous: "yes" } }),
    );
    holder.close();
    assert.equal(code, 1);
    const told = err.split("\n").find((line) => line.includes(`127.0.0.1:${port}`));
    assert.match(told ?? err, /taken/);
  });

  test("a certificate that is not there is told", async () => {
    const bind = `127.0.0.1:${await freePort()}`;
    const missing = path.join(folder, "missing.pem");
    const { code, err } = await runWith(
      "-c",
      writeConf({ "listen tls": { bind, protocol: "ws", "tls-certificate": missing, "tls-key": missing } }),
    );
    assert.equal(code, 1);
    assert.match(err, /missing\.pem|tls/);
  });

  test("an address that this machine does not have is told", async () => {
    const { code, err } = await runWith(
      "-c",
      writeConf({ "listen far": { bind: "192.0.2.1:61613", protocol: "stomp" } }),
    );
    assert.equal(code, 1);
    assert.match(err, /far/);
  });
});
