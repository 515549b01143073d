// Ten thousand sessions at once: all stay, and one message to all reaches each exactly once, within the
// memory that a session may cost. (./dev idle does the same for a minute and prints the figures.)
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

test("10,000 idle sessions stay, and a message to all arrives exactly once at each", async () => {
  await promisify(execFile)(process.execPath, ["bench/idle.mjs", "--sessions", "10000", "--seconds", "5"]);
});
