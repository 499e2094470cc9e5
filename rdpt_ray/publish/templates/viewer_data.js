// The traces of this page: read from its data, found, filtered, sorted. Nothing here touches the page.

const DATA = JSON.parse(document.getElementById("viewer-data").textContent);
const CLASS_NAMES = new Map(DATA.classes); // letter -> name, in the order they are shown
const TRACES = DATA.prompts.flatMap((prompt, place) => withTraces(prompt, place));

function withTraces(prompt, place) {
  const scores = prompt.traces.map((trace) => trace.score).filter((score) => score !== undefined);
  scores.sort((first, second) => second - first);
  prompt.place = place;
  prompt.lead = scores.length > 1 ? scores[0] - scores[1] : null;
  return prompt.traces.map((trace, index) => Object.assign(trace, { prompt, index }));
}

function classOf(trace, index) {
  return CLASS_NAMES.get(trace.classes[index]);
}

function probOf(trace, role, index) {
  return trace.probs?.[role]?.[index] ?? null; // in hundredths
}

// The number of a sentence in the whole response: what is left out in the middle is counted.
function numberOf(trace, index) {
  return index + 1 + (trace.gap && index >= trace.gap[0] ? trace.gap[1] : 0);
}

function teacherShare(trace) {
  return trace.teacher === undefined ? null : trace.teacher / Math.max(trace.sentences, 1);
}

// ---- finding

// Words must all occur, in any order; what is quoted must occur as it is.
function termsOf(query) {
  const found = query.toLowerCase().match(/"[^"]+"?|[^\s"]+/g) ?? [];
  return found.map((term) => term.replaceAll('"', "")).filter(Boolean);
}

function haystackOf(trace) {
  trace.haystack ??= [
    trace.id,
    trace.prompt.id,
    trace.prompt.messages.map(([, text]) => text).join("\n"),
    trace.text?.join("") ?? "",
    trace.origin ?? "",
    (trace.labels ?? []).map(([, value]) => value).join("\n"),
  ].join("\n").toLowerCase();
  return trace.haystack;
}

const FILTERS = {
  outcome: (trace, wanted) =>
    wanted.startsWith("=") ? trace.reason === wanted.slice(1) : Boolean(trace.selected) === (wanted === "selected"),
  sentences: (trace, wanted) => (trace.tally?.[wanted] ?? 0) > 0,
  answer: (trace, wanted) => answerOf(trace) === wanted,
  model: (trace, wanted) => {
    const [what, name] = [wanted[0], wanted.slice(1)];
    return what === "@" ? writerOf(trace) === name : hasRole(trace, name) === (what === "+");
  },
};

function answerOf(trace) {
  return trace.correct === undefined ? "unknown" : trace.correct ? "right" : "wrong";
}

function writerOf(trace) {
  return (trace.labels ?? []).find(([name]) => name === "teacher")?.[1];
}

function hasRole(trace, role) {
  return trace.probs?.[role] !== undefined;
}

function matches(trace, wanted) {
  const haystack = wanted.terms.length > 0 ? haystackOf(trace) : "";
  return (
    wanted.terms.every((term) => haystack.includes(term)) &&
    Object.entries(FILTERS).every(([name, holds]) => !wanted[name] || holds(trace, wanted[name]))
  );
}

// ---- sorting

const SORTS = {
  lead: ["Lead of the winner", (trace) => trace.prompt.lead],
  teacher: ["Teacher sentences", (trace) => trace.teacher ?? null],
  share: ["Share of Teacher", teacherShare],
  length: ["Length", (trace) => trace.chars],
  score: ["selection_score", (trace) => trace.score ?? null],
};

function sortsOffered() {
  return Object.keys(SORTS).filter((name) => DATA.selects || !["lead", "score"].includes(name));
}

// What has no number comes last either way; equal ones stay beside their prompt, in the order of ranks.
function sorted(traces, name, downwards) {
  const key = SORTS[name][1];
  const sign = downwards ? -1 : 1;
  return [...traces].sort((first, second) => {
    const [one, other] = [key(first), key(second)];
    if ((one === null) !== (other === null)) return one === null ? 1 : -1;
    return sign * (one - other) || first.prompt.place - second.prompt.place || first.index - second.index;
  });
}

// ---- counting

// value -> how many traces have it, most frequent first.
function countsOf(values) {
  const counts = new Map();
  for (const value of values) {
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts].sort((first, second) => second[1] - first[1] || (first[0] < second[0] ? -1 : 1));
}
