// Data of the page: JSON by zlib in base64. Texts come in blocks, unpacked one after the other.
function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const raw = atob(base64);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

// The value in an element, which is emptied.
async function unpack(element) {
  const bytes = bytesOf(element.textContent.trim());
  element.remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

class Texts {
  constructor(sizes) {
    this.starts = [0];
    for (const n of sizes) this.starts.push(this.starts.at(-1) + n);
    this.blocks = sizes.map(() => null);
    this.waiting = sizes.map(() => null);
    this.n = this.starts.at(-1);
    this.nUnpacked = 0;
  }

  blockOf(id) {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= id) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // A promise of a block: its texts, and all of them in lower case as one, which is quick to search.
  block(b) {
    this.waiting[b] ??= unpack(at("texts-" + b)).then((texts) => {
      const lower = texts.map((text) => text.toLowerCase());
      const ends = new Int32Array(lower.length);
      let end = 0;
      lower.forEach((text, i) => { end += text.length + 1; ends[i] = end; });
      this.blocks[b] = { texts, lower: lower.join("\u0000"), ends };
      this.nUnpacked += 1;
    });
    return this.waiting[b];
  }

  async need(ids) {
    await Promise.all([...new Set(ids.map((id) => this.blockOf(id)))].map((b) => this.block(b)));
  }

  get(id) {
    const b = this.blockOf(id);
    return this.blocks[b].texts[id - this.starts[b]];
  }

  get complete() {
    return this.nUnpacked === this.blocks.length;
  }

  async all() {
    for (let b = 0; b < this.blocks.length; b++) await this.block(b);
  }

  // One flag per text: does it hold `wanted`, a text in lower case? Blocks not yet unpacked hold nothing.
  holding(wanted) {
    const flags = new Uint8Array(this.n);
    this.blocks.forEach((block, b) => {
      if (!block) return;
      const { lower, ends } = block;
      let text = 0;
      for (let i = lower.indexOf(wanted); i >= 0;) {
        while (ends[text] <= i) text += 1;
        const inside = i + wanted.length < ends[text];
        if (inside) flags[this.starts[b] + text] = 1;
        i = lower.indexOf(wanted, inside ? ends[text] : i + 1);
      }
    });
    return flags;
  }
}
