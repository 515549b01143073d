// What a WebSocket listener answers to HTTP: the upgrade and its refusals, paths, origins, methods, files, /healthz.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { RawConnection, request, requestText, upgrade, upgradeHeaders } from "./lib/http.mjs";
import { openWs } from "./lib/ws.mjs";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "stompd-files-"));
const files = path.join(folder, "public");
after(() => fs.rmSync(folder, { recursive: true }));
fs.mkdirSync(path.join(files, "sub"), { recursive: true });
fs.mkdirSync(path.join(files, "empty"));
fs.writeFileSync(path.join(files, "index.html"), "<!doctype html><title>index</title>");
fs.writeFileSync(path.join(files, "app.js"), "// app\n");
fs.writeFileSync(path.join(files, "style.css"), "/* style */\n");
fs.writeFileSync(path.join(files, "sub", "page.html"), "<!doctype html><title>page</title>");
fs.writeFileSync(path.join(files, "large.txt"), "0123456789".repeat(50_000));
fs.writeFileSync(path.join(files, ".hidden"), "hidden");
fs.writeFileSync(path.join(folder, "secret.txt"), "secret");

const daemon = useDaemon({
  "listen web": { path: "/ws /stomp/websocket", files },
  "listen bare": { protocol: "ws", path: "/ws" },
  "listen open": { protocol: "ws", path: "/open", origins: "*" },
  "listen listed": { protocol: "ws", path: "/ws", origins: "https://app.example http://other.example:8080" },
});

const web = (options) => request(daemon.ports.web, options);
const upgradeWeb = (options) => upgrade(daemon.ports.web, options);

describe("The upgrade", () => {
  test("is taken on each of the paths", async () => {
    for (const path of ["/ws", "/stomp/websocket", "/ws?token=x"]) {
      const { status, headers } = await upgradeWeb({ path });
      assert.equal(status, 101, path);
      assert.equal(headers["sec-websocket-protocol"], undefined);
    }
  });

  test("is 404 on any other path", async () => {
    for (const path of ["/", "/w", "/wss", "/ws/", "/ws/a", "/WS", "/stomp", "/open"]) {
      assert.equal((await upgradeWeb({ path })).status, 404, path);
    }
  });

  test("a plain GET on its path is answered 426", async () => {
    const { status, headers } = await web({ path: "/ws" });
    assert.equal(status, 426);
    assert.match(headers.upgrade ?? "", /websocket/i);
  });

  const offers = [
    ["v12.stomp", "v12.stomp"],
    ["v11.stomp", "v11.stomp"],
    ["v10.stomp", "v10.stomp"],
    ["v11.stomp, v10.stomp", "v11.stomp"],
    ["mqtt, v11.stomp", "v11.stomp"],
  ];
  for (const [offer, chosen] of offers) {
    test(`sub-protocols: of "${offer}" it chooses ${chosen}`, async () => {
      const { status, headers } = await upgradeWeb({ headers: { "Sec-WebSocket-Protocol": offer } });
      assert.equal(status, 101);
      assert.equal(headers["sec-websocket-protocol"], chosen);
    });
  }

  test("without a sub-protocol STOMP is spoken too", async () => {
    const session = await openWs(daemon.ports.web, { protocols: [] });
    assert.equal(session.socket.protocol, "");
    await session.connect({ version: "1.1" });
    session.drop();
  });
});

describe("Origins", () => {
  const origin = (port, value, headers = {}) =>
    upgrade(port, { path: port === daemon.ports.open ? "/open" : "/ws", headers: { Origin: value, ...headers } });

  test("by default only the page's own host", async () => {
    const { web } = daemon.ports;
    assert.equal((await origin(web, `http://127.0.0.1:${web}`)).status, 101);
    assert.equal((await origin(web, "https://app.example", { Host: "app.example" })).status, 101);
    assert.equal((await origin(web, "https://evil.example")).status, 403);
    assert.equal((await origin(web, "https://app.example.evil", { Host: "app.example" })).status, 403);
    assert.equal((await origin(web, `http://127.0.0.1:${web + 1}`)).status, 403);
    assert.equal((await origin(web, "null")).status, 403);
  });

  test("no Origin, as from programs, is taken", async () => {
    assert.equal((await upgrade(daemon.ports.web)).status, 101);
    assert.equal((await upgrade(daemon.ports.listed)).status, 101);
  });

  test("a list is compared word by word", async () => {
    const { listed } = daemon.ports;
    assert.equal((await origin(listed, "https://app.example")).status, 101);
    assert.equal((await origin(listed, "http://other.example:8080")).status, 101);
    for (const other of [
      "http://app.example",
      "https://app.example:8443",
      "https://xapp.example",
      `http://127.0.0.1:${listed}`,
    ]) {
      assert.equal((await origin(listed, other)).status, 403, other);
    }
  });

  test("* is any", async () => {
    assert.equal((await origin(daemon.ports.open, "https://evil.example")).status, 101);
  });

  test("the listener decides, whatever Host says", async () => {
    for (const host of ["open", `127.0.0.1:${daemon.ports.open}`, "*", "default"]) {
      assert.equal((await origin(daemon.ports.web, "https://evil.example", { Host: host })).status, 403, host);
      assert.equal((await upgradeWeb({ path: "/open", headers: { Host: host } })).status, 404, host);
      const file = await request(daemon.ports.bare, { path: "/app.js", headers: { Host: host } });
      assert.equal(file.status, 404, host);
    }
  });
});

describe("Methods", () => {
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    test(`${method} is answered 405`, async () => {
      for (const path of ["/", "/ws", "/healthz", "/app.js"]) {
        const { status, headers } = await web({ method, path });
        assert.equal(status, 405, path);
        assert.match(headers.allow ?? "", /GET/, path);
      }
    });
  }

  test("HEAD is answered as GET, without a body", async () => {
    const { status, headers, body } = await web({ method: "HEAD", path: "/app.js" });
    assert.equal(status, 200);
    assert.equal(headers["content-length"], "7");
    assert.equal(body, "");
    assert.equal((await web({ method: "HEAD", path: "/healthz" })).status, 200);
  });

  test("a request body is no way round it", async () => {
    const { status } = await web({ method: "POST", path: "/", body: "x".repeat(10_000) });
    assert.equal(status, 405);
  });
});

describe("/healthz", () => {
  test("says 200 and ok, on every WebSocket listener", async () => {
    for (const name of ["web", "bare", "open", "listed"]) {
      const { status, body } = await request(daemon.ports[name], { path: "/healthz" });
      assert.equal(status, 200);
      assert.equal(body.trim(), "ok");
    }
  });
});

describe("Files", () => {
  const types = [
    ["/", /^text\/html/, "<title>index</title>"],
    ["/index.html", /^text\/html/, "<title>index</title>"],
    ["/app.js?v=1", /javascript/, "// app"],
    ["/style.css", /^text\/css/, "/* style */"],
    ["/sub/page.html", /^text\/html/, "<title>page</title>"],
  ];
  for (const [path, type, content] of types) {
    test(`${path} is served with its type`, async () => {
      const { status, headers, body } = await web({ path });
      assert.equal(status, 200);
      assert.match(headers["content-type"], type);
      assert.ok(body.includes(content));
    });
  }

  test("a large file comes whole", async () => {
    const { status, body } = await web({ path: "/large.txt" });
    assert.equal(status, 200);
    assert.equal(body, "0123456789".repeat(50_000));
  });

  test("what is not there is 404", async () => {
    for (const path of ["/missing", "/sub/missing.js", "/empty", "/empty/", "/app.js/x", "/ws/"]) {
      assert.equal((await web({ path })).status, 404, path);
    }
  });

  test("nothing outside the folder is served", async () => {
    const ways = [
      "/../secret.txt",
      "/%2e%2e/secret.txt",
      "/..%2fsecret.txt",
      "/sub/../../secret.txt",
      "/sub/%2e%2e/%2e%2e/secret.txt",
      "/.%2e/secret.txt",
      "//secret.txt",
      `/${folder}/secret.txt`,
      "/..\\secret.txt",
      "/%00/../secret.txt",
    ];
    for (const way of ways) {
      const connection = new RawConnection(daemon.ports.web);
      connection.write(requestText(way, { Connection: "close" }));
      assert.doesNotMatch(await connection.untilClosed(), /^HTTP\/1\.\d 2|secret$/, way);
    }
  });

  test("a listener without files serves none", async () => {
    assert.equal((await request(daemon.ports.bare, { path: "/" })).status, 404);
    assert.equal((await request(daemon.ports.bare, { path: "/index.html" })).status, 404);
  });

  test("hidden files are not served", async () => {
    assert.equal((await web({ path: "/.hidden" })).status, 404);
  });

  test("one connection may ask for several, and upgrade then", async () => {
    const connection = new RawConnection(daemon.ports.web);
    for (const [path, content] of [
      ["/app.js", "// app"],
      ["/style.css", "/* style */"],
      ["/missing", " 404 "],
    ]) {
      connection.write(requestText(path, {}));
      assert.ok(await connection.until(content), path);
    }
    connection.write(requestText("/ws", upgradeHeaders()));
    assert.ok(await connection.until(" 101 "));
    connection.drop();
  });
});
