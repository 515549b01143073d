// SEND, SUBSCRIBE, UNSUBSCRIBE, MESSAGE, ACK, NACK and the receipts of all frames.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { connect, freshTopic, TRANSPORTS } from "./lib/transports.mjs";

const daemon = useDaemon();

const VERSIONS = ["1.0", "1.1", "1.2"];

/** What ACK and NACK must carry to settle that MESSAGE. */
function settling(version, { headers }) {
  switch (version) {
    case "1.0":
      return { "message-id": headers["message-id"] };
    case "1.1":
      return { "message-id": headers["message-id"], subscription: headers.subscription };
    default:
      return { id: headers.ack };
  }
}

for (const transport of TRANSPORTS) {
  const open = (version = "1.2") => connect(daemon, transport, { version });

  describe(`Header receipt over ${transport.name}`, () => {
    const topic = freshTopic();
    const begin = ["BEGIN", { transaction: "t" }];
    const subscribe = ["SUBSCRIBE", { id: "0", destination: topic }];
    const acks = [
      ["SUBSCRIBE", { id: "0", destination: topic, ack: "client" }],
      ["SEND", { destination: topic }],
    ];
    const rows = [
      ["SEND", { destination: topic }],
      subscribe,
      ["UNSUBSCRIBE", { id: "0" }, [subscribe]],
      begin,
      ["COMMIT", { transaction: "t" }, [begin]],
      ["ABORT", { transaction: "t" }, [begin]],
      ["ACK", { id: "1" }, acks],
      ["NACK", { id: "1" }, acks],
      ["DISCONNECT", {}],
    ];
    for (const [command, headers, before] of rows) {
      test(`${command} gets its RECEIPT, which has no other header and no body`, async () => {
        const session = await open();
        for (const [earlier, itsHeaders] of before ?? []) {
          session.send(earlier, itsHeaders);
        }
        if (before === acks) {
          await session.expect("MESSAGE");
        }
        const receipt = await session.request(command, headers);
        assert.deepEqual(Object.keys(receipt.headers), ["receipt-id"]);
        assert.deepEqual(session.frames, []);
        session.drop();
      });
    }

    test("a receipt's name may hold any characters", async () => {
      const session = await open();
      const name = "a:b\\c\nd\re äöü";
      session.send("SEND", { destination: topic, receipt: name });
      await session.expect({ command: "RECEIPT", "receipt-id": name });
      session.drop();
    });

    test("receipts come in the order of the frames", async () => {
      const session = await open();
      const names = Array.from({ length: 50 }, (_, i) => String(i));
      session.sendRaw(Buffer.concat(names.map((receipt) => encodeFrame("SEND", { destination: topic, receipt }))));
      await session.waitFor("all receipts", () => session.frames.length === names.length);
      assert.deepEqual(
        session.frames.map((frame) => frame.headers["receipt-id"]),
        names,
      );
      session.drop();
    });
  });

  describe(`SEND and MESSAGE over ${transport.name}`, () => {
    for (const version of VERSIONS) {
      test(`${version}: a MESSAGE carries destination, message-id, subscription and the user's headers`, async () => {
        const session = await open(version);
        const topic = freshTopic();
        await session.subscribe(topic, "the-id");
        session.send("SEND", { destination: topic, priority: "9", "x-custom": "value" }, "body");
        const { headers, text } = await session.expect("MESSAGE");
        assert.equal(headers.destination, topic);
        assert.equal(headers.subscription, "the-id");
        assert.notEqual(headers["message-id"] ?? "", "");
        assert.equal(headers.priority, "9");
        assert.equal(headers["x-custom"], "value");
        assert.equal(headers.ack, undefined);
        assert.equal(text, "body");
        session.drop();
      });
    }

    test("headers that the server sets, and receipt and transaction, do not pass from a SEND", async () => {
      const session = await open();
      const topic = freshTopic();
      await session.subscribe(topic, "mine");
      const forged = ["user", "session", "node", "message-id", "subscription", "redelivered", "ack"];
      session.send("BEGIN", { transaction: "t" });
      session.send("SEND", {
        destination: topic,
        transaction: "t",
        receipt: "r",
        ...Object.fromEntries(forged.map((name) => [name, "forged"])),
      });
      session.send("COMMIT", { transaction: "t" });
      const { pairs, headers } = await session.expect("MESSAGE");
      assert.ok(pairs.every(([, value]) => value !== "forged"));
      assert.equal(headers.subscription, "mine");
      assert.equal(headers.receipt, undefined);
      assert.equal(headers.transaction, undefined);
      session.drop();
    });

    test("message ids are unique, over all publishers", async () => {
      const subscriber = await open();
      const publishers = await Promise.all(Array.from({ length: 4 }, () => open()));
      const topic = freshTopic();
      await subscriber.subscribe(topic);
      for (let i = 0; i < 100; i++) {
        publishers[i % 4].send("SEND", { destination: topic });
      }
      await subscriber.waitFor("all messages", () => subscriber.frames.length === 100);
      const ids = new Set(subscriber.frames.map((frame) => frame.headers["message-id"]));
      assert.equal(ids.size, 100);
      [subscriber, ...publishers].forEach((session) => session.drop());
    });

    test("a session without a subscription gets nothing", async () => {
      const session = await open();
      await session.request("SEND", { destination: freshTopic() });
      await session.request("SEND", { destination: freshTopic() });
      assert.deepEqual(session.frames, []);
      session.drop();
    });
  });

  describe(`SUBSCRIBE and UNSUBSCRIBE over ${transport.name}`, () => {
    test("1.0: without an id the MESSAGE has no subscription", async () => {
      const session = await open("1.0");
      const topic = freshTopic();
      await session.request("SUBSCRIBE", { destination: topic });
      session.send("SEND", { destination: topic });
      assert.equal((await session.expect("MESSAGE")).headers.subscription, undefined);
      session.drop();
    });

    test("1.0: UNSUBSCRIBE works by destination", async () => {
      const session = await open("1.0");
      const topic = freshTopic();
      await session.request("SUBSCRIBE", { destination: topic });
      await session.request("UNSUBSCRIBE", { destination: topic });
      await session.request("SEND", { destination: topic });
      await session.request("SEND", { destination: topic });
      assert.deepEqual(session.frames, []);
      session.drop();
    });

    for (const version of VERSIONS) {
      test(`${version}: UNSUBSCRIBE works by id, and ends that subscription only`, async () => {
        const session = await open(version);
        const topic = freshTopic();
        await session.subscribe(topic, "a");
        await session.subscribe(topic, "b");
        await session.request("UNSUBSCRIBE", { id: "a" });
        session.send("SEND", { destination: topic });
        assert.equal((await session.expect("MESSAGE")).headers.subscription, "b");
        await session.request("SEND", { destination: freshTopic() });
        assert.deepEqual(session.frames, []);
        session.drop();
      });
    }

    test("UNSUBSCRIBE of an unknown id is ignored", async () => {
      const session = await open();
      await session.request("UNSUBSCRIBE", { id: "never-was" });
      session.drop();
    });

    test("an id may be used again after UNSUBSCRIBE", async () => {
      const session = await open();
      const [first, second] = [freshTopic(), freshTopic()];
      await session.subscribe(first, "id");
      session.send("UNSUBSCRIBE", { id: "id" });
      await session.subscribe(second, "id");
      session.send("SEND", { destination: first });
      session.send("SEND", { destination: second });
      assert.equal((await session.expect("MESSAGE")).headers.destination, second);
      session.drop();
    });

    test("UNSUBSCRIBE right behind the messages: none of them comes after its RECEIPT", async () => {
      const session = await open();
      const topic = freshTopic();
      const send = encodeFrame("SEND", { destination: topic }, "body");
      session.sendRaw(
        Buffer.concat([
          encodeFrame("SUBSCRIBE", { id: "0", destination: topic }),
          ...Array.from({ length: 20 }, () => send),
          encodeFrame("UNSUBSCRIBE", { id: "0", receipt: "gone" }),
          send,
        ]),
      );
      const isReceipt = ({ headers }) => headers["receipt-id"] === "gone";
      await session.waitFor("the RECEIPT", () => session.frames.some(isReceipt));
      await session.request("SEND", { destination: topic });
      assert.ok(isReceipt(session.frames.at(-1)));
      session.drop();
    });

    test("an id is unique in its connection only", async () => {
      const [one, other] = [await open(), await open()];
      const topic = freshTopic();
      await one.subscribe(topic, "same");
      await other.subscribe(topic, "same");
      one.send("SEND", { destination: topic });
      await one.expect({ command: "MESSAGE", subscription: "same" });
      await other.expect({ command: "MESSAGE", subscription: "same" });
      one.drop();
      other.drop();
    });

    test("a subscription's id may hold any characters", async () => {
      const session = await open();
      const topic = freshTopic();
      const id = "a:b\\c\nd\r ä";
      await session.subscribe(topic, id);
      session.send("SEND", { destination: topic });
      await session.expect({ command: "MESSAGE", subscription: id });
      session.drop();
    });
  });

  describe(`ACK and NACK over ${transport.name}`, () => {
    const modes = VERSIONS.flatMap((version) =>
      (version === "1.0" ? ["auto", "client"] : ["auto", "client", "client-individual"]).map((mode) => [version, mode]),
    );
    for (const [version, mode] of modes) {
      const hasAck = version === "1.2" && mode !== "auto";
      test(`${version}, ack:${mode}: the MESSAGE has ${hasAck ? "an" : "no"} ack header`, async () => {
        const session = await open(version);
        const topic = freshTopic();
        await session.subscribe(topic, "0", { ack: mode });
        session.send("SEND", { destination: topic });
        const { headers } = await session.expect("MESSAGE");
        assert.equal(headers.ack !== undefined, hasAck);
        session.drop();
      });
    }

    for (const version of VERSIONS) {
      for (const command of version === "1.0" ? ["ACK"] : ["ACK", "NACK"]) {
        test(`${version}: ${command} of a topic's message is accepted, in a transaction too`, async () => {
          const session = await open(version);
          const topic = freshTopic();
          await session.subscribe(topic, "0", { ack: "client" });
          session.send("SEND", { destination: topic });
          const headers = settling(version, await session.expect("MESSAGE"));
          await session.request(command, headers);
          await session.request("BEGIN", { transaction: "t" });
          await session.request(command, { ...headers, transaction: "t" });
          await session.request("COMMIT", { transaction: "t" });
          await session.request("SEND", { destination: freshTopic() });
          assert.deepEqual(session.frames, []);
          session.drop();
        });
      }
    }

    test("1.2: ack ids are unique in the session", async () => {
      const session = await open();
      const topic = freshTopic();
      await session.subscribe(topic, "a", { ack: "client" });
      await session.subscribe(topic, "b", { ack: "client-individual" });
      session.send("SEND", { destination: topic });
      session.send("SEND", { destination: topic });
      await session.waitFor("four messages", () => session.frames.length === 4);
      assert.equal(new Set(session.frames.map((frame) => frame.headers.ack)).size, 4);
      session.drop();
    });
  });
}
