"use strict";
/* How the people's table is drawn, and what clicks and keys in it do. */
tractPage.views.table = (() => {
  const { study } = tractPage.profiles;
  const head = document.querySelector("#people thead tr");
  const body = document.querySelector("#people tbody");
  const count = document.getElementById("people-count");
  let drawn = "";

  function draw(scene) {
    const { state } = scene;
    const columns = tractPage.people.columns(scene);
    const rows = tractPage.people.rows(scene);
    const titles = columns.map(({ title }) => title).join("|");
    if (head.dataset.titles !== titles) drawHead(columns, titles);
    markSorted(state);
    // Focus stays where it is when people are ticked, as their rows are then not made anew.
    const key = JSON.stringify([
      state.tract,
      state.metric,
      state.from,
      state.to,
      state.by,
      state.parts,
      rows,
      state.sort,
      tractPage.colours.ofPage("ink"),
    ]);
    if (drawn !== key) body.replaceChildren(...rows.map((person) => row(scene, columns, person)));
    drawn = key;
    for (const line of body.rows) {
      const isChosen = state.people.includes(line.dataset.person);
      line.classList.toggle("chosen", isChosen);
      line.querySelector("input").checked = isChosen;
    }
    count.textContent = `${rows.length} of ${study.people.length} people, ${state.people.length} ticked`;
    document.getElementById("untick").disabled = state.people.length === 0;
  }

  function drawHead(columns, titles) {
    const tick = document.createElement("th");
    tick.innerHTML = '<span class="unseen">Ticked</span>';
    head.replaceChildren(
      tick,
      ...columns.map(({ name, title, isNumber }) => {
        const cell = document.createElement("th");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = title;
        button.dataset.sort = name;
        cell.scope = "col";
        cell.className = isNumber ? "number" : "";
        cell.append(button);
        return cell;
      }),
    );
    head.dataset.titles = titles;
  }

  function markSorted({ sort, down }) {
    for (const button of head.querySelectorAll("button")) {
      const isSorted = button.dataset.sort === sort;
      button.parentElement.setAttribute("aria-sort", isSorted ? (down ? "descending" : "ascending") : "none");
    }
  }

  function row(scene, columns, person) {
    const line = document.createElement("tr");
    line.dataset.person = study.people[person];
    const tick = line.insertCell();
    const input = document.createElement("input");
    input.type = "checkbox";
    input.setAttribute("aria-label", `${study.people[person]}: show in the profile`);
    tick.append(input);
    for (const { name, isNumber, hasSwatch, value, show, tells } of columns) {
      const cell = name === "subjectID" ? line.appendChild(document.createElement("th")) : line.insertCell();
      if (name === "subjectID") cell.scope = "row";
      if (hasSwatch) cell.append(tractPage.swatch(scene.groupOf[person]));
      cell.append(show ? show(person) : value(person));
      cell.className = isNumber ? "number" : name.startsWith("flag") ? "flagged" : "";
      if (tells?.(person)) {
        cell.title = tells(person);
        cell.append(unseen(`: ${tells(person)}`));
      }
    }
    return line;
  }

  function unseen(words) {
    const element = document.createElement("span");
    element.className = "unseen";
    element.textContent = words;
    return element;
  }

  head.addEventListener("click", ({ target }) => {
    const { sort } = target.dataset;
    if (!sort) return;
    const { current } = tractPage.state;
    const wasUp = current.sort === sort && !current.down;
    const wasDown = current.sort === sort && current.down;
    tractPage.state.set(wasDown ? { sort: "", down: false } : { sort, down: wasUp });
  });
  body.addEventListener("click", ({ target }) => {
    const line = target.closest("tr");
    if (line && target.tagName !== "INPUT") tractPage.people.toggle(line.dataset.person);
  });
  body.addEventListener("change", ({ target }) =>
    tractPage.people.toggle(target.closest("tr").dataset.person),
  );
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const next = step && body.rows[event.target.closest("tr").sectionRowIndex + step];
    if (!next) return;
    event.preventDefault();
    next.querySelector("input").focus();
  });

  return {
    keys: ["tract", "metric", "from", "to", "by", "parts", "hidden", "people", "sort", "down"],
    draw,
    needsLibrary: false,
  };
})();
