// Ten thousand sessions at once: all stay, and one message to all reaches each exactly once. What they cost in memory is
// a figure, and so is measured by ./dev idle and not judged here.
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

test("10,000 idle sessions stay, and a message to all arrives exactly once at each", async () => {
  await promisify(execFile)(process.execPath, ["bench/idle.mjs", "--sessions", "10000", "--seconds", "5"]);
});
