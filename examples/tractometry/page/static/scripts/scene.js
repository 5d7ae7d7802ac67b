"use strict";
/* What all views draw from: the choices, the numbers of the chosen metric, and the groups. */
tractPage.scene = (() => {
  const { study } = tractPage.profiles;
  const ENDS = 0.98; // a few far values would take the colours from all others

  /* Return what is to be drawn for these choices. */
  function make(state, metric) {
    const groups = tractPage.groups.make(state.by, state.parts).map((group, place) => ({
      ...group,
      ...tractPage.colours.ofGroup(place),
      isShown: !state.hidden.includes(group.key),
    }));
    const groupOf = study.people.map((_, person) => groups.find((group) => group.people.includes(person)));
    const chosen = state.people.map((name) => study.people.indexOf(name));
    return {
      state,
      metric,
      groups,
      shown: groups.filter((group) => group.isShown),
      groupOf,
      chosen,
      tract: study.tracts.indexOf(state.tract),
      ...compared(state, groups),
    };
  }

  /* The group whose mean colours the bundles, and the one that is taken from it. */
  function compared(state, groups) {
    const find = (key) => groups.find((group) => group.key === key);
    const group = find(state.group) ?? groups[0];
    // The last, as the parts of a number then lie farthest apart.
    const minus =
      find(state.minus) ??
      groups.findLast((other) => other !== group && other.key !== tractPage.groups.UNKNOWN) ??
      null;
    return { group, minus };
  }

  /* The values that colour bundles, by tract and node: a group's mean, or how much it differs. */
  function valuesByTract(scene) {
    const { metric, group, minus } = scene;
    return study.tracts.map((_, tract) => {
      const mean = tractPage.statistics.meanProfile(metric, tract, group.people);
      if (!isDifference(scene)) return mean;
      const other = tractPage.statistics.meanProfile(metric, tract, minus.people);
      return mean.map((value, node) => value - other[node]);
    });
  }

  /* How values are coloured: the map, its ends, and what it shows. */
  function scale(scene, values) {
    const { quantile } = tractPage.statistics;
    const all = values.flat();
    const title = scaleTitle(scene);
    if (isDifference(scene)) {
      const far = quantile(all.map(Math.abs), ENDS) || 1;
      return { colorscale: tractPage.colours.DIFFERENCE, low: -far, high: far, title };
    }
    return {
      colorscale: tractPage.colours.SEQUENCE,
      low: quantile(all, 1 - ENDS),
      high: quantile(all, ENDS),
      title,
    };
  }

  function isDifference({ state, minus }) {
    return state.colour === "difference" && minus !== null;
  }

  /* What the colours of bundles mean. */
  function scaleTitle(scene) {
    const { state, group, minus, metric } = scene;
    if (state.colour === "tract") return "";
    const end = metric.unit ? ` (${metric.unit})` : "";
    const shown = isDifference(scene) ? `${group.label} minus ${minus.label}` : `mean of ${group.label}`;
    return `${metric.label}, ${shown}${end}`;
  }

  /* The nodes as words. */
  function nodesInWords({ from, to }) {
    return from === 0 && to === study.nodes - 1 ? "all nodes" : `nodes ${from}–${to}`;
  }

  function isWholeRange({ from, to }) {
    return from === 0 && to === study.nodes - 1;
  }

  return { make, valuesByTract, scale, scaleTitle, nodesInWords, isWholeRange };
})();
