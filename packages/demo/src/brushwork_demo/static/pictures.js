// Read a picture as brushwork.data.decode does, from the pixels that the browser decodes.
//
// The browser decodes the picture and converts it to sRGB. What follows are the steps of
// `read_picture` and `square` in Python: reduce the short side to 256 pixels with Pillow's Lanczos
// filter, compress as JPEG at quality 95 and decompress, and resize to the network's square.

const SHORT_SIDE = 256;
const REDUCING_GAP = 3;
const JPEG_QUALITY = 95;

/** Pixels of a picture: { data: Uint8ClampedArray of RGB triples, width, height }. */

/** Decode the bytes of a picture file. Throws an Error with a sentence for the visitor. */
export async function decode(blob) {
  const jpeg = jpegHeader(new DataView(await blob.slice(0, 1 << 16).arrayBuffer()));
  if (jpeg && jpeg.orientation !== 1) {
    // Python reduces a picture before it turns it, so the browser must not turn it.
    const content = await blob.arrayBuffer();
    new DataView(content).setUint16(jpeg.place, 1, jpeg.little);
    blob = new Blob([content], { type: blob.type });
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none" });
  } catch {
    throw new Error("This file cannot be used: it is not a picture that this browser can decode.");
  }
  const { width, height } = bitmap;
  if (Math.min(width, height) < 16) throw new Error("This picture is smaller than 16 pixels.");
  if (Math.max(width, height) > 30 * Math.min(width, height))
    throw new Error("One side of this picture is more than 30 times the other.");
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8ClampedArray(width * height * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4, j += 3) {
    data[j] = rgba[i];
    data[j + 1] = rgba[i + 1];
    data[j + 2] = rgba[i + 2];
  }
  return { data, width, height, jpeg, numBytes: blob.size };
}

/** Read what decides how Python treats a JPEG; null for other files. */
function jpegHeader(view) {
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return null;
  const header = { plain: true, orientation: 1 };
  for (let at = 2; at + 4 <= view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    if (marker === 0xda) break;
    // Only baseline and extended sequential files with three components are kept as they are.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      if (marker > 0xc1 || at + 10 > view.byteLength || view.getUint8(at + 9) !== 3)
        header.plain = false;
    if (marker === 0xe1 && at + 18 < view.byteLength) {
      Object.assign(header, orientation(view, at + 4));
      if (header.orientation !== 1) header.plain = false;
    }
    if (marker === 0xe2) header.plain = false;  // perhaps a colour profile
    at += 2 + view.getUint16(at + 2);
  }
  return header;
}

/** Find the orientation in the first directory of EXIF data: from 1 to 8, its place and order. */
function orientation(view, start) {
  try {
    if (view.getUint32(start) !== 0x45786966) return {};  // "Exif"
    const tiff = start + 6, little = view.getUint16(tiff) === 0x4949;
    const directory = tiff + view.getUint32(tiff + 4, little);
    for (let i = 0; i < view.getUint16(directory, little); i++) {
      const entry = directory + 2 + 12 * i, place = entry + 8;
      if (view.getUint16(entry, little) !== 0x0112) continue;
      const value = view.getUint16(place, little);
      return value >= 1 && value <= 8 ? { orientation: value, place, little } : {};
    }
  } catch { /* cut off or broken */ }
  return {};
}

/** Turn a picture as stored upright, for an EXIF orientation. */
function turn({ data, width, height }, orientation) {
  const [w, h] = orientation > 4 ? [height, width] : [width, height];
  const out = new Uint8ClampedArray(data.length);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      let [i, j] = orientation > 4 ? [y, x] : [x, y];
      if ([2, 3, 7, 8].includes(orientation)) i = width - 1 - i;
      if ([3, 4, 6, 7].includes(orientation)) j = height - 1 - j;
      for (let c = 0; c < 3; c++)
        out[(y * w + x) * 3 + c] = data[(j * width + i) * 3 + c];
    }
  return { data: out, width: w, height: h };
}

/** Make the network's input (side, side, 3) from a decoded picture; `fit` is crop or squash. */
export function toSquare(picture, side, fit) {
  const small = shrink(picture);
  const { width, height } = small;
  const short = Math.min(width, height);
  const box = fit === "crop"
    ? [Math.floor((width - short) / 2), Math.floor((height - short) / 2), short, short]
    : [0, 0, width, height];
  return resize(small, side, side, box).data;
}

/** Make the JPEG that prepared data would hold, and decode it again. */
function shrink(picture) {
  const { width, height, jpeg } = picture;
  const short = Math.min(width, height);
  if (short <= SHORT_SIDE && jpeg?.plain && picture.numBytes <= 4 * width * height) return picture;
  const small = reduceToShortSide(picture, jpeg);
  return throughJpeg(jpeg && jpeg.orientation !== 1 ? turn(small, jpeg.orientation) : small);
}

/** Reduce the short side to 256 pixels; a smaller picture stays as it is. */
function reduceToShortSide(picture, isJpeg) {
  const { width, height } = picture, short = Math.min(width, height);
  let small = picture;
  if (short > SHORT_SIDE) {
    const scale = SHORT_SIDE / short;
    const target = [width, height].map((side) => Math.max(SHORT_SIDE, roundHalfEven(side * scale)));
    if (isJpeg) {
      // libjpeg decodes at 1/2, 1/4 or 1/8 of the size, which is about the mean of each block.
      const most = Math.min(width / (2 * target[0]), height / (2 * target[1]));
      const factor = [8, 4, 2].find((f) => f <= most);
      if (factor) small = reduce(small, factor, factor);
    }
    small = resize(small, ...target, [0, 0, small.width, small.height]);
  }
  return small;
}

function roundHalfEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 ? floor + 1 : floor;
}

/** Average blocks of pixels, as Pillow's Image.reduce. */
function reduce({ data, width, height }, fx, fy) {
  const w = Math.ceil(width / fx), h = Math.ceil(height / fy);
  const out = new Uint8ClampedArray(w * h * 3);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const right = Math.min(width, (x + 1) * fx), bottom = Math.min(height, (y + 1) * fy);
      const count = (right - x * fx) * (bottom - y * fy);
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let j = y * fy; j < bottom; j++)
          for (let i = x * fx; i < right; i++) sum += data[(j * width + i) * 3 + c];
        out[(y * w + x) * 3 + c] = Math.floor(sum / count + 0.5);
      }
    }
  return { data: out, width: w, height: h };
}

/** Resize with the Lanczos filter, as Pillow's Image.resize with reducing_gap=3. */
function resize(picture, width, height, [left, top, boxWidth, boxHeight]) {
  const fx = Math.max(1, Math.trunc(boxWidth / width / REDUCING_GAP));
  const fy = Math.max(1, Math.trunc(boxHeight / height / REDUCING_GAP));
  if (fx > 1 || fy > 1) {
    picture = reduce(picture, fx, fy);
    [left, boxWidth] = [left / fx, boxWidth / fx];
    [top, boxHeight] = [top / fy, boxHeight / fy];
  }
  const across = width === picture.width && left === 0 && boxWidth === width
    ? picture
    : convolve(picture, weights(picture.width, left, boxWidth, width), false);
  return height === picture.height && top === 0 && boxHeight === height
    ? across
    : convolve(across, weights(picture.height, top, boxHeight, height), true);
}

/** For each output pixel: its first input pixel and integer weights, which sum to about 2**22. */
function weights(size, start, length, outSize) {
  const scale = length / outSize, stretch = Math.max(scale, 1), support = 3 * stretch;
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  const lanczos = (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0);
  return Array.from({ length: outSize }, (_, i) => {
    const center = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(size, Math.trunc(center + support + 0.5));
    const exact = Array.from({ length: last - first }, (_, j) =>
      lanczos((j + first - center + 0.5) / stretch));
    const total = exact.reduce((sum, value) => sum + value, 0);
    const integers = exact.map((value) => {
      const scaled = (value / total) * 2 ** 22;
      return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    });
    return [first, integers];
  });
}

/** Apply the weights along one axis; the results are rounded to 8 bits, as in Pillow. */
function convolve({ data, width, height }, filter, vertical) {
  const w = vertical ? width : filter.length, h = vertical ? filter.length : height;
  const out = new Uint8ClampedArray(w * h * 3);
  const step = (vertical ? width : 1) * 3;
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const [first, kernel] = filter[vertical ? y : x];
      let from = (vertical ? first * width + x : y * width + first) * 3;
      let r = 2 ** 21, g = 2 ** 21, b = 2 ** 21;
      for (const weight of kernel) {
        r += data[from] * weight;
        g += data[from + 1] * weight;
        b += data[from + 2] * weight;
        from += step;
      }
      const to = (y * w + x) * 3;
      out[to] = Math.floor(r / 2 ** 22);
      out[to + 1] = Math.floor(g / 2 ** 22);
      out[to + 2] = Math.floor(b / 2 ** 22);
    }
  return { data: out, width: w, height: h };
}

// The quantisation tables of the JPEG standard (ITU-T T.81, tables K.1 and K.2).
const LUMINANCE = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
  14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
  92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99];
const CHROMINANCE = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
  47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99];
const atQuality = (table) =>
  table.map((q) => Math.min(255, Math.max(1, Math.floor((q * (200 - 2 * JPEG_QUALITY) + 50) / 100))));

/** Compress as JPEG without chroma subsampling and decompress, in the integers of libjpeg. */
function throughJpeg({ data, width, height }) {
  const w = Math.ceil(width / 8) * 8, h = Math.ceil(height / 8) * 8;
  const planes = [0, 1, 2].map(() => new Int32Array(w * h));
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      // The last row and column are repeated to whole blocks.
      const from = (Math.min(y, height - 1) * width + Math.min(x, width - 1)) * 3;
      const r = data[from], g = data[from + 1], b = data[from + 2], at = y * w + x;
      planes[0][at] = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) - 128;
      planes[1][at] = (-11059 * r - 21709 * g + 32768 * b + 32767) >> 16;
      planes[2][at] = (32768 * r - 27439 * g - 5329 * b + 32767) >> 16;
    }
  const tables = [LUMINANCE, CHROMINANCE, CHROMINANCE].map(atQuality);
  planes.forEach((plane, p) => {
    for (let y = 0; y < h; y += 8)
      for (let x = 0; x < w; x += 8) quantise(plane, y * w + x, w, tables[p]);
  });
  const out = new Uint8ClampedArray(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = y * w + x, to = (y * width + x) * 3;
      const luma = planes[0][at] + 128, blue = planes[1][at], red = planes[2][at];
      out[to] = luma + ((91881 * red + 32768) >> 16);
      out[to + 1] = luma + ((-22554 * blue - 46802 * red + 32768) >> 16);
      out[to + 2] = luma + ((116130 * blue + 32768) >> 16);
    }
  return { data: out, width, height };
}

/** Quantise one block of 8 x 8 values around 0 in the frequencies of the cosine transform. */
function quantise(plane, at, stride, table) {
  for (let y = 0; y < 8; y++)
    for (let x = 0; x < 8; x++) block[8 * y + x] = plane[at + y * stride + x];
  for (let i = 0; i < 8; i++) forward(8 * i, 1, 11, (value) => value * 4);
  for (let i = 0; i < 8; i++) forward(i, 8, 15, (value) => (value + 2) >> 2);
  for (let i = 0; i < 64; i++) {
    const step = 8 * table[i];  // the transform is scaled by 8
    const size = Math.floor((Math.abs(block[i]) + (step >> 1)) / step) * table[i];
    block[i] = block[i] < 0 ? -size : size;
  }
  for (let i = 0; i < 8; i++) inverse(i, 8, 11);
  for (let i = 0; i < 8; i++) inverse(8 * i, 1, 18);
  for (let y = 0; y < 8; y++)
    for (let x = 0; x < 8; x++)
      plane[at + y * stride + x] = Math.max(-128, Math.min(127, block[8 * y + x]));
}

const block = new Int32Array(64);

/** The odd half of both cosine transforms (Loeffler, Ligtenberg & Moschytz 1989). */
function odd(a, b, c, d) {
  const z5 = (a + c + b + d) * 9633;
  const z1 = (a + d) * -7373, z2 = (b + c) * -20995;
  const z3 = (a + c) * -16069 + z5, z4 = (b + d) * -3196 + z5;
  return [a * 2446 + z1 + z3, b * 16819 + z2 + z4, c * 25172 + z2 + z3, d * 12299 + z1 + z4];
}

/** Transform one row or column of `block` into frequencies. */
function forward(at, step, bits, even) {
  const v = (i) => block[at + i * step], half = 1 << (bits - 1);
  const [s0, s1, s2, s3] = [v(0) + v(7), v(1) + v(6), v(2) + v(5), v(3) + v(4)];
  const [p7, p5, p3, p1] = odd(v(3) - v(4), v(2) - v(5), v(1) - v(6), v(0) - v(7));
  const sum = s0 + s3, middle = s1 + s2, far = s0 - s3, near = s1 - s2;
  const z = (near + far) * 4433;
  const put = (i, value) => { block[at + i * step] = value; };
  put(0, even(sum + middle));
  put(4, even(sum - middle));
  put(2, (z + far * 6270 + half) >> bits);
  put(6, (z - near * 15137 + half) >> bits);
  [[7, p7], [5, p5], [3, p3], [1, p1]].forEach(([i, p]) => put(i, (p + half) >> bits));
}

/** Transform one row or column of `block` back. */
function inverse(at, step, bits) {
  const v = (i) => block[at + i * step], half = 1 << (bits - 1);
  const z = (v(2) + v(6)) * 4433;
  const near = z - v(6) * 15137, far = z + v(2) * 6270;
  const sum = (v(0) + v(4)) * 8192, difference = (v(0) - v(4)) * 8192;
  const even = [sum + far, difference + near, difference - near, sum - far];
  const [o3, o2, o1, o0] = odd(v(7), v(5), v(3), v(1));
  [o0, o1, o2, o3].forEach((o, i) => {
    block[at + i * step] = (even[i] + o + half) >> bits;
    block[at + (7 - i) * step] = (even[i] - o + half) >> bits;
  });
}
