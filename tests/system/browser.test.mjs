// The demo page in a headless Chromium: two pages talk through the daemon, and a reload comes back.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { countOf, isJoined, join, say, shown, useBrowser, WEB } from "./lib/chat.mjs";
import { useDaemon } from "./lib/daemon.mjs";

const daemon = useDaemon({ "listen web": { files: WEB } });
const browser = useBrowser();

const openChat = () => browser.open(daemon.ports.web);

describe("The chat page", () => {
  test("two pages in one room talk to each other", async () => {
    const [ann, ben] = [await openChat(), await openChat()];
    await join(ann, "Ann", "lobby");
    await join(ben, "Ben", "lobby");
    await say(ann, "Hello <b>Ben</b>");
    await shown(ben, "Hello <b>Ben</b>");
    await shown(ann, "Hello <b>Ben</b>");
    await shown(ben, "Ann");
    await say(ben, "Hello Ann");
    await shown(ann, "Hello Ann");
    await shown(ben, "Hello Ann");
    assert.equal(await countOf(ann, "Hello Ann"), 1);
    assert.equal(await countOf(ben, "Hello Ann"), 1);
    assert.deepEqual([...ann.faults, ...ben.faults], []);
    await Promise.all([ann.context().close(), ben.context().close()]);
  });

  test("rooms are apart", async () => {
    const [ann, ben] = [await openChat(), await openChat()];
    await join(ann, "Ann", "one");
    await join(ben, "Ben", "two");
    await say(ann, "not for room two");
    await shown(ann, "not for room two");
    await join(ann, "Ann", "two");
    await say(ann, "for room two");
    await shown(ben, "for room two");
    assert.equal(await countOf(ben, "not for room two"), 0);
    await Promise.all([ann.context().close(), ben.context().close()]);
  });

  test("a reload reconnects and comes back to the room", async () => {
    const [ann, ben] = [await openChat(), await openChat()];
    await join(ann, "Ann", "reload");
    await join(ben, "Ben", "reload");
    await ann.reload();
    await isJoined(ann);
    await say(ben, "welcome back");
    await shown(ann, "welcome back");
    await say(ann, "thanks");
    await shown(ben, "thanks");
    await Promise.all([ann.context().close(), ben.context().close()]);
  });

  test("shows the node that it is on", async () => {
    const ann = await openChat();
    await join(ann, "Ann", "node");
    await ann.locator("#node", { hasText: /^test-node$/ }).waitFor();
    await shown(ann, "In room node, on test-node");
    await ann.context().close();
  });

  test("is back by itself when the daemon was restarted", async () => {
    const ann = await openChat();
    await join(ann, "Ann", "restart");
    await daemon.stop();
    await ann.locator("#state", { hasText: "reconnecting" }).waitFor();
    await daemon.start();
    await isJoined(ann);
    await say(ann, "still here");
    await shown(ann, "still here");
    await ann.context().close();
  });
});
