// How frames are read and written: the rows of the specification from "STOMP Frames" to "Repeated Header Entries".
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { connect, freshTopic, TRANSPORTS } from "./lib/transports.mjs";

const daemon = useDaemon({ "user backslash": { password: "plain:a\\cb" } });

/** The MESSAGE that the SEND made by bytesOf(topic) becomes for its own sender. */
async function roundTrip(session, bytesOf) {
  const topic = freshTopic();
  await session.subscribe(topic, topic);
  session.sendRaw(bytesOf(topic));
  return session.expect({ command: "MESSAGE", subscription: topic });
}

for (const transport of TRANSPORTS) {
  const open = (version) => connect(daemon, transport, { version });

  describe(`STOMP Frames over ${transport.name}`, () => {
    test("an EOL may be CR LF in 1.2", async () => {
      const session = await open("1.2");
      const message = await roundTrip(session, (topic) => `SEND\r\ndestination:${topic}\r\nx:1\r\n\r\nbody\0\r\n`);
      assert.equal(message.headers.x, "1");
      assert.equal(message.text, "body");
      session.drop();
    });

    test("the EOLs of a CONNECT may be CR LF", async () => {
      const session = await transport.open(daemon);
      session.sendRaw("CONNECT\r\naccept-version:1.2\r\nhost:test\r\n\r\n\0\r\n");
      assert.equal((await session.expect("CONNECTED")).headers.version, "1.2");
      session.drop();
    });

    test("any number of EOLs may stand between frames", async () => {
      const session = await open("1.2");
      session.sendRaw("\n\n\n\r\n\n");
      const message = await roundTrip(session, (topic) => `\n\nSEND\ndestination:${topic}\n\nbody\0\n\r\n\n\n`);
      assert.equal(message.text, "body");
      await session.request("SEND", { destination: freshTopic() });
      session.drop();
    });

    test("a frame may come byte by byte", async () => {
      const session = await open("1.2");
      const topic = freshTopic();
      await session.subscribe(topic);
      const bytes = encodeFrame("SEND", { destination: topic, "näme:": "välue\n" }, Buffer.from("bödy\0"));
      for (const byte of bytes) {
        session.sendRaw(Buffer.from([byte]), { binary: true });
      }
      const message = await session.expect("MESSAGE");
      assert.equal(message.headers["näme:"], "välue\n");
      assert.equal(message.text, "bödy\0");
      session.drop();
    });

    test("several frames may come at once", async () => {
      const session = await open("1.2");
      const topic = freshTopic();
      const subscribe = encodeFrame("SUBSCRIBE", { destination: topic, id: "0" });
      const sends = ["a", "b", "c"].map((body) => encodeFrame("SEND", { destination: topic, receipt: body }, body));
      session.sendRaw(Buffer.concat([subscribe, ...sends]));
      for (const body of ["a", "b", "c"]) {
        assert.equal((await session.expect("MESSAGE")).text, body);
        await session.expect({ command: "RECEIPT", "receipt-id": body });
      }
      session.drop();
    });
  });

  describe(`Value Encoding over ${transport.name}`, () => {
    const special = { 1.1: "back\\slash:colon\nline", 1.2: "back\\slash:colon\nline\rreturn" };

    for (const version of ["1.1", "1.2"]) {
      test(`${version}: names and values are escaped in both directions`, async () => {
        const session = await open(version);
        const text = special[version];
        const message = await roundTrip(session, (topic) =>
          encodeFrame("SEND", { destination: topic, [text]: text }, "", version),
        );
        assert.equal(message.headers[text], text);
        session.drop();
      });

      test(`${version}: blanks around values stay, and a value may be empty`, async () => {
        const session = await open(version);
        const message = await roundTrip(session, (topic) =>
          encodeFrame("SEND", { destination: topic, " padded ": "  both ", empty: "" }, "", version),
        );
        assert.equal(message.headers[" padded "], "  both ");
        assert.equal(message.headers.empty, "");
        session.drop();
      });
    }

    test("1.0: nothing is escaped or unescaped", async () => {
      const session = await open("1.0");
      const newer = await open("1.2");
      const topic = freshTopic();
      await session.subscribe(topic);
      await newer.subscribe(topic);
      session.sendRaw(`SEND\ndestination:${topic}\nx:a\\nb\\c:d\n\n\0`);
      assert.equal((await session.expect("MESSAGE")).headers.x, "a\\nb\\c:d");
      assert.equal((await newer.expect("MESSAGE")).headers.x, "a\\nb\\c:d");
      session.drop();
      newer.drop();
    });

    test("1.0: blanks around names and values are dropped", async () => {
      const session = await open("1.0");
      const message = await roundTrip(session, (topic) => `SEND\ndestination: ${topic}\nx : 1 \n\nbody\0`);
      assert.equal(message.headers.x, "1");
      session.drop();
    });

    test("1.0: a line end in a newer client's value forges no header", async () => {
      const older = await open("1.0");
      const newer = await open("1.2");
      const topic = freshTopic();
      await older.subscribe(topic);
      newer.send("SEND", { destination: topic, x: "1\nforged:yes", y: "2" }, "body");
      const message = await older.expect("MESSAGE");
      assert.equal(message.headers.forged, undefined);
      assert.equal(message.headers.y, "2");
      assert.equal(message.text, "body");
      older.drop();
      newer.drop();
    });

    for (const command of ["CONNECT", "STOMP"]) {
      test(`the headers of ${command} are not unescaped`, async () => {
        const session = await connect(daemon, transport, { command, login: "backslash", passcode: "a\\cb" });
        assert.equal(session.connected.headers["user-name"], "backslash");
        session.drop();
      });
    }

    test("header text is UTF-8", async () => {
      const session = await open("1.2");
      const message = await roundTrip(session, (topic) =>
        encodeFrame("SEND", { destination: `${topic}`, 名前: "žluťoučký 🐎" }),
      );
      assert.equal(message.headers["名前"], "žluťoučký 🐎");
      session.drop();
    });

    test("1.1, as stompjs sends it: a value may hold bare colons", async () => {
      const session = await open("1.1");
      const message = await roundTrip(session, (topic) => `SEND\ndestination:${topic}\nurl:http://a:80/\n\n\0`);
      assert.equal(message.headers.url, "http://a:80/");
      session.drop();
    });

    test("1.1, as Spring sends it: \\r is understood", async () => {
      const session = await open("1.1");
      const message = await roundTrip(session, (topic) => `SEND\ndestination:${topic}\nx:a\\rb\n\n\0`);
      assert.equal(message.headers.x, "a\rb");
      session.drop();
    });
  });

  describe(`Body and content-length over ${transport.name}`, () => {
    test("a body of content-length may hold NULs", async () => {
      const session = await open("1.2");
      const body = Buffer.from("\0begin\0middle\0");
      const message = await roundTrip(session, (topic) => encodeFrame("SEND", { destination: topic }, body));
      assert.deepEqual(message.body, body);
      assert.equal(message.headers["content-length"], String(body.length));
      session.drop();
    });

    test("without content-length the first NUL ends the body, and the MESSAGE says its length", async () => {
      const session = await open("1.2");
      const message = await roundTrip(session, (topic) => `SEND\ndestination:${topic}\n\nbödy\0`);
      assert.equal(message.text, "bödy");
      assert.equal(message.headers["content-length"], "5");
      session.drop();
    });

    test("any octets make a body", async () => {
      const session = await open("1.2");
      const body = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));
      const message = await roundTrip(session, (topic) => encodeFrame("SEND", { destination: topic }, body));
      assert.deepEqual(message.body, body);
      session.drop();
    });

    test("content-length is allowed on every frame", async () => {
      const session = await transport.open(daemon);
      session.sendRaw("CONNECT\naccept-version:1.2\nhost:test\ncontent-length:0\n\n\0");
      await session.expect("CONNECTED");
      const topic = freshTopic();
      await session.request("SUBSCRIBE", { id: "0", destination: topic, "content-length": 0 });
      await session.request("UNSUBSCRIBE", { id: "0", "content-length": 0 });
      await session.request("BEGIN", { transaction: "t", "content-length": 0 });
      await session.request("COMMIT", { transaction: "t", "content-length": 0 });
      await session.request("DISCONNECT", { "content-length": 0 });
    });

    test("an empty body arrives empty", async () => {
      const session = await open("1.2");
      const message = await roundTrip(session, (topic) => encodeFrame("SEND", { destination: topic }));
      assert.equal(message.body.length, 0);
      session.drop();
    });

    test("content-type reaches the MESSAGE, and its absence too", async () => {
      const session = await open("1.2");
      const typed = await roundTrip(session, (topic) =>
        encodeFrame("SEND", { destination: topic, "content-type": "application/vnd.test+json;charset=utf-8" }),
      );
      const untyped = await roundTrip(session, (topic) => encodeFrame("SEND", { destination: topic }, "text"));
      assert.equal(typed.headers["content-type"], "application/vnd.test+json;charset=utf-8");
      assert.equal(untyped.headers["content-type"], undefined);
      session.drop();
    });

    test("Repeated Header Entries: the first one wins", async () => {
      const session = await open("1.2");
      const message = await roundTrip(session, (topic) =>
        encodeFrame("SEND", [
          ["destination", topic],
          ["x", "first"],
          ["x", "second"],
          ["destination", "/queue/refused"],
        ]),
      );
      assert.equal(message.headers.x, "first");
      assert.match(message.headers.destination, /^\/topic\//);
      session.drop();
    });
  });
}
