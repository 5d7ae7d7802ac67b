"use strict";
/* Groups of people: by the words of a column as they are, by its numbers cut into parts of equal size. */
tractPage.groups = (() => {
  const { study } = tractPage.profiles;
  const MOST = 8; // more groups than this are not told apart: the smallest become one
  const UNKNOWN = "not given";

  function find(name) {
    return study.columns.find((column) => column.name === name);
  }

  /* The columns that make groups: numbers to cut, or words that more than one person shares. */
  function usable() {
    return study.columns.filter((column) => {
      const given = column.values.filter((value) => value !== null);
      const different = new Set(given).size;
      return column.cut || (different > 0 && different <= given.length / 2);
    });
  }

  /* The column that a page begins with. */
  function first() {
    const columns = usable();
    const named = [/^(class|group|diagnosis|dx)$/i, /^age/i].map((words) =>
      columns.find((column) => words.test(column.name)),
    );
    const chosen = named.find(Boolean) ?? columns[0];
    return chosen ? chosen.name : "";
  }

  /* Return the groups of a column, each with its key, label and people. */
  function make(name, parts) {
    const column = find(name);
    if (!column) return [{ key: "all", label: "Everyone", people: study.people.map((_, person) => person) }];
    const groups = column.cut ? cut(column, parts) : gather(column);
    const unknown = peopleWhere(column, (value) => value === null);
    if (unknown.length) groups.push({ key: UNKNOWN, label: UNKNOWN, people: unknown });
    return groups;
  }

  function peopleWhere(column, isIn) {
    return column.values.flatMap((value, person) => (isIn(value) ? [person] : []));
  }

  function gather(column) {
    const words = [...new Set(column.values.filter((value) => value !== null))].sort(compare);
    const groups = words.map((word) => ({
      key: String(word),
      label: String(word),
      people: peopleWhere(column, (value) => value === word),
    }));
    if (groups.length <= MOST) return groups;
    const bySize = [...groups].sort((a, b) => b.people.length - a.people.length);
    const rest = bySize.slice(MOST - 1);
    const kept = groups.filter((group) => !rest.includes(group));
    const people = rest.flatMap((group) => group.people).sort((a, b) => a - b);
    return [...kept, { key: "others", label: `${rest.length} others`, people }];
  }

  /* Cut at the quantiles, as evenly as equal numbers allow: those stay together. */
  function cut(column, parts) {
    const given = column.values.filter((value) => value !== null);
    const edges = [];
    for (let part = 1; part < parts; part += 1)
      edges.push(tractPage.statistics.quantile(given, part / parts));
    const partOf = (value) => edges.filter((edge) => value > edge).length;
    const groups = [];
    for (let part = 0; part < parts; part += 1) {
      const people = peopleWhere(column, (value) => value !== null && partOf(value) === part);
      if (people.length) {
        const values = people.map((person) => column.values[person]);
        const [low, high] = [Math.min(...values), Math.max(...values)];
        const ends = low === high ? inWords(low) : `${inWords(low)}–${inWords(high)}`;
        const label = `${column.name} ${ends}`;
        groups.push({ key: String(part + 1), label, people });
      }
    }
    return groups;
  }

  function inWords(number) {
    return String(Number(number.toPrecision(4))).replace("-", "−");
  }

  function compare(a, b) {
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  }

  return { find, usable, first, make, compare, UNKNOWN };
})();
