// The applications in examples/ do what examples/README.md says: its conf file, its commands and what they print are
// tried, with each of the two applications alone. What runs until it is ended is a block for sh there, and what ends
// by itself one for bash.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { Child } from "./lib/child.mjs";
import { Daemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { connect, overTcp, overWebSocket } from "./lib/transports.mjs";

const run = promisify(execFile);
const readme = await fs.readFile("examples/README.md", "utf8");
const confFile = await fs.readFile("examples/stompd.conf", "utf8");

const block = (language) => readme.match(new RegExp("^```" + language + "\\n(.*?)^```", "ms"))[1];
const started = [...readme.matchAll(/^```sh\n(.*?)\n```/gms)].map(([, command]) => command);
const asked = [...readme.matchAll(/^```bash\n(.*?)\n```\s*^```text\n(.*?)^```/gms)];

/** The sections of a conf file; its listeners get ports of their own. */
function sectionsOf(text) {
  const sections = {};
  let keys;
  for (const line of text.split("\n")) {
    const [, title, key, value] = /^\[(.*)\]$|^(\S+)\s*= (.*)$/.exec(line) ?? [];
    if (title !== undefined) {
      keys = sections[title] = {};
    } else if (key !== undefined) {
      keys[key] = value;
    }
  }
  return sections;
}

test("README.md shows the conf file as it is", () => {
  assert.equal(block("ini"), confFile);
});

assert.ok(asked.length >= 4);
const applications = started.filter((command) => command.includes("app."));
assert.equal(applications.length, 2);

const nameOf = (application) => application.split(" ")[1];

/** A daemon of examples/stompd.conf, and the example's command as it is for that daemon's ports. */
function newDaemon() {
  return new Daemon({ "listen plain": null, ...sectionsOf(confFile) });
}

function withPorts(command, { ports }) {
  return command
    .replace("127.0.0.1:8080", `127.0.0.1:${ports.web}`)
    .replace("127.0.0.1 61613", `127.0.0.1 ${ports.backend}`)
    .replace(/^python3/, "/usr/bin/python3"); // Debian's, which has stomp.py
}

/** Starts both. The tests' own sessions know the listener as `plain`. */
async function start(daemon, application) {
  await daemon.start();
  daemon.ports.plain = daemon.ports.backend;
  const [program, ...args] = withPorts(application, daemon).split(" ");
  const child = new Child(program, args);
  await untilThere(child, 1);
  return child;
}

/** Until the application has subscribed so often. */
function untilThere(child, times) {
  return eventually(`the application to subscribe:\n${child.log}`, () => {
    child.mustRun();
    return (child.log.match(/^waiting for messages/gm)?.length ?? 0) >= times;
  });
}

describe("An application", { concurrency: true }, () => {
  for (const application of applications) {
    describe(nameOf(application), { concurrency: true }, () => {
      const daemon = newDaemon();
      let child;
      before(async () => (child = await start(daemon, application)));
      after(async () => {
        await child?.end();
        await daemon.stop();
      });

      for (const [, command, expected] of asked) {
        test(command, async () => {
          const { stdout } = await run("bash", ["-c", withPorts(command, daemon)]);
          assert.equal(stdout, expected);
        });
      }

      test("rejects what it can't make sense of", async () => {
        const client = await connect(daemon, overTcp);
        const bodies = ["dead: no JSON", '{"dead": "no list"}', '["dead"]'];
        for (const body of bodies) {
          await client.request("SEND", { destination: "/app/add" }, body);
        }
        await client.request("SEND", { destination: "/app/no-such-thing" }, "dead");
        await client.subscribe("/queue/app.dead");
        for (const text of [...bodies, "dead"]) {
          const { headers } = await client.expect((frame) => frame.command === "MESSAGE" && frame.text === text);
          assert.equal(headers["dead-letter-reason"], "rejected");
        }
        client.drop();
      });

      test("goes on after a body that is not UTF-8", async () => {
        const client = await connect(daemon, overTcp);
        await client.request("SEND", { destination: "/app/greet" }, Buffer.from("\xff\xfe", "latin1"));
        await client.request("SEND", { destination: "/app/greet", "reply-to": "/temp-queue/x" }, "world");
        assert.equal((await client.expect("MESSAGE")).text, "Hello, world!");
        client.drop();
      });

      test("answers all pages of a user", async () => {
        const alice = { login: "alice", passcode: "wonderland" };
        const pages = await Promise.all([overWebSocket, overTcp].map((transport) => connect(daemon, transport, alice)));
        await Promise.all(pages.map((page) => page.subscribe("/user/queue/answers")));
        await pages[0].request("SEND", { destination: "/app/greet", "correlation-id": "17" }, "Alice");
        for (const page of pages) {
          const message = await page.expect({ command: "MESSAGE", "correlation-id": "17" });
          assert.equal(message.text, "Hello, Alice!");
          page.drop();
        }
      });
    });

    test(`${nameOf(application)} connects again when the daemon was away`, async () => {
      const daemon = newDaemon();
      const child = await start(daemon, application);
      await daemon.crash();
      await daemon.start();
      await untilThere(child, 2);
      const page = await connect(daemon, overTcp);
      await page.subscribe("/user/queue/answers");
      await page.request("SEND", { destination: "/app/greet" }, "again");
      assert.equal((await page.expect("MESSAGE")).text, "Hello, again!");
      page.drop();
      await child.end();
      await daemon.stop();
    });
  }
});
