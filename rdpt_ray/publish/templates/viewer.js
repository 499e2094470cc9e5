// The controls: what is searched, filtered and sorted, the list of what was found, and the keyboard.

const CHUNK = 60; // list entries made at once; more follow as one scrolls
const finder = { wanted: { terms: [] }, sort: "", downwards: true, found: [], made: 0, current: null, keys: true };
const byId = (name) => document.getElementById(`viewer-${name}`);

// ---- controls

function fillSelect(select, options) {
  for (const [value, label] of options) select.append(make("option", { value }, label));
  select.closest("label").hidden = options.length < 3; // "any" and one kind: nothing to choose
  select.addEventListener("change", find);
}

function fillControls() {
  const number = (count) => count.toLocaleString("en");
  const count = (holds) => number(TRACES.filter(holds).length);
  const reasons = countsOf(TRACES.map((trace) => trace.reason));
  const writers = countsOf(TRACES.map(writerOf));
  fillSelect(byId("outcome"), !DATA.selects ? [] : [
    ["", "any outcome"],
    ["selected", `selected (${count((trace) => trace.selected)})`],
    ["rejected", `rejected (${count((trace) => !trace.selected)})`],
    ...reasons.map(([reason, times]) => [`=${reason}`, `rejected: ${reason} (${number(times)})`]),
  ]);
  fillSelect(byId("sentences"), [["", "any class"], ...DATA.classes
    .map(([letter, name]) => [letter, `with ${name} (${count((trace) => trace.tally?.[letter])})`])]);
  fillSelect(byId("answer"), [["", "any answer"], ...countsOf(TRACES.map(answerOf))
    .map(([answer, times]) => [answer, `${answer} (${number(times)})`])]);
  fillSelect(byId("model"), [["", "any model"],
    ...DATA.roles.map((role) => [`+${role}`, `${role} read it (${count((trace) => hasRole(trace, role))})`]),
    ...DATA.roles.map((role) => [`-${role}`, `${role} did not (${count((trace) => !hasRole(trace, role))})`]),
    ...(writers.length > 1 ? writers.map(([name, times]) => [`@${name}`, `by ${name} (${number(times)})`]) : []),
  ]);
  for (const name of sortsOffered()) byId("sort").append(make("option", { value: name }, SORTS[name][0]));
  byId("sort").addEventListener("change", find);
  byId("direction").addEventListener("click", turnAround);
  byId("search").addEventListener("input", () => { clearTimeout(finder.timer); finder.timer = setTimeout(find, 80); });
  byId("reset").addEventListener("click", reset);
}

function turnAround() {
  finder.downwards = !finder.downwards;
  const button = byId("direction");
  button.textContent = finder.downwards ? "\u2193" : "\u2191";
  button.setAttribute("aria-label", finder.downwards ? "largest first" : "smallest first");
  button.title = button.getAttribute("aria-label");
  find();
}

function reset() {
  for (const name of ["search", "outcome", "sentences", "answer", "model"]) byId(name).value = "";
  find();
  byId("search").focus();
}

function find() {
  const value = (name) => byId(name).value;
  finder.wanted = {
    terms: termsOf(value("search")),
    outcome: value("outcome"), sentences: value("sentences"), answer: value("answer"), model: value("model"),
  };
  finder.found = sorted(TRACES.filter((trace) => matches(trace, finder.wanted)), value("sort"), finder.downwards);
  showFound();
  paintTerms();
}

// ---- the list

function showFound() {
  const { found } = finder;
  const isAll = found.length === TRACES.length;
  const words = isAll ? counted(found.length, "trace") : `${found.length.toLocaleString("en")} of ${counted(TRACES.length, "trace")}`;
  byId("count").textContent = words;
  byId("reset").hidden = isAll && !byId("search").value;
  byId("list").replaceChildren();
  byId("list").scrollTop = 0;
  finder.made = 0;
  makeMore();
  if (found.length === 0) byId("list").append(make("p", { class: "none", role: "presentation" }, "No trace is like that."));
  else if (!found.includes(finder.current)) choose(found[0]);
  else markCurrent();
}

function makeMore() {
  const next = finder.found.slice(finder.made, finder.made + CHUNK);
  byId("list").append(...next.map((trace, index) => entry(trace, finder.made + index)));
  finder.made += next.length;
}

function makeUpTo(index) {
  while (finder.made <= index && finder.made < finder.found.length) makeMore();
}

function entry(trace, place) {
  const teacher = trace.teacher === undefined ? "Teacher unknown" : null;
  const node = make("div", {
    class: "entry", role: "option", tabindex: "-1", "aria-selected": "false", id: `entry-${place}`,
    "aria-setsize": finder.found.length, "aria-posinset": place + 1,
  },
    make("span", { class: "entry-head" },
      DATA.selects ? make("span", { class: `mark ${trace.selected ? "selected" : "rejected"}`, role: "img", "aria-label": trace.selected ? "selected" : "rejected" }) : null,
      teacher ?? make("span", {}, make("b", {}, String(trace.teacher)), ` of ${trace.sentences} Teacher`),
      make("span", { class: "entry-side" }, sideWords(trace)),
    ),
    make("span", { class: "entry-prompt", dir: "auto" }, firstWords(trace.prompt)),
    trace.classes ? drawStrip(trace) : null,
  );
  node.addEventListener("click", () => choose(trace, true));
  return node;
}

// What the list is sorted by, unless it is shown anyway.
function sideWords(trace) {
  const sort = byId("sort").value;
  if (sort === "length") return counted(trace.chars, "char");
  if (sort === "share") return teacherShare(trace) === null ? "" : `${Math.round(100 * teacherShare(trace))}%`;
  if (sort === "score") return trace.score === undefined ? "" : String(Number(trace.score.toPrecision(4)));
  return DATA.selects ? cardTitle(trace).toLowerCase() : "";
}

function firstWords(prompt) {
  const asked = prompt.messages.findLast?.(([role]) => role === "user") ?? prompt.messages.at(-1);
  return asked ? asked[1].slice(0, 160) : "";
}

function choose(trace, isByHand = false) {
  finder.current = trace;
  openPrompt(trace);
  paintTerms();
  markCurrent();
  if (isByHand && NARROW.matches) byId("reader").scrollIntoView({ block: "start" });
}

// Another candidate of the open prompt was brought to the front.
function onActivate(trace) {
  if (finder.current === trace) return;
  finder.current = trace;
  markCurrent();
}

function markCurrent() {
  const index = finder.found.indexOf(finder.current);
  makeUpTo(index);
  const list = byId("list");
  list.querySelectorAll('[aria-selected="true"]').forEach((node) => { node.setAttribute("aria-selected", "false"); node.tabIndex = -1; });
  const node = list.children[Math.max(index, 0)];
  if (!node?.matches(".entry")) return;
  node.tabIndex = 0;
  if (index < 0) return;
  node.setAttribute("aria-selected", "true");
  const top = node.offsetTop - list.offsetTop;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + node.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + node.offsetHeight - list.clientHeight;
}

// Where the words that are searched for stand in the open texts; the text itself is not touched.
function paintTerms() {
  if (!globalThis.CSS?.highlights) return;
  const { terms } = finder.wanted;
  const ranges = terms.length === 0 ? [] : [...byId("reader").querySelectorAll(".text")].flatMap((box) => rangesIn(box, terms));
  CSS.highlights.set("found", new Highlight(...ranges));
}

function rangesIn(box, terms) {
  const ranges = [];
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.data.toLowerCase();
    if (text.length !== node.data.length) continue; // lower case of another length: places would be wrong
    for (const term of terms) {
      for (let at = text.indexOf(term); at >= 0 && ranges.length < 500; at = text.indexOf(term, at + term.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, at + term.length);
        ranges.push(range);
      }
    }
  }
  return ranges;
}

// ---- the keyboard

function step(by) {
  const index = finder.found.indexOf(finder.current);
  const trace = finder.found[Math.min(Math.max(index + by, 0), finder.found.length - 1)];
  if (!trace) return;
  const wasReading = byId("reader").contains(document.activeElement);
  choose(trace);
  if (wasReading && !NARROW.matches) moveTo(reader.cards[reader.active], 0);
  else byId("list").querySelector('[aria-selected="true"]')?.focus({ preventScroll: true });
}

const KEYS = {
  "/": () => byId("search").focus(),
  j: () => step(1),
  k: () => step(-1),
  t: () => nextTeacher(1),
  T: () => nextTeacher(-1),
  "?": showHelp,
};

function showHelp() {
  byId("help").showModal();
  byId("help-close").focus();  // by `autofocus` a browser would try it as the page loads, too
}

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (event.key === "Escape") return onEscape(event);
  if (event.target.closest("input, select, textarea")) return;
  if (onTextKey(event) || onListKey(event) || !finder.keys || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
}

function onEscape(event) {
  if (event.target === byId("search") && byId("search").value) {
    byId("search").value = "";
    find();
  } else unpin();
}

const MOVES = {
  ArrowRight: (index) => index + 1,
  ArrowDown: (index) => index + 1,
  ArrowLeft: (index) => index - 1,
  ArrowUp: (index) => index - 1,
  Home: () => 0,
  End: () => Infinity,
};

function onTextKey(event) {
  const node = event.target.closest("#viewer-reader [data-index]");
  if (!node) return false;
  const card = reader.cards.find((each) => each.text.contains(node));
  const index = Number(node.dataset.index);
  const sideways = event.shiftKey && { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (sideways) moveSideways(card, sideways);
  else if (MOVES[event.key]) moveTo(card, MOVES[event.key](index));
  else if (event.key === "Enter" || event.key === " ") pin(card, index);
  else return false;
  event.preventDefault();
  return true;
}

function moveSideways(card, by) {
  const other = reader.cards[reader.cards.indexOf(card) + by];
  if (!other || other.sentences.length === 0) return;
  activate(other.trace.index);
  moveTo(other, Math.max(0, other.sentences.findIndex((node) => node.tabIndex === 0)));
}

function onListKey(event) {
  if (!event.target.closest("#viewer-list") || !MOVES[event.key]) return false;
  const index = finder.found.indexOf(finder.current);
  step(Math.min(MOVES[event.key](index), finder.found.length) - index);
  event.preventDefault();
  return true;
}

function nextTeacher(by) {
  const card = reader.cards[reader.active];
  const classes = card?.trace.classes ?? "";
  for (let index = (card?.shown ?? (by > 0 ? -1 : classes.length)) + by; index >= 0 && index < classes.length; index += by) {
    if (classes[index] === "T") return moveTo(card, index);
  }
}

// ---- the start

function openLink() {
  const id = /^#trace=(.*)$/.exec(location.hash)?.[1];
  const trace = id === undefined ? null : TRACES.find((each) => encodeURIComponent(each.id) === id);
  if (trace) {
    choose(trace);
    byId("box").scrollIntoView({ block: "start" });
  }
  return Boolean(trace);
}

function start() {
  byId("box").hidden = false;
  fillControls();
  byId("key").append(...DATA.roles.map((role) => make("span", { class: "line-name" }, lineKey(role), ` ${role}`)));
  byId("list").addEventListener("scroll", () => {
    const list = byId("list");
    if (list.scrollTop + list.clientHeight > list.scrollHeight - 600) makeMore();
  });
  byId("help-button").addEventListener("click", showHelp);
  byId("help-close").addEventListener("click", () => byId("help").close());
  byId("keys").addEventListener("change", (event) => { finder.keys = event.target.checked; });
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", openLink);
  window.addEventListener("resize", () => { clearTimeout(reader.timer); reader.timer = setTimeout(drawFigures, 120); });
  find();
  openLink();
}

start();
