"use strict";
/* The figure in words: each group's mean over the chosen nodes, and the difference of two groups. */
tractPage.views.summary = (() => {
  const list = document.getElementById("summary");
  const { digits } = tractPage.figures;

  function draw(scene) {
    const { state, metric, tract, shown } = scene;
    const momentsOf = (group) =>
      tractPage.statistics.moments(
        group.people.map((person) => metric.mean(person, tract, state.from, state.to)),
      );
    const words = [`Mean ${metric.label} over ${tractPage.scene.nodesInWords(state)}: `];
    words.push(
      shown.length ? shown.map((group) => inWords(group, momentsOf(group))).join("; ") : "no group is shown",
    );
    if (scene.minus && [scene.group, scene.minus].every((group) => shown.includes(group))) {
      const { mean, half } = tractPage.statistics.difference(momentsOf(scene.group), momentsOf(scene.minus));
      if (Number.isFinite(half))
        words.push(
          `. ${scene.group.label} minus ${scene.minus.label}: `,
          `${digits(mean)} ± ${digits(half)} (95 % interval, Welch)`,
        );
    }
    list.textContent = `${words.join("")}.`;
  }

  function inWords({ label, people }, { n, mean, sd }) {
    const count = n === people.length ? `n = ${n}` : `n = ${n}, missing in ${people.length - n}`;
    return `${label} ${digits(mean)} (sd ${digits(sd)}, ${count})`;
  }

  return {
    keys: ["tract", "metric", "from", "to", "by", "parts", "hidden", "group", "minus"],
    draw,
    needsLibrary: false,
  };
})();
