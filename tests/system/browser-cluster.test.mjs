// The demo page behind HAProxy with two nodes, as `./dev cluster` has it: pages on different nodes talk, and when a
// node is killed its pages are on the other one.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { countOf, isJoined, join, say, shown, useBrowser, WEB } from "./lib/chat.mjs";
import { Cluster } from "./lib/cluster.mjs";
import { HaProxy } from "./lib/haproxy.mjs";

const PROXIED = { "proxy-protocol": "v2" };

const cluster = new Cluster({ conf: { "listen web": { files: WEB, ...PROXIED }, "listen plain": PROXIED } });
const browser = useBrowser();
let proxy;

before(async () => {
  await cluster.start();
  proxy = await new HaProxy(cluster.byName).start();
});
after(async () => {
  await proxy?.stop();
  await cluster.stop();
});

const nodeOf = (page) => page.locator("#node").innerText();

describe("The chat page of a cluster", () => {
  test("pages on different nodes talk, and move when their node is killed", async () => {
    const [ann, ben] = [await browser.open(proxy.ports.web), await browser.open(proxy.ports.web)];
    await join(ann, "Ann", "lobby");
    await join(ben, "Ben", "lobby");
    const [first, second] = [await nodeOf(ann), await nodeOf(ben)];
    assert.notEqual(first, second);
    await say(ann, "Hello Ben");
    await shown(ben, "Hello Ben");
    await say(ben, "Hello Ann");
    await shown(ann, "Hello Ann");

    await cluster.byName[first].crash();
    await shown(ann, `Moved from ${first} to ${second}`);
    await isJoined(ann);
    assert.equal(await nodeOf(ann), second);
    await say(ben, "welcome here");
    await shown(ann, "welcome here");
    assert.equal(await countOf(ann, "Hello Ann"), 1);
    assert.deepEqual(ben.faults, []);
    await Promise.all([ann.context().close(), ben.context().close()]);
  });
});
