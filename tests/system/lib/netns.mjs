// A network namespace with two cables to this one: by `front` clients reach what runs in there, by `back` it reaches
// what runs out here, and that one can be unplugged: packets then vanish, and nobody is told. Needs root.
import { execFileSync } from "node:child_process";

/** Addresses for tests of networks (RFC 2544), which lead nowhere outside. */
const NETWORK = "198.18";

let namespaces = 0;

function ip(...args) {
  try {
    return execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
  } catch (error) {
    throw new Error(`ip ${args.join(" ")}: ${error.stderr?.trim() || error.message} (network namespaces need root)`);
  }
}

export class Namespace {
  #cables = [];

  constructor() {
    this.name = `stompd-${process.pid}-${namespaces++}`;
    ip("netns", "add", this.name);
    try {
      ip("-n", this.name, "link", "set", "lo", "up");
      this.front = this.#plug("front");
      this.back = this.#plug("back");
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** What runs a program in there: for spawn(), and a Daemon's `within`. The process is the program's own. */
  get within() {
    return ["ip", "netns", "exec", this.name];
  }

  /** Nothing passes the cable `back` any more, in either direction. */
  cut() {
    ip("link", "set", this.back.link, "down");
  }

  mend() {
    ip("link", "set", this.back.link, "up");
  }

  /** What is still running in there goes on, without a network. */
  remove() {
    this.#cables.forEach((link) => ip("link", "delete", link));
    this.#cables = [];
    ip("netns", "delete", this.name);
  }

  /** A cable: `outside` is our address on it, `inside` theirs. */
  #plug(end) {
    const number = (process.pid * 2 + namespaces * 2 + this.#cables.length) % (256 * 64);
    const base = `${NETWORK}.${number >> 6}`;
    const first = (number & 63) * 4;
    const [outside, inside] = [`${base}.${first + 1}`, `${base}.${first + 2}`];
    const link = `sd${process.pid}${end[0]}${namespaces}`.slice(0, 15);
    ip("link", "add", link, "type", "veth", "peer", "name", end, "netns", this.name);
    this.#cables.push(link);
    ip("address", "add", `${outside}/30`, "dev", link);
    ip("link", "set", link, "up");
    ip("-n", this.name, "address", "add", `${inside}/30`, "dev", end);
    ip("-n", this.name, "link", "set", end, "up");
    return { link, outside, inside };
  }
}
