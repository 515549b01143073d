// Random choices that are the same in every run of a seed, which a failing test names.

export class Random {
  #state;

  constructor(seed) {
    this.#state = seed;
  }

  /** 0 to below. */
  below(limit) {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** A copy with a few octets changed, removed, doubled or put in. */
  mutate(bytes) {
    let mutated = Buffer.from(bytes);
    for (let i = this.below(8) + 1; i > 0; i--) {
      const at = this.below(mutated.length + 1);
      const piece = [this.bytes(1), Buffer.alloc(0), mutated.subarray(at, at + this.below(40)), Buffer.from("\0")];
      const kept = at + this.below(3);
      mutated = Buffer.concat([mutated.subarray(0, at), piece[this.below(piece.length)], mutated.subarray(kept)]);
    }
    return mutated;
  }
}
