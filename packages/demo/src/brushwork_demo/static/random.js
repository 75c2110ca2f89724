// The random numbers of numpy.random.default_rng(seed): the same latents as in Python.
//
// SeedSequence and PCG64 (O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically
// Good Algorithms for Random Number Generation"), the ziggurat of Marsaglia & Tsang (2000) with 256
// layers in single precision, and the bounded integers of Lemire (2019).

const MASK64 = (1n << 64n) - 1n;
const MASK128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

/** Mix a seed of 32 bits into `count` words of 32 bits, as SeedSequence(seed) does. */
function seedWords(seed, count) {
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (x, y) => {
    const sum = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
    return (sum ^ (sum >>> 16)) >>> 0;
  };
  const pool = [seed >>> 0, 0, 0, 0].map(hash);
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  let output = 0x8b51f9dd;
  return Array.from({ length: count }, (_, i) => {
    let value = (pool[i % 4] ^ output) >>> 0;
    output = Math.imul(output, 0x58f38ded) >>> 0;
    value = Math.imul(value, output) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  });
}

// The layers of the ziggurat: edges x[i], from the widest at 1 to 0 at the top.
const R = 3.6541528853610087963519472518;
const AREA = 0.0049286732339746519;
const wi = new Float32Array(256), ki = new Uint32Array(256), fi = new Float32Array(256);
{
  const density = (x) => Math.exp(-0.5 * x * x);
  const scale = 2 ** 23;
  let x = R, before = R;
  wi[0] = AREA / density(R) / scale;
  ki[0] = Math.trunc((R * density(R) / AREA) * scale);
  fi[0] = 1;
  wi[255] = R / scale;
  fi[255] = density(R);
  for (let i = 254; i >= 1; i--) {
    x = Math.sqrt(-2 * Math.log(AREA / before + density(before)));
    ki[i + 1] = Math.trunc((x / before) * scale);
    wi[i] = x / scale;
    fi[i] = density(x);
    before = x;
  }
  ki[1] = 0;
}

/** numpy.random.default_rng(seed), for seeds from 0 to 2**32 - 1. */
export class Random {
  constructor(seed) {
    const words = seedWords(seed, 8).map(BigInt);
    const [high, low, streamHigh, streamLow] = [0, 2, 4, 6].map(
      (i) => words[i] | (words[i + 1] << 32n));
    this.increment = ((((streamHigh << 64n) | streamLow) << 1n) | 1n) & MASK128;
    this.state = 0n;
    this.step();
    this.state = (this.state + ((high << 64n) | low)) & MASK128;
    this.step();
    this.spare = null;
  }

  step() {
    this.state = (this.state * MULTIPLIER + this.increment) & MASK128;
  }

  /** A random integer of 32 bits. */
  uint32() {
    if (this.spare !== null) {
      const value = this.spare;
      this.spare = null;
      return value;
    }
    this.step();
    const folded = (this.state >> 64n) ^ (this.state & MASK64);
    const turn = this.state >> 122n;
    const value = ((folded >> turn) | (folded << ((64n - turn) & 63n))) & MASK64;
    this.spare = Number(value >> 32n);
    return Number(value & 0xffffffffn);
  }

  /** A number in [0, 1) with 24 bits. */
  float() {
    return (this.uint32() >>> 8) / 2 ** 24;
  }

  /** A standard normal number in single precision. */
  normal() {
    for (;;) {
      const bits = this.uint32();
      const layer = bits & 0xff, negative = (bits >>> 8) & 1, distance = (bits >>> 9) & 0x7fffff;
      let x = Math.fround(distance * wi[layer]);
      if (negative) x = -x;
      if (distance < ki[layer]) return x;
      if (layer === 0) {
        for (;;) {
          const tail = Math.fround(-Math.fround(1 / R) * Math.fround(Math.log1p(-this.float())));
          const y = Math.fround(-Math.log1p(-this.float()));
          if (y + y > tail * tail) {
            const far = Math.fround(Math.fround(R) + tail);
            return (distance >>> 8) & 1 ? -far : far;
          }
        }
      }
      const height = (fi[layer - 1] - fi[layer]) * this.float() + fi[layer];
      if (Math.fround(height) < Math.exp(-0.5 * x * x)) return x;
    }
  }

  /** A random integer from 0 to bound - 1. */
  integer(bound) {
    if (bound <= 1) return 0;
    const wide = BigInt(bound);
    const draw = () => BigInt(this.uint32()) * wide;
    let product = draw();
    if ((product & 0xffffffffn) < wide) {
      const threshold = (0xffffffffn - (wide - 1n)) % wide;
      while ((product & 0xffffffffn) < threshold) product = draw();
    }
    return Number(product >> 32n);
  }
}

/** Draw latents (num, size) as one Float32Array; the first ones do not depend on `num`. */
export function drawLatents(num, size, seed) {
  const random = new Random(seed);
  return Float32Array.from({ length: num * size }, () => random.normal());
}

/** Draw a label for each of `num` pictures; `label` is a class number, or null for random ones. */
export function drawLabels(num, numClasses, label, seed) {
  const random = new Random(seed);
  const bound = Math.max(1, numClasses);
  return BigInt64Array.from({ length: num }, () =>
    BigInt(label === null ? random.integer(bound) : label));
}

/** Interpolate between latents along the arc of a circle, as brushwork's slerp. */
export function slerp(start, end, fraction) {
  let dot = 0, a = 0, b = 0;
  for (let i = 0; i < start.length; i++) {
    dot += start[i] * end[i];
    a += start[i] ** 2;
    b += end[i] ** 2;
  }
  const angle = Math.acos(Math.min(1, Math.max(-1, dot / Math.max(Math.sqrt(a * b), 1e-8))));
  const sine = Math.sin(angle);
  const [p, q] = Math.abs(sine) < 1e-4
    ? [1 - fraction, fraction]
    : [Math.sin((1 - fraction) * angle) / sine, Math.sin(fraction * angle) / sine];
  return start.map((value, i) => p * value + q * end[i]);
}
