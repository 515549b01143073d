// BEGIN, COMMIT, ABORT: what a transaction holds back, gives out and forgets.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { connect, freshTopic, TRANSPORTS } from "./lib/transports.mjs";

const daemon = useDaemon();

for (const transport of TRANSPORTS) {
  /** A subscriber, a publisher, their topic; texts() has one of them send a last message and gives what came before. */
  const openPair = async (version = "1.2") => {
    const subscriber = await connect(daemon, transport, { version });
    const publisher = await connect(daemon, transport, { version });
    const topic = freshTopic();
    await subscriber.subscribe(topic);
    const texts = async (sender = publisher) => {
      sender.send("SEND", { destination: topic }, "last");
      await subscriber.waitFor("the last message", () => subscriber.frames.at(-1)?.text === "last");
      return subscriber.frames
        .splice(0)
        .map((frame) => frame.text)
        .slice(0, -1);
    };
    return { subscriber, publisher, topic, texts };
  };

  describe(`Transactions over ${transport.name}`, () => {
    for (const version of ["1.0", "1.1", "1.2"]) {
      test(`${version}: COMMIT delivers the SENDs in order, and nothing is delivered before`, async () => {
        const { publisher, topic, texts } = await openPair(version);
        await publisher.request("BEGIN", { transaction: "t" });
        for (const body of ["a", "b", "c"]) {
          await publisher.request("SEND", { destination: topic, transaction: "t" }, body);
        }
        assert.deepEqual(await texts(), []);
        await publisher.request("COMMIT", { transaction: "t" });
        assert.deepEqual(await texts(), ["a", "b", "c"]);
      });
    }

    test("ABORT drops the SENDs", async () => {
      const { publisher, topic, texts } = await openPair();
      await publisher.request("BEGIN", { transaction: "t" });
      await publisher.request("SEND", { destination: topic, transaction: "t" }, "aborted");
      await publisher.request("ABORT", { transaction: "t" });
      assert.deepEqual(await texts(), []);
    });

    test("SENDs outside of it are delivered at once", async () => {
      const { publisher, topic, texts } = await openPair();
      await publisher.request("BEGIN", { transaction: "t" });
      await publisher.request("SEND", { destination: topic, transaction: "t" }, "inside");
      await publisher.request("SEND", { destination: topic }, "outside");
      assert.deepEqual(await texts(), ["outside"]);
      await publisher.request("COMMIT", { transaction: "t" });
      assert.deepEqual(await texts(), ["inside"]);
    });

    test("several may be open, each with its own SENDs", async () => {
      const { publisher, topic, texts } = await openPair();
      await publisher.request("BEGIN", { transaction: "t" });
      await publisher.request("BEGIN", { transaction: "u" });
      await publisher.request("SEND", { destination: topic, transaction: "t" }, "in t");
      await publisher.request("SEND", { destination: topic, transaction: "u" }, "in u");
      await publisher.request("COMMIT", { transaction: "u" });
      assert.deepEqual(await texts(), ["in u"]);
      await publisher.request("ABORT", { transaction: "t" });
      assert.deepEqual(await texts(), []);
    });

    test("its name may be used again after its end, and by other sessions at the same time", async () => {
      const { subscriber, publisher, topic, texts } = await openPair();
      for (const end of ["ABORT", "COMMIT"]) {
        await publisher.request("BEGIN", { transaction: "t" });
        await subscriber.request("BEGIN", { transaction: "t" });
        await publisher.request("SEND", { destination: topic, transaction: "t" }, end);
        await subscriber.request("ABORT", { transaction: "t" });
        await publisher.request(end, { transaction: "t" });
      }
      assert.deepEqual(await texts(), ["COMMIT"]);
    });

    test("DISCONNECT aborts it", async () => {
      const { subscriber, publisher, topic, texts } = await openPair();
      await publisher.request("BEGIN", { transaction: "t" });
      await publisher.request("SEND", { destination: topic, transaction: "t" }, "left open");
      await publisher.request("DISCONNECT");
      await publisher.expectClose(1000);
      assert.deepEqual(await texts(subscriber), []);
    });

    test("the loss of the socket aborts it", async () => {
      const { subscriber, publisher, topic, texts } = await openPair();
      await publisher.request("BEGIN", { transaction: "t" });
      await publisher.request("SEND", { destination: topic, transaction: "t" }, "left open");
      publisher.drop();
      assert.deepEqual(await texts(subscriber), []);
      assert.deepEqual(await texts(subscriber), []);
    });

    test("a message keeps its headers and octets in it", async () => {
      const { subscriber, publisher, topic } = await openPair();
      const body = Buffer.from("a\0b\xff", "latin1");
      await publisher.request("BEGIN", { transaction: "t" });
      await publisher.request("SEND", { destination: topic, transaction: "t", x: "y:z" }, body);
      await publisher.request("COMMIT", { transaction: "t" });
      const message = await subscriber.expect("MESSAGE");
      assert.equal(message.headers.x, "y:z");
      assert.deepEqual(message.body, body);
    });
  });
}
