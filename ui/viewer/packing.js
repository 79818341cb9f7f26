// What the routes send: "HLV1", the header's length, the header as JSON, then the arrays it lists.

const ARRAY_TYPES = { uint8: Uint8Array, float32: Float32Array, int32: Int32Array };
const CACHE_BYTES = 256 * 2 ** 20;

function unpack(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0) !== 0x484c5631) throw new Error("The server sent something else than attention.");
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const arrays = {};
  for (const [name, { dtype, shape, at }] of Object.entries(header.arrays)) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = new ARRAY_TYPES[dtype](buffer, 8 + length + at, count);
  }
  return { header, arrays, bytes: buffer.byteLength };
}

async function ask(url) {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw new Error((await answer.text()).slice(0, 300) || `The server answered ${answer.status}.`);
  return answer;
}

async function askPacked(url) {
  return unpack(await (await ask(url)).arrayBuffer());
}

// Layers by number, the least recently used forgotten when there are too many bytes.
class LayerCache {
  constructor(url) {
    this.url = url;
    this.kept = new Map();
    this.coming = new Map();
  }

  has(number) {
    return this.kept.has(number);
  }

  get(number) {
    const layer = this.kept.get(number);
    this.kept.delete(number);
    this.kept.set(number, layer);
    return layer;
  }

  load(number) {
    if (this.kept.has(number)) return Promise.resolve(this.get(number));
    if (!this.coming.has(number)) {
      const coming = askPacked(`${this.url}/layer/${number}`)
        .then((packed) => this.keep(number, prepared(packed)))
        .finally(() => this.coming.delete(number));
      this.coming.set(number, coming);
    }
    return this.coming.get(number);
  }

  keep(number, layer) {
    this.kept.set(number, layer);
    let bytes = 0;
    for (const held of this.kept.values()) bytes += held.bytes;
    for (const [oldest, held] of this.kept) {
      if (bytes <= CACHE_BYTES || this.kept.size <= 2) break;
      if (oldest === number) continue;
      bytes -= held.bytes;
      this.kept.delete(oldest);
    }
    return layer;
  }
}
