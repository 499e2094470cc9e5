// The paper's figure of one trace: what each model gives each sentence, over the classes of the sentences.

const PLOT = { left: 30, right: 6, top: 8, height: 112, lane: 13, foot: 20 };

function svgNode(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function boxPath(left, top, width, height) {
  return `M${left.toFixed(2)} ${top}h${width.toFixed(2)}v${height}h${(-width).toFixed(2)}z`;
}

// Per class one path with a box for each of its sentences.
function classPaths(trace, name, left, step, top, height) {
  const boxes = new Map();
  for (let index = 0; index < trace.classes.length; index++) {
    const letter = trace.classes[index];
    boxes.set(letter, (boxes.get(letter) ?? "") + boxPath(left + index * step, top, step, height));
  }
  return [...boxes].map(([letter, path]) =>
    svgNode("path", { class: `${name} ${CLASS_NAMES.get(letter).toLowerCase()}`, d: path }),
  );
}

// One trace at a glance: a cell per sentence.
function drawStrip(trace) {
  const bar = svgNode("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  bar.append(...classPaths(trace, "cell", 0, 100 / Math.max(trace.classes?.length ?? 0, 1), 0, 10));
  return bar;
}

// Draw it `width` pixels wide. `figure.mark(index)` points at a sentence, or at none for null.
function drawFigure(trace, width, { hover, pick }) {
  const count = trace.classes.length;
  const step = (width - PLOT.left - PLOT.right) / Math.max(count, 1);
  const bottom = PLOT.top + PLOT.height;
  const height = bottom + PLOT.lane + PLOT.foot;
  const svg = svgNode("svg", {
    class: "lines", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": `Probability of each of ${count} sentences under ${DATA.roles.join(" and ")}`,
  });
  const at = { x: (index) => PLOT.left + (index + 0.5) * step, y: (prob) => bottom - (PLOT.height * prob) / 100 };
  svg.append(...classPaths(trace, "ground", PLOT.left, step, PLOT.top, PLOT.height));
  svg.append(...axis(width, at, trace, step), ...lane(trace, step, bottom + 2, at));
  const roles = DATA.roles.filter((role) => hasRole(trace, role));
  for (const role of roles) svg.append(...roleLine(trace, role, at, step));
  const pointer = svgNode("g", { class: "pointer" });
  svg.append(pointer);
  svg.mark = (index) => pointer.replaceChildren(...(index === null ? [] : marks(trace, index, roles, at, bottom, step)));
  listen(svg, (x) => Math.min(count - 1, Math.max(0, Math.floor((x - PLOT.left) / step))), width, hover, pick);
  return svg;
}

function listen(svg, indexAt, width, hover, pick) {
  const index = (event) => {
    const box = svg.getBoundingClientRect();
    return indexAt(((event.clientX - box.left) * width) / box.width);
  };
  svg.addEventListener("pointermove", (event) => hover(index(event)));
  svg.addEventListener("pointerleave", () => hover(null));
  svg.addEventListener("click", (event) => pick(index(event)));
}

function axis(width, at, trace, step) {
  const nodes = [0, 50, 100].flatMap((prob) => [
    svgNode("path", { class: "grid", d: `M${PLOT.left} ${at.y(prob)}H${width - PLOT.right}` }),
    svgNode("text", { x: PLOT.left - 5, y: at.y(prob) + 4, "text-anchor": "end" }, String(prob / 100)),
  ]);
  const every = tickStep(trace.classes.length, Math.max(2, Math.floor((width - PLOT.left) / (trace.sentences > 99 ? 40 : 26))));
  const foot = PLOT.top + PLOT.height + PLOT.lane + 16;
  for (let index = 0; index < trace.classes.length; index++) {
    const isFirst = index === 0 && (every === 1 || (every - 1) * step > 18);
    if (!isFirst && (index + 1) % every !== 0) continue;
    nodes.push(svgNode("text", { x: at.x(index).toFixed(1), y: foot, "text-anchor": "middle" }, String(numberOf(trace, index))));
  }
  if (trace.gap) {
    const x = (PLOT.left + trace.gap[0] * step).toFixed(1);
    nodes.push(svgNode("path", { class: "gap", d: `M${x} ${PLOT.top}V${PLOT.top + PLOT.height + PLOT.lane}` }));
  }
  return nodes;
}

function tickStep(count, most) {
  const raw = Math.max(1, count / most);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw);
}

// Below the plot the classes once more, in full colour and, where there is room, with a letter: models that
// agree have none, and all other classes begin with another one.
const LETTERS = { Teacher: "T", Student: "S", Boosted: "B", Unscored: "?" };

function lane(trace, step, top, at) {
  const nodes = classPaths(trace, "cell", PLOT.left, step, top, PLOT.lane - 2);
  if (step < 9) return nodes;
  for (let index = 0; index < trace.classes.length; index++) {
    const name = classOf(trace, index);
    if (!LETTERS[name]) continue;
    const x = at.x(index).toFixed(1);
    nodes.push(svgNode("text", { class: `letter on-${name.toLowerCase()}`, x, y: top + 9, "text-anchor": "middle" }, LETTERS[name]));
  }
  return nodes;
}

// A line, broken where a sentence has no probability or sentences are left out, on a halo of paper.
function roleLine(trace, role, at, step) {
  let path = "";
  let isOpen = false;
  for (let index = 0; index < trace.classes.length; index++) {
    const prob = probOf(trace, role, index);
    if (trace.gap && index === trace.gap[0]) isOpen = false;
    if (prob !== null) path += `${isOpen ? "L" : "M"}${at.x(index).toFixed(1)} ${at.y(prob).toFixed(1)}`;
    isOpen = prob !== null;
  }
  const nodes = [
    svgNode("path", { class: "halo", d: path }),
    svgNode("path", { class: `role ${role}-line`, d: path }),
  ];
  if (step < 7) return nodes;
  for (let index = 0; index < trace.classes.length; index++) {
    const prob = probOf(trace, role, index);
    if (prob !== null) nodes.push(symbol(role, at.x(index), at.y(prob), 3));
  }
  return nodes;
}

const SYMBOLS = {
  teacher: (size) => `m${-size} 0a${size} ${size} 0 1 0 ${2 * size} 0a${size} ${size} 0 1 0 ${-2 * size} 0z`,
  student: (size) => `m${-size} ${-size}h${2 * size}v${2 * size}h${-2 * size}z`,
  distilled: (size) => `m0 ${-1.3 * size}l${1.3 * size} ${2.3 * size}h${-2.6 * size}z`,
};

function symbol(role, x, y, size) {
  return svgNode("path", { class: `symbol ${role}-symbol`, d: `M${x.toFixed(1)} ${y.toFixed(1)}${SYMBOLS[role](size)}` });
}

function marks(trace, index, roles, at, bottom, step) {
  const left = at.x(index) - step / 2;
  const column = svgNode("path", { class: "column", d: boxPath(left, PLOT.top, step, bottom - PLOT.top + PLOT.lane) });
  const points = roles
    .filter((role) => probOf(trace, role, index) !== null)
    .map((role) => symbol(role, at.x(index), at.y(probOf(trace, role, index)), 4.5));
  return [column, ...points];
}

// The key of the lines: the same strokes and symbols as in the figures.
function lineKey(role) {
  const svg = svgNode("svg", { class: "lines key-line", viewBox: "0 0 34 12", width: 34, height: 12, "aria-hidden": "true" });
  svg.append(svgNode("path", { class: `role ${role}-line`, d: "M1 6H33" }), symbol(role, 17, 6, 3));
  return svg;
}
