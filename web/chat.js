/*
 * The demo page: one room at a time, each a topic /topic/chat.ROOM. STOMP.js keeps the connection; on every connect the room is
 * subscribed to anew. Name and room live in the tab's session storage, so that a reload comes back to the same room.
 */
"use strict";

const LOG_ENTRIES_MAX = 500;

const page = (id) => document.getElementById(id);

let name = null;
let node = null; // the one that this page is or was on
let room = null; // the one that was asked for
let subscription = null; // the one of this connection
let joins = 0;
let joined = false; // the server has said that the subscription is live

const client = new StompJs.Client({
  brokerURL: brokerUrl(),
  reconnectDelay: 200 + Math.round(Math.random() * 600), // all pages of a node lose it at the same moment
  reconnectTimeMode: StompJs.ReconnectionTimeMode.EXPONENTIAL,
  maxReconnectDelay: 5000,
  connectionTimeout: 10000,
  heartbeatIncoming: 10000,
  heartbeatOutgoing: 10000,
  onConnect: connected,
  onStompError: (frame) => showSystem(`The server says: ${frame.headers.message}`),
  onWebSocketClose: disconnected,
});

function brokerUrl() {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function connected(frame) {
  const session = frame.headers.session ?? "–";
  page("session").textContent = session;
  page("server").textContent = frame.headers.server ?? "–";
  showNode(session.split(":")[0]);
  showState("connected");
  subscription = null;
  enterRoom();
}

function disconnected() {
  if (page("state").dataset.state !== "reconnecting") {
    showState("reconnecting");
    showSystem(node === null ? "No connection. Trying again …" : `${node} is gone. Trying again …`);
    page("node").classList.add("gone");
  }
  setJoined(false);
}

/* The receipt of SUBSCRIBE says that from now on every message of the room arrives. */
function enterRoom() {
  setJoined(false);
  subscription?.unsubscribe();
  joins += 1;
  const receipt = `join-${joins}`;
  client.watchForReceipt(receipt, () => {
    if (receipt === `join-${joins}`) {
      setJoined(true);
      showSystem(`In room ${room}, on ${node}`);
    }
  });
  subscription = client.subscribe(destinationOf(room), showMessage, { receipt });
}

function destinationOf(name) {
  return `/topic/chat.${name}`;
}

function setJoined(value) {
  joined = value;
  page("send").disabled = !value;
}

function showState(state) {
  page("state").dataset.state = state;
  page("state").textContent = state;
}

/* A session's id begins with the name of its node. */
function showNode(name) {
  const badge = page("node");
  if (node !== null && node !== name) {
    showSystem(`Moved from ${node} to ${name}`);
  }
  node = name;
  badge.textContent = name;
  badge.style.setProperty("--hue", hueOf(name));
  badge.classList.remove("gone");
  badge.hidden = false;
}

/* Other programs may send to the room too: what is not of this page's making is shown as it is. */
function contentOf(frame) {
  try {
    const { from, text } = JSON.parse(frame.body);
    if (typeof from === "string" && typeof text === "string") {
      return { from, text };
    }
  } catch {
    // not JSON
  }
  return { from: "someone", text: frame.body };
}

function showMessage(frame) {
  const { from, text } = contentOf(frame);
  const now = new Date();

  const sender = element("span", "from", from);
  sender.style.setProperty("--hue", hueOf(from));
  const time = element("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = now.toISOString();

  const entry = element("div", from === name ? "entry own" : "entry");
  entry.append(sender, time, element("p", "text", text));
  append(entry);
}

function showSystem(text) {
  append(element("div", "entry system", text));
}

function element(kind, className, text = "") {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

/* The view follows the newest entry, unless the reader has scrolled back. */
function append(entry) {
  const log = page("log");
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(entry);
  while (log.childElementCount > LOG_ENTRIES_MAX) {
    log.firstElementChild.remove();
  }
  if (follows) {
    log.scrollTop = log.scrollHeight;
  }
}

/* Names that differ in one letter get hues that are far apart. */
function hueOf(name) {
  let hash = 0;
  for (const letter of name) {
    hash = (hash * 31 + letter.codePointAt(0)) % 360;
  }
  return (hash * 137) % 360;
}

function join() {
  name = page("name").value.trim();
  room = page("room").value;
  sessionStorage.setItem("name", name);
  sessionStorage.setItem("room", room);
  document.title = `${room} – stompd chat`;
  if (client.connected) {
    enterRoom();
  } else if (!client.active) {
    showState("connecting");
    client.activate();
  }
}

function send() {
  const text = page("message").value;
  if (!joined || text.trim() === "") {
    return;
  }
  client.publish({
    destination: destinationOf(room),
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ from: name, text }),
  });
  page("message").value = "";
}

page("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  join();
  page("message").focus();
});

page("send-form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});

if (sessionStorage.getItem("room") !== null) {
  page("name").value = sessionStorage.getItem("name");
  page("room").value = sessionStorage.getItem("room");
  join();
}
