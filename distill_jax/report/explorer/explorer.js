// The explorer of single examples: plain JavaScript in the report itself, which asks for nothing from elsewhere.
// Names, labels and texts are the user's data: they become text nodes, never markup.
"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const root = get("explorer"), app = get("x-app"), meta = JSON.parse(get("explorer-data").textContent);
  const still = matchMedia("(prefers-reduced-motion: reduce)"), dark = matchMedia("(prefers-color-scheme: dark)");
  const HASH = "#explorer?", REACH = 24, TWEEN = 400, HOLD = 1000; // CSS pixels, milliseconds
  const GALLERIES = {
    underfit: ["Underfit the most", "least Y − X of the student on the right"],
    overfit: ["Overfit the most", "greatest Y − X of the student on the right"],
    teacher_wrong: ["Teacher wrong, student right", "by the true label, least Y − X first"],
    teacher_right: ["Teacher right, student wrong", "by the true label, least Y − X first"],
    found: ["Wrong label found", "mislabelled examples whose true label the student predicts, least Y − X first"],
    region: ["Region", "least Y − X first"],
  };
  const labels = Object.fromEntries(meta.students), names = meta.students.map(([name]) => name);
  const start = names.includes(meta.start) ? meta.start : names[names.length - 1];
  const DEFAULTS = { split: "train", student: start, seed: meta.seeds[0], step: meta.steps[meta.steps.length - 1], by: "own",
    label: "given", only: "", gallery: "underfit", page: 0, region: "", id: "" };
  const state = { ...DEFAULTS };
  const count = (n) => n.toLocaleString("en");
  const examples = (n) => `${count(n)} example${n === 1 ? "" : "s"}`;
  const number = (v) => (Number.isNaN(v) ? "not finite" : v.toFixed(2).replace("-", "−"));
  const difference = (v) => (v > 0 ? "+" : "") + number(v);

  // ---- Data: parts of the page, or scripts beside it

  const waiting = new Map(), parts = new Map();
  window.explorerPart = (name, value) => waiting.get(name)(value);

  function stored(name) {
    if (meta.inline) return Promise.resolve(meta.inline[name]);
    return new Promise((done, failed) => {
      waiting.set(name, done);
      const script = document.createElement("script");
      script.src = `${meta.files}${name}.js`;
      script.onerror = () => failed(new Error(`${script.getAttribute("src")} cannot be read`));
      document.head.append(script);
    });
  }

  async function inflated(text) {
    const binary = atob(text), bytes = new Uint8Array(binary.length);
    for (let k = 0; k < binary.length; k++) bytes[k] = binary.charCodeAt(k);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  const TYPES = { u1: Uint8Array, u2: Uint16Array, i8: BigInt64Array };

  async function unpacked(name) {
    const value = await stored(name);
    if (value.json) return JSON.parse(new TextDecoder().decode(await inflated(value.json)));
    const bytes = await inflated(value.bytes), arrays = { scale: value.scale };
    let at = 0;
    for (const [key, type, shape] of value.arrays) {
      const size = TYPES[type].BYTES_PER_ELEMENT, n = shape.reduce((a, b) => a * b, 1), out = new Uint8Array(n * size);
      for (let b = 0; b < size; b++) for (let i = 0; i < n; i++) out[i * size + b] = bytes[at + b * n + i];
      arrays[key] = new TYPES[type](out.buffer);
      at += n * size;
    }
    return arrays;
  }

  function part(name) {
    if (!parts.has(name)) parts.set(name, unpacked(name));
    return parts.get(name);
  }

  // What the models of one seed make of one split; i is always an example's place among those shown.
  class Numbers {
    constructor(common, own) {
      Object.assign(this, common, own);
      this.n = this.id.length;
      this.top = this.top_class.length / (names.length + 1) / this.n;
      this.other = [];
      this.kept = new Map();
      for (let i = 0; i < this.n; i++) if (this.chosen[i] !== this.chosen_other[i]) this.other.push(i);
      this.places = new Map(Array.from(this.id, (id, i) => [String(id), i]));
    }

    values(name, index, by) {
      const key = `${name} ${index} ${by}`;
      if (this.kept.has(key)) return this.kept.get(key);
      const [low, high] = this.scale, scale = (high - low) / meta.levels, m = this.other.length, n = this.n;
      const read = (q) => (q === meta.missing ? NaN : low + q * scale);
      const given = this[name], out = new Float32Array(n);
      for (let i = 0; i < n; i++) out[i] = read(given[index * n + i]);
      if (by === "other") for (let k = 0; k < m; k++) out[this.other[k]] = read(this[`${name}_other`][index * m + k]);
      this.kept.set(key, out);
      return out;
    }

    xs(by) { return this.values("x", 0, by); }
    ys(student, step, by) { return this.values("y", names.indexOf(student) * meta.steps.length + step, by); }
    guesses(student, step) {
      const at = (names.indexOf(student) * meta.steps.length + step) * this.n;
      return this.guess.subarray(at, at + this.n);
    }

    // The likeliest classes of a model at the last step: names and shares as text.
    likeliest(model, i) {
      const at = ((model === null ? 0 : names.indexOf(model) + 1) * this.n + i) * this.top;
      return Array.from({ length: this.top }, (_, k) => {
        const share = Math.round(this.top_share[at + k] / 2.55);
        const percent = share > 99 ? ">99%" : share < 1 ? "<1%" : `${share}%`;
        return `${meta.classes[this.top_class[at + k]]} ${percent}`;
      });
    }
  }

  // ---- What is shown now

  let numbers = null, x = null, kind = null, pass = null, gap = null, axes = null, limits = null, hardest = 0;
  let rows = [], rowsNow = [], hovered = null, tween = null, looks = null, latest = 0;
  const step = () => meta.steps.indexOf(state.step);
  const pinned = () => (state.id === "" || !numbers ? null : numbers.places.get(state.id) ?? null);
  const focused = () => hovered ?? pinned();

  function colors() {
    const style = getComputedStyle(root), of = (name) => style.getPropertyValue(`--x-${name}`).trim();
    const rgb = (hex) => {
      const six = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
      return [1, 3, 5].map((k) => parseInt(six.slice(k, k + 2), 16));
    };
    const pack = ([r, g, b], a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
    const ramp = ["low", "middle", "high"].map((name) => rgb(of(name)));
    const most = Math.min(Math.max((numbers ? numbers.n : 0) / 150, 6), 60), dots = new Uint32Array(4096);
    for (let a = 1; a < dots.length; a++) {
      const level = Math.min(Math.log(Math.max(a / 64, 1)) / Math.log(most), 1) * 2, k = Math.min(Math.floor(level), 1);
      const mixed = ramp[k].map((c, j) => Math.round(c + (ramp[k + 1][j] - c) * (level - k)));
      dots[a] = pack(mixed, Math.min(a * 4, 255));
    }
    const signs = ["wrong", "hard"].map((name) => pack(rgb(of(name)), 255));
    looks = { dots, signs, ink: of("ink"), soft: of("soft"), edge: of("edge"), shade: of("shade"), mark: of("mark"), on: of("on"), paper: of("paper") };
  }

  // ---- Plots

  class Panel {
    constructor(side) {
      this.figure = get(`x-${side}`);
      this.side = side;
      [this.under, this.points, this.over] = this.figure.querySelectorAll("canvas");
      this.y = this.grid = null;
      this.listen();
    }

    get student() { return this.side === "left" ? meta.control : state.student; }

    layout() {
      const { width, height } = this.over.getBoundingClientRect();
      this.dpr = Math.min(window.devicePixelRatio || 1, 2);
      Object.assign(this, { width, height, left: 44, top: 6, right: width - 8, bottom: height - 38 });
      this.w = Math.max(Math.round((this.right - this.left) * this.dpr), 1);
      this.h = Math.max(Math.round((this.bottom - this.top) * this.dpr), 1);
      for (const canvas of [this.under, this.points, this.over]) {
        canvas.width = Math.round(width * this.dpr);
        canvas.height = Math.round(height * this.dpr);
      }
      this.image = new ImageData(this.w, this.h);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.sums = [0, 1, 2].map(() => new Uint32Array(this.w * this.h)); // of dots, crosses, squares
      this.grid = null;
    }

    // Places in the plot's own pixels, from its upper left corner, times `scale`.
    scales(scale) {
      const [low, high] = limits, sx = ((this.right - this.left) * scale) / (high - low);
      const sy = ((this.bottom - this.top) * scale) / (high - low);
      return [sx, -low * sx, -sy, high * sy];
    }

    // Where an example is seen: at an edge if it lies beyond it.
    at(i) {
      const [sx, ox, sy, oy] = this.scales(1);
      return [this.left + clip(x[i] * sx + ox, 0, this.right - this.left), this.top + clip(this.y[i] * sy + oy, 0, this.bottom - this.top)];
    }

    value(px, py) {
      const [sx, ox, sy, oy] = this.scales(1);
      return [(px - this.left - ox) / sx, (py - this.top - oy) / sy];
    }

    // Offsets from a point's pixel and weights there, in 64ths.
    kernel(inside, reach, full = 64) {
      const offsets = [], weights = [];
      for (let v = -reach; v <= reach; v++) {
        for (let u = -reach; u <= reach; u++) {
          const weight = Math.round(full * Math.min(Math.max(inside(u, v), 0), 1));
          if (weight) { offsets.push(v * this.w + u); weights.push(weight); }
        }
      }
      return { offsets: Int32Array.from(offsets), weights: Uint8Array.from(weights), reach };
    }

    kernels() {
      const size = Math.min(Math.max(0.75 * Math.sqrt(9000 / numbers.n), 0.9), 2.4) * this.dpr, wide = size * 1.7;
      const thick = Math.max(0.55 * this.dpr, 0.5), reach = Math.ceil(wide + 1);
      const ring = Math.max(size * 1.25, 1.2 * this.dpr), high = Math.max(size * 1.7, 3 * this.dpr);
      // Triangles, whose tip is at `high` along the way outward.
      const outward = (along, aside) => (along < -high ? 0 : (high - along) / 2 + 0.5 - Math.abs(aside));
      return [
        this.kernel((u, v) => size + 0.5 - Math.hypot(u, v), Math.ceil(size + 0.5)),
        this.kernel((u, v) => (Math.max(Math.abs(u), Math.abs(v)) > wide ? 0 : thick + 0.5 - Math.abs(Math.abs(u) - Math.abs(v)) / Math.SQRT2), reach),
        this.kernel((u, v) => thick + 0.5 - Math.abs(Math.max(Math.abs(u), Math.abs(v)) - ring), Math.ceil(ring + 1)),
        this.kernel((u, v) => outward(-v, u), Math.ceil(high), 192), // above, below, left, right
        this.kernel((u, v) => outward(v, u), Math.ceil(high), 192),
        this.kernel((u, v) => outward(-u, v), Math.ceil(high), 192),
        this.kernel((u, v) => outward(u, v), Math.ceil(high), 192),
      ];
    }

    // All examples, by sums of their signs' weights in each pixel, whose logarithm is the color.
    drawPoints() {
      const { w, h, pixels } = this, [sx, ox, sy, oy] = this.scales(this.dpr), kernels = this.kernels(), sums = this.sums;
      const used = [false, false, false];
      for (const sum of sums) sum.fill(0);
      const add = (k, place, kernel = k) => {
        const { offsets, weights } = kernels[kernel], sum = sums[k];
        for (let j = 0; j < offsets.length; j++) sum[place + offsets[j]] += weights[j];
        used[k] = true;
      };
      const edge = Math.max(...kernels.map((k) => k.reach));
      for (let i = 0; i < numbers.n; i++) {
        if (!pass[i]) continue;
        const a = x[i] * sx + ox, b = this.y[i] * sy + oy, u = Math.round(clip(a, edge, w - 1 - edge)), v = Math.round(clip(b, edge, h - 1 - edge));
        if (!(u >= edge && v >= edge && u < w - edge && v < h - edge)) continue; // NaN, or no room at all
        add(kind[i] & 1, v * w + u, b < 0 ? 3 : b > h ? 4 : a < 0 ? 5 : a > w ? 6 : kind[i] & 1);
        if (kind[i] & 2) add(2, v * w + u);
      }
      const { dots, signs } = looks, all = sums[0];
      for (let p = 0; p < pixels.length; p++) { const a = all[p]; pixels[p] = a ? dots[a < 4096 ? a : 4095] : 0; }
      for (const k of [2, 1]) {
        if (!used[k]) continue;
        const sum = sums[k], sign = signs[k - 1];
        for (let p = 0; p < pixels.length; p++) if (sum[p]) pixels[p] = over(pixels[p], sign, Math.min(sum[p], 64) * 4 - 1);
      }
      this.points.getContext("2d").putImageData(this.image, Math.round(this.left * this.dpr), Math.round(this.top * this.dpr));
    }

    drawUnder() {
      const context = this.under.getContext("2d"), [sx, ox, sy, oy] = this.scales(1), [low, high] = limits;
      const { left, right, top, bottom } = this;
      context.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
      if (state.by === "own") {
        context.fillStyle = looks.shade;
        context.fillRect(left, top, Math.min(Math.max(hardest * sx + ox, 0), right - left), bottom - top);
      }
      context.font = "12px system-ui, sans-serif";
      context.fillStyle = looks.soft;
      context.strokeStyle = looks.edge;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(left, top); context.lineTo(left, bottom); context.lineTo(right, bottom);
      context.textAlign = "center"; context.textBaseline = "top";
      for (const tick of ticks(low, high)) {
        const u = left + tick * sx + ox;
        context.moveTo(u, bottom); context.lineTo(u, bottom + 4);
        context.fillText(String(tick).replace("-", "−"), u, bottom + 6);
      }
      context.textAlign = "right"; context.textBaseline = "middle";
      for (const tick of ticks(low, high)) {
        const v = top + tick * sy + oy;
        context.moveTo(left, v); context.lineTo(left - 4, v);
        context.fillText(String(tick).replace("-", "−"), left - 6, v);
      }
      context.stroke();
      context.textAlign = "center"; context.textBaseline = "bottom";
      context.fillText("teacher X", (left + right) / 2, this.height - 1);
      context.save();
      context.translate(11, (top + bottom) / 2); context.rotate(-Math.PI / 2);
      context.fillText("student Y", 0, 3);
      context.restore();
      context.strokeStyle = looks.ink; context.setLineDash([6, 4]);
      context.beginPath();
      context.moveTo(left, bottom); context.lineTo(right, top);
      context.stroke();
      context.setLineDash([]);
    }

    drawOver() {
      const context = this.over.getContext("2d"), region = state.region && regionOf(state.region);
      context.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
      context.strokeStyle = looks.mark;
      context.lineWidth = 1;
      context.beginPath();
      for (const i of rowsNow) {
        const [u, v] = this.at(i);
        if (Number.isNaN(v)) continue;
        context.moveTo(u + 5, v); context.arc(u, v, 5, 0, 7);
      }
      context.stroke();
      const box = this.brush ?? (region && region.panel === this.side ? this.boxOf(region) : null);
      if (box) {
        context.strokeStyle = looks.on; context.lineWidth = 2; context.setLineDash([5, 3]);
        context.strokeRect(box[0], box[2], box[1] - box[0], box[3] - box[2]);
        context.setLineDash([]);
      }
      const i = focused();
      if (i === null || Number.isNaN(this.y[i])) return;
      const [u, v] = this.at(i);
      context.strokeStyle = looks.paper; context.lineWidth = 6;
      context.beginPath(); context.arc(u, v, 8, 0, 7); context.stroke();
      context.strokeStyle = looks.mark; context.lineWidth = 2.5;
      context.beginPath(); context.arc(u, v, 8, 0, 7); context.stroke();
    }

    boxOf({ x: [a, b], y: [c, d] }) {
      const [sx, ox, sy, oy] = this.scales(1), { left, right, top, bottom } = this;
      return [...[a, b].map((v) => clip(left + v * sx + ox, left, right)), ...[d, c].map((v) => clip(top + v * sy + oy, top, bottom))];
    }

    // Examples by cells of 16 pixels, so that those near a point are found without asking all.
    index() {
      const cell = 16, columns = Math.ceil(this.width / cell) + 1, lines = Math.ceil(this.height / cell) + 1;
      const starts = new Int32Array(columns * lines + 1), cells = new Int32Array(numbers.n);
      for (let i = 0; i < numbers.n; i++) {
        const [u, v] = this.at(i);
        const there = pass[i] && u >= 0 && v >= 0 && u < this.width && v < this.height;
        cells[i] = there ? Math.floor(v / cell) * columns + Math.floor(u / cell) : -1;
        if (there) starts[cells[i] + 1]++;
      }
      for (let c = 0; c < columns * lines; c++) starts[c + 1] += starts[c];
      const order = new Int32Array(starts[columns * lines]), next = starts.slice();
      for (let i = 0; i < numbers.n; i++) if (cells[i] >= 0) order[next[cells[i]]++] = i;
      this.grid = { cell, columns, lines, starts, order };
    }

    nearest(px, py, reach) {
      if (!numbers || tween) return null;
      if (!this.grid) this.index();
      const { cell, columns, lines, starts, order } = this.grid;
      let best = reach * reach, found = null;
      const first = Math.max(Math.floor((py - reach) / cell), 0), last = Math.min(Math.floor((py + reach) / cell), lines - 1);
      const from = Math.max(Math.floor((px - reach) / cell), 0), to = Math.min(Math.floor((px + reach) / cell), columns - 1);
      for (let line = first; line <= last; line++) {
        for (let k = starts[line * columns + from]; k < starts[line * columns + to + 1]; k++) {
          const [u, v] = this.at(order[k]), away = (u - px) ** 2 + (v - py) ** 2;
          if (away < best) { best = away; found = order[k]; }
        }
      }
      return found;
    }

    // The next example in a direction: near, and not far aside.
    next(i, du, dv) {
      const [u, v] = i === null ? [(this.left + this.right) / 2, (this.top + this.bottom) / 2] : this.at(i);
      let best = Infinity, found = i;
      for (let k = 0; k < numbers.n; k++) {
        if (!pass[k] || k === i) continue;
        const [there, below] = this.at(k), a = there - u, b = below - v, along = a * du + b * dv, aside = Math.abs(a * dv - b * du);
        const cost = i === null ? Math.hypot(a, b) : along > 0.4 && along >= aside ? along + 2 * aside : Infinity;
        if (cost < best) { best = cost; found = k; }
      }
      return found;
    }

    listen() {
      let begun = null, asked = null;
      const place = (event) => {
        const box = this.over.getBoundingClientRect();
        return [event.clientX - box.left, event.clientY - box.top];
      };
      const brushes = (event) => event.pointerType !== "touch" || app.classList.contains("x-selecting");
      this.over.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        begun = place(event);
        if (brushes(event)) this.over.setPointerCapture(event.pointerId);
      });
      this.over.addEventListener("pointermove", (event) => {
        const [u, v] = place(event);
        if (begun && brushes(event) && (this.brush || Math.hypot(u - begun[0], v - begun[1]) > 5)) {
          this.brush = [...[begun[0], u].sort((a, b) => a - b).map((a) => clip(a, this.left, this.right)),
            ...[begun[1], v].sort((a, b) => a - b).map((a) => clip(a, this.top, this.bottom))];
          redraw(false);
        } else if (!begun && event.pointerType !== "touch") {
          if (asked === null) requestAnimationFrame(() => { const [a, b] = asked; asked = null; hover(this.nearest(a, b, REACH)); });
          asked = [u, v];
        }
      });
      this.over.addEventListener("pointerup", (event) => {
        if (this.brush) {
          const [a, c, b, d] = this.brush, [x0, y1] = this.value(a, b), [x1, y0] = this.value(c, d);
          this.brush = null;
          choose({ region: regionText(this.side, x0, x1, y0, y1), gallery: "region", page: 0 });
          say(`${examples(rows.length)} in the region.`);
        } else if (begun) {
          const found = this.nearest(...place(event), event.pointerType === "touch" ? REACH * 1.5 : REACH);
          hovered = null;
          pin(found);
        }
        begun = null;
      });
      this.over.addEventListener("pointercancel", () => { begun = this.brush = null; redraw(false); });
      this.over.addEventListener("pointerleave", () => { if (!begun) hover(null); });
      this.over.addEventListener("keydown", (event) => this.key(event));
      this.over.addEventListener("focus", () => { if (numbers && pinned() === null) say(this.over.getAttribute("aria-label")); });
    }

    key(event) {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (!numbers || tween || event.ctrlKey || event.metaKey || event.altKey) return;
      if (way && event.shiftKey) this.grow(way);
      else if (way) { hovered = null; pin(this.next(pinned(), ...way)); }
      else if (event.key === "Enter" || event.key === " ") pin(focused() ?? this.next(null, 1, 0));
      else if (event.key === "Escape") {
        hovered = null;
        if (state.region) clearRegion();
        pin(null);
      } else return;
      event.preventDefault();
    }

    // A region around the example that is held, 16 pixels wider or higher, or less so.
    grow([du, dv]) {
      const i = pinned();
      if (i === null) return;
      const [u, v] = this.at(i), region = state.region ? regionOf(state.region) : null;
      const box = region && region.panel === this.side ? this.boxOf(region) : [u - 24, u + 24, v - 24, v + 24];
      const wide = Math.max((box[1] - box[0]) / 2 + 16 * du, 8), high = Math.max((box[3] - box[2]) / 2 - 16 * dv, 8);
      const [x0, y1] = this.value(u - wide, v - high), [x1, y0] = this.value(u + wide, v + high);
      choose({ region: regionText(this.side, x0, x1, y0, y1), gallery: "region", page: 0 });
      say(`${examples(rows.length)} in the region.`);
    }
  }

  const clip = (value, low, high) => Math.min(Math.max(value, low), high); // NaN of NaN

  // One color over another, by an alpha of 0 to 255; bytes are red, green, blue, alpha from the lowest.
  function over(below, above, alpha) {
    if (alpha >= 250 || !(below >>> 24)) return ((above & 0xffffff) | (Math.max(alpha, below >>> 24) << 24)) >>> 0;
    let mixed = 0;
    for (const shift of [0, 8, 16]) {
      const a = (below >>> shift) & 255, b = (above >>> shift) & 255;
      mixed |= Math.round(a + ((b - a) * alpha) / 255) << shift;
    }
    return (mixed | (Math.max(alpha, below >>> 24) << 24)) >>> 0;
  }

  function ticks(low, high) {
    const rough = (high - low) / 5, ten = 10 ** Math.floor(Math.log10(rough));
    const size = [1, 2, 5, 10].map((k) => k * ten).find((k) => k >= rough);
    const first = Math.ceil(low / size), last = Math.floor(high / size);
    return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * size).toPrecision(6)));
  }

  const regionText = (panel, ...ends) => [panel, ...ends.map((v) => v.toFixed(2))].join("_");
  function regionOf(text) {
    const [panel, ...ends] = text.split("_"), [x0, x1, y0, y1] = ends.map(Number);
    return { panel, x: [x0, x1], y: [y0, y1] };
  }

  const panels = [new Panel("left"), new Panel("right")];

  let asked = false, all = false;
  function redraw(points = true) {
    all ||= points;
    if (asked) return;
    asked = true;
    requestAnimationFrame(frame);
  }

  function frame(now) {
    asked = false;
    if (!numbers || !panels[0].w) return;
    if (tween) {
      const share = Math.min((now - tween.begun) / TWEEN, 1), eased = share * share * (3 - 2 * share);
      panels.forEach((panel, k) => {
        const from = tween.from[k], to = tween.to[k];
        for (let i = 0; i < to.length; i++) panel.y[i] = from[i] + (to[i] - from[i]) * eased;
      });
      if (axes.own) {
        limits = tween.limits.map(([a, b]) => a + (b - a) * eased);
        for (const panel of panels) panel.drawUnder();
      }
      if (share === 1) { panels.forEach((panel, k) => { panel.y = tween.to[k]; panel.grid = null; }); tween = null; }
      all = true;
    }
    const points = all;
    all = false;
    for (const panel of panels) {
      if (points) panel.drawPoints();
      panel.drawOver();
    }
    if (tween) redraw();
  }

  // ---- From the state to what is shown

  async function load() {
    const version = ++latest;
    try {
      const [common, own] = await Promise.all([part(state.split), part(`${state.split}-seed-${state.seed}`)]);
      if (version !== latest) return;
      numbers = new Numbers(common, own);
    } catch (error) {
      return fault(error);
    }
    hovered = tween = null;
    app.hidden = false;
    arrange();
  }

  function fault(error) {
    get("x-fault").textContent = `The explorer cannot show its examples: ${error.message}.`;
    get("x-fault").hidden = false;
  }

  // All that depends on who chooses, on the student and on the filter.
  function arrange() {
    x = numbers.xs(state.by);
    const bit = state.by === "own" ? 1 : 2, label = state.label === "given" ? numbers.label : numbers.true_label;
    kind = new Uint8Array(numbers.n);
    pass = new Uint8Array(numbers.n);
    hardest = -Infinity;
    for (let i = 0; i < numbers.n; i++) {
      const hard = numbers.hard[i] & bit;
      kind[i] = (numbers.label[i] !== numbers.true_label[i] ? 1 : 0) + (hard && state.by === "other" ? 2 : 0);
      pass[i] = state.only === "" || label[i] === Number(state.only) ? 1 : 0;
      if (hard && x[i] > hardest) hardest = x[i];
    }
    axes = both();
    limits = axes.at(step());
    tween = null;
    for (const panel of panels) panel.y = numbers.ys(panel.student, step(), state.by);
    colors();
    fit();
    describe();
    list();
  }

  // The ends of X and of Y, which are the same, so that X = Y is the diagonal: those of the report's figures at the last
  // step, and as far as earlier ones go but for their outermost hundredths. Where that would leave the last step less than
  // half of the way, each step has ends of its own.
  function both() {
    const steps = meta.steps.map((_, k) => sorted(panels.flatMap(({ student }) => [x, numbers.ys(student, k, state.by)])));
    const shown = steps.map(ends), last = shown[shown.length - 1];
    const inner = steps.flatMap((values) => [quantile(values, 0.01), quantile(values, 0.99)]).filter((v) => !Number.isNaN(v));
    const low = Math.min(last[0], ...inner), high = Math.max(last[1], ...inner), own = last[1] - last[0] < (high - low) / 2;
    return { own, at: (k) => (own ? shown[k] : [low, high]) };
  }

  function sorted(arrays) {
    const values = new Float64Array(arrays.reduce((n, array) => n + array.length, 0));
    arrays.reduce((n, array) => { values.set(array, n); return n + array.length; }, 0);
    return values.filter((v) => !Number.isNaN(v)).sort();
  }

  function quantile(values, share) {
    const at = share * (values.length - 1), k = Math.floor(at);
    return values.length ? values[k] + (at - k) * ((values[k + 1] ?? values[k]) - values[k]) : NaN;
  }

  // As `limits_of` of the figures: the middle 99% and a quarter of that on either side, but no further than the values.
  function ends(values) {
    if (!values.length) return [0, 1];
    let low = quantile(values, 0.005), high = quantile(values, 0.995);
    const margin = (high - low) / 4, least = values[0], most = values[values.length - 1];
    [low, high] = margin ? [Math.max(least, low - margin), Math.min(most, high + margin)] : [least, most];
    const pad = 0.03 * (high - low) || 1;
    return [low - pad, high + pad];
  }

  // How many of the examples shown lie beyond an edge of a panel at the step shown.
  function beyond(panel) {
    const y = numbers.ys(panel.student, step(), state.by), [low, high] = axes.at(step());
    let found = 0;
    for (let i = 0; i < numbers.n; i++) if (pass[i] && (x[i] < low || x[i] > high || y[i] < low || y[i] > high)) found++;
    return found;
  }

  function fit() {
    for (const panel of panels) {
      panel.layout();
      if (panel.width) panel.drawUnder();
    }
    redraw();
  }

  function move() { // to another step
    const to = panels.map((panel) => numbers.ys(panel.student, step(), state.by));
    const from = limits, until = axes.at(step());
    if (still.matches) {
      limits = until;
      panels.forEach((panel, k) => { panel.y = to[k]; panel.grid = null; if (panel.width) panel.drawUnder(); });
    } else {
      tween = { begun: performance.now(), from: panels.map((panel) => panel.y), to, limits: from.map((end, k) => [end, until[k]]) };
      for (const panel of panels) panel.y = panel.y.slice();
    }
    hovered = null;
    describe();
    list();
    redraw();
  }

  function describe() {
    const facts = meta.splits[state.split], seed = meta.seeds.indexOf(state.seed);
    const who = state.by === "own" ? "the class that the teacher predicts" : `the class that ${meta.choosers[seed]} predicts`;
    get("x-class").textContent = who;
    get("x-chooser").textContent = meta.choosers ? meta.choosers[seed] : "";
    get("x-denser").textContent = dark.matches ? "lighter" : "darker";
    get("x-wrong").hidden = !wrong();
    get("x-hard-band").hidden = state.by !== "own";
    get("x-hard-mark").hidden = state.by === "own";
    const shown = pass.reduce((a, b) => a + b, 0), outside = panels.map(beyond), of = `${facts.title}, step ${count(state.step)}`;
    for (const panel of panels) {
      const label = labels[panel.student], [title, line] = panel.figure.querySelectorAll("figcaption > *");
      title.textContent = label;
      line.textContent = `${of}, seed ${state.seed}: ${examples(shown)}`;
      panel.over.setAttribute("aria-label", `${label}: X of the teacher against Y of the student, ${examples(shown)} of the ${of}, seed ${state.seed}`);
    }
    get("x-beyond").hidden = !outside.some(Boolean);
    get("x-beyond-count").textContent = `${count(outside[0])} left, ${count(outside[1])} right`;
    const at = `step ${count(state.step)} of ${count(meta.steps[meta.steps.length - 1])}`;
    get("x-at").textContent = at;
    get("x-step").setAttribute("aria-valuetext", at);
    const error = (numbers.scale[1] - numbers.scale[0]) / meta.levels / 2, parts = [];
    if (facts.extremes === null) parts.push(`All ${count(facts.total)} examples of the ${facts.title} are here`);
    else parts.push(`${count(facts.shown)} of ${count(facts.total)} examples of the ${facts.title} are here: the ${count(facts.extremes)} that are in a gallery of a seed shown at the last step, and a random part`);
    const all = meta.seeds.length;
    parts.push(all === 1 ? `seed ${meta.seeds[0]}` : `seeds ${meta.seeds[0]} to ${meta.seeds[all - 1]}`, `${meta.steps.length} steps`);
    get("x-count").textContent = `${parts.join("; ")}. X and Y are rounded by at most ${error.toPrecision(1)}; likeliest classes are of the last step.` + (axes.own ? " Each step has axes of its own." : "");
    remember();
  }

  // ---- Galleries

  const wrong = () => kind.some((k) => k & 1); // whether some examples are mislabelled

  function lowest(most, sign, wanted) {
    const found = [], keys = [];
    for (let i = 0; i < numbers.n; i++) {
      const key = sign * gap[i];
      if (!pass[i] || !(found.length < most || key < keys[most - 1]) || Number.isNaN(key) || !wanted(i)) continue;
      let at = found.length;
      while (at && keys[at - 1] > key) at--;
      found.splice(at, 0, i); keys.splice(at, 0, key);
      if (found.length > most) { found.pop(); keys.pop(); }
    }
    return found;
  }

  function list() {
    const y = numbers.ys(state.student, step(), state.by), { true_label: truth, label, teacher_guess: teacher } = numbers;
    gap = y.map((v, i) => v - x[i]);
    const guess = numbers.guesses(state.student, step());
    const wanted = {
      underfit: () => true,
      overfit: () => true,
      teacher_wrong: (i) => teacher[i] !== truth[i] && guess[i] === truth[i],
      teacher_right: (i) => teacher[i] === truth[i] && guess[i] !== truth[i],
      found: (i) => label[i] !== truth[i] && guess[i] === truth[i],
    }[state.gallery];
    if (wanted) rows = lowest(meta.gallery, state.gallery === "overfit" ? -1 : 1, wanted);
    else rows = inRegion();
    const pages = Math.max(Math.ceil(rows.length / meta.gallery), 1);
    state.page = Math.min(state.page, pages - 1);
    rowsNow = rows.slice(state.page * meta.gallery, (state.page + 1) * meta.gallery);
    const [title, order] = GALLERIES[state.gallery];
    get("x-said").textContent = `${title}: ${examples(rows.length)}, ${order}, at step ${count(state.step)}` +
      (meta.splits[state.split].extremes === null ? "" : ", of the examples here") + `.${wrong() ? ` ${count(rows.filter((i) => kind[i] & 1).length)} of them are mislabelled.` : ""}`;
    for (const button of app.querySelectorAll(".x-galleries button")) button.setAttribute("aria-pressed", String(button.value === state.gallery));
    get("x-clear").hidden = !state.region;
    app.querySelector('.x-galleries button[value="region"]').hidden = !state.region;
    app.querySelector('.x-galleries button[value="found"]').hidden = !wrong();
    app.querySelector(".x-pages").hidden = pages === 1;
    get("x-page").textContent = `${state.page + 1} of ${count(pages)}`;
    get("x-earlier").disabled = state.page === 0;
    get("x-later").disabled = state.page === pages - 1;
    tiles();
    table();
    card();
  }

  function inRegion() {
    const { panel, x: [x0, x1], y: [y0, y1] } = regionOf(state.region), [low, high] = axes.at(step());
    const y = numbers.ys(panel === "left" ? meta.control : state.student, step(), state.by), found = [];
    // What is seen at an edge is taken with it; the ends of a region are rounded.
    const within = (value, from, to) => { const seen = clip(value, low, high); return seen >= from - 0.005 && seen <= to + 0.005; };
    for (let i = 0; i < numbers.n; i++) if (pass[i] && within(x[i], x0, x1) && within(y[i], y0, y1)) found.push(i);
    return found.sort((a, b) => gap[a] - gap[b]);
  }

  const made = (name, text, className) => {
    const element = document.createElement(name);
    if (text !== undefined) broken(element, text);
    if (className) element.className = className;
    return element;
  };

  // Text whose long names break where a reader would break them: after an underscore or a stroke.
  function broken(element, text) {
    element.replaceChildren(...text.split(/(?<=\w[_/])(?=\w)/).flatMap((piece, k) => (k ? [document.createElement("wbr"), piece] : [piece])));
  }

  const name = (k) => meta.classes[k];
  function labelled(i) {
    const given = name(numbers.label[i]), truth = name(numbers.true_label[i]);
    return given === truth ? `label ${given}` : `given label ${given}, true label ${truth}`;
  }

  function sentence(i) {
    const y = numbers.ys(state.student, step(), state.by)[i], says = (model) => numbers.likeliest(model, i).join(", ");
    const control = numbers.ys(meta.control, step(), state.by)[i];
    return `Example ${numbers.id[i]}: ${labelled(i)}. X ${number(x[i])}, Y of ${labels[meta.control]} ${number(control)}` +
      (state.student === meta.control ? "" : `, of ${labels[state.student]} ${number(y)}`) +
      `. At the last step ${meta.teacher}: ${says(null)}; ${labels[state.student]}: ${says(state.student)}.`;
  }

  function tiles() {
    const holder = get("x-tiles"), was = holder.contains(document.activeElement) ? document.activeElement.dataset.row : null;
    const texts = meta.texts[state.split];
    holder.classList.toggle("x-texts", Boolean(texts));
    holder.replaceChildren(...rowsNow.map((i, k) => {
      const item = made("li"), button = made("button");
      button.type = "button";
      button.dataset.row = i;
      button.tabIndex = k ? -1 : 0;
      if (meta.pictures[state.split]) button.append(picture(made("canvas"), i));
      button.append(made("span", `Example ${numbers.id[i]}, given label `, "x-hidden"));
      const other = numbers.label[i] !== numbers.true_label[i];
      button.append(made("span", other ? `${name(numbers.label[i])}, truly ${name(numbers.true_label[i])}` : name(numbers.label[i]), other ? "x-wrong" : ""));
      if (texts) { const cut = made("span", "", "x-cut"); button.append(cut); write(cut, i); }
      button.append(made("span", `Y − X ${difference(gap[i])}`, "x-sub"));
      item.append(button);
      return item;
    }));
    if (was) (holder.querySelector(`[data-row="${was}"]`) ?? holder.querySelector("button"))?.focus();
    current();
  }

  function current() {
    for (const button of get("x-tiles").querySelectorAll("button")) {
      if (Number(button.dataset.row) === focused()) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  function table() {
    const body = made("tbody"), head = made("tr"), y = numbers.ys(state.student, step(), state.by);
    const control = numbers.ys(meta.control, step(), state.by), guess = numbers.guesses(state.student, step());
    const titles = ["Example", "Given label", "True label", "X", `Y of ${labels[meta.control]}`];
    if (state.student !== meta.control) titles.push(`Y of ${labels[state.student]}`);
    titles.push("Teacher says", `${labels[state.student]} says`);
    for (const title of titles) { const cell = made("th", title); cell.scope = "col"; head.append(cell); }
    for (const i of rowsNow) {
      const row = made("tr"), first = made("th", String(numbers.id[i])), values = [name(numbers.label[i]), name(numbers.true_label[i]), number(x[i]), number(control[i])];
      if (state.student !== meta.control) values.push(number(y[i]));
      values.push(name(numbers.teacher_guess[i]), name(guess[i]));
      first.scope = "row";
      row.append(first, ...values.map((value) => made("td", value)));
      body.append(row);
    }
    const top = made("thead"), caption = made("caption", get("x-said").textContent);
    top.append(head);
    get("x-table").replaceChildren(caption, top, body);
  }

  // ---- Pictures and texts

  const images = new Map();
  function picture(canvas, i) {
    const { width, height, columns, per, sources } = meta.pictures[state.split], source = sources[Math.floor(i / per)], k = i % per;
    canvas.width = width; canvas.height = height;
    canvas.style.imageRendering = width < 48 ? "pixelated" : "auto";
    canvas.dataset.row = i;
    if (!images.has(source)) {
      const image = new Image();
      image.src = source;
      images.set(source, { image, ready: image.decode() });
    }
    const { image, ready } = images.get(source);
    const draw = () => {
      if (Number(canvas.dataset.row) !== i) return;
      canvas.getContext("2d").drawImage(image, (k % columns) * width, Math.floor(k / columns) * height, width, height, 0, 0, width, height);
    };
    if (image.complete && image.naturalWidth) draw();
    else ready.then(draw, fault);
    return canvas;
  }

  function write(element, i) {
    const { per, parts: files } = meta.texts[state.split], file = Math.floor(i / per);
    element.dataset.row = i;
    part(files[file]).then((texts) => { if (Number(element.dataset.row) === i) element.textContent = texts[i % per]; }, fault);
  }

  // ---- One example

  function card() {
    const i = focused();
    app.querySelector(".x-empty").hidden = i !== null;
    app.querySelector(".x-filled").hidden = i === null;
    if (i === null) return;
    get("x-picture").hidden = !meta.pictures[state.split];
    get("x-text").hidden = !meta.texts[state.split];
    if (meta.pictures[state.split]) {
      picture(get("x-picture"), i);
      get("x-picture").setAttribute("aria-label", `Picture of example ${numbers.id[i]}`);
    }
    if (meta.texts[state.split]) write(get("x-text"), i);
    const [control, y] = panels.map((panel) => numbers.ys(panel.student, step(), state.by)[i]), chosen = (state.by === "own" ? numbers.chosen : numbers.chosen_other)[i];
    const facts = [["Example", String(numbers.id[i])], ["Given label", name(numbers.label[i])], ["True label", name(numbers.true_label[i])],
      ["X and Y are of", name(chosen)], ["X, teacher", number(x[i])], [`Y, ${labels[meta.control]}`, number(control)]];
    if (state.student !== meta.control) facts.push([`Y, ${labels[state.student]}`, number(y)]);
    get("x-facts").replaceChildren(...facts.flatMap(([title, value]) => [made("dt", title), made("dd", value)]));
    const models = [[meta.teacher, null], ...[...new Set([meta.control, state.student])].map((s) => [labels[s], s])];
    const columns = models.map(([, model]) => numbers.likeliest(model, i)), top = made("thead"), head = made("tr"), body = made("tbody");
    for (const [title] of models) { const cell = made("th", title); cell.scope = "col"; head.append(cell); }
    top.append(head);
    for (let k = 0; k < numbers.top; k++) {
      const row = made("tr");
      row.append(...columns.map((column) => made("td", column[k])));
      body.append(row);
    }
    get("x-top").replaceChildren(made("caption", "Likeliest classes at the last step"), top, body);
  }

  function hover(i) {
    if (i === hovered) return;
    hovered = i;
    card();
    current();
    redraw(false);
  }

  function pin(i, speak = true) {
    state.id = i === null ? "" : String(numbers.id[i]);
    card();
    current();
    redraw(false);
    remember();
    if (speak && i !== null) say(sentence(i));
  }

  let speaking;
  function say(text) {
    clearTimeout(speaking);
    speaking = setTimeout(() => { get("x-live").textContent = text; }, 120);
  }

  // ---- Controls and the address

  function choose(changes) {
    Object.assign(state, changes);
    show();
    if ("split" in changes || "seed" in changes) {
      if ("split" in changes && !("region" in changes)) { state.region = ""; if (state.gallery === "region") state.gallery = "underfit"; }
      return load();
    }
    if ("step" in changes) return move();
    if (["student", "by", "label", "only"].some((field) => field in changes)) return arrange();
    list();
    redraw(false);
    remember();
  }

  function clearRegion() {
    choose({ region: "", page: 0, ...(state.gallery === "region" ? { gallery: "underfit" } : {}) });
  }

  function show() {
    for (const field of ["split", "student", "seed", "by", "label", "only"]) get(`x-${field}`).value = String(state[field]);
    get("x-step").value = String(step());
  }

  let remembering, seen = location.hash;
  function remember() {
    clearTimeout(remembering);
    remembering = setTimeout(() => {
      const text = address();
      if (location.hash !== seen) return; // somebody has gone elsewhere; `hashchange` comes next
      if (text === location.hash || (!text && !location.hash.startsWith(HASH))) return;
      history.replaceState(null, "", text || location.pathname + location.search);
      seen = location.hash;
    }, 150);
  }

  function address() {
    const changed = Object.entries(state).filter(([field, value]) => value !== DEFAULTS[field]);
    return changed.length ? HASH + new URLSearchParams(changed) : "";
  }

  function restored() {
    const given = new URLSearchParams(location.hash.startsWith(HASH) ? location.hash.slice(HASH.length) : "");
    const allowed = { split: Object.keys(meta.splits), student: names, seed: meta.seeds, step: meta.steps, by: meta.choosers ? ["own", "other"] : ["own"],
      label: ["given", "true"], only: ["", ...meta.classes.keys()], gallery: Object.keys(GALLERIES) };
    const found = { ...DEFAULTS };
    for (const [field, values] of Object.entries(allowed)) {
      const value = values.find((one) => String(one) === given.get(field));
      if (value !== undefined) found[field] = field === "only" ? String(value) : value;
    }
    if (/^(left|right)(_-?\d+\.\d\d){4}$/.test(given.get("region") ?? "")) found.region = given.get("region");
    if (found.gallery === "region" && !found.region) found.gallery = "underfit";
    if (/^\d{1,6}$/.test(given.get("page") ?? "")) found.page = Number(given.get("page"));
    if (/^-?\d{1,19}$/.test(given.get("id") ?? "")) found.id = given.get("id");
    return found;
  }

  let playing = null;
  function play(on) {
    clearInterval(playing);
    playing = null;
    get("x-play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    const forward = () => {
      choose({ step: meta.steps[(step() + 1) % meta.steps.length] });
      if (step() === meta.steps.length - 1) play(false);
    };
    forward();
    if (get("x-play").textContent === "Pause") playing = setInterval(forward, HOLD);
  }

  function options(field, entries) {
    get(`x-${field}`).replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
  }

  async function copy() {
    const link = location.href.split("#")[0] + (address() || HASH);
    try {
      await navigator.clipboard.writeText(link);
      say("The link is copied.");
      get("x-copy").textContent = "Copied";
      setTimeout(() => { get("x-copy").textContent = "Copy a link to this view"; }, 2000);
    } catch {
      get("x-link").hidden = false;
      get("x-link").value = link;
      get("x-link").focus();
      get("x-link").select();
    }
  }

  function build() {
    options("split", Object.entries(meta.splits).map(([split, facts]) => [split, facts.title]));
    options("student", meta.students);
    options("seed", meta.seeds.map((seed) => [seed, `seed ${seed}`]));
    options("by", [["own", "own teacher"], ...(meta.choosers ? [["other", "another seed's"]] : [])]);
    options("label", [["given", "given label"], ["true", "true label"]]);
    options("only", [["", "any"], ...meta.classes.map((text, k) => [k, text])]);
    for (const field of ["split", "student", "by", "label", "only"]) get(`x-${field}`).addEventListener("change", (event) => choose({ [field]: event.target.value, page: 0 }));
    get("x-seed").addEventListener("change", (event) => choose({ seed: Number(event.target.value), page: 0 }));
    get("x-step").max = String(meta.steps.length - 1);
    get("x-step").addEventListener("input", (event) => { play(false); choose({ step: meta.steps[Number(event.target.value)] }); });
    app.querySelector(".x-time").hidden = meta.steps.length === 1;
    get("x-play").addEventListener("click", () => play(playing === null));
    for (const [value, [title]] of Object.entries(GALLERIES)) {
      const button = made("button", title);
      button.type = "button";
      button.value = value;
      button.addEventListener("click", () => choose({ gallery: value, page: 0 }));
      app.querySelector(".x-galleries").append(button);
    }
    get("x-earlier").addEventListener("click", () => choose({ page: state.page - 1 }));
    get("x-later").addEventListener("click", () => choose({ page: state.page + 1 }));
    get("x-clear").addEventListener("click", clearRegion);
    get("x-copy").addEventListener("click", copy);
    get("x-close").addEventListener("click", () => { hovered = null; pin(null); });
    get("x-brush").addEventListener("click", () => {
      const on = app.classList.toggle("x-selecting");
      get("x-brush").setAttribute("aria-pressed", String(on));
    });
    const holder = get("x-tiles"), row = (event) => event.target.closest("button")?.dataset.row;
    holder.addEventListener("focusin", (event) => { for (const b of holder.querySelectorAll("button")) b.tabIndex = b === event.target ? 0 : -1; hovered = null; pin(Number(row(event))); });
    holder.addEventListener("pointermove", (event) => { if (row(event) !== undefined && event.pointerType !== "touch") hover(Number(row(event))); });
    holder.addEventListener("pointerleave", () => hover(null));
    holder.addEventListener("click", (event) => event.target.closest("button")?.focus()); // which some browsers do not
    holder.addEventListener("keydown", walk);
    addEventListener("hashchange", () => {
      seen = location.hash;
      if (!seen.startsWith(HASH)) return;
      Object.assign(state, restored());
      show();
      load();
    });
    dark.addEventListener("change", () => { if (numbers) { colors(); fit(); describe(); } });
    let width = 0;
    new ResizeObserver(([entry]) => {
      if (numbers && Math.abs(entry.contentRect.width - width) > 0.5) fit();
      width = entry.contentRect.width;
    }).observe(panels[0].figure);
  }

  // Arrow keys among the gallery's tiles, as they lie.
  function walk(event) {
    const all = [...get("x-tiles").querySelectorAll("button")], at = all.indexOf(event.target.closest("button"));
    const top = (k) => all[k].getBoundingClientRect().top, columns = all.filter((_, k) => Math.abs(top(k) - top(0)) < 2).length;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: all.length - 1 - at }[event.key];
    if (by === undefined || at < 0) return;
    event.preventDefault();
    all[Math.min(Math.max(at + by, 0), all.length - 1)].focus();
  }

  if (typeof DecompressionStream === "undefined") return fault(new Error("it needs a browser of 2023 or newer"));
  build();
  Object.assign(state, restored());
  show();
  load();
})();
