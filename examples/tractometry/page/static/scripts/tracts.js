"use strict";
/* The list of tracts: one is chosen; each says in how many people it is missing or far from the others'. */
tractPage.views.tracts = (() => {
  const { study } = tractPage.profiles;
  const list = document.getElementById("tract-list");
  const rows = study.tracts.map((tract) => {
    const row = document.getElementById("tract-row").content.cloneNode(true).firstElementChild;
    row.querySelector("input").value = tract;
    row.querySelector(".name").textContent = tract;
    list.append(row);
    return row;
  });
  list.addEventListener("change", (event) => tractPage.state.set({ tract: event.target.value }));

  function draw({ state, metric }) {
    rows.forEach((row, tract) => {
      const missing = study.people.filter((_, person) => metric.missing[person][tract]).length;
      const outliers = study.people.filter((_, person) => metric.isOutlier(person, tract)).length;
      row.querySelector("input").checked = study.tracts[tract] === state.tract;
      row.querySelector(".swatch").style.background = tractPage.colours.ofTract(study.tracts[tract]);
      flag(row.querySelector(".missing"), "∅", missing, "missing in");
      flag(row.querySelector(".outlier"), "▲", outliers, "outlier in");
    });
    const chosen = rows.find((row) => row.querySelector("input").checked);
    const [top, bottom] = [chosen.offsetTop, chosen.offsetTop + chosen.offsetHeight];
    if (top < list.scrollTop || bottom > list.scrollTop + list.clientHeight)
      list.scrollTop = top - list.clientHeight / 2;
  }

  function flag(element, sign, count, words) {
    element.hidden = count === 0;
    element.querySelector(".sign").textContent = `${sign} ${count}`;
    element.querySelector(".words").textContent = `, ${words} ${count} of ${study.people.length} people`;
    element.title = `${words} ${count} of ${study.people.length} people`;
  }

  return { keys: ["tract", "metric"], draw, needsLibrary: false };
})();
