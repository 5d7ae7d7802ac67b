"use strict";
/* What is chosen, kept in the address behind its #, so that a link shows the same. */
tractPage.state = (() => {
  const { study } = tractPage.profiles;
  const listeners = [];
  const COLOURS = ["tract", "metric", "difference"];
  const VIEWS = ["bundles", "overview"];
  const hasShapes = Object.keys(tractPage.received.bundles.tracts).length > 0;
  const MOST_PARTS = 6;

  const START = {
    tract: study.tracts.find((tract) => tract in tractPage.received.bundles.tracts) ?? study.tracts[0],
    metric: study.metrics[0].name,
    from: 0,
    to: study.nodes - 1,
    by: tractPage.groups.first(),
    parts: 3,
    hidden: [],
    band: "interval",
    lines: false,
    people: [],
    view: hasShapes ? "bundles" : "overview",
    colour: hasShapes ? "tract" : "difference",
    group: "",
    minus: "",
    streamlines: false,
    eye: [],
    sort: "",
    down: false,
  };
  for (const metric of study.metrics) if (metric.label === "FA") START.metric = metric.name;

  let current = { ...START };

  /* How each choice is read from a link; undefined where the link does not fit these data. */
  const among = (choices) => (text) => (choices.includes(text) ? text : undefined);
  const whole = (low, high) => (text) =>
    /^\d+$/.test(text) && text >= low && text <= high ? Number(text) : undefined;
  const yes = (text) => text === "1";
  const list = (text) => text.split(",").filter(Boolean).map(decodeURIComponent);
  const READ = {
    tract: among(study.tracts),
    metric: among(study.metrics.map((metric) => metric.name)),
    from: whole(0, study.nodes - 1),
    to: whole(0, study.nodes - 1),
    by: among(["", ...tractPage.groups.usable().map((column) => column.name)]),
    parts: whole(2, MOST_PARTS),
    hidden: list,
    band: among(Object.keys(tractPage.statistics.BANDS)),
    lines: yes,
    people: (text) => (list(text).every((person) => study.people.includes(person)) ? list(text) : undefined),
    view: among(VIEWS),
    colour: among(COLOURS),
    group: (text) => text,
    minus: (text) => text,
    streamlines: yes,
    eye: (text) =>
      list(text).length === 3 && list(text).every((part) => isFinite(part))
        ? list(text).map(Number)
        : undefined,
    sort: (text) => text,
    down: yes,
  };

  function read(key, text) {
    try {
      return READ[key]?.(text);
    } catch (error) {
      if (error instanceof URIError) return undefined; // a link that was cut off
      throw error;
    }
  }

  function write(key) {
    const value = current[key];
    if (Array.isArray(value)) return value.map((part) => encodeURIComponent(part)).join(",");
    return typeof value === "boolean" ? String(Number(value)) : String(value);
  }

  function toHash() {
    const words = new URLSearchParams();
    for (const key of Object.keys(START)) {
      if (JSON.stringify(current[key]) !== JSON.stringify(START[key])) words.set(key, write(key));
    }
    return words.size ? `#${words}` : "";
  }

  /* Take a link's choices, and return the names of those that do not fit these data. */
  function fromHash(hash) {
    const next = { ...START };
    const strange = [];
    for (const [key, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
      const value = read(key, text);
      if (value === undefined) strange.push(`${key} ${text}`);
      else next[key] = value;
    }
    if (next.from > next.to) [next.from, next.to] = [next.to, next.from];
    apply(next);
    return strange;
  }

  /* Change what is chosen; who listens is told which of it changed. */
  function set(patch) {
    const next = { ...current, ...patch };
    // What belongs to a grouping does not outlive it.
    if (next.by !== current.by || next.parts !== current.parts) {
      Object.assign(next, { hidden: [], group: "", minus: "" }, patch);
    }
    apply(next);
  }

  function apply(next) {
    const changed = Object.keys(START).filter(
      (key) => JSON.stringify(next[key]) !== JSON.stringify(current[key]),
    );
    current = next;
    // The history is not filled with every step, and from a file only the part behind # may change.
    if (toHash() !== location.hash) location.replace(toHash() || "#");
    if (changed.length) for (const listener of listeners) listener(new Set(changed));
  }

  function listen(listener) {
    listeners.push(listener);
  }

  return {
    get current() {
      return current;
    },
    set,
    fromHash,
    toHash,
    listen,
    MOST_PARTS,
  };
})();
