// User destinations: a message to a user reaches all of that user's sessions and nobody else's, whatever the names look
// like.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { connect, freshTopic, overTcp, TRANSPORTS } from "./lib/transports.mjs";

// Names that try to collide with each other or to be read as a pattern, and how a destination spells them.
const SPELLED = {
  john: "john",
  "john.doe": "john.doe",
  doe: "doe",
  a: "a",
  "a/b": "a%2Fb",
  "a/queue": "a%2Fqueue",
  "*": "*",
  "**": "**",
  "%2F": "%252F",
  "a%2Fb": "a%252Fb",
  "a@b.c": "a@b.c",
  queue: "queue",
};
const NAMES = Object.keys(SPELLED);

const daemon = useDaemon(Object.fromEntries(NAMES.map((name) => [`user ${name}`, { password: "plain:secret" }])));

const logIn = (name, transport) => connect(daemon, transport, { login: name, passcode: "secret" });

/** Has the sender send a marker to a topic of all sessions, and gives the texts that each got before it. */
async function textsBeforeMarker(sender, sessions) {
  const marker = freshTopic();
  await Promise.all(sessions.map((session) => session.subscribe(marker, marker)));
  sender.send("SEND", { destination: marker });
  await Promise.all(sessions.map((session) => session.expect({ command: "MESSAGE", subscription: marker })));
  return sessions.map((session) => session.frames.splice(0).map(({ text }) => text));
}

describe("Names", () => {
  let sessions;
  let sender;
  before(async () => {
    sessions = await Promise.all(NAMES.map((name, i) => logIn(name, TRANSPORTS[i % 2])));
    sender = await connect(daemon, overTcp);
    await Promise.all(sessions.map((session) => session.subscribe("/user/queue/x")));
  });
  after(() => [sender, ...sessions].forEach((session) => session.drop()));

  test("CONNECTED carries each as user-name", () => {
    assert.deepEqual(
      sessions.map(({ connected }) => connected.headers["user-name"]),
      NAMES,
    );
  });

  for (const name of NAMES) {
    test(`a message to ${JSON.stringify(name)} reaches that user only`, async () => {
      sender.send("SEND", { destination: `/user/${SPELLED[name]}/queue/x` }, name);
      const texts = await textsBeforeMarker(sender, sessions);
      assert.deepEqual(
        texts,
        NAMES.map((other) => (other === name ? [name] : [])),
      );
    });
  }

  test("%2f in small letters is a slash too", async () => {
    sender.send("SEND", { destination: "/user/a%2fb/queue/x" }, "to a/b");
    const texts = await textsBeforeMarker(sender, sessions);
    assert.deepEqual(texts[NAMES.indexOf("a/b")], ["to a/b"]);
    assert.equal(texts.flat().length, 1);
  });

  test("names are compared letter by letter", async () => {
    for (const spelled of ["JOHN", "joh", "john ", "nobody"]) {
      sender.send("SEND", { destination: `/user/${spelled}/queue/x` }, spelled);
    }
    assert.deepEqual((await textsBeforeMarker(sender, sessions)).flat(), []);
  });

  test("an empty name with no session header is refused", async () => {
    const session = await connect(daemon, overTcp);
    session.send("SEND", { destination: "/user//queue/x" });
    await session.expectError(/empty/);
  });
});

for (const transport of TRANSPORTS) {
  describe(`A user's sessions over ${transport.name}`, () => {
    let sessions;
    let sender;
    before(async () => {
      sessions = await Promise.all(["john", "john", "doe"].map((name) => logIn(name, transport)));
      sender = await connect(daemon, transport);
      await Promise.all(sessions.map((session) => session.subscribe("/user/queue/x")));
    });
    after(() => [sender, ...sessions].forEach((session) => session.drop()));

    test("all of them get the message, with the destination they subscribed to", async () => {
      sender.send("SEND", { destination: "/user/john/queue/x", custom: "header" }, "to both");
      for (const session of sessions.slice(0, 2)) {
        const { headers, text } = await session.expect("MESSAGE");
        assert.equal(headers.destination, "/user/queue/x");
        assert.equal(headers.subscription, "0");
        assert.equal(headers.custom, "header");
        assert.equal(text, "to both");
      }
      assert.deepEqual((await textsBeforeMarker(sender, sessions)).flat(), []);
    });

    test("the header session picks one, and is not passed on", async () => {
      const { session } = sessions[1].connected.headers;
      sender.send("SEND", { destination: "/user/john/queue/x", session }, "to the second");
      assert.equal((await sessions[1].expect("MESSAGE")).headers.session, undefined);
      assert.deepEqual((await textsBeforeMarker(sender, sessions)).flat(), []);
    });

    test("the header session of another user's session reaches nobody", async () => {
      const { session } = sessions[2].connected.headers;
      sender.send("SEND", { destination: "/user/john/queue/x", session }, "to nobody");
      assert.deepEqual((await textsBeforeMarker(sender, sessions)).flat(), []);
    });

    test("the rest of the destination counts byte by byte", async () => {
      for (const rest of ["/queue/y", "/queue.x", "/queue/x/", "/topic/x"]) {
        sender.send("SEND", { destination: `/user/john${rest}` }, rest);
      }
      assert.deepEqual((await textsBeforeMarker(sender, sessions)).flat(), []);
    });

    test("any rest may be chosen", async () => {
      await sessions[0].subscribe("/user/topic/y.z", "other");
      sender.send("SEND", { destination: "/user/john/topic/y.z" }, "other rest");
      assert.equal((await sessions[0].expect({ command: "MESSAGE", subscription: "other" })).text, "other rest");
      await sessions[0].request("UNSUBSCRIBE", { id: "other" });
      sender.send("SEND", { destination: "/user/john/topic/y.z" }, "too late");
      assert.deepEqual((await textsBeforeMarker(sender, sessions)).flat(), []);
    });

    test("SUBSCRIBE always means one's own: naming another user gives nothing of that user's", async () => {
      await sessions[2].subscribe("/user/john/queue/x", "spy");
      sender.send("SEND", { destination: "/user/john/queue/x" }, "private");
      assert.deepEqual(await textsBeforeMarker(sender, sessions), [["private"], ["private"], []]);
    });

    test("no topic pattern sees a user's messages", async () => {
      await sessions[2].subscribe("/topic/**", "pattern");
      sender.send("SEND", { destination: "/user/john/queue/x" }, "private");
      sender.send("SEND", { destination: freshTopic() }, "public");
      assert.equal((await sessions[2].expect({ command: "MESSAGE", subscription: "pattern" })).text, "public");
      await sessions[2].request("UNSUBSCRIBE", { id: "pattern" });
      assert.deepEqual(await textsBeforeMarker(sender, sessions), [["private"], ["private"], []]);
    });

    test("one may write to oneself", async () => {
      sessions[2].send("SEND", { destination: "/user/doe/queue/x" }, "to myself");
      assert.equal((await sessions[2].expect({ command: "MESSAGE", subscription: "0" })).text, "to myself");
    });

    test("a transaction holds messages to users back too", async () => {
      sender.send("BEGIN", { transaction: "t" });
      sender.send("SEND", { destination: "/user/doe/queue/x", transaction: "t" }, "committed");
      assert.deepEqual((await textsBeforeMarker(sender, sessions)).flat(), []);
      sender.send("COMMIT", { transaction: "t" });
      assert.equal((await sessions[2].expect({ command: "MESSAGE", subscription: "0" })).text, "committed");
    });
  });

  describe(`Anonymous sessions over ${transport.name}`, () => {
    let sessions;
    let named;
    before(async () => {
      sessions = [await connect(daemon, transport), await connect(daemon, transport)];
      named = await logIn("john", transport);
      await Promise.all([...sessions, named].map((session) => session.subscribe("/user/queue/x")));
    });
    after(() => [named, ...sessions].forEach((session) => session.drop()));

    test("two never get each other's", async () => {
      for (const [i, { connected }] of sessions.entries()) {
        named.send("SEND", { destination: "/user//queue/x", session: connected.headers.session }, `to ${i}`);
      }
      assert.deepEqual(await textsBeforeMarker(named, [...sessions, named]), [["to 0"], ["to 1"], []]);
    });

    test("a named user's session is not reached as one without a name", async () => {
      const { session } = named.connected.headers;
      sessions[0].send("SEND", { destination: "/user//queue/x", session }, "to nobody");
      assert.deepEqual((await textsBeforeMarker(sessions[0], [...sessions, named])).flat(), []);
    });

    test("a session id is no user's name", async () => {
      const { session } = sessions[1].connected.headers;
      named.send("SEND", { destination: `/user/${session}/queue/x` }, "to nobody");
      assert.deepEqual((await textsBeforeMarker(named, [...sessions, named])).flat(), []);
    });

    test("an unknown session id reaches nobody", async () => {
      named.send("SEND", { destination: "/user//queue/x", session: "no-such-session" }, "to nobody");
      assert.deepEqual((await textsBeforeMarker(named, [...sessions, named])).flat(), []);
    });
  });
}
