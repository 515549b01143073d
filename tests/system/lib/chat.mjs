// The demo page in a headless Chromium, as a visitor uses it.
import path from "node:path";
import { after, before } from "node:test";

import { chromium } from "playwright-core";

import { PATIENCE_MS } from "./session.mjs";

/** The folder with the page, as `./dev build` makes it. */
export const WEB = path.resolve(process.env.STOMPD_WEB ?? "build/web");

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

/** A browser that is there while the tests of the file run. open(port) resolves with a page in a window of its own. */
export function useBrowser() {
  let browser;
  before(async () => (browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS })));
  after(() => browser?.close());
  return { open: (port) => openChat(browser, port) };
}

/** Other windows' storage is not seen. What goes wrong in the page is in its `faults`. */
async function openChat(browser, port) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.message));
  page.on("console", (line) => line.type() === "error" && page.faults.push(line.text()));
  await page.goto(`http://127.0.0.1:${port}/`);
  return page;
}

export async function join(page, name, room) {
  await page.fill("#name", name);
  await page.fill("#room", room);
  await page.click("#join");
  await isJoined(page);
}

/** The send button works once the server has confirmed the subscription. */
export async function isJoined(page) {
  await page.locator("#state", { hasText: /^connected$/ }).waitFor();
  await page.locator("#send:enabled").waitFor();
}

export async function say(page, text) {
  await page.fill("#message", text);
  await page.click("#send");
}

export const shown = (page, text) => page.locator("#log", { hasText: text }).waitFor();
export const countOf = async (page, text) => (await page.locator("#log").innerText()).split(text).length - 1;
