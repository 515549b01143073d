// Waiting for what only asking can tell.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { PATIENCE_MS } from "./session.mjs";

/** Tries until check() gives something else than undefined, null or false, and gives that. */
export async function eventually(what, check, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== null && found !== false) {
      return found;
    }
    assert.ok(Date.now() < deadline, `waiting for ${what}: not within ${patience} ms`);
    await sleep(20);
  }
}
