// The demo page in a headless Chromium: two pages talk through the daemon, and a reload comes back.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { chromium } from "playwright-core";

import { useDaemon } from "./lib/daemon.mjs";
import { PATIENCE_MS } from "./lib/session.mjs";

const WEB = path.resolve(process.env.STOMPD_WEB ?? "build/web");

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const daemon = useDaemon({ "listen web": { files: WEB } });

let browser;
before(async () => (browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS })));
after(() => browser?.close());

/** A browser window of its own: other windows' storage is not seen. */
async function openChat() {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.message));
  page.on("console", (line) => line.type() === "error" && page.faults.push(line.text()));
  await page.goto(`http://127.0.0.1:${daemon.ports.web}/`);
  return page;
}

async function join(page, name, room) {
  await page.fill("#name", name);
  await page.fill("#room", room);
  await page.click("#join");
  await isJoined(page);
}

/** The send button works once the server has confirmed the subscription. */
async function isJoined(page) {
  await page.locator("#state", { hasText: /^connected$/ }).waitFor();
  await page.locator("#send:enabled").waitFor();
}

async function say(page, text) {
  await page.fill("#message", text);
  await page.click("#send");
}

const shown = (page, text) => page.locator("#log", { hasText: text }).waitFor();
const countOf = async (page, text) => (await page.locator("#log").innerText()).split(text).length - 1;

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
