// A socket above the connections limit is told so and let go soon, also when its client goes on sending.
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { connect, overTcp } from "./lib/transports.mjs";

const daemon = useDaemon({ limits: { connections: 1 } });

test("a refused client that keeps its end open and goes on sending is not held", async () => {
  let admitted;
  while (admitted === undefined) {
    admitted = await connect(daemon, overTcp).catch(() => undefined); // the probe's socket may count still
  }
  const refused = net.connect({ port: daemon.ports.plain, host: "127.0.0.1", allowHalfOpen: true });
  const dripping = setInterval(() => refused.write("\n"), 200);
  const patience = setTimeout(() => refused.destroy(new Error("still held")), 15_000);
  refused.resume();
  const error = await new Promise((resolve) => refused.once("error", resolve)); // the daemon's end is gone
  clearInterval(dripping);
  clearTimeout(patience);
  assert.match(String(error.code), /ECONNRESET|EPIPE/);
  admitted.drop();
});
