"use strict";
/* The people's table: of the groups that are shown, sorted by any column; who is ticked has a line. */
tractPage.people = (() => {
  const { study } = tractPage.profiles;

  function toggle(person) {
    const { people } = tractPage.state.current;
    tractPage.state.set({
      people: people.includes(person) ? people.filter((other) => other !== person) : [...people, person],
    });
  }

  /* The columns of the table: what they are called, and each person's value to show and to sort by. */
  function columns(scene) {
    const { state, metric, tract } = scene;
    const isCut = tractPage.groups.find(state.by)?.cut ?? false;
    const range = tractPage.scene.nodesInWords(state);
    const numbers = (name, title, value) => ({
      name,
      title,
      isNumber: true,
      value,
      show: (person) => tractPage.figures.digits(value(person)),
    });
    return [
      { name: "subjectID", title: "Person", value: (person) => study.people[person] },
      ...(isCut
        ? [
            {
              name: "group",
              hasSwatch: true,
              title: "Group",
              value: (person) => scene.groups.indexOf(scene.groupOf[person]),
              show: (person) => scene.groupOf[person].label,
            },
          ]
        : []),
      ...study.columns.map(({ name, kind, values }) => ({
        name: `column ${name}`,
        title: name,
        isNumber: kind === "number",
        hasSwatch: name === state.by && !isCut,
        value: (person) => values[person],
        show: (person) => String(values[person] ?? "–"),
      })),
      numbers("mean", `${metric.label}, ${range}`, (person) =>
        metric.mean(person, tract, state.from, state.to),
      ),
      {
        name: "flag",
        title: "In this tract",
        value: (person) => flagged(metric, person, tract).order,
        show: (person) => flagged(metric, person, tract).words,
      },
      {
        name: "flags",
        title: "In all tracts",
        value: (person) => allFlags(metric, person).order,
        show: (person) => allFlags(metric, person).words,
        tells: (person) => allFlags(metric, person).tells,
      },
    ];
  }

  function flagged(metric, person, tract) {
    if (metric.missing[person][tract]) return { words: "∅ missing", order: Infinity };
    const score = metric.score(person, tract);
    return metric.isOutlier(person, tract)
      ? { words: `▲ outlier, z = ${score.toFixed(1).replace("-", "−")}`, order: Math.abs(score) }
      : { words: "", order: 0 };
  }

  function allFlags(metric, person) {
    const named = (is) => study.tracts.filter((_, tract) => is(tract));
    const missing = named((tract) => metric.missing[person][tract]);
    const outliers = named((tract) => metric.isOutlier(person, tract));
    const words = [
      missing.length && `∅ ${missing.length} missing`,
      outliers.length && `▲ ${outliers.length} outlier${outliers.length > 1 ? "s" : ""}`,
    ];
    const tells = [
      missing.length && `missing: ${missing.join(", ")}`,
      outliers.length && `outlier: ${outliers.join(", ")}`,
    ];
    return {
      words: words.filter(Boolean).join(", "),
      tells: tells.filter(Boolean).join("; "),
      order: missing.length + outliers.length,
    };
  }

  /* Who is shown, in order; who has no value comes last, whichever way it is sorted. */
  function rows(scene) {
    const { sort, down } = scene.state;
    const column = columns(scene).find(({ name }) => name === sort);
    const shown = study.people.map((_, person) => person).filter((person) => scene.groupOf[person].isShown);
    if (!column) return shown;
    const lacks = (value) => value === null || Number.isNaN(value);
    const keyed = shown.map((person) => ({ person, value: column.value(person) }));
    const given = keyed
      .filter(({ value }) => !lacks(value))
      .sort((a, b) => (down ? -1 : 1) * tractPage.groups.compare(a.value, b.value));
    return [...given, ...keyed.filter(({ value }) => lacks(value))].map(({ person }) => person);
  }

  return { toggle, columns, rows };
})();
