// One prompt and its candidates side by side: texts coloured by class, linked with their figures.

const NARROW = window.matchMedia("(max-width: 60rem)");
const reader = { prompt: null, cards: [], active: 0, pinned: null };

// Make an element. Children are elements or text; text is never markup.
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function chip(name) {
  return make("span", { class: `s ${name.toLowerCase()}` }, name);
}

// ---- the prompt

function openPrompt(trace) {
  const { prompt } = trace;
  if (reader.prompt !== prompt) {
    reader.prompt = prompt;
    reader.pinned = null;
    reader.cards = prompt.traces.map(candidateCard);
    const place = document.getElementById("viewer-reader");
    place.replaceChildren(...promptHead(prompt), tabs(), columns());
    place.scrollTop = 0;
    drawFigures();
  }
  activate(trace.index);
}

function promptHead(prompt) {
  const messages = prompt.messages.map(([role, text, leftOut]) =>
    make("div", { class: "message" },
      prompt.messages.length > 1 || role !== "user" ? make("span", { class: "speaker" }, role) : null,
      make("span", { class: "text", dir: "auto" }, text, leftOutNote(leftOut)),
    ),
  );
  const notes = [
    counted(prompt.candidates, "candidate"),
    prompt.candidates > prompt.traces.length ? `the first ${prompt.traces.length} are shown` : null,
    prompt.shownBecause ?? null,
  ].filter(Boolean);
  return [
    make("h3", { class: "prompt-title", id: "viewer-prompt", tabindex: "-1" }, "Prompt ", make("small", {}, notes.join(" \u00b7 "))),
    make("div", { class: "messages", ...(textLength(prompt) > 700 ? { tabindex: "0", role: "region", "aria-label": "Prompt, scrolls" } : {}) }, ...messages),
    prompt.answer === undefined ? null : make("p", { class: "answer" }, "Reference answer ", make("bdi", {}, prompt.answer)),
  ].filter(Boolean);
}

function textLength(prompt) {
  return prompt.messages.reduce((sum, [, text]) => sum + text.length, 0);
}

function leftOutNote(count) {
  return count ? make("span", { class: "cut" }, ` [${counted(count, "character")} left out]`) : null;
}

// ---- candidates

function columns() {
  const row = make("div", { class: "candidates", tabindex: "-1" }, ...reader.cards.map((card) => card.node));
  row.classList.toggle("single", reader.cards.length === 1);
  return row;
}

function candidateCard(trace) {
  const card = { trace, sentences: [], figure: null };
  card.readout = make("div", { class: "readout" });
  card.plot = make("div", { class: "plot" });
  card.text = responseText(card);
  card.node = make("article", { class: "candidate", "aria-labelledby": `candidate-${trace.index}` },
    cardHead(trace),
    trace.why ? make("p", { class: `why ${trace.selected ? "won" : "lost"}` }, trace.why) : null,
    tally(trace),
    card.plot,
    card.readout,
    card.text,
    cardFoot(trace),
  );
  showReadout(card, null);
  return card;
}

function cardHead(trace) {
  const badge = trace.selected ? "selected" : trace.reason ?? "not selected";
  return make("header", {},
    make("h4", { id: `candidate-${trace.index}` }, cardTitle(trace)),
    DATA.selects ? make("span", { class: `badge ${trace.selected ? "selected" : "rejected"}` }, make("bdi", {}, badge)) : null,
    trace.correct === undefined ? null : make("span", { class: `grade ${answerOf(trace)}` }, `${answerOf(trace)} answer`),
  );
}

function cardTitle(trace) {
  if (!DATA.selects) return trace.prompt.candidates > 1 ? `Candidate ${trace.candidate + 1}` : "Response";
  return trace.rank === undefined ? "Not ranked" : `Rank ${trace.rank}`;
}

function tally(trace) {
  const share = teacherShare(trace);
  const parts = DATA.classes
    .filter(([letter]) => trace.tally?.[letter])
    .map(([letter, name]) => make("span", { class: "part" }, chip(name), ` ${trace.tally[letter].toLocaleString("en")}`));
  const rest = share === null ? "Teacher sentences are unknown" : `${Math.round(100 * share)}% Teacher`;
  return make("p", { class: "tally-line" }, ...parts, make("span", { class: "rest" }, `${counted(trace.sentences, "sentence")}, ${rest}`));
}

function cardFoot(trace) {
  const facts = [
    ["trace", trace.id, true],
    ["from", trace.origin],
    ["candidate", String(trace.candidate)],
    ["length", counted(trace.chars, "character")],
    DATA.selects && trace.score !== undefined ? ["selection_score", String(Number(trace.score.toPrecision(6)))] : null,
    ...(trace.labels ?? []),
  ].filter((fact) => fact && fact[1] !== undefined);
  return make("details", { class: "about" }, make("summary", {}, "About this trace"),
    make("dl", {}, ...facts.map(([name, value, isLink]) =>
      make("div", {}, make("dt", {}, name), make("dd", {},
        isLink ? make("a", { href: `#trace=${encodeURIComponent(value)}`, title: "Link to this trace" }, value) : make("bdi", {}, value))),
    )),
  );
}

// ---- the text

function responseText(card) {
  const { trace } = card;
  const box = make("div", {
    class: "text response", dir: "auto", role: "listbox", tabindex: trace.text ? undefined : "0",
    "aria-label": "Sentences of the response; arrow keys move, Enter pins",
  });
  (trace.text ?? []).forEach((text, index) => {
    if (trace.gap && index === trace.gap[0]) box.append(gapNote(trace));
    box.append(...sentenceNodes(card, text, index));
  });
  if (trace.gap && trace.gap[0] >= (trace.text ?? []).length) box.append(gapNote(trace));
  listenToText(box, card);
  return box;
}

// White space around a sentence is not coloured.
function sentenceNodes(card, text, index) {
  const [, before, ink, after] = text.match(/^(\s*)([^]*?)(\s*)$/);
  const node = make("span", {
    class: `s ${classOf(card.trace, index).toLowerCase()}`, role: "option",
    "aria-selected": "false", tabindex: index === 0 ? "0" : "-1", "data-index": index,
  }, ink || text);
  const leftOut = card.trace.cut?.[index];
  if (leftOut) node.append(leftOutNote(leftOut));
  card.sentences.push(node);
  return ink ? [before, node, after] : [node];
}

function gapNote(trace) {
  const [, sentences, chars] = trace.gap;
  return make("span", { class: "cut", role: "presentation" },
    ` [${counted(sentences, "sentence")}, ${counted(chars, "character")} left out] `);
}

function listenToText(box, card) {
  const indexOf = (event) => {
    const node = event.target.closest?.("[data-index]");
    return node ? Number(node.dataset.index) : null;
  };
  box.addEventListener("pointerover", (event) => point(card, indexOf(event)));
  box.addEventListener("pointerleave", () => point(card, null));
  box.addEventListener("focusin", (event) => { point(card, indexOf(event)); tell(card, indexOf(event)); });
  box.addEventListener("focusout", () => point(card, null));
  box.addEventListener("click", (event) => { if (indexOf(event) !== null) pin(card, indexOf(event)); });
}

// ---- pointing and pinning: the same sentence in the text, in the figure and in words

function point(card, index) {
  const isPinned = reader.pinned?.card === card;
  const shown = index ?? (isPinned ? reader.pinned.index : null);
  if (card.shown !== undefined && card.shown !== null) card.sentences[card.shown]?.classList.remove("on");
  card.shown = shown;
  if (shown !== null) card.sentences[shown].classList.add("on");
  card.figure?.mark(shown);
  showReadout(card, shown);
}

function pin(card, index) {
  const old = reader.pinned;
  const isSame = old?.card === card && old.index === index;
  unpin();
  if (!isSame) {
    reader.pinned = { card, index };
    card.sentences[index].setAttribute("aria-selected", "true");
  }
  if (card.trace.index !== reader.active) activate(card.trace.index);
  point(card, index);
}

function unpin() {
  if (!reader.pinned) return;
  const { card, index } = reader.pinned;
  reader.pinned = null;
  card.sentences[index].setAttribute("aria-selected", "false");
  point(card, null);
}

function moveTo(card, index) {
  const target = Math.min(Math.max(index, 0), card.sentences.length - 1);
  if (target < 0) return;
  card.sentences.forEach((node) => { if (node.tabIndex === 0) node.tabIndex = -1; });
  card.sentences[target].tabIndex = 0;
  card.sentences[target].focus({ preventScroll: true });
  scrollToSentence(card, target);
}

// Within the box of the text only: the page stays where it is.
function scrollToSentence(card, index) {
  const box = card.text.getBoundingClientRect();
  const place = card.sentences[index].getBoundingClientRect();
  const room = 24;
  if (place.top < box.top + room) card.text.scrollTop += place.top - box.top - room;
  else if (place.bottom > box.bottom - room) card.text.scrollTop += Math.min(place.bottom - box.bottom + room, place.top - box.top - room);
}

function sentenceFacts(card, index) {
  const { trace } = card;
  return {
    name: classOf(trace, index),
    place: `Sentence ${numberOf(trace, index)} of ${trace.sentences}`,
    probs: DATA.roles.map((role) => [role, probOf(trace, role, index)]),
    difference: differenceOf(trace, index),
  };
}

// Teacher less student, in words; only where that is what beta is about.
function differenceOf(trace, index) {
  const [teacher, student] = ["teacher", "student"].map((role) => probOf(trace, role, index));
  if (DATA.beta === null || teacher === null || student === null) return null;
  const difference = (teacher - student) / 100;
  return `teacher \u2212 student ${difference < 0 ? "\u2212" : "+"}${Math.abs(difference).toFixed(2)} (beta ${DATA.beta})`;
}

function inWords(prob) {
  return prob === null ? "none" : (prob / 100).toFixed(2);
}

function showReadout(card, index) {
  if (index === null) return showMeans(card);
  const facts = sentenceFacts(card, index);
  const isPinned = reader.pinned?.card === card && reader.pinned.index === index;
  readOut(card,
    make("p", {}, facts.place, " ", chip(facts.name), isPinned ? make("span", { class: "pin" }, " pinned") : null),
    facts.probs,
    facts.difference ?? "",
  );
}

// What the readout says while nothing is pointed at.
function showMeans(card) {
  const { trace } = card;
  const shown = trace.classes?.length ?? 0;
  const means = DATA.roles.map((role) => {
    const probs = (trace.probs?.[role] ?? []).filter((prob) => prob !== null);
    return [role, probs.length ? probs.reduce((sum, prob) => sum + prob, 0) / probs.length : null];
  });
  const which = trace.gap ? `The ${counted(shown, "sentence")} shown` : `All ${counted(shown, "sentence")}`;
  const hint = NARROW.matches ? "Tap a sentence, or the figure." : "Point at a sentence, or at the figure.";
  readOut(card, make("p", {}, shown === 1 ? "The one sentence" : `${which}, on average`), means, hint);
}

function readOut(card, title, probs, note) {
  card.readout.replaceChildren(
    title,
    make("p", { class: "probs" }, ...probs.map(([role, prob]) =>
      make("span", { class: "prob" }, lineKey(role), ` ${role} `, make("b", {}, inWords(prob))))),
    make("p", { class: "aside" }, note),
  );
}

// For screen readers.
function tell(card, index) {
  if (index === null) return;
  const facts = sentenceFacts(card, index);
  const probs = facts.probs.map(([role, prob]) => `${role} ${inWords(prob)}`).join(", ");
  announce(`${facts.name}. Probability: ${probs}. ${facts.place}.`);
}

function announce(words) {
  document.getElementById("viewer-told").textContent = words;
}

// ---- figures, tabs, columns

function drawFigures() {
  for (const card of reader.cards) {
    if (!card.trace.classes || card.plot.clientWidth === 0) continue;
    card.figure = drawFigure(card.trace, card.plot.clientWidth, {
      hover: (index) => {
        point(card, index);
        if (index !== null) scrollToSentence(card, index);
      },
      pick: (index) => { pin(card, index); scrollToSentence(card, index); },
    });
    card.plot.replaceChildren(card.figure);
    card.figure.mark(card.shown ?? null);
  }
}

function tabs() {
  const list = make("div", { class: "tabs", role: "tablist", "aria-label": "Candidates" });
  for (const card of reader.cards) {
    const tab = make("button", { type: "button", role: "tab", id: `tab-${card.trace.index}` },
      `${card.trace.selected && DATA.selects ? "\u25c6 " : ""}${cardTitle(card.trace)}`);
    tab.addEventListener("click", () => activate(card.trace.index));
    list.append(tab);
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    activate((reader.active + step + reader.cards.length) % reader.cards.length);
    list.children[reader.active].focus();
  });
  return list;
}

// Bring one candidate to the front: the shown tab on a narrow screen, the marked column on a wide one.
function activate(index) {
  reader.active = index;
  reader.cards.forEach((card, place) => {
    const isActive = place === index;
    card.node.classList.toggle("active", isActive);
    const tab = document.getElementById(`tab-${place}`);
    tab.setAttribute("aria-selected", isActive);
    tab.tabIndex = isActive ? 0 : -1;
  });
  const { node } = reader.cards[index];
  const row = node.parentElement;
  row.scrollLeft = Math.max(0, node.offsetLeft - row.offsetLeft - (row.clientWidth - node.clientWidth) / 2);
  if (!reader.cards[index].figure) drawFigures();
  onActivate(reader.cards[index].trace);
}
